package events

import (
	"cmp"
	"time"
)

// WalkInCount is the number of visits of a contact. Of two records with the same
// key, the record with the higher Version is the right one.
// Topic: walk-in-counts, compacted. Key: ContactKey(Business, Contact). A null
// value means that the contact was forgotten.
//
// A record that follows a change of the base count has no walk-in: WalkIn and
// Month are "", MonthTotal is 0 and WalkInAt is NoWalkIn.
type WalkInCount struct {
	// Business is the store.
	Business BusinessID `avro:"business" json:"business"`
	// Contact is the customer whose visits are counted.
	Contact ContactID `avro:"contact" json:"contact"`
	// WalkIn is the ID of the latest of the walk-ins that led to this record.
	WalkIn WalkInID `avro:"walk_in" json:"walk_in"`
	// WalkInAt is the StartedAt of that walk-in.
	WalkInAt time.Time `avro:"walk_in_at" json:"walk_in_at"`
	// Month is the month of WalkInAt in UTC, like "2026-11".
	Month string `avro:"month" json:"month"`
	// MonthTotal is the number of visits that began in Month, 0 or more.
	MonthTotal int64 `avro:"month_total" json:"month_total"`
	// Total is the number of all visits: Base and the visits of all months. It is
	// 0 or more, and can fall, for example when a late login makes one visit of
	// two.
	Total int64 `avro:"total" json:"total"`
	// Base is the part of Total that was counted before the first month that is
	// kept, 0 or more.
	Base int64 `avro:"base" json:"base"`
	// Version grows with every change of the counts, 0 or more.
	Version int64 `avro:"version" json:"version"`
}

// NoWalkIn is the WalkInAt of a WalkInCount without a walk-in.
var NoWalkIn = time.UnixMilli(0).UTC()

var walkInCountType = mustRecordType(schemaFiles, "walk-in-count")

// Validate checks every field, see [Sighting.Validate]. The fields of the
// walk-in must be all set or all empty.
func (r *WalkInCount) Validate() error {
	err := cmp.Or(
		validBusiness(r.Business),
		validID("contact", string(r.Contact)),
		validCount("month_total", r.MonthTotal),
		validCount("total", r.Total),
		validCount("base", r.Base),
		validCount("version", r.Version),
	)
	// A change of the base count: the record has no walk-in to check.
	if r.WalkIn == "" && r.Month == "" && r.MonthTotal == 0 && r.WalkInAt.Equal(NoWalkIn) {
		return err
	}
	return cmp.Or(err,
		validID("walk_in", string(r.WalkIn)),
		validTime("walk_in_at", r.WalkInAt),
		validMonth("month", r.Month),
	)
}

func (r *WalkInCount) keyParts() (BusinessID, string) { return r.Business, string(r.Contact) }
func (*WalkInCount) recordType() *recordType          { return walkInCountType }

var walkInCountDecoders = newDecoders(walkInCountType)

// DecodeWalkInCount decodes and validates a record of topic walk-in-counts. If
// value is nil the error has the Reason NullValue, as on every topic. Every
// error is a *BadRecord.
func DecodeWalkInCount(key, value []byte) (WalkInCount, error) {
	return decode[WalkInCount](walkInCountDecoders, key, value)
}
