package events

import (
	"cmp"
	"time"
)

// EnrichedWalkIn is a walk-in that is attributed to a contact. When its visit
// has ended, the record is produced again with the same ID and with Ended and
// DwellMillis set. Of two records with the same ID, the record with the higher
// Version is the right one, in whichever order they come.
// Topic: enriched-walk-ins. Key: ContactKey(Business, Contact).
type EnrichedWalkIn struct {
	// ID is the ID of the WalkIn.
	ID WalkInID `avro:"id" json:"id"`
	// Business is the store that was visited.
	Business BusinessID `avro:"business" json:"business"`
	// Device is the pseudonym of the device's MAC address.
	Device DeviceID `avro:"device" json:"device"`
	// Contact is the customer that the walk-in is attributed to.
	Contact ContactID `avro:"contact" json:"contact"`
	// StartedAt is the event time of the first strong sighting of the visit.
	StartedAt time.Time `avro:"started_at" json:"started_at"`
	// BoundAt is the moment from which on the device belongs to Contact.
	BoundAt time.Time `avro:"bound_at" json:"bound_at"`
	// Late is true if a login after StartedAt bound the device to Contact.
	Late bool `avro:"late" json:"late"`
	// Ended is true if the visit has ended.
	Ended bool `avro:"ended" json:"ended"`
	// DwellMillis is the time from StartedAt to the last sighting of the visit in
	// milliseconds, 0 or more. It is 0 as long as Ended is false.
	DwellMillis int64 `avro:"dwell_ms" json:"dwell_ms"`
	// Version grows with every change of the record, 0 or more. Two records with the
	// same ID and Version are equal, unless the Version is 0: such records were
	// written before there were versions. Newer compares them too.
	Version int64 `avro:"version" json:"version"`
}

var enrichedWalkInType = mustRecordType(schemaFiles, "enriched-walk-in")

// Validate checks every field, see [Sighting.Validate].
func (r *EnrichedWalkIn) Validate() error {
	return cmp.Or(
		validID("id", string(r.ID)),
		validBusiness(r.Business),
		validID("device", string(r.Device)),
		validID("contact", string(r.Contact)),
		validTime("started_at", r.StartedAt),
		validTime("bound_at", r.BoundAt),
		validCount("dwell_ms", r.DwellMillis),
		validCount("version", r.Version),
	)
}

// Newer reports whether r, and not o, is the right record of a visit. Both have the
// same ID. The higher Version is right. If one of them has Version 0, the record that
// has Ended is right, and of two that have, the record with the longer dwell time:
// while a release that has versions replaces one that has not, both produce.
func (r *EnrichedWalkIn) Newer(o *EnrichedWalkIn) bool {
	if r.Version > 0 && o.Version > 0 {
		return r.Version > o.Version
	}
	return r.Ended && (!o.Ended || r.DwellMillis > o.DwellMillis)
}

func (r *EnrichedWalkIn) keyParts() (BusinessID, string) { return r.Business, string(r.Contact) }
func (*EnrichedWalkIn) recordType() *recordType          { return enrichedWalkInType }

var enrichedWalkInDecoders = newDecoders(enrichedWalkInType)

// DecodeEnrichedWalkIn decodes and validates a record of topic
// enriched-walk-ins. Every error is a *BadRecord.
func DecodeEnrichedWalkIn(key, value []byte) (EnrichedWalkIn, error) {
	return decode[EnrichedWalkIn](enrichedWalkInDecoders, key, value)
}
