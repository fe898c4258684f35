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

// Counts tests an implementation of stage.Counts. open returns an empty store.
func Counts(t *testing.T, open func(*testing.T) stage.Counts) {
	for name, test := range map[string]func(*testing.T, stage.Counts){
		"an unknown contact has no counts":                     countsNone,
		"a fact counts once, however often it is added":        countsOnce,
		"Add without facts changes nothing":                    countsNoFacts,
		"facts are read exactly as written":                    countsRoundTrip,
		"overlapping visits count once across months":          countsCompanions,
		"months are separate and in ascending order":           countsMonths,
		"a month holds more facts than one item":               countsMany,
		"contacts with similar names are separate":             countsNames,
		"concurrent Adds of the same facts count once":         countsRaceSame,
		"concurrent Adds of overlapping facts count each once": countsRaceOverlap,
		"an Add that was cut off can be repeated":              countsCutShort,
		"Add fails for a malformed month":                      countsBadMonth,
		"every call fails if the context is done":              countsContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// BaseCount tests the base count of s, an empty implementation of stage.Counts:
// SetBase needs the stored version, and leaves the months as they are.
func BaseCount(t *testing.T, s stage.Counts) {
	setBase := func(base, version int64) error { return s.SetBase(t.Context(), anna, base, version) }
	// A base without months, and then months beside the base.
	noError(t, setBase(40, 0))
	wantCounts(t, s, anna, stage.MonthCount{Total: 40, Version: 1})
	add(t, s, anna, "2026-11", 1, 2)
	add(t, s, anna, "2025-12", 3)
	months := []stage.MonthCount{{Month: "2025-12", Total: 1}, {Month: "2026-11", Total: 2}}
	wantCounts(t, s, anna, append([]stage.MonthCount{{Total: 40, Version: 1}}, months...)...)
	// A repeated backfill sets other figures. A stale version is a conflict.
	version := int64(1)
	for _, base := range []int64{40, 0, 41} {
		for _, stale := range []int64{version - 1, version + 1} {
			wantConflict(t, setBase(7, stale))
		}
		noError(t, setBase(base, version))
		version++
		wantCounts(t, s, anna, append([]stage.MonthCount{{Total: base, Version: version}}, months...)...)
	}
	// Another contact has no base. Of concurrent writers one succeeds.
	wantCounts(t, s, stage.CountKey{Business: "shop", Contact: "ben"})
	wantOneWinner(t, race(func(n int) error { return setBase(int64(n), version) }))
	wantCanceled(t, s.SetBase(canceled(), anna, 1, 1))
}

// anna is the contact of most cases.
var anna = stage.CountKey{Business: "shop", Contact: "anna"}

// began returns the start of the nth visit. All visits have the same device, so
// each of them counts.
func began(n int) presence.Fact {
	return presence.Began(string(walkInID(n)), "phone", noon)
}

// visits returns the starts of the visits in [from, to).
func visits(from, to int) []presence.Fact {
	var facts []presence.Fact
	for n := from; n < to; n++ {
		facts = append(facts, began(n))
	}
	return facts
}

// add adds the starts of some visits to a month.
func add(t *testing.T, s stage.Counts, key stage.CountKey, month string, ns ...int) {
	t.Helper()
	var facts []presence.Fact
	for _, n := range ns {
		facts = append(facts, began(n))
	}
	noError(t, s.Add(t.Context(), key, month, facts))
}

// wantCounts checks the counts of a contact. It expects the version of a month, the
// number of its facts, to equal the total: the facts must all be starts.
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

// The forms of a fact: an id alone, a start, and an end.
func countsRoundTrip(t *testing.T, s stage.Counts) {
	id := string(walkInID(1))
	want := []presence.Fact{
		{Visit: string(walkInID(0))}, // an id alone, from before there were facts
		presence.Began(id, "phone", noon), presence.Began(string(walkInID(2)), "店/#", time.Date(2099, 12, 31, 23, 59, 0, 0, time.UTC)),
		presence.LastSeen(id, later(90)), presence.LastSeen(id, later(30)),
	}
	noError(t, s.Add(t.Context(), anna, "2026-11", want))
	got, err := s.Get(t.Context(), anna)
	noError(t, err)
	if len(got) != 1 || len(got[0].Facts) != len(want) || got[0].Version != int64(len(want)) {
		t.Fatalf("got %+v, want one month with %+v", got, want)
	}
	// In any order.
	for _, f := range want {
		if !slices.Contains(got[0].Facts, f) {
			t.Errorf("%+v is missing from %+v", f, got[0].Facts)
		}
	}
}

// The total of a month depends on the facts of other months. A phone comes an hour
// before midnight, a tablet a minute after midnight, in the next month.
func countsCompanions(t *testing.T, s stage.Counts) {
	midnight := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	tablet := presence.Began(string(walkInID(2)), "tablet", midnight.Add(time.Minute))
	noError(t, s.Add(t.Context(), anna, "2026-12", []presence.Fact{tablet}))
	wantCounts(t, s, anna, stage.MonthCount{Month: "2026-12", Total: 1})
	// While the phone's visit is open, the tablet is a companion and does not count.
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
	// The phone left before the tablet came: both count.
	noError(t, s.Add(t.Context(), anna, "2026-11", []presence.Fact{presence.LastSeen(string(walkInID(1)), midnight.Add(-5*time.Minute))}))
	check(stage.MonthCount{Month: "2026-11", Total: 1, Version: 2}, stage.MonthCount{Month: "2026-12", Total: 1, Version: 1})
}

// A fact belongs to the month of its walk-in. Months are read in ascending order,
// whatever the order of Adds.
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

// More facts than one update or one item of DynamoDB holds. The second Add has known
// facts among new facts, and the store keeps them in several items.
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
	// The same visits, in different numbers.
	for n, key := range keys {
		noError(t, s.Add(t.Context(), key, "2026-11", visits(0, n+1)))
	}
	for n, key := range keys {
		wantCounts(t, s, key, stage.MonthCount{Month: "2026-11", Total: int64(n + 1)})
	}
}

// Two pollers of one partition add the same fact at the same time.
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

// Each writer adds 70 facts, most of which other writers add too. Together the facts
// are those of the visits 0 to 69+10*(writers-1).
func countsRaceOverlap(t *testing.T, s stage.Counts) {
	for _, err := range race(func(w int) error {
		return s.Add(t.Context(), anna, "2026-11", visits(w*10, w*10+70))
	}) {
		noError(t, err)
	}
	wantCounts(t, s, anna, stage.MonthCount{Month: "2026-11", Total: 70 + 10*(writers-1)})
}

// The same Add is cut off by its context, later each time: before, within and after
// its updates, with the answers of some updates lost. The facts count once.
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

// Base and months are parts of one count. A malformed month must not be taken for
// the base.
func countsBadMonth(t *testing.T, s stage.Counts) {
	for _, month := range []string{"", "base", "2026", "2026-13", "2026-11-20", "26-11"} {
		if err := s.Add(t.Context(), anna, month, visits(0, 1)); err == nil {
			t.Errorf("Add accepts month %q", month)
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
