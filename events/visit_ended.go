package events

import (
	"cmp"
	"time"
)

// VisitEnded is the end of a visit, also of a resident device's. A visit may end
// again, with the same ID: when a late sighting prolongs it, or when detect
// repeats a batch. The record with the latest LastSeenAt is right.
// Topic: visits-ended. Key: DeviceKey(Business, Device).
type VisitEnded struct {
	// ID names the visit; it is the ID of the visit's WalkIn.
	ID WalkInID `avro:"id" json:"id"`
	// Business is the store that was visited.
	Business BusinessID `avro:"business" json:"business"`
	// Device is the pseudonym of the device's MAC address.
	Device DeviceID `avro:"device" json:"device"`
	// StartedAt is the event time of the first strong sighting of the visit.
	StartedAt time.Time `avro:"started_at" json:"started_at"`
	// LastSeenAt is the event time of the latest sighting that extended the visit. If
	// detect started cold in the two minutes after that sighting, LastSeenAt may be
	// of an earlier sighting, up to two minutes before, never of a later one.
	LastSeenAt time.Time `avro:"last_seen_at" json:"last_seen_at"`
	// DwellMillis is LastSeenAt - StartedAt in milliseconds, 0 or more.
	DwellMillis int64 `avro:"dwell_ms" json:"dwell_ms"`
	// Anonymous is true if the address is randomised and never associated during
	// the visit. Such a visit is never linked to one of another day.
	Anonymous bool `avro:"anonymous" json:"anonymous"`
	// Resident is true if the device is a resident device. The visit then has no
	// WalkIn.
	Resident bool `avro:"resident" json:"resident"`
}

var visitEndedType = mustRecordType(schemaFiles, "visit-ended")

// Validate checks every field, see [Sighting.Validate].
func (r *VisitEnded) Validate() error {
	return cmp.Or(
		validID("id", string(r.ID)),
		validBusiness(r.Business),
		validID("device", string(r.Device)),
		validTime("started_at", r.StartedAt),
		validTime("last_seen_at", r.LastSeenAt),
		validCount("dwell_ms", r.DwellMillis),
	)
}

func (r *VisitEnded) keyParts() (BusinessID, string) { return r.Business, string(r.Device) }
func (*VisitEnded) recordType() *recordType          { return visitEndedType }

var visitEndedDecoders = newDecoders(visitEndedType)

// DecodeVisitEnded decodes and validates a record of topic visits-ended. Every
// error is a *BadRecord.
func DecodeVisitEnded(key, value []byte) (VisitEnded, error) {
	return decode[VisitEnded](visitEndedDecoders, key, value)
}
