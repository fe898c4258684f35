package presence_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
)

// stays returns the stays in a text: "A 0-40" is a stay of device A in minutes after
// noon, "A 0-" a stay without an end. The ids are 0, 1, 2, …
func stays(t *testing.T, text string) []oracle.Stay {
	t.Helper()
	base := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	var all []oracle.Stay
	for i, one := range strings.Split(text, ", ") {
		var device string
		var from, to int
		n, err := fmt.Sscanf(strings.ReplaceAll(one, "-", " "), "%s %d %d", &device, &from, &to)
		if n < 2 {
			t.Fatalf("%q: %v", one, err)
		}
		s := oracle.Stay{ID: fmt.Sprint(i), Device: device, Start: base.Add(time.Duration(from) * time.Minute)}
		if n == 3 {
			s.Last = base.Add(time.Duration(to) * time.Minute)
		}
		all = append(all, s)
	}
	return all
}

// factsOf returns the facts of stays, one part for each month.
func factsOf(all []oracle.Stay) (parts [][]presence.Fact, months []string) {
	for _, s := range all {
		month := presence.MonthOf(s.Start)
		i := slices.Index(months, month)
		if i < 0 {
			i = len(months)
			months, parts = append(months, month), append(parts, nil)
		}
		if s.CountedByID {
			parts[i] = append(parts[i], presence.Fact{Visit: s.ID})
		}
		parts[i] = append(parts[i], presence.Began(s.ID, s.Device, s.Start))
		if !s.Last.IsZero() {
			parts[i] = append(parts[i], presence.LastSeen(s.ID, s.Last))
		}
	}
	return parts, months
}

// A companion does not count: a visit that another device of the contact overlaps
// from before.
func TestCountVisits(t *testing.T) {
	for _, c := range []struct {
		name, stays string
		want        []int64 // by month
	}{
		{"one device after the other", "A 0-20, B 30-50", []int64{2}},
		{"overlapping", "A 0-20, B 10-50", []int64{1}},
		{"nested", "A 0-90, B 10-20, B 60-70", []int64{1}},
		{"one begins in the step in which the other ends", "A 0-20, B 21-50", []int64{1}},
		{"one begins a step after the other ends", "A 0-20, B 22-50", []int64{2}},
		{"both begin in the same step", "A 0-20, B 1-10", []int64{1}},
		{"a chain", "A 0-20, B 10-50, A 40-70, B 60-80", []int64{1}},
		{"a chain of three devices, the longest first", "A 0-100, B 10-20, C 90-120, B 110-130", []int64{1}},
		{"the same device after a visit without an end", "A 0-, A 100-110", []int64{2}},
		{"another device after a visit without an end", "A 0-, B 600-610", []int64{1}},
		{"another device 24 hours after a visit without an end", "A 0-, B 1442-1450", []int64{1, 1}},
		{"another device after 24 hours of a visit with an end", "A 0-1500, B 1442-1450", []int64{1, 0}},
		{"a chain past midnight into the next month", "A 700-760, B 730-740, B 800-810", []int64{1, 1}},
	} {
		parts, _ := factsOf(stays(t, c.stays))
		if got := presence.CountVisits(parts); !slices.Equal(got, c.want) {
			t.Errorf("%s: %s: got %v, want %v", c.name, c.stays, got, c.want)
		}
	}
}

// A visit that was counted by its id alone, before there were facts, stays counted
// when its facts make it a companion. An end alone counts nothing.
func TestVisitCountedByIDStaysCounted(t *testing.T) {
	byID := func(ids ...string) []presence.Fact {
		var all []presence.Fact
		for _, id := range ids {
			all = append(all, presence.Fact{Visit: id})
		}
		return all
	}
	all := stays(t, "A 0-40, B 10-20, C 15-60")
	parts, _ := factsOf(all)
	for _, c := range []struct {
		ids  []string
		want int64
	}{{nil, 1}, {[]string{"0"}, 1}, {[]string{"1"}, 2}, {[]string{"0", "1", "2"}, 3}, {[]string{"x", "y"}, 3}} {
		if got := presence.CountVisits([][]presence.Fact{append(byID(c.ids...), parts[0]...)}); got[0] != c.want {
			t.Errorf("with %v counted by id: got %d, want %d", c.ids, got[0], c.want)
		}
	}
	if got := presence.CountVisits([][]presence.Fact{{presence.LastSeen("z", all[0].Start)}}); got[0] != 0 {
		t.Errorf("an end alone: got %d, want 0", got[0])
	}
}

// CountVisits returns the totals of the oracle, for facts in any order and number. If
// every end is known, the total is the number of groups of overlapping stays.
func TestCountVisitsEqualsTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Draw stays around the end of a month; some without an end, some counted by id.
		var all []oracle.Stay
		ended := true
		base := time.Date(2026, 3, 31, 22, 0, 0, 0, time.UTC)
		for d := range rapid.IntRange(1, 4).Draw(t, "devices") {
			moment := base
			for range rapid.IntRange(0, 4).Draw(t, "visits") {
				moment = moment.Add(time.Duration(rapid.IntRange(3, 90).Draw(t, "pause")) * time.Minute)
				s := oracle.Stay{ID: fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "name"), len(all)), Device: fmt.Sprint(d), Start: moment}
				moment = moment.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "dwell")) * time.Minute)
				if s.Last = moment; rapid.IntRange(0, 5).Draw(t, "open") == 0 {
					s.Last, ended = time.Time{}, false
				}
				if s.CountedByID = rapid.IntRange(0, 7).Draw(t, "before") == 0; s.CountedByID {
					ended = false
				}
				all = append(all, s)
			}
		}

		// Compare with the oracle, month by month.
		parts, months := factsOf(all)
		want := oracle.Count(all)
		got := presence.CountVisits(parts)
		sum := 0
		for i, month := range months {
			if int(got[i]) != want[month] {
				t.Fatalf("%v in %s: got %d, want %d", all, month, got[i], want[month])
			}
			sum += want[month]
		}
		if n := overlapping(all); ended && sum != n {
			t.Fatalf("%v: got %d, want %d", all, sum, n)
		}

		// Each fact twice, in another order.
		for i := range parts {
			parts[i] = rapid.Permutation(append(slices.Clone(parts[i]), parts[i]...)).Draw(t, "order")
		}
		if other := presence.CountVisits(parts); !slices.Equal(other, got) {
			t.Fatalf("in another order: got %v, want %v", other, got)
		}
	})
}

// overlapping returns the number of groups of overlapping stays: two stays of
// different devices that share a step are in one group.
func overlapping(all []oracle.Stay) int {
	group := make([]int, len(all))
	for i := range group {
		group[i] = i
	}
	step := func(t time.Time) int64 { return t.Unix() / 120 }
	for i, a := range all {
		for j, b := range all {
			if a.Device != b.Device && step(a.Start) <= step(b.Last) && step(b.Start) <= step(a.Last) {
				for k, g := range group {
					if g == group[j] && group[i] != group[j] && k != j {
						group[k] = group[i]
					}
				}
				group[j] = group[i]
			}
		}
	}
	slices.Sort(group)
	return len(slices.Compact(group))
}
