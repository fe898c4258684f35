package presence_test

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
)

// zones are those that histories of days are drawn in: nil is UTC, one is on
// daylight saving, one is off by three quarters of an hour, one is west of UTC by
// half hours and on daylight saving.
func zones(t interface{ Fatal(args ...any) }) []*time.Location {
	all := []*time.Location{nil}
	for _, name := range []string{"Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Asia/Beirut", "America/Havana", "Australia/Lord_Howe", "Pacific/Kiritimati"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, zone)
	}
	return all
}

// daysOf draws what is heard of one device over some days or weeks: on most of
// them it stays for hours, with breaks, on some for minutes. Now and then it is
// away for weeks. Edges of hours, on which rule 5 turns, are met often.
func daysOf(t *rapid.T, r *presence.Rules) []heard {
	begin := rapid.SampledFrom([]time.Time{ // before clocks are changed, or not
		time.Date(2026, 3, 26, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 10, 22, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 29, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 6, 3, 0, 0, 0, 0, time.UTC),
	}).Draw(t, "begin")
	kind := rapid.IntRange(0, 9).Draw(t, "kind") // 0: anonymous; 1: randomised, on the network now and then
	pause := presence.Instant(min(r.AssociatedSilence, r.MaxGap)/time.Millisecond) - 1000
	var all []heard
	day := presence.InstantOf(begin)
	for range rapid.IntRange(1, 9).Draw(t, "days") {
		at := day + presence.Instant(rapid.IntRange(0, 28).Draw(t, "from"))*30*minute
		for range rapid.IntRange(1, 3).Draw(t, "stays") {
			associated := kind > 0 && rapid.IntRange(0, 3).Draw(t, "associated") == 0
			all = stayOf(t, all, at, pause, kind < 2, associated)
			at = all[len(all)-1].SeenAt + presence.Instant(rapid.SampledFrom([]int{0, 16, 18, 31, 32, 33, 120}).Draw(t, "break"))*minute
		}
		next := rapid.SampledFrom([]int{1, 1, 1, 1, 1, 2, 3, 7, 26, 27, 28, 29, 30, 31, 32}).Draw(t, "next")
		day = max(day+presence.Instant(next)*24*60*minute, at-at%(24*60*minute))
	}
	return all
}

// stayOf adds a stay that begins at a moment or a little off it. Its sightings
// come as far apart as they may; the first ones in any order that is allowed.
func stayOf(t *rapid.T, all []heard, at, pause presence.Instant, randomised, associated bool) []heard {
	seconds := func(name string, from, to int) presence.Instant {
		return presence.Instant(rapid.IntRange(from, to).Draw(t, name)) * 1000
	}
	at += seconds("off", -150, 150)
	length := presence.Instant(rapid.SampledFrom([]int{0, 7, 50, 119, 121, 130, 240, 299, 600, 659, 660, 661, 720, 1500}).Draw(t, "length")) * minute
	end := at + length
	for first := true; ; first = false {
		delay := seconds("delay", 0, 120)
		all = append(all, heard{presence.Sighting{SeenAt: at, RSSI: -60, Associated: associated, Randomised: randomised}, delay})
		if first { // the next sighting arrives before it
			early := heard{presence.Sighting{SeenAt: at + seconds("next", 0, 119), RSSI: -60, Associated: associated, Randomised: randomised}, 0}
			all[len(all)-1].delay = 120_000
			all = append(all, early, heard{presence.Sighting{SeenAt: at + 6*minute, RSSI: -60, Associated: associated, Randomised: randomised}, 0})
		}
		if at >= end {
			return all
		}
		at = min(at+pause, end)
	}
}

// habitRules draws rules under which a device becomes a resident soon enough.
func habitRules(t *rapid.T) presence.Rules {
	r := presence.DefaultRules()
	r.Location = rapid.SampledFrom(zones(t)).Draw(t, "zone")
	r.ResidentHours = rapid.SampledFrom([]int{1, 2, 3, 5, 10, 10, 23}).Draw(t, "residentHours")
	r.ResidentDays = rapid.SampledFrom([]int{0, 1, 2, 3, 3, 4}).Draw(t, "residentDays")
	r.MinSpan = rapid.SampledFrom([]time.Duration{0, 5 * time.Minute}).Draw(t, "minSpan")
	if closed := rapid.SampledFrom([]uint32{0, 0, 1<<2 | 1<<3, 1<<6 - 1 | 3<<22, 1<<14 | 1 | 1<<23}).Draw(t, "closed"); closed != 0 {
		for d := range r.Closed {
			r.Closed[d] = closed << (d % 2) & presence.Full
		}
	}
	if err := r.Validate(); err != nil {
		t.Fatalf("drawn rules: %v", err)
	}
	return r
}

