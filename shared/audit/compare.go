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

// Report is what an audit found.
type Report struct {
	From, To    time.Time // of the walk-ins compared; zero where that side is open
	Settled     time.Time // later walk-ins are not recounted: the clock has not gone on for long enough
	DeadLetters int       // records of the topics recounted that are left out, for they are among the dead letters
	Visits      int       // found in sightings, nobody's among them
	Expected    int       // walk-ins of contacts that the table must have
	Counted     int       // that the table has
	Companions  int       // of those expected, visits that are one with another of their contact
	Unjudged    int       // ids in the table of which the topics do not tell enough
	Contacts    int       // that have either
	Forgotten   int       // contacts that differ and were forgotten, which are left out
	Differences []Difference
	Notes       []string // what a reader has to know of how it was done
}

// Difference is one count that is not what it must be.
type Difference struct {
	Business events.BusinessID `json:"business"`
	Contact  events.ContactID  `json:"contact"`
	Month    string            `json:"month"` // "" where it is about the total of all months
	Kind     string            `json:"what"`
	Expected int64             `json:"expected"`
	Found    int64             `json:"found"`
	Missing  []DifferingWalkIn `json:"missing,omitempty"`  // must be counted and are not
	TooMany  []DifferingWalkIn `json:"too_many,omitempty"` // are counted and must not be
}

// DifferingWalkIn is one walk-in of a difference.
type DifferingWalkIn struct {
	ID    events.WalkInID `json:"id"`
	Start time.Time       `json:"start,omitzero"` // zero where no topic tells
	Why   string          `json:"why"`
}

// What a difference is about.
const (
	InTable = "table" // the ids of a month in the table
	InTotal = "total" // the visits of a month, those counted once that are one
	OnTopic = "topic" // the total that walk-in-counts tells, against the sum in the table
)

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// expectation is the walk-ins that an account must have, with when they began
// and whether they were told.
type expectation map[events.WalkInID]expected

type expected struct {
	start, last time.Time // last is zero where nobody can know that it is over
	told        bool
}

// compare holds the recount against what is stored and what was told.
func (a *audit) compare() {
	want := a.expect()
	accounts := map[account]bool{}
	for acc := range want {
		accounts[acc] = true
	}
	for acc := range a.stored.counts {
		accounts[acc] = true
	}
	contacts, differ := map[stage.CountKey]bool{}, map[stage.CountKey]bool{}
	for acc := range accounts {
		contacts[acc.CountKey] = true
		if !a.compareMonth(acc, want[acc], a.stored.counts[acc]) {
			differ[acc.CountKey] = true
		}
	}
	a.compareTotals(want, differ)
	if a.whole {
		// Those with nothing but a base count, or with what only the topic has.
		for key := range a.stored.sums {
			contacts[key] = true
		}
		for key := range a.before {
			contacts[key] = true
		}
	}
	a.report.Contacts = len(contacts)
	for key := range contacts {
		// Count writes the table and then tells, so what the table had lies between
		// what was told before it was read and after.
		told, sum := a.totals.latest[key].Total, a.stored.sums[key]
		if sum < min(told, a.before[key].Total) || sum > max(told, a.before[key].Total) {
			a.report.Differences = append(a.report.Differences, Difference{
				Business: key.Business, Contact: key.Contact, Kind: OnTopic, Expected: sum, Found: told,
			})
		}
	}
	slices.SortFunc(a.report.Differences, func(x, y Difference) int {
		return cmp.Or(cmp.Compare(x.Business, y.Business), cmp.Compare(x.Contact, y.Contact),
			cmp.Compare(x.Month, y.Month), cmp.Compare(x.Kind, y.Kind))
	})
}

// expect gives what must have been counted within the range: what the recount
// found, and where it cannot know, what was told.
func (a *audit) expect() map[account]expectation {
	want := map[account]expectation{}
	put := func(key stage.CountKey, id events.WalkInID, e expected) {
		if !a.months.in(e.start) {
			return
		}
		acc := account{key, presence.MonthOf(e.start)}
		if want[acc] == nil {
			want[acc] = expectation{}
		}
		want[acc][id] = e
		a.report.Expected++
	}
	for _, w := range a.wanted {
		if !a.knownOf(w.device).holds(w.start) {
			continue
		}
		business, device, _ := events.SplitDeviceKey(w.device)
		_, contact, _ := strings.Cut(w.contact, "/")
		key := stage.CountKey{Business: business, Contact: events.ContactID(contact)}
		if t := a.told.find(w.device, w.start); t != nil {
			t.used = true
			put(key, t.id, expected{t.start, a.lastOf(t, w.last), true})
			continue
		}
		put(key, events.NewWalkInID(business, device, w.start), expected{start: w.start, last: w.last})
	}
	for device, all := range a.told.byDevice {
		for _, t := range all {
			if !t.used && !t.after && (a.open[t] || !a.knownOf(device).holds(t.start) || a.unsure[device].holds(t.start)) {
				t.used = true
				put(t.key, t.id, expected{t.start, t.last, true})
			}
		}
	}
	return want
}

