package audit

import (
	"context"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Table reads table counts.
type Table interface {
	// Each MUST call each once for every contact, with the parts that Get of
	// stage.Counts returns for the contact. If each fails, Each returns its error.
	Each(ctx context.Context, each func(key stage.CountKey, parts []stage.MonthCount) error) error
}

// monthKey names the count of a contact in a month.
type monthKey struct {
	stage.CountKey
	month string
}

// storedCount is the count of a contact in a month as the table holds it.
type storedCount struct {
	total  int64
	visits map[events.WalkInID]storedVisit
}

// storedVisit is a visit as its facts in the table describe it. Earlier versions
// of count stored the id of a visit and no facts.
type storedVisit struct {
	device      string    // the short form of a fact
	start, last time.Time // the beginnings of their steps; zero without a fact
	idAlone     bool      // an earlier version has counted the visit
}

// stored is the content of the table.
type stored struct {
	counts map[monthKey]storedCount // of the months of the range
	// before holds the counts of the month before the range, since a visit may go on
	// from the month before into the range.
	before map[monthKey]storedCount
	sums   map[stage.CountKey]int64 // of all months and the base count, by contact
}

// readStored reads the table. It keeps the months of a range and the month before.
func readStored(ctx context.Context, t Table, limits timeRange) (*stored, error) {
	s := &stored{counts: map[monthKey]storedCount{}, before: map[monthKey]storedCount{}, sums: map[stage.CountKey]int64{}}

	// Months are strings that sort by time. An open end gets the greatest string.
	first, last, before := "", "9999-12", ""
	if !limits.from.IsZero() {
		first = presence.MonthOf(limits.from)
		before = presence.MonthOf(limits.from.AddDate(0, 0, -limits.from.UTC().Day()))
	}
	if !limits.to.IsZero() {
		last = presence.MonthOf(limits.to.Add(-1))
	}

	err := t.Each(ctx, func(key stage.CountKey, parts []stage.MonthCount) error {
		for _, p := range parts {
			s.sums[key] += p.Total
			one := monthKey{key, p.Month}
			switch {
			case p.Month == "": // the base count
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

// visitsOf returns the visits of facts. A fact has a start, or a last time, or
// neither; the latest of the last times counts.
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
