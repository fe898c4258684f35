package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Report is the result of an audit.
type Report struct {
	From, To time.Time // the starts of the walk-ins compared; zero for no limit
	// Settled is the time up to which walk-ins were recounted. Later walk-ins may not
	// be confirmed yet by the watermark.
	Settled     time.Time
	DeadLetters int // records of sightings and the CRM topics left out as dead letters
	Visits      int // visits found in sightings, with and without a contact
	Expected    int // expected walk-ins of contacts
	Counted     int // walk-ins of contacts in the table
	Companions  int // of Counted: visits that are not counted apart, as companions of other visits
	Unjudged    int // ids in the table that no topic holds, from before enriched-walk-ins is complete
	Contacts    int // contacts compared: with expected or counted walk-ins, or without limits all
	Forgotten   int // forgotten contacts with differences, which are left out
	Differences []Difference
	Notes       []string // limits of this audit, for its reader
}

// Difference is one count that differs from the expected count.
type Difference struct {
	Business events.BusinessID `json:"business"`
	Contact  events.ContactID  `json:"contact"`
	Month    string            `json:"month"` // "" for the total of all months
	Kind     string            `json:"what"`  // InTable, InTotal, OnTopic or InEnds
	Expected int64             `json:"expected"`
	Found    int64             `json:"found"`
	Missing  []DifferingWalkIn `json:"missing,omitempty"`  // expected and not counted
	TooMany  []DifferingWalkIn `json:"too_many,omitempty"` // counted and not expected
}

// DifferingWalkIn is one walk-in of a difference.
type DifferingWalkIn struct {
	ID    events.WalkInID `json:"id"`
	Start time.Time       `json:"start,omitzero"` // zero if no topic holds the walk-in
	Why   string          `json:"why"`
}

// The kinds of a Difference.
const (
	InTable = "table" // the ids of the walk-ins of a month in the table
	InTotal = "total" // the number of visits of a month in the table, companions counted once
	OnTopic = "topic" // the total on walk-in-counts, compared with the sum in the table
	// InEnds is the number of visits that have ended: on visits-ended, compared with
	// the records of the highest version on enriched-walk-ins.
	InEnds = "ends"
)

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// expectedVisits holds the expected visits of one count.
type expectedVisits map[events.WalkInID]expectedVisit

type expectedVisit struct {
	start, last time.Time // last is zero if the visit may not have ended
	produced    bool      // the walk-in is on enriched-walk-ins
}

// compare compares the expected walk-ins with the table, and the table with
// walk-in-counts.
func (a *audit) compare() {
	// Compare the visits of each contact and month, expected or counted.
	want := a.expectedCounts()
	counts := map[monthKey]bool{}
	for key := range want {
		counts[key] = true
	}
	for key := range a.stored.counts {
		counts[key] = true
	}
	contacts, differ := map[stage.CountKey]bool{}, map[stage.CountKey]bool{}
	for key := range counts {
		contacts[key.CountKey] = true
		if !a.compareMonth(key, want[key], a.stored.counts[key]) {
			differ[key.CountKey] = true
		}
	}
	a.compareTotals(want, differ)
	a.compareEnds()

	// Without limits, also compare contacts with a base count alone, or with a total
	// on the topic alone.
	if a.unlimited {
		for key := range a.stored.sums {
			contacts[key] = true
		}
		for key := range a.totalsBefore {
			contacts[key] = true
		}
	}
	a.report.Contacts = len(contacts)
	for key := range contacts {
		a.compareWithTopic(key)
	}

	slices.SortFunc(a.report.Differences, func(x, y Difference) int {
		return cmp.Or(cmp.Compare(x.Business, y.Business), cmp.Compare(x.Contact, y.Contact),
			cmp.Compare(x.Month, y.Month), cmp.Compare(x.Kind, y.Kind))
	})
}

// compareWithTopic compares the sum of a contact in the table with the total on
// walk-in-counts. The stage count writes the table first and produces the total
// afterwards. So the sum in the table lies between the total before the table was
// read and the total afterwards.
func (a *audit) compareWithTopic(key stage.CountKey) {
	before, after, sum := a.totalsBefore[key].Total, a.totals.latest[key].Total, a.stored.sums[key]
	if sum < min(after, before) || sum > max(after, before) {
		a.report.Differences = append(a.report.Differences, Difference{
			Business: key.Business, Contact: key.Contact, Kind: OnTopic, Expected: sum, Found: after,
		})
	}
}

// expectedCounts returns the expected visits within the limits, by contact and
// month: the recounted visits and, if the recount cannot decide, the visits of
// produced walk-ins. The package comment lists the undecided cases.
func (a *audit) expectedCounts() map[monthKey]expectedVisits {
	want := map[monthKey]expectedVisits{}
	put := func(contact stage.CountKey, id events.WalkInID, e expectedVisit) {
		if !a.limits.contains(e.start) {
			return
		}
		key := monthKey{contact, presence.MonthOf(e.start)}
		if want[key] == nil {
			want[key] = expectedVisits{}
		}
		want[key][id] = e
		a.report.Expected++
	}

	// Recounted walk-ins. The id comes from the record on enriched-walk-ins. Without
	// such a record, the walk-in was not produced, and the id is computed.
	for _, w := range a.expected {
		if !a.coverageOf(w.device).contains(w.start) {
			continue
		}
		business, device, _ := events.SplitDeviceKey(w.device)
		_, contact, _ := strings.Cut(w.contact, "/")
		key := stage.CountKey{Business: business, Contact: events.ContactID(contact)}
		if p := a.produced.find(w.device, w.start); p != nil {
			p.used = true
			put(key, p.id, expectedVisit{p.start, a.lastOf(p, w.last), true})
			continue
		}
		put(key, events.NewWalkInID(business, device, w.start), expectedVisit{start: w.start, last: w.last})
	}

	// Produced walk-ins on which the recount cannot decide.
	for device, all := range a.produced.byDevice {
		for _, p := range all {
			if !p.used && !p.meanwhile && (a.contactUncertain[p] || !a.coverageOf(device).contains(p.start) || a.uncertain[device].contain(p.start)) {
				p.used = true
				put(p.contact, p.id, expectedVisit{p.start, p.last, true})
			}
		}
	}
	return want
}

