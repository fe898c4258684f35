//go:build linux

package soak

import (
	"slices"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

const (
	ann, bob = contact("cafe/ann"), contact("cafe/bob")
	phone    = "cafe/phone"
)

// first and second are walk-ins of the phone, third is a walk-in of an unattributed tablet.
var first, second, third = walkIn("phone", 0), walkIn("phone", 5), walkIn("tablet", 0)

// lastSeen returns the end of a walk-in's visit.
func lastSeen(w events.WalkIn) time.Time { return w.StartedAt.Add(time.Hour) }

func walkIn(device events.DeviceID, hour int) events.WalkIn {
	at := noon.Add(time.Duration(hour) * time.Hour)
	return events.WalkIn{ID: events.NewWalkInID("cafe", device, at), Business: "cafe", Device: device, StartedAt: at, ConfirmedAt: at}
}

var (
	march = bucket{ann, "2026-03"}
	spot  = place{events.Sightings, 1, 7}
)

// sound returns the account of a run without a mistake: the phone is bound to
// ann, has two walk-ins and is later bound to bob; an unattributed tablet has
// one walk-in; one record is bad.
func sound() *account {
	a := newAccount()
	visit := func(w events.WalkIn) oracle.Visit {
		return oracle.Visit{Start: presence.InstantOf(w.StartedAt), Last: presence.InstantOf(lastSeen(w))}
	}
	a.visits[phone] = []oracle.Visit{visit(first), visit(second)}
	a.visits["cafe/tablet"] = []oracle.Visit{visit(third)}
	a.crm.logins[phone] = []oracle.CRM{
		{At: noon.Add(10 * time.Hour), Device: phone, Contact: string(bob)}, {At: noon.Add(-time.Hour), Device: phone, Contact: string(ann)},
	}
	a.deviceContact[phone] = bob
	for _, w := range []events.WalkIn{first, second, third} {
		a.walkIns[w.ID], a.ended[w.ID], a.pending[w.ID] = w, events.VisitEnded{ID: w.ID, LastSeenAt: lastSeen(w)}, ""
	}
	for _, w := range []events.WalkIn{first, second} {
		a.enriched[w.ID], a.pending[w.ID], a.counted[w.ID] = ann, ann, []bucket{march}
		a.enrichedEnds[w.ID] = lastSeen(w)
	}
	a.totals[march] = 2
	a.counts[ann] = events.WalkInCount{Month: "2026-03", MonthTotal: 2, Total: 2, Version: 2}
	a.last[ann] = a.counts[ann]
	bad := badRecord{[]byte("key"), []byte("value"), string(events.Undecodable), "detect"}
	a.planted[spot], a.deadLetter[spot] = bad, bad
	a.heard, a.plantedSightings, a.late, a.excluded = 100, 1, 3, 7
	a.residents["cafe/till"], a.residentEnds["till's"] = 1, "cafe/till"
	a.tally = tally{sightings: 100, late: 3, walkIns: 3, dead: 1, residents: 1, excluded: 7}
	return a
}

func TestASoundRunHasNoDifferences(t *testing.T) {
	a := sound()
	moved := a.visits[phone]
	moved[0].Start += presence.Instant(presence.Grid.Milliseconds()) // input out of order by one step
	if d := a.differences(); len(d) > 0 {
		t.Errorf("differences %q", d)
	}
}

// Any walk-ins are right for a device that was heard around a change of rules.
func TestWalkInsAroundAChangeOfRulesAreAccepted(t *testing.T) {
	a := sound()
	a.rulesChanged["cafe/tablet"], a.rulesChanged["cafe/till"] = true, true
	delete(a.visits, "cafe/tablet")
	delete(a.residents, "cafe/till")
	if d := a.differences(); len(d) > 0 {
		t.Errorf("differences %q", d)
	}
}

// Each kind of mistake is found and described.
func TestEveryMistakeIsADifference(t *testing.T) {
	for name, c := range map[string]struct {
		mistake func(*account)
		want    string
	}{
		"a walk-in was lost": {func(a *account) { delete(a.walkIns, second.ID) },
			"cafe/phone has 2 visits in the input and 1 walk-ins on the topic"},
		"every walk-in of a device was lost": {func(a *account) { delete(a.walkIns, third.ID) },
			"cafe/tablet has 1 visits in the input and 0 walk-ins on the topic"},
		"a walk-in was produced twice, under two ids": {func(a *account) { a.walkIns["x"] = first },
			"walk-in x of cafe/phone does not have the id of its start, " + string(first.ID)},
		"a walk-in has no visit": {func(a *account) { w := walkIn("nobody", 0); a.walkIns[w.ID] = w },
			"cafe/nobody has no visit in the input and 1 walk-ins on the topic"},
		"a walk-in began at another time": {func(a *account) { a.visits[phone][1].Start += 200_000 },
			"walk-in " + string(second.ID) + " of cafe/phone starts 3m20s from visit 1 of the input"},
		"a walk-in ended at another time": {func(a *account) { a.visits[phone][1].Last += 200_000 },
			"walk-in " + string(second.ID) + " of cafe/phone ends 3m20s from visit 1 of the input"},
		"a walk-in never ended": {func(a *account) { delete(a.ended, third.ID) },
			"walk-in " + string(third.ID) + " of cafe/tablet never ended"},
		"a visit ended without a walk-in": {func(a *account) { a.ended["x"] = events.VisitEnded{Business: "cafe", Device: "phone"} },
			"visit x of cafe/phone ended without a walk-in"},
		"the changelog counted a sighting twice": {func(a *account) { a.tally.sightings++ },
			"the tally of the visit log is {sightings:101 late:3 walkIns:3 dead:1 residents:1 excluded:7}, " +
				"that of the input {sightings:100 late:3 walkIns:3 dead:1 residents:1 excluded:7}"},
		"a visit of a resident device did not end as one": {func(a *account) { delete(a.residentEnds, "till's") },
			"cafe/till has 1 visits as a resident device in the input and 0 such ends on the topic"},
		"a walk-in device was taken for a resident device": {func(a *account) { a.residentEnds[third.ID] = "cafe/tablet" },
			"cafe/tablet has 0 visits as a resident device in the input and 1 such ends on the topic"},
		"a visit is a walk-in and one of a resident device": {func(a *account) { a.residentEnds[third.ID] = "cafe/tablet" },
			"visit " + string(third.ID) + " of cafe/tablet is a walk-in and ended as a visit of a resident device"},
		"a sighting of an excluded device was used": {func(a *account) { a.tally.excluded-- },
			"the tally of the visit log is {sightings:100 late:3 walkIns:3 dead:1 residents:1 excluded:6}, " +
				"that of the input {sightings:100 late:3 walkIns:3 dead:1 residents:1 excluded:7}"},
		"a walk-in was not enriched": {func(a *account) { delete(a.enriched, first.ID) },
			"walk-in " + string(first.ID) + ` is attributed to "cafe/ann" by the input and to "" on enriched-walk-ins`},
		"a walk-in is attributed to another contact": {func(a *account) { a.pending[first.ID] = bob },
			"walk-in " + string(first.ID) + ` is attributed to "cafe/ann" by the input and to "cafe/bob" in the table pending`},
		"a walk-in is not in the table": {func(a *account) { delete(a.pending, third.ID) },
			"walk-in " + string(third.ID) + " is not in the table pending"},
		"an unknown walk-in was enriched": {func(a *account) { a.enriched["x"] = ann },
			"walk-in x is on enriched-walk-ins and not on walk-ins"},
		"an unknown walk-in is in the table": {func(a *account) { a.pending["x"] = "" },
			"walk-in x is in the table pending and not on walk-ins"},
		"a device is bound to its former contact": {func(a *account) { a.deviceContact[phone] = ann },
			`cafe/phone is bound to "cafe/bob" by the input and to "cafe/ann" on device-contacts`},
		"a walk-in was not counted": {func(a *account) { delete(a.counted, first.ID); a.totals[march] = 1 },
			"cafe/ann came 2 times in 2026-03, the table has 1"},
		"a walk-in was counted twice": {func(a *account) { a.counted[first.ID] = []bucket{march, {bob, "2026-03"}} },
			"walk-in " + string(first.ID) + " is counted in [{cafe/ann 2026-03} {cafe/bob 2026-03}], want [{cafe/ann 2026-03}]"},
		"an unattributed walk-in was counted": {func(a *account) { a.counted[third.ID] = []bucket{march} },
			"walk-in " + string(third.ID) + " is counted in [{cafe/ann 2026-03}], want []"},
		"an unknown walk-in was counted": {func(a *account) { a.counted["x"] = []bucket{march} },
			"walk-in x is counted in [{cafe/ann 2026-03}] and not on walk-ins"},
		"a count was added to twice": {func(a *account) { a.totals[march] = 3 },
			"cafe/ann came 2 times in 2026-03, the table has 3"},
		"an enriched walk-in has no end": {func(a *account) { delete(a.enrichedEnds, first.ID) },
			"walk-in " + string(first.ID) + " ended at " + lastSeen(first).String() + ", on enriched-walk-ins at 0001-01-01 00:00:00 +0000 UTC"},
		"companions were counted twice": {func(a *account) {
			a.crm.logins["cafe/tablet"] = []oracle.CRM{{At: noon.Add(-time.Hour), Device: "cafe/tablet", Contact: string(ann)}}
			a.enriched[third.ID], a.pending[third.ID], a.counted[third.ID], a.enrichedEnds[third.ID] = ann, ann, []bucket{march}, lastSeen(third)
			a.totals[march] = 3
		}, "cafe/ann came 2 times in 2026-03, the table has 3"},
		"a count is behind on the topic": {func(a *account) { a.counts[ann] = events.WalkInCount{Total: 1} },
			"cafe/ann came 2 times, walk-in-counts has 1"},
		"an older count was produced after the newest": {func(a *account) { a.last[ann] = events.WalkInCount{Total: 1} },
			"cafe/ann came 2 times, the last of walk-in-counts, which compaction keeps, has 1"},
		"a count of a contact without walk-ins is on the topic": {func(a *account) { a.counts[bob] = events.WalkInCount{Total: 1} },
			"cafe/bob came 0 times, walk-in-counts has 1"},
		"a month is wrong on the topic": {func(a *account) { n := a.counts[ann]; n.MonthTotal = 1; a.counts[ann] = n },
			"cafe/ann came 2 times in 2026-03, walk-in-counts has 1"},
		"a bad record was dropped": {func(a *account) { delete(a.deadLetter, spot) },
			"the record planted at {sightings 1 7} is not among the dead letters"},
		"a good record is a dead letter": {func(a *account) {
			a.deadLetter[place{"x", 0, 0}] = badRecord{reason: "retries-exhausted", stage: "count"}
		},
			`{x 0 0} is among the dead letters for retries-exhausted by count: key "", value ""`},
		"a bad record used up its retries instead of being rejected at once": {func(a *account) { l := a.deadLetter[spot]; l.reason = "retries-exhausted"; a.deadLetter[spot] = l },
			"the record planted at {sightings 1 7} is a dead letter for retries-exhausted by detect, want undecodable by detect"},
		"a dead letter lost its null": {func(a *account) {
			planted, dead := a.planted[spot], a.deadLetter[spot]
			planted.value, dead.value = nil, []byte{}
			a.planted[spot], a.deadLetter[spot] = planted, dead
		}, `the dead letter of {sightings 1 7} has key "key" and value "", want "key" and ""`},
		"a topic contradicts itself": {func(a *account) { a.contradictions = []string{"a walk-in was produced as two"} },
			"a walk-in was produced as two"},
	} {
		t.Run(name, func(t *testing.T) {
			a := sound()
			c.mistake(a)
			if d := a.differences(); !slices.Contains(d, c.want) {
				t.Errorf("differences\n%s\nwant among them\n%s", strings.Join(d, "\n"), c.want)
			}
		})
	}
}

// A plan hits every kind of process, and the same seed makes the same plan.
func TestPlanHitsEverything(t *testing.T) {
	count := func(seed uint64) (names []string, n map[string]int) {
		n = map[string]int{}
		for _, f := range planFaults(50, 10, dice(seed)) {
			names = append(names, f.what)
			n[f.what]++
		}
		return names, n
	}
	names, n := count(1)
	for what, want := range map[string]int{
		"kill detect": 5, "kill identify": 5, "kill enrich": 5, "kill count": 5, "kill the broker": 10,
		"kill the poller, set commits back": 10, "kill the table server": 10, "duplicate the poller": 10,
	} {
		if n[what] != want {
			t.Errorf("%s: %d times, want %d", what, n[what], want)
		}
	}
	if again, _ := count(1); !slices.Equal(names, again) {
		t.Error("the same seed made another plan")
	}
	if other, _ := count(2); slices.Equal(names, other) {
		t.Error("another seed made the same plan")
	}
}