// lastOf is when a visit must be known to have ended: as it was told where that
// is at most a step off what the sightings tell.
func (a *audit) lastOf(t *toldWalkIn, found time.Time) time.Time {
	switch off := t.last.Sub(found).Abs(); {
	case off <= presence.Grid:
		return t.last
	case t.last.IsZero() && found.After(a.report.Settled.Add(-leadOut(a.in.Rules))):
		return time.Time{}
	default:
		return found
	}
}

func (w window) holds(at time.Time) bool {
	return !w.to.IsZero() && !at.Before(w.from.Add(-margin)) && !at.After(w.to.Add(margin))
}

// knownOf is which visits of a device are known.
func (a *audit) knownOf(device string) Coverage {
	return a.known[events.Partition([]byte(device), int32(len(a.known)))]
}

// compareMonth compares the visits of a month, and says whether they are the same.
func (a *audit) compareMonth(acc account, want expectation, have storedCount) bool {
	d := Difference{Business: acc.Business, Contact: acc.Contact, Month: acc.month, Kind: InTable, Expected: int64(len(want))}
	for id, e := range want {
		if _, ok := have.visits[id]; !ok {
			d.Missing = append(d.Missing, DifferingWalkIn{id, e.start.UTC(), a.whyMissing(id, e)})
			continue
		}
		d.Found++
	}
	for id := range have.visits {
		if _, ok := want[id]; ok {
			continue
		}
		if item, judged := a.tooMany(acc, id); judged {
			d.TooMany = append(d.TooMany, item)
			d.Found++
		}
	}
	a.report.Counted += int(d.Found)
	differ := len(d.Missing)+len(d.TooMany) > 0
	if differ {
		byStart := func(x, y DifferingWalkIn) int { return cmp.Or(x.Start.Compare(y.Start), cmp.Compare(x.ID, y.ID)) }
		slices.SortFunc(d.Missing, byStart)
		slices.SortFunc(d.TooMany, byStart)
		a.report.Differences = append(a.report.Differences, d)
	}
	return !differ
}

func (a *audit) whyMissing(id events.WalkInID, e expected) string {
	switch place, dead := a.in.DeadLetters.walkIns[id]; {
	case dead:
		return "it is the dead letter " + place.String()
	case e.told:
		return "it was told, and is not counted"
	default:
		return "it was never told on " + events.EnrichedWalkIns
	}
}

// tooMany tells of an id that the table has and the recount has not; judged is
// false where that is no mistake, or nobody can know.
func (a *audit) tooMany(acc account, id events.WalkInID) (item DifferingWalkIn, judged bool) {
	t := a.told.byID[id]
	switch {
	case t == nil && a.beforeTold(acc.month):
		a.report.Unjudged++
		return DifferingWalkIn{}, false
	case t == nil:
		return DifferingWalkIn{ID: id, Why: "no topic tells of it"}, true
	case t.after && t.key == acc.CountKey, !a.months.in(t.start):
		return DifferingWalkIn{}, false // counted while this was looked at, or not asked for
	}
	why := "the sightings tell of no such walk-in"
	switch {
	case t.key != acc.CountKey:
		why = fmt.Sprintf("it was told as one of %s", t.key.Contact)
	case presence.MonthOf(t.start) != acc.month:
		why = "it is one of " + presence.MonthOf(t.start)
	case t.used:
		why = "by the CRM events it is somebody else's"
	case a.nobodys[t]:
		why = "by the CRM events it is nobody's"
	}
	return DifferingWalkIn{id, t.start.UTC(), why}, true
}

// beforeTold says whether a month began before what enriched-walk-ins holds.
func (a *audit) beforeTold(month string) bool {
	return !a.told.since.IsZero() && month <= presence.MonthOf(a.told.since)
}
