package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Counts tests an implementation of stage.Counts. open gives an empty one.
func Counts(t *testing.T, open func(*testing.T) stage.Counts) {
	for name, test := range map[string]func(*testing.T, stage.Counts){
		"a contact who never came":                countsNone,
		"facts are kept once":                     countsOnce,
		"no facts change nothing":                 countsNoFacts,
		"facts come back exactly":                 countsRoundTrip,
		"two devices at once are one visit":       countsCompanions,
		"months are apart and in order":           countsMonths,
		"more facts than an item holds":           countsMany,
		"contacts do not mix":                     countsNames,
		"racing adds of the same facts":           countsRaceSame,
		"racing adds of overlapping facts":        countsRaceOverlap,
		"an add that was cut short is repeated":   countsCutShort,
		"a month that is none is refused":         countsBadMonth,
		"a context that is done stops every call": countsContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// BaseCount tests the base count of s, an empty implementation of stage.Counts.
func BaseCount(t *testing.T, s stage.Counts) {
	setBase := func(base, version int64) error { return s.SetBase(t.Context(), anna, base, version) }
	noError(t, setBase(40, 0))
	wantCounts(t, s, anna, stage.MonthCount{Total: 40, Version: 1})
	add(t, s, anna, "2026-11", 1, 2)
	add(t, s, anna, "2025-12", 3)
	months := []stage.MonthCount{{Month: "2025-12", Total: 1}, {Month: "2026-11", Total: 2}}
	wantCounts(t, s, anna, append([]stage.MonthCount{{Total: 40, Version: 1}}, months...)...)
	version := int64(1)
	for _, base := range []int64{40, 0, 41} { // a backfill runs again, with better figures
		for _, stale := range []int64{version - 1, version + 1} {
			wantConflict(t, setBase(7, stale))
		}
		noError(t, setBase(base, version))
		version++
		wantCounts(t, s, anna, append([]stage.MonthCount{{Total: base, Version: version}}, months...)...)
	}
	wantCounts(t, s, stage.CountKey{Business: "shop", Contact: "ben"})
	oneWins(t, race(func(n int) error { return setBase(int64(n), version) }))
	wantCanceled(t, s.SetBase(canceled(), anna, 1, 1))
}

var anna = stage.CountKey{Business: "shop", Contact: "anna"}

// began is the fact of the nth visit, all of one device, so that each counts.
func began(n int) presence.Fact {
	return presence.Began(string(walkInID(n)), "phone", noon)
}

// visits gives the facts from (inclusive) to to (exclusive).
func visits(from, to int) []presence.Fact {
	var facts []presence.Fact
	for n := from; n < to; n++ {
		facts = append(facts, began(n))
	}
	return facts
}

func add(t *testing.T, s stage.Counts, key stage.CountKey, month string, ns ...int) {
	t.Helper()
	var facts []presence.Fact
	for _, n := range ns {
		facts = append(facts, began(n))
	}
	noError(t, s.Add(t.Context(), key, month, facts))
}

// wantCounts takes the version of a month from its total, which is the number of
// its facts where none is of an end.
func wantCounts(t *testing.T, s stage.Counts, key stage.CountKey, want ...stage.MonthCount) {
	t.Helper()
	want = slices.Clone(want)
	for i := range want {
		if want[i].Month != "" {
			want[i].Version = want[i].Total
		}
	}
	got, err := s.Get(t.Context(), key)
	noError(t, err)
	same := func(a, b stage.MonthCount) bool {
		return a.Month == b.Month && a.Total == b.Total && a.Version == b.Version
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("%v: got %v, want %v", key, got, want)
	}
}

func countsNone(t *testing.T, s stage.Counts) { wantCounts(t, s, anna) }

func countsOnce(t *testing.T, s stage.Counts) {
	for _, c := range []struct {
		name string
		ids  []int
		want int64
	}{
		{"the first", []int{1}, 1},
		{"the first again", []int{1}, 1},
		{"two new ones", []int{2, 3}, 3},
		{"one new among two known", []int{3, 4, 1}, 4},
		{"all known, in another order", []int{4, 3, 2, 1}, 4},
		{"new ones around known ones", []int{9, 4, 8, 1, 7}, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			add(t, s, anna, "2026-11", c.ids...)
			wantCounts(t, s, anna, stage.MonthCount{Month: "2026-11", Total: c.want})
		})
	}
}

func countsNoFacts(t *testing.T, s stage.Counts) {
	add(t, s, anna, "2026-11")
	wantCounts(t, s, anna)
}

// Every form of a fact, one that tells only of an end among them, is what it was.
func countsRoundTrip(t *testing.T, s stage.Counts) {
	id := string(walkInID(1))
	want := []presence.Fact{
		{Visit: string(walkInID(0))}, // of the time when a count knew ids alone
		presence.Began(id, "phone", noon), presence.Began(string(walkInID(2)), "店/#", time.Date(2099, 12, 31, 23, 59, 0, 0, time.UTC)),
		presence.LastSeen(id, later(90)), presence.LastSeen(id, later(30)),
	}
	noError(t, s.Add(t.Context(), anna, "2026-11", want))
	got, err := s.Get(t.Context(), anna)
	noError(t, err)
	if len(got) != 1 || len(got[0].Facts) != len(want) || got[0].Version != int64(len(want)) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for _, f := range want {
		if !slices.Contains(got[0].Facts, f) {
			t.Errorf("%+v is missing from %+v", f, got[0].Facts)
		}
	}
}

// What a month comes to depends on the facts of others.
func countsCompanions(t *testing.T, s stage.Counts) {
	midnight := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	tablet := presence.Began(string(walkInID(2)), "tablet", midnight.Add(time.Minute))
	noError(t, s.Add(t.Context(), anna, "2026-12", []presence.Fact{tablet}))
	wantCounts(t, s, anna, stage.MonthCount{Month: "2026-12", Total: 1})
	noError(t, s.Add(t.Context(), anna, "2026-11", []presence.Fact{presence.Began(string(walkInID(1)), "phone", midnight.Add(-time.Hour))}))
	check := func(wanted ...stage.MonthCount) {
		t.Helper()
		got, err := s.Get(t.Context(), anna)
		noError(t, err)
		for i, m := range got {
			if m.Month != wanted[i].Month || m.Total != wanted[i].Total || m.Version != wanted[i].Version {
				t.Errorf("got %+v, want %+v", got, wanted)
			}
		}
	}
	check(stage.MonthCount{Month: "2026-11", Total: 1, Version: 1}, stage.MonthCount{Month: "2026-12", Total: 0, Version: 1})
	noError(t, s.Add(t.Context(), anna, "2026-11", []presence.Fact{presence.LastSeen(string(walkInID(1)), midnight.Add(-5*time.Minute))}))
	check(stage.MonthCount{Month: "2026-11", Total: 1, Version: 2}, stage.MonthCount{Month: "2026-12", Total: 1, Version: 1})
}

// A fact belongs to the month of its walk-in. One in two months is the caller's
// mistake: a visit counts in the first of them.
func countsMonths(t *testing.T, s stage.Counts) {
	add(t, s, anna, "2026-11", 1, 2)
	add(t, s, anna, "2026-02", 3)
	add(t, s, anna, "2025-12", 4, 5, 6)
	add(t, s, anna, "2026-12", 7)
	wantCounts(t, s, anna,
		stage.MonthCount{Month: "2025-12", Total: 3},
		stage.MonthCount{Month: "2026-02", Total: 1},
		stage.MonthCount{Month: "2026-11", Total: 2},
		stage.MonthCount{Month: "2026-12", Total: 1})
}

// More facts than one update or one item takes, and then known ones among new
// ones, which end up in two items.
func countsMany(t *testing.T, s stage.Counts) {
	noError(t, s.Add(t.Context(), anna, "2026-11", visits(0, 9000)))
	wantCounts(t, s, anna, stage.MonthCount{Month: "2026-11", Total: 9000})
	noError(t, s.Add(t.Context(), anna, "2026-11", visits(3500, 9030)))
	wantCounts(t, s, anna, stage.MonthCount{Month: "2026-11", Total: 9030})
}

func countsNames(t *testing.T, s stage.Counts) {
	keys := []stage.CountKey{
		{Business: "shop", Contact: "a"}, {Business: "shop", Contact: "a/b"}, {Business: "shop", Contact: "ab"},
		{Business: "sho", Contact: "a"}, {Business: "店", Contact: "caf\u00e9"}, {Business: "店", Contact: "cafe\u0301"},
	}
	for n, key := range keys { // the same visits everywhere
		noError(t, s.Add(t.Context(), key, "2026-11", visits(0, n+1)))
	}
	for n, key := range keys {
		wantCounts(t, s, key, stage.MonthCount{Month: "2026-11", Total: int64(n + 1)})
	}
}

// Two pollers on one partition count the same walk-in at the same moment.
func countsRaceSame(t *testing.T, s stage.Counts) {
	for n := range 5 {
		for _, err := range race(func(int) error {
			return s.Add(t.Context(), anna, "2026-11", visits(n, n+1))
		}) {
			noError(t, err)
		}
		wantCounts(t, s, anna, stage.MonthCount{Month: "2026-11", Total: int64(n + 1)})
	}
}

// countsRaceOverlap has each writer add a run of facts that others add as
// well. Together they are the visits 0 to 69+10*(writers-1).
func countsRaceOverlap(t *testing.T, s stage.Counts) {
	for _, err := range race(func(w int) error {
		return s.Add(t.Context(), anna, "2026-11", visits(w*10, w*10+70))
	}) {
		noError(t, err)
	}
	wantCounts(t, s, anna, stage.MonthCount{Month: "2026-11", Total: 70 + 10*(writers-1)})
}

// countsCutShort ends the same add ever later, so that it stops before, within
// and after its updates, with the answers of some of them lost.
func countsCutShort(t *testing.T, s stage.Counts) {
	for patience := 500 * time.Microsecond; ; patience = patience * 3 / 2 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := s.Add(ctx, anna, "2026-11", visits(0, 200))
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	}
	wantCounts(t, s, anna, stage.MonthCount{Month: "2026-11", Total: 200})
}

// The base count stands beside the months; no month may be mistaken for it.
func countsBadMonth(t *testing.T, s stage.Counts) {
	for _, month := range []string{"", "base", "2026", "2026-13", "2026-11-20", "26-11"} {
		if err := s.Add(t.Context(), anna, month, visits(0, 1)); err == nil {
			t.Errorf("month %q is taken", month)
		}
	}
	wantCounts(t, s, anna)
}

func countsContext(t *testing.T, s stage.Counts) {
	wantCanceled(t, s.Add(canceled(), anna, "2026-11", visits(0, 3)))
	_, err := s.Get(canceled(), anna)
	wantCanceled(t, err)
	wantCounts(t, s, anna)
}
