package audit

import (
	"context"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Table is what an audit needs of the table counts.
type Table interface {
	// Each gives every contact and what Get of stage.Counts gives of it.
	Each(ctx context.Context, each func(key stage.CountKey, parts []stage.MonthCount) error) error
}

// account is the count of a contact in a month.
type account struct {
	stage.CountKey
	month string
}

// storedCount is what the table has of it.
type storedCount struct {
	total  int64
	visits map[events.WalkInID]storedVisit
}

// storedVisit is a visit as its facts tell it. A count of before there were facts
// knows its id alone.
type storedVisit struct {
	device      string    // short for it, as in a fact
	start, last time.Time // at the beginning of their steps; zero where no fact tells
	idAlone     bool
}

// stored is what the table holds: the counts of some months, those of the month
// before, of which a visit may go on into them, and the sum of everything of each
// contact.
type stored struct {
	counts, before map[account]storedCount
	sums           map[stage.CountKey]int64
}

func readStored(ctx context.Context, t Table, m months) (*stored, error) {
	s := &stored{counts: map[account]storedCount{}, before: map[account]storedCount{}, sums: map[stage.CountKey]int64{}}
	first, last, before := "", "9999-12", ""
	if !m.from.IsZero() {
		first = presence.MonthOf(m.from)
		before = presence.MonthOf(m.from.AddDate(0, 0, -m.from.UTC().Day()))
	}
	if !m.to.IsZero() {
		last = presence.MonthOf(m.to.Add(-1))
	}
	err := t.Each(ctx, func(key stage.CountKey, parts []stage.MonthCount) error {
		for _, p := range parts {
			s.sums[key] += p.Total
			one := account{key, p.Month}
			switch {
			case p.Month == "":
			case p.Month >= first && p.Month <= last:
				s.counts[one] = storedCount{p.Total, visitsOf(p.Facts)}
			case p.Month == before:
				s.before[one] = storedCount{p.Total, visitsOf(p.Facts)}
			}
		}
		return nil
	})
	return s, err
}

func visitsOf(facts []presence.Fact) map[events.WalkInID]storedVisit {
	visits := make(map[events.WalkInID]storedVisit, len(facts))
	stepTime := func(n int64) time.Time { return time.Unix(0, 0).Add(time.Duration(n) * presence.Grid) }
	for _, f := range facts {
		id := events.WalkInID(f.Visit)
		v := visits[id]
		switch {
		case f.Start != 0:
			v.start, v.device = stepTime(f.Start), f.Device
		case f.Last == 0:
			v.idAlone = true
		case stepTime(f.Last).After(v.last):
			v.last = stepTime(f.Last)
		}
		visits[id] = v
	}
	return visits
}