// shares counts what the drawn histories came to: a property that seldom meets
// what it is about proves little.
type shares struct{ histories, visits, walkIns, residents, later int }

// Any order of arrival within the bound gives the walk-ins that the rules read in
// order give, residents left out; and who is one is said of each end.
func TestDisorderWithinTheBoundChangesNoResident(t *testing.T) {
	defer fewer(t, 20)()
	var met shares
	rapid.Check(t, func(t *rapid.T) {
		r := habitRules(t)
		history := daysOf(t, &r)
		var sightings []presence.Sighting
		for _, h := range history {
			sightings = append(sightings, h.Sighting)
		}
		want := oracle.Visits(sightings, r)
		got := confirmed(t, arriveByDays(history, rapid.SampledFrom([]int{1, 7, 45}).Draw(t, "tickMinutes")), &r)
		if len(got) != len(want) {
			t.Fatalf("%d visits, the oracle has %d\n%s", len(got), len(want), compared(got, want))
		}
		met.histories++
		for i := range got {
			off := got[i].Start - want[i].Start
			if off < -2*minute || off > 2*minute || got[i].Resident != want[i].Resident {
				t.Fatalf("visit %d (rules %+v)\n%s", i, r, compared(got, want))
			}
			met.visits++
			switch {
			case !want[i].Resident:
				met.walkIns++
				if i > 0 && want[i-1].Resident {
					met.later++
				}
			default:
				met.residents++
			}
		}
	})
	t.Logf("met %+v", met)
	if met.histories >= 1000 && (met.residents < met.visits/10 || met.walkIns < met.visits/10 || met.later < met.visits/100) {
		t.Errorf("%+v: too few residents, walk-ins, or walk-ins of who was a resident", met)
	}
}

// fewer has a property tried n times less often until what it gives is called: a
// history of weeks takes long.
func fewer(t *testing.T, n int) (restore func()) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	former := f.Value.String()
	all, err := strconv.Atoi(former)
	if err == nil {
		err = f.Value.Set(strconv.Itoa(max(1, all/n)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = f.Value.Set(former) }
}

// arriveByDays puts a history in the order of arrival. While nothing is heard for
// an hour the clock jumps: a tick that nothing is due at does nothing.
func arriveByDays(history []heard, every int) []arrival {
	var heardAt []arrival
	for _, h := range history {
		heardAt = append(heardAt, arrival{at: h.SeenAt + h.delay, sighting: h.Sighting})
	}
	slices.SortStableFunc(heardAt, func(a, b arrival) int { return int(a.at - b.at) })
	var all []arrival
	tick := presence.Instant(every) * minute
	clock := heardAt[0].at - heardAt[0].at%tick
	for _, a := range append(heardAt, arrival{at: heardAt[len(heardAt)-1].at + 40*24*60*minute, tick: true}) {
		quiet := clock + 200*minute
		for clock+tick <= a.at {
			clock += tick
			if clock > quiet {
				clock = max(clock, (a.at-1)/tick*tick)
			}
			all = append(all, arrival{at: clock, tick: true})
		}
		all = append(all, a)
	}
	return all
}

// confirmed gives the visits in the order of their start, and holds that each
// ends as what it was confirmed as and that nothing is remembered at the end.
func confirmed(t rapid.TB, all []arrival, r *presence.Rules) (visits []presence.Event) {
	var d presence.Device
	var clock presence.Instant
	begun, ended := map[presence.Instant]bool{}, map[presence.Instant]bool{}
	for _, a := range all {
		var out []presence.Event
		if a.tick {
			clock = max(clock, a.at)
			if due := d.Due(r); due == 0 || due > clock {
				continue
			}
			_, out = d.Tick(clock, r, nil)
		} else {
			_, out = d.Next(a.sighting, clock, r, nil)
		}
		for _, e := range out {
			if !e.Ended {
				visits, begun[e.Start] = append(visits, e), e.Resident
				continue
			}
			ended[e.Start] = true
			if e.Resident != begun[e.Start] {
				t.Fatalf("a visit that was confirmed with resident=%v ended with %v", begun[e.Start], e.Resident)
			}
		}
	}
	if len(ended) != len(visits) || d.Known() {
		t.Fatalf("%d of %d visits ended; 40 days later %+v is known", len(ended), len(visits), d)
	}
	slices.SortFunc(visits, func(a, b presence.Event) int { return int(a.Start - b.Start) })
	return visits
}

func compared(got []presence.Event, want []oracle.Visit) (text string) {
	for _, e := range got {
		text += fmt.Sprintln("got ", e.Start.Time().Format(time.DateTime), "resident", e.Resident)
	}
	for _, v := range want {
		text += fmt.Sprintln("want", v.Start.Time().Format(time.DateTime), "to", v.Last.Time().Format(time.DateTime), "resident", v.Resident)
	}
	return text
}
