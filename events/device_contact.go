package events

import (
	"cmp"
	"time"
)

// DeviceContact is the contact that a device belongs to now.
// Topic: device-contacts, compacted. Key: DeviceKey(Business, Device). A null
// value means that the device belongs to no contact any more.
type DeviceContact struct {
	// Business is the store.
	Business BusinessID `avro:"business" json:"business"`
	// Device is the pseudonym of the device's MAC address.
	Device DeviceID `avro:"device" json:"device"`
	// Contact is the contact that the device belongs to.
	Contact ContactID `avro:"contact" json:"contact"`
	// BoundAt is the moment from which on the device belongs to Contact: the time
	// of the login, or of the merge that handed the device to Contact.
	BoundAt time.Time `avro:"bound_at" json:"bound_at"`
}

var deviceContactType = mustRecordType(schemaFiles, "device-contact")

// Validate checks every field, see [Sighting.Validate].
func (r *DeviceContact) Validate() error {
	return cmp.Or(
		validBusiness(r.Business),
		validID("device", string(r.Device)),
		validID("contact", string(r.Contact)),
		validTime("bound_at", r.BoundAt),
	)
}

func (r *DeviceContact) keyParts() (BusinessID, string) { return r.Business, string(r.Device) }
func (*DeviceContact) recordType() *recordType          { return deviceContactType }

var deviceContactDecoders = newDecoders(deviceContactType)

// DecodeDeviceContact decodes and validates a record of topic device-contacts.
// If value is nil the error has the Reason NullValue, as on every topic. A
// caller for which a null value has a meaning (the device belongs to no contact)
// looks at value first. Every error is a *BadRecord.
func DecodeDeviceContact(key, value []byte) (DeviceContact, error) {
	return decode[DeviceContact](deviceContactDecoders, key, value)
}
