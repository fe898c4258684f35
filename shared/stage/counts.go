package stage

import (
	"context"

	"footfall/events"
	"footfall/shared/presence"
)

// CountKey identifies a contact of a business, and so its counts.
type CountKey struct {
	Business events.BusinessID
	Contact  events.ContactID
}

// MonthCount is one part of a contact's count: a month, or the base.
type MonthCount struct {
	Month string // "2026-11" in UTC, or "" for the base
	// Total is the base, or the number of visits of the month that count given the
	// facts of all months; see SetTotals.
	Total int64
	// Version grows with every change of the part. The version of a month is the
	// number of its facts, which are never removed; the version of a base is a
	// counter of its own.
	Version int64
	Facts   []presence.Fact // facts of a month, each once, in no order
}

// SetTotals sets Total and Version of each month in parts from the facts of all
// parts. A base is not changed.
func SetTotals(parts []MonthCount) {
	facts := make([][]presence.Fact, len(parts))
	for i := range parts {
		facts[i] = parts[i].Facts
	}
	for i, n := range presence.CountVisits(facts) {
		if parts[i].Month != "" {
			parts[i].Total, parts[i].Version = n, int64(len(facts[i]))
		}
	}
}

// Counts stores, per contact and month, the facts about the contact's visits, and
// per contact the base: the number of visits that were counted before.
type Counts interface {
	// Add adds facts to a month ("2026-11"). A fact that the month holds already
	// changes nothing. facts MUST NOT hold a fact twice. Add MUST return nil only
	// when all facts are stored; after an error the first facts may be stored and the
	// others not.
	Add(ctx context.Context, key CountKey, month string, facts []presence.Fact) error
	// Get returns the base (month "") if one was set, and then every month in
	// ascending order, with totals as SetTotals sets them. Each part MUST include
	// every write that returned before the call. Together the parts are no
	// snapshot: some parts may be newer than others.
	Get(ctx context.Context, key CountKey) ([]MonthCount, error)
	// SetBase sets the number of visits that were counted before the first stored
	// month. It MUST store base only if the base's version equals version, which is
	// 0 if no base was set, and MUST return ErrConflict otherwise; it stores
	// version+1.
	SetBase(ctx context.Context, key CountKey, base, version int64) error
}
