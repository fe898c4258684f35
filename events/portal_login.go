package events

import (
	"cmp"
	"time"
)

// PortalLogin is a login: a contact logged in at the Wi-Fi portal with a device.
// Topics: crm-events, crm-events-backfill. Key: BusinessKey(Business).
type PortalLogin struct {
	// Business is the store of the portal.
	Business BusinessID `avro:"business" json:"business"`
	// Device is the pseudonym of the device's MAC address, the same as in its
	// sightings.
	Device DeviceID `avro:"device" json:"device"`
	// Contact is the customer in the CRM of the business.
	Contact ContactID `avro:"contact" json:"contact"`
	// At is the moment of the login. Device belongs to Contact from At on.
	At time.Time `avro:"at" json:"at"`
	// Randomised is true if the device's MAC address is a locally administered
	// one. The field is false if the portal cannot tell.
	Randomised bool `avro:"randomised" json:"randomised"`
}

var portalLoginType = mustRecordType(schemaFiles, "portal-login")

// Validate checks every field, see [Sighting.Validate].
func (r *PortalLogin) Validate() error {
	return cmp.Or(
		validBusiness(r.Business),
		validID("device", string(r.Device)),
		validID("contact", string(r.Contact)),
		validTime("at", r.At),
	)
}

func (r *PortalLogin) keyParts() (BusinessID, string) { return r.Business, "" }
func (*PortalLogin) recordType() *recordType          { return portalLoginType }

func (r *PortalLogin) readJSON(data []byte) error {
	return readObject(data,
		jsonField{name: "business", into: (*string)(&r.Business)},
		jsonField{name: "device", into: (*string)(&r.Device)},
		jsonField{name: "contact", into: (*string)(&r.Contact)},
		jsonField{name: "at", into: &r.At},
		jsonField{name: "randomised", into: &r.Randomised, optional: true},
	)
}