// lastOf returns the time at which the device of a produced walk-in was last seen:
// the produced time if the two times differ by at most one step, otherwise the
// recounted time. If no end was produced and the stage may not have decided on an
// end yet, lastOf returns the zero time.
func (a *audit) lastOf(p *producedWalkIn, recounted time.Time) time.Time {
	switch off := p.last.Sub(recounted).Abs(); {
	case off <= presence.Grid:
		return p.last
	case p.last.IsZero() && recounted.After(a.report.Settled.Add(-leadOut(a.in.Rules))):
		return time.Time{}
	default:
		return recounted
	}
}

// contains reports whether a time lies in the interval, widened by margin on both
// sides. An interval without an end contains nothing.
func (i interval) contains(t time.Time) bool {
	return !i.to.IsZero() && !t.Before(i.from.Add(-margin)) && !t.After(i.to.Add(margin))
}

// coverageOf returns the coverage of the partition of a device.
func (a *audit) coverageOf(device string) Coverage {
	return a.coverage[events.Partition([]byte(device), int32(len(a.coverage)))]
}

// compareMonth compares the visits of one count with the expected visits, and
// reports whether they are the same.
func (a *audit) compareMonth(key monthKey, want expectedVisits, have storedCount) bool {
	d := Difference{Business: key.Business, Contact: key.Contact, Month: key.month, Kind: InTable, Expected: int64(len(want))}
	for id, e := range want {
		if _, ok := have.visits[id]; !ok {
			d.Missing = append(d.Missing, DifferingWalkIn{id, e.start.UTC(), a.whyMissing(id, e)})
			continue
		}
		d.Found++
	}
	// An unexpected id may still be no difference; see checkUnexpected.
	for id := range have.visits {
		if _, ok := want[id]; ok {
			continue
		}
		if w, differs := a.checkUnexpected(key, id); differs {
			d.TooMany = append(d.TooMany, w)
			d.Found++
		}
	}

	a.report.Counted += int(d.Found)
	differ := len(d.Missing)+len(d.TooMany) > 0
	if differ {
		sortByStart(d.Missing)
		sortByStart(d.TooMany)
		a.report.Differences = append(a.report.Differences, d)
	}
	return !differ
}

// sortByStart sorts walk-ins by their start and, for the same start, by their id.
func sortByStart(all []DifferingWalkIn) {
	slices.SortFunc(all, func(x, y DifferingWalkIn) int { return cmp.Or(x.Start.Compare(y.Start), cmp.Compare(x.ID, y.ID)) })
}

// whyMissing returns the reason why an expected walk-in may be missing in the table:
// how far the walk-in came on the topics.
func (a *audit) whyMissing(id events.WalkInID, e expectedVisit) string {
	switch position, dead := a.in.DeadLetters.walkIns[id]; {
	case dead:
		return "its record is the dead letter " + position.String()
	case e.produced:
		return "produced on " + events.EnrichedWalkIns + ", but not counted"
	default:
		return "not produced on " + events.EnrichedWalkIns
	}
}

// checkUnexpected judges an id in the table that the audit does not expect. It
// returns differs = false if the id is no difference, or if the topics do not hold
// enough to decide.
func (a *audit) checkUnexpected(key monthKey, id events.WalkInID) (w DifferingWalkIn, differs bool) {
	p := a.produced.byID[id]
	switch {
	case p == nil && a.beforeProduced(key.month):
		// Retention may have dropped the record with this id.
		a.report.Unjudged++
		return DifferingWalkIn{}, false
	case p == nil:
		return DifferingWalkIn{ID: id, Why: "no topic holds this walk-in"}, true
	case p.meanwhile && p.contact == key.CountKey, !a.limits.contains(p.start):
		// The walk-in was produced and counted while the audit was reading, or its
		// start is outside the limits.
		return DifferingWalkIn{}, false
	}

	// The record exists. Find the fact that contradicts this count.
	why := "the sightings contain no such walk-in"
	switch {
	case p.contact != key.CountKey:
		why = fmt.Sprintf("produced as a walk-in of %s", p.contact.Contact)
	case presence.MonthOf(p.start) != key.month:
		why = "belongs to month " + presence.MonthOf(p.start)
	case p.used:
		why = "by the CRM events it belongs to another contact"
	case a.unattributed[p]:
		why = "by the CRM events its device is unattributed"
	}
	return DifferingWalkIn{id, p.start.UTC(), why}, true
}

// beforeProduced reports whether a month began before the first complete time of
// enriched-walk-ins.
func (a *audit) beforeProduced(month string) bool {
	return !a.produced.since.IsZero() && month <= presence.MonthOf(a.produced.since)
}
