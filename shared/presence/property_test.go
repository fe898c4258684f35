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

// base is 22:30: drawn histories begin within two hours after base, so that they
// cross midnight.
var base = presence.InstantOf(time.Date(2026, 3, 1, 22, 30, 0, 0, time.UTC))

const minute = presence.Instant(60_000)

// arrival is a sighting, or a tick if tick is set, with the moment at which it
// arrives.
type arrival struct {
	moment   presence.Instant
	tick     bool
	sighting presence.Sighting
}

func (a arrival) String() string {
	clock := func(i presence.Instant) string { return i.Time().Format("15:04:05") }
	if a.tick {
		return "tick " + clock(a.moment)
	}
	s := a.sighting
	return fmt.Sprintf("seen %s (arrived %s) %d dBm associated=%v report=%d router=%d",
		clock(s.SeenAt), clock(a.moment), s.RSSI, s.Associated, s.Report, s.Router)
}

// heard is a sighting with the delay after which it arrives, at most two minutes.
type heard struct {
	presence.Sighting
	delay presence.Instant
}

// drawHistory draws the sightings of one device over some hours. Each motif is a
// sighting after any gap, two sightings around an edge of the rules, of which the
// later arrives first, or a session at one of two routers.
func drawHistory(t *rapid.T) []heard {
	randomised := rapid.Bool().Draw(t, "randomised")
	associatedOften := rapid.IntRange(0, 3).Draw(t, "associatedOften")
	seenAt := base + presence.Instant(rapid.SampledFrom([]int{0, 60, 76, 80, 86, 88}).Draw(t, "begin"))*minute
	var all []heard
	hear := func(seenAt, delay presence.Instant) {
		all = append(all, heard{presence.Sighting{
			SeenAt:     seenAt,
			RSSI:       rapid.SampledFrom([]int32{-60, -60, -70, -80, -85, -86}).Draw(t, "rssi"),
			Associated: rapid.IntRange(0, 3).Draw(t, "associated") < associatedOften,
			Randomised: randomised,
		}, delay})
	}
	const grid = presence.Instant(presence.Grid / time.Millisecond)
	withSessions := rapid.Bool().Draw(t, "withSessions")
	routers := drawRouters(t)
	for range rapid.IntRange(1, 12).Draw(t, "motifs") {
		if withSessions && rapid.Bool().Draw(t, "session") {
			r := &routers[rapid.IntRange(0, 1).Draw(t, "router")]
			begin := seenAt + presence.Instant(rapid.OneOf(rapid.IntRange(0, 180), rapid.IntRange(0, 40*60)).Draw(t, "gap"))*1000
			all = append(all, r.session(t, begin, randomised)...)
			// The next motif begins in the session or, half of the time, after it.
			seenAt = begin
			if rapid.Bool().Draw(t, "after") {
				seenAt = max(begin, r.free)
			}
			continue
		}
		// Around an edge: the second sighting lies on a step, the first just before.
		if rapid.Bool().Draw(t, "edge") {
			steps := rapid.SampledFrom([]int{1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 15, 16, 17, 30, 60}).Draw(t, "steps")
			seenAt = (seenAt/grid + presence.Instant(steps)) * grid
			before := presence.Instant(rapid.IntRange(1, 119).Draw(t, "before")) * 1000
			hear(seenAt-before, 2*minute)
			hear(seenAt, 0)
			continue
		}
		seenAt += presence.Instant(rapid.OneOf(rapid.IntRange(0, 180), rapid.IntRange(0, 40*60), rapid.IntRange(0, 130*60)).Draw(t, "gap")) * 1000
		hear(seenAt, presence.Instant(rapid.IntRange(0, 120_000).Draw(t, "delay")))
	}
	return all
}

// router is a router that reports sessions, all with the same delay: reports of one
// router arrive in order.
type router struct {
	hash  uint32
	delay presence.Instant
	free  presence.Instant // end of its last session
}

func drawRouters(t *rapid.T) (routers [2]router) {
	for i := range routers {
		delay := presence.Instant(rapid.SampledFrom([]int{0, 1, 60, 119, 120}).Draw(t, "routerDelay")) * 1000
		routers[i] = router{hash: uint32(i + 1), delay: delay}
	}
	return routers
}

