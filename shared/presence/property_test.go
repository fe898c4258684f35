package presence_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
)

// base is half past ten in the evening: histories begin within the two hours
// after it, so that they cross midnight.
var base = presence.InstantOf(time.Date(2026, 3, 1, 22, 30, 0, 0, time.UTC))

const minute = presence.Instant(60_000)

// arrival is a sighting, or a tick where tick is set, at the moment it arrives.
type arrival struct {
	at       presence.Instant
	tick     bool
	sighting presence.Sighting
}

func (a arrival) String() string {
	at := func(i presence.Instant) string { return i.Time().Format("15:04:05") }
	if a.tick {
		return "tick " + at(a.at)
	}
	s := a.sighting
	return fmt.Sprintf("seen %s (arrived %s) %d dBm associated=%v", at(s.SeenAt), at(a.at), s.RSSI, s.Associated)
}

// heard is a sighting and how much later it arrives, at most two minutes.
type heard struct {
	presence.Sighting
	delay presence.Instant
}

// historyOf draws what is heard of one device over some hours, by motifs: a
// sighting after any gap, or two that lie where the rules have their edges, the
// later of which arrives first.
func historyOf(t *rapid.T) []heard {
	randomised := rapid.Bool().Draw(t, "randomised")
	associatedOften := rapid.IntRange(0, 3).Draw(t, "associatedOften")
	at := base + presence.Instant(rapid.SampledFrom([]int{0, 60, 76, 80, 86, 88}).Draw(t, "begin"))*minute
	var all []heard
	hear := func(at, delay presence.Instant) {
		all = append(all, heard{presence.Sighting{
			SeenAt:     at,
			RSSI:       rapid.SampledFrom([]int32{-60, -60, -70, -80, -85, -86}).Draw(t, "rssi"),
			Associated: rapid.IntRange(0, 3).Draw(t, "associated") < associatedOften,
			Randomised: randomised,
		}, delay})
	}
	const grid = presence.Instant(presence.Grid / time.Millisecond)
	for range rapid.IntRange(1, 12).Draw(t, "motifs") {
		if rapid.Bool().Draw(t, "edge") {
			steps := rapid.SampledFrom([]int{1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 15, 16, 17, 30, 60}).Draw(t, "steps")
			at = (at/grid + presence.Instant(steps)) * grid
			before := presence.Instant(rapid.IntRange(1, 119).Draw(t, "before")) * 1000
			hear(at-before, 2*minute)
			hear(at, 0)
			continue
		}
		at += presence.Instant(rapid.OneOf(rapid.IntRange(0, 180), rapid.IntRange(0, 40*60), rapid.IntRange(0, 130*60)).Draw(t, "gap")) * 1000
		hear(at, presence.Instant(rapid.IntRange(0, 120_000).Draw(t, "delay")))
	}
	return all
}

// rulesOf draws the default rules, or others that a business may set.
func rulesOf(t *rapid.T) presence.Rules {
	r := presence.DefaultRules()
	if rapid.Bool().Draw(t, "defaults") {
		return r
	}
	minutes := func(name string, from, to int) time.Duration {
		return time.Duration(rapid.IntRange(from, to).Draw(t, name)) * time.Minute
	}
	r.Entry = rapid.SampledFrom([]int32{-60, -70, -80}).Draw(t, "entry")
	r.Hold = rapid.SampledFrom([]int32{r.Entry, -80, -85, -127}).Draw(t, "hold")
	r.MinStrong = rapid.IntRange(1, 4).Draw(t, "minStrong")
	r.MinSpan = minutes("minSpan", 0, rapid.SampledFrom([]int{0, 15, 40}).Draw(t, "minSpanTo"))
	r.MaxGap = minutes("maxGap", 2, rapid.SampledFrom([]int{2, 20, 33}).Draw(t, "maxGapTo"))
	r.AssociatedSilence = r.MaxGap + minutes("associatedSilence", 0, 10)
	r.Silence = r.AssociatedSilence + minutes("silence", 0, rapid.SampledFrom([]int{0, 20, 200}).Draw(t, "silenceTo"))
	r.Lateness = minutes("lateness", 4, rapid.SampledFrom([]int{4, 20, 60}).Draw(t, "latenessTo"))
	r.Location = rapid.SampledFrom(zones(t)).Draw(t, "zone")
	if rapid.Bool().Draw(t, "closes") { // at midnight of some zones, and in the morning of others
		r.Closed = [7]uint32{1<<23 | 3, 1<<23 | 1, 0, 0, 0, 0, 0}
	}
	if err := r.Validate(); err != nil {
		t.Fatalf("drawn rules: %v", err)
	}
	return r
}

