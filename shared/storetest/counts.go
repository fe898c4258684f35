package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/stage"
)

// Counts tests an implementation of stage.Counts. open gives an empty one.
func Counts(t *testing.T, open func(*testing.T) stage.Counts) {
	for name, test := range map[string]func(*testing.T, stage.Counts){
		"a contact who never came":                countsNone,
		"ids are counted once":                    countsOnce,
		"no ids count nothing":                    countsNoIDs,
		"months are apart and in order":           countsMonths,
		"a thousand ids at once":                  countsMany,
		"contacts do not mix":                     countsNames,
		"racing adds of the same ids":             countsRaceSame,
		"racing adds of overlapping ids":          countsRaceOverlap,
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

// walkInIDs gives the ids from (inclusive) to to (exclusive).
func walkInIDs(from, to int) []events.WalkInID {
	var ids []events.WalkInID
	for n := from; n < to; n++ {
		ids = append(ids, walkInID(n))
	}
	return ids
}

func add(t *testing.T, s stage.Counts, key stage.CountKey, month string, ns ...int) {
	t.Helper()
	var ids []events.WalkInID
	for _, n := range ns {
		ids = append(ids, walkInID(n))
	}
	noError(t, s.Add(t.Context(), key, month, ids))
}

// wantCounts takes the version of a month from its total.
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
	if !slices.Equal(got, want) {
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

func countsNoIDs(t *testing.T, s stage.Counts) {
	add(t, s, anna, "2026-11")
	wantCounts(t, s, anna)
}

// An id belongs to the month of its walk-in, so the same id in two months is the
// caller's mistake; the months are apart all the same.
func countsMonths(t *testing.T, s stage.Counts) {
	add(t, s, anna, "2026-11", 1, 2)
	add(t, s, anna, "2026-02", 3)
	add(t, s, anna, "2025-12", 4, 5, 6)
	add(t, s, anna, "2026-12", 1) // known in November only
	wantCounts(t, s, anna,
		stage.MonthCount{Month: "2025-12", Total: 3},
		stage.MonthCount{Month: "2026-02", Total: 1},
		stage.MonthCount{Month: "2026-11", Total: 2},
		stage.MonthCount{Month: "2026-12", Total: 1})
}

// More ids than one update takes, and then a call of which about half are known,
// scattered over its updates.
func countsMany(t *testing.T, s stage.Counts) {
	noError(t, s.Add(t.Context(), anna, "2026-11", walkInIDs(0, 1000)))
	wantCounts(t, s, anna, stage.MonthCount{Month: "2026-11", Total: 1000})
	noError(t, s.Add(t.Context(), anna, "2026-11", walkInIDs(500, 1030)))
	wantCounts(t, s, anna, stage.MonthCount{Month: "2026-11", Total: 1030})
}

func countsNames(t *testing.T, s stage.Counts) {
	keys := []stage.CountKey{
		{Business: "shop", Contact: "a"}, {Business: "shop", Contact: "a/b"}, {Business: "shop", Contact: "ab"},
		{Business: "sho", Contact: "a"}, {Business: "店", Contact: "caf\u00e9"}, {Business: "店", Contact: "cafe\u0301"},
	}
	for n, key := range keys { // the same ids everywhere
		noError(t, s.Add(t.Context(), key, "2026-11", walkInIDs(0, n+1)))
	}
	for n, key := range keys {
		wantCounts(t, s, key, stage.MonthCount{Month: "2026-11", Total: int64(n + 1)})
	}
}

// Two pollers on one partition count the same walk-in at the same moment.
func countsRaceSame(t *testing.T, s stage.Counts) {
	for n := range 5 {
		for _, err := range race(func(int) error {
			return s.Add(t.Context(), anna, "2026-11", []events.WalkInID{walkInID(n)})
		}) {
			noError(t, err)
		}
		wantCounts(t, s, anna, stage.MonthCount{Month: "2026-11", Total: int64(n + 1)})
	}
}

// countsRaceOverlap has each writer add a run of ids that others add as well,
// in several updates. Together they are the ids 0 to 69+10*(writers-1).
func countsRaceOverlap(t *testing.T, s stage.Counts) {
	for _, err := range race(func(w int) error {
		return s.Add(t.Context(), anna, "2026-11", walkInIDs(w*10, w*10+70))
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
		err := s.Add(ctx, anna, "2026-11", walkInIDs(0, 200))
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
		if err := s.Add(t.Context(), anna, month, walkInIDs(0, 1)); err == nil {
			t.Errorf("month %q is taken", month)
		}
	}
	wantCounts(t, s, anna)
}

func countsContext(t *testing.T, s stage.Counts) {
	wantCanceled(t, s.Add(canceled(), anna, "2026-11", walkInIDs(0, 3)))
	_, err := s.Get(canceled(), anna)
	wantCanceled(t, err)
	wantCounts(t, s, anna)
}