// session draws a session: the association, polls, and most often a disassociation.
func (r *router) session(t *rapid.T, begin presence.Instant, randomised bool) (reports []heard) {
	report := func(kind presence.Report, seenAt presence.Instant) {
		s := presence.Sighting{SeenAt: seenAt, Associated: true, Randomised: randomised, Report: kind, Router: r.hash}
		s.RSSI = rapid.SampledFrom([]int32{0, 0, 0, -80, -90}).Draw(t, "reportRSSI")
		reports = append(reports, heard{s, r.delay})
		r.free = seenAt
	}
	report(presence.Joined, max(begin, r.free))
	for range rapid.IntRange(0, 3).Draw(t, "polls") {
		report(presence.Alive, r.free+presence.Instant(rapid.IntRange(0, 40*60).Draw(t, "pollAfter"))*1000)
	}
	if rapid.IntRange(0, 3).Draw(t, "leaves") > 0 {
		after := rapid.OneOf(rapid.IntRange(0, 180), rapid.IntRange(0, 20*60), rapid.IntRange(0, 200*60)).Draw(t, "leftAfter")
		report(presence.Left, r.free+presence.Instant(after)*1000)
	}
	return reports
}

// drawRules draws the default rules, or other rules that a business may set.
func drawRules(t *rapid.T) presence.Rules {
	r := presence.DefaultRules()
	if rapid.Bool().Draw(t, "defaults") {
		return r
	}

	// Other rules, all within their ranges. The gaps are drawn in ascending order.
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
	r.MaxSession = minutes("maxSession", 0, rapid.SampledFrom([]int{0, 30, 300}).Draw(t, "maxSessionTo"))
	r.Lateness = minutes("lateness", 4, rapid.SampledFrom([]int{4, 20, 60}).Draw(t, "latenessTo"))
	r.Location = rapid.SampledFrom(zones(t)).Draw(t, "zone")
	if rapid.Bool().Draw(t, "closes") { // around midnight in UTC: at other hours in other zones
		r.Closed = [7]uint32{1<<23 | 3, 1<<23 | 1, 0, 0, 0, 0, 0}
	}
	if err := r.Validate(); err != nil {
		t.Fatalf("drawn rules: %v", err)
	}
	return r
}

// arrive returns a history in the order of arrival with ticks in between: each
// minute, or less often.
func arrive(t *rapid.T, history []heard) []arrival {
	var all []arrival
	end := base
	for _, h := range history {
		all = append(all, arrival{moment: h.SeenAt + h.delay, sighting: h.Sighting})
		end = max(end, h.SeenAt+800*minute)
	}
	every := presence.Instant(rapid.SampledFrom([]int{1, 1, 7, 60}).Draw(t, "tickMinutes")) * minute
	for moment := base; moment <= end; moment += every {
		all = append(all, arrival{moment: moment, tick: true})
	}
	slices.SortStableFunc(all, func(a, b arrival) int { return cmp.Compare(a.moment, b.moment) })
	return append(all, arrival{moment: end + 90*minute, tick: true})
}

// decide applies the arrivals to a new device in their order, and returns the
// confirmed visits and the ends.
func decide(all []arrival, r presence.Rules) (walkIns, ends []presence.Event) {
	var d presence.Device
	var watermark presence.Instant
	for _, a := range all {
		var out []presence.Event
		if a.tick {
			watermark = max(watermark, a.moment)
			_, out = d.Tick(watermark, &r, nil)
		} else {
			_, out = d.Next(a.sighting, watermark, &r, nil)
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

// Disorder: if each sighting arrives at most one step late, there are as many
// walk-ins as the oracle has for the sightings in order. Each start is at most one
// step off, and each visit ends.
func TestDisorderOfAStepChangesNoCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRules(t)
		history := drawHistory(t)
		arrivals := arrive(t, history)
		var sightings []presence.Sighting
		for _, h := range history {
			sightings = append(sightings, h.Sighting)
		}
		want := oracle.Visits(sightings, r)
		got, ends := decide(arrivals, r)
		slices.SortFunc(got, func(a, b presence.Event) int { return cmp.Compare(a.Start, b.Start) })
		if len(got) != len(want) {
			t.Fatalf("got %d walk-ins, want %d\n%s", len(got), len(want), describe(arrivals, got, want))
		}
		for i := range got {
			if off := got[i].Start - want[i].Start; off < -2*minute || off > 2*minute || got[i].Resident != want[i].Resident {
				t.Fatalf("walk-in %d: got resident %v and a start %v off, want %v and at most 2m off\n%s",
					i, got[i].Resident, time.Duration(off)*time.Millisecond, want[i].Resident, describe(arrivals, got, want))
			}
		}
		if len(ends) != len(got) {
			t.Fatalf("got %d ends of %d visits\n%s", len(ends), len(got), describe(arrivals, got, want))
		}
	})
}

// describe lists the sightings, and the visits of the device and of the oracle.
func describe(all []arrival, got []presence.Event, want []oracle.Visit) string {
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