// arrive puts a history in the order of arrival, with ticks between, each minute
// or now and then.
func arrive(t *rapid.T, history []heard) []arrival {
	var all []arrival
	end := base
	for _, h := range history {
		all = append(all, arrival{at: h.SeenAt + h.delay, sighting: h.Sighting})
		end = max(end, h.SeenAt+400*minute)
	}
	every := presence.Instant(rapid.SampledFrom([]int{1, 1, 7, 60}).Draw(t, "tickMinutes")) * minute
	for at := base; at <= end; at += every {
		all = append(all, arrival{at: at, tick: true})
	}
	slices.SortStableFunc(all, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	return append(all, arrival{at: end + 90*minute, tick: true})
}

// run decides on the arrivals in their order.
func run(all []arrival, r presence.Rules) (walkIns, ends []presence.Event) {
	var d presence.Device
	var clock presence.Instant
	for _, a := range all {
		var out []presence.Event
		if a.tick {
			clock = max(clock, a.at)
			_, out = d.Tick(clock, &r, nil)
		} else {
			_, out = d.Next(a.sighting, clock, &r, nil)
		}
		for _, e := range out {
			if e.Ended {
				ends = append(ends, e)
			} else {
				walkIns = append(walkIns, e)
			}
		}
	}
	return walkIns, ends
}

// Any order of arrival within the bound gives as many walk-ins as the rules
// read in order, their starts off by no more than the bound; and each walk-in
// ends.
func TestDisorderWithinTheBoundChangesNoCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rulesOf(t)
		history := historyOf(t)
		arrivals := arrive(t, history)
		var sightings []presence.Sighting
		for _, h := range history {
			sightings = append(sightings, h.Sighting)
		}
		want := oracle.Visits(sightings, r)
		got, ends := run(arrivals, r)
		slices.SortFunc(got, func(a, b presence.Event) int { return cmp.Compare(a.Start, b.Start) })
		if len(got) != len(want) {
			t.Fatalf("%d walk-ins, the oracle has %d\n%s", len(got), len(want), story(arrivals, got, want))
		}
		for i := range got {
			if off := got[i].Start - want[i].Start; off < -2*minute || off > 2*minute || got[i].Resident != want[i].Resident {
				t.Fatalf("walk-in %d is off by %v\n%s", i, time.Duration(off)*time.Millisecond, story(arrivals, got, want))
			}
		}
		if len(ends) != len(got) {
			t.Fatalf("%d of %d visits ended\n%s", len(ends), len(got), story(arrivals, got, want))
		}
	})
}

func story(all []arrival, got []presence.Event, want []oracle.Visit) string {
	var b strings.Builder
	for _, a := range all {
		if !a.tick {
			fmt.Fprintln(&b, a)
		}
	}
	for _, e := range got {
		fmt.Fprintln(&b, "got ", e.Start.Time().Format(time.TimeOnly))
	}
	for _, v := range want {
		fmt.Fprintln(&b, "want", v.Start.Time().Format(time.TimeOnly), "to", v.Last.Time().Format(time.TimeOnly))
	}
	return b.String()
}
