package audit

import (
	"fmt"
	"time"

	"footfall/events"
	"footfall/shared/presence"
)

// compareEnds compares the ends of the visits of contacts on enriched-walk-ins with
// visits-ended. The record of the highest version of a visit must have the latest
// end. An end that the stage may not have produced yet is not compared.
//
// compareEnds also notes the number of visits whose last record on
// enriched-walk-ins is not that of the highest version: enrich or identify ended
// between producing an older record and reading again. A reader that compares
// versions has the right record.
func (a *audit) compareEnds() {
	// The latest end that is old enough to compare. Without Settled, all visits up to
	// the end of the range were recounted.
	settled := a.report.Settled
	if settled.IsZero() {
		settled = a.limits.to
	}
	settled = settled.Add(-leadOut(a.in.longestRules()))
	overtaken := 0
	differences := map[monthKey]*Difference{}
	for id, p := range a.produced.byID {
		if !a.limits.contains(p.start) {
			continue
		}
		if p.overtaken {
			overtaken++
		}
		last, ended := a.ends.last[id]
		if !ended || p.meanwhile || p.endMeanwhile || last.After(settled) {
			continue
		}
		key := monthKey{p.contact, presence.MonthOf(p.start)}
		d := differences[key]
		if d == nil {
			d = &Difference{Business: key.Business, Contact: key.Contact, Month: key.month, Kind: InEnds}
			differences[key] = d
		}
		d.Expected++
		if !p.last.Before(last) {
			d.Found++
			continue
		}
		why := "its records do not say that the visit has ended"
		if !p.last.IsZero() {
			why = "its records end the visit at " + p.last.UTC().Format(time.RFC3339)
		}
		d.Missing = append(d.Missing, DifferingWalkIn{id, p.start.UTC(), fmt.Sprintf("%s; by %s it ended at %s", why, events.VisitsEnded, last.UTC().Format(time.RFC3339))})
	}
	for _, d := range differences {
		if len(d.Missing) > 0 {
			sortByStart(d.Missing)
			a.report.Differences = append(a.report.Differences, *d)
		}
	}
	if overtaken > 0 {
		a.report.note("the last record of %d visits on %s is older than one before it: readers keep the record with the higher version", overtaken, events.EnrichedWalkIns)
	}
}
