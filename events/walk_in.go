package events

import (
	"cmp"
	"time"
)

// WalkIn is a walk-in: the moment at which a visit was confirmed. Each visit has
// one, unless the device is a resident device.
// Topic: walk-ins. Key: DeviceKey(Business, Device).
type WalkIn struct {
	// ID names the visit: NewWalkInID(Business, Device, StartedAt).
	ID WalkInID `avro:"id" json:"id"`
	// Business is the store that was visited.
	Business BusinessID `avro:"business" json:"business"`
	// Device is the pseudonym of the device's MAC address.
	Device DeviceID `avro:"device" json:"device"`
	// StartedAt is the event time of the first strong sighting of the visit.
	StartedAt time.Time `avro:"started_at" json:"started_at"`
	// ConfirmedAt is the event time of the sighting or tick that confirmed the
	// visit.
	ConfirmedAt time.Time `avro:"confirmed_at" json:"confirmed_at"`
	// Anonymous is true if the address is randomised and was not associated up to
	// ConfirmedAt. Such a visit is never linked to one of another day.
	Anonymous bool `avro:"anonymous" json:"anonymous"`
}

var walkInType = mustRecordType(schemaFiles, "walk-in")

// Validate checks every field, see [Sighting.Validate].
func (r *WalkIn) Validate() error {
	return cmp.Or(
		validID("id", string(r.ID)),
		validBusiness(r.Business),
		validID("device", string(r.Device)),
		validTime("started_at", r.StartedAt),
		validTime("confirmed_at", r.ConfirmedAt),
	)
}

func (r *WalkIn) keyParts() (BusinessID, string) { return r.Business, string(r.Device) }
func (*WalkIn) recordType() *recordType          { return walkInType }

var walkInDecoders = newDecoders(walkInType)

// DecodeWalkIn decodes and validates a record of topic walk-ins. Every error is
// a *BadRecord.
func DecodeWalkIn(key, value []byte) (WalkIn, error) {
	return decode[WalkIn](walkInDecoders, key, value)
}
