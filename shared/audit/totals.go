package audit

import (
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
	"footfall/shared/stage"
)

// compareTotals holds what the visits of each contact come to by the rule against
// the totals of the table. It says nothing of a contact whose visits differ,
// which is told already, nor of one of which something was told meanwhile.
func (a *audit) compareTotals(want map[account]expectation, differ map[stage.CountKey]bool) {
	stays := map[stage.CountKey][]oracle.Stay{}
	for _, counts := range []map[account]storedCount{a.stored.before, a.stored.counts} {
		for acc, have := range counts {
			for id, v := range have.visits {
				if t := a.told.byID[id]; t != nil && (t.after || t.endAfter) {
					differ[acc.CountKey] = true
				}
				if !v.start.IsZero() || v.idAlone {
					stays[acc.CountKey] = append(stays[acc.CountKey], a.stay(acc, id, v, want[acc]))
				}
			}
		}
	}
	totals := map[account]int64{}
	for key, all := range stays {
		for month, n := range oracle.Count(all) {
			totals[account{key, month}] = int64(n)
		}
	}
	for acc, have := range a.stored.counts {
		if differ[acc.CountKey] {
			continue
		}
		a.report.Companions += len(have.visits) - int(totals[acc])
		if n := totals[acc]; n != have.total {
			a.report.Differences = append(a.report.Differences, Difference{
				Business: acc.Business, Contact: acc.Contact, Month: acc.month, Kind: InTotal, Expected: n, Found: have.total,
			})
		}
	}
}

// stay gives a visit that the table has as it must be: by the sightings and what
// was told, or where those do not tell, by its facts. One that was counted by its
// id alone is by itself.
func (a *audit) stay(acc account, id events.WalkInID, v storedVisit, want expectation) oracle.Stay {
	s := oracle.Stay{ID: string(id), Device: v.device, Start: v.start, Last: v.last, CountedByID: v.idAlone}
	if v.start.IsZero() {
		s.Start, _ = time.Parse(presence.MonthLayout, acc.month)
		s.Last = s.Start.AddDate(0, 0, -1) // so it reaches nobody
		return s
	}
	if t := a.told.byID[id]; t != nil {
		s.Device, s.Start, s.Last = presence.Began("", string(t.device), t.start).Device, t.start, t.last
	}
	if e, expected := want[id]; expected {
		s.Start, s.Last = e.start, e.last
	}
	return s
}
