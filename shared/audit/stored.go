package audit

import (
	"context"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Table is what an audit needs of the table counts.
type Table interface {
	// Each gives every item: a contact, the month ("" for its base count), the
	// total and the ids that the total is made of.
	Each(ctx context.Context, each func(key stage.CountKey, month string, total int64, ids []events.WalkInID) error) error
}

// account is the count of a contact in a month.
type account struct {
	stage.CountKey
	month string
}

// storedCount is what the table has of it.
type storedCount struct {
	total int64
	ids   map[events.WalkInID]bool
}

// stored is what the table holds: the counts of some months, and the sum of
// everything of each contact.
type stored struct {
	counts map[account]storedCount
	sums   map[stage.CountKey]int64
}

func readStored(ctx context.Context, t Table, m months) (*stored, error) {
	s := &stored{counts: map[account]storedCount{}, sums: map[stage.CountKey]int64{}}
	first, last := "", "9999-12"
	if !m.from.IsZero() {
		first = presence.MonthOf(m.from)
	}
	if !m.to.IsZero() {
		last = presence.MonthOf(m.to.Add(-1))
	}
	err := t.Each(ctx, func(key stage.CountKey, month string, total int64, ids []events.WalkInID) error {
		s.sums[key] += total
		if month == "" || month < first || month > last {
			return nil
		}
		one := storedCount{total: total, ids: make(map[events.WalkInID]bool, len(ids))}
		for _, id := range ids {
			one.ids[id] = true
		}
		s.counts[account{key, month}] = one
		return nil
	})
	return s, err
}
