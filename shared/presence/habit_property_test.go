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

// zones returns the time zones in which histories are drawn: nil, which is UTC,
// zones with and without daylight saving, and zones that differ from UTC by a half
// or three quarters of an hour.
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

// drawDays draws the sightings of one device over some days or weeks: on most days
// the device stays for hours, with breaks, on some for minutes, and now and then it
// is away for weeks. Many stays begin or end at the edge of an hour, since hours
// decide which devices are resident.
func drawDays(t *rapid.T, r *presence.Rules) []heard {
	begin := rapid.SampledFrom([]time.Time{ // days before a change of the clocks, and others
		time.Date(2026, 3, 26, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 10, 22, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 29, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 6, 3, 0, 0, 0, 0, time.UTC),
	}).Draw(t, "begin")
	kind := rapid.IntRange(0, 9).Draw(t, "kind") // 0: anonymous; 1: randomised, associated now and then; else not randomised
	pause := presence.Instant(min(r.AssociatedSilence, r.MaxGap)/time.Millisecond) - 1000
	var all []heard
	day := presence.InstantOf(begin)
	for range rapid.IntRange(1, 9).Draw(t, "days") {
		// One to three stays with breaks around the session gaps.
		from := day + presence.Instant(rapid.IntRange(0, 28).Draw(t, "from"))*30*minute
		for range rapid.IntRange(1, 3).Draw(t, "stays") {
			associated := kind > 0 && rapid.IntRange(0, 3).Draw(t, "associated") == 0
			all = drawStay(t, all, from, pause, kind < 2, associated)
			from = all[len(all)-1].SeenAt + presence.Instant(rapid.SampledFrom([]int{0, 16, 18, 31, 32, 33, 120}).Draw(t, "break"))*minute
		}

		// The next day, or one around the window of 28 days.
		next := rapid.SampledFrom([]int{1, 1, 1, 1, 1, 2, 3, 7, 26, 27, 28, 29, 30, 31, 32}).Draw(t, "next")
		day = max(day+presence.Instant(next)*24*60*minute, from-from%(24*60*minute))
	}
	return all
}

// drawStay appends the sightings of a stay that begins within 150 seconds of from.
// The sightings are as far apart as the rules allow. The first one arrives after
// the second, within the disorder allowed.
func drawStay(t *rapid.T, all []heard, from, pause presence.Instant, randomised, associated bool) []heard {
	seconds := func(name string, from, to int) presence.Instant {
		return presence.Instant(rapid.IntRange(from, to).Draw(t, name)) * 1000
	}
	seenAt := from + seconds("off", -150, 150)
	length := presence.Instant(rapid.SampledFrom([]int{0, 7, 50, 119, 121, 130, 240, 299, 600, 659, 660, 661, 720, 1500}).Draw(t, "length")) * minute
	end := seenAt + length
	for first := true; ; first = false {
		delay := seconds("delay", 0, 120)
		all = append(all, heard{presence.Sighting{SeenAt: seenAt, RSSI: -60, Associated: associated, Randomised: randomised}, delay})
		if first {
			early := heard{presence.Sighting{SeenAt: seenAt + seconds("next", 0, 119), RSSI: -60, Associated: associated, Randomised: randomised}, 0}
			all[len(all)-1].delay = 120_000
			all = append(all, early, heard{presence.Sighting{SeenAt: seenAt + 6*minute, RSSI: -60, Associated: associated, Randomised: randomised}, 0})
		}
		if seenAt >= end {
			return all
		}
		seenAt = min(seenAt+pause, end)
	}
}

// drawResidentRules draws rules under which a device is learnt as resident within a
// few days.
func drawResidentRules(t *rapid.T) presence.Rules {
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

// shares counts the visits in the drawn histories: a property that is seldom tried
// on a resident device proves little about resident devices.
type shares struct {
	histories, visits, walkIns, residents int
	later                                 int // walk-ins right after a visit of the device as a resident one
}

// Disorder: if each sighting arrives at most one step late, the visits, and which
// of them are of a resident device, are those of the oracle for the sightings in
// order. Each end has the same mark as its visit (confirmed checks that).
func TestDisorderOfAStepChangesNoResident(t *testing.T) {
	defer fewerChecks(t, 20)()
	var met shares
	rapid.Check(t, func(t *rapid.T) {
		r := drawResidentRules(t)
		history := drawDays(t, &r)
		var sightings []presence.Sighting
		for _, h := range history {
			sightings = append(sightings, h.Sighting)
		}
		want := oracle.Visits(sightings, r)
		got := confirmed(t, arriveByDays(history, rapid.SampledFrom([]int{1, 7, 45}).Draw(t, "tickMinutes")), &r)
		if len(got) != len(want) {
			t.Fatalf("got %d visits, want %d\n%s", len(got), len(want), compared(got, want))
		}
		met.histories++
		for i := range got {
			off := got[i].Start - want[i].Start
			if off < -2*minute || off > 2*minute || got[i].Resident != want[i].Resident {
				t.Fatalf("visit %d differs, by rules %+v\n%s", i, r, compared(got, want))
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
	t.Logf("drawn: %+v", met)
	if met.histories >= 1000 && (met.residents < met.visits/10 || met.walkIns < met.visits/10 || met.later < met.visits/100) {
		t.Errorf("drawn: %+v, want a tenth of the visits of resident devices, a tenth walk-ins, and a hundredth walk-ins of a device that was resident before", met)
	}
}

// fewerChecks makes rapid try a property n times less often, since a history of
// weeks takes long, until the returned function is called.
func fewerChecks(t *testing.T, n int) (restore func()) {
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

// arriveByDays returns a history in the order of arrival, with a tick every so many
// minutes. If the device is not heard for 200 minutes, the watermark jumps to the
// next sighting: the stays are forgotten by then, so no tick in between is due.
func arriveByDays(history []heard, every int) []arrival {
	var sightings []arrival
	for _, h := range history {
		sightings = append(sightings, arrival{moment: h.SeenAt + h.delay, sighting: h.Sighting})
	}
	slices.SortStableFunc(sightings, func(a, b arrival) int { return int(a.moment - b.moment) })

	// Put the ticks in between, up to one 40 days after the last sighting.
	var all []arrival
	tick := presence.Instant(every) * minute
	watermark := sightings[0].moment - sightings[0].moment%tick
	for _, a := range append(sightings, arrival{moment: sightings[len(sightings)-1].moment + 40*24*60*minute, tick: true}) {
		quiet := watermark + 200*minute
		for watermark+tick <= a.moment {
			watermark += tick
			if watermark > quiet {
				watermark = max(watermark, (a.moment-1)/tick*tick)
			}
			all = append(all, arrival{moment: watermark, tick: true})
		}
		all = append(all, a)
	}
	return all
}

// confirmed applies the arrivals to a new device and returns the confirmed visits in
// the order of their start. It fails the test if a visit does not end, if an end
// and its visit differ in Resident, or if the device has state at the end.
func confirmed(t rapid.TB, all []arrival, r *presence.Rules) (visits []presence.Event) {
	var d presence.Device
	var watermark presence.Instant
	residents, ended := map[presence.Instant]bool{}, map[presence.Instant]bool{} // by start of the visit
	for _, a := range all {
		// A tick before the device is due changes nothing, so it is left out, as detect
		// does.
		var out []presence.Event
		if a.tick {
			watermark = max(watermark, a.moment)
			if due := d.Due(r); due == 0 || due > watermark {
				continue
			}
			_, out = d.Tick(watermark, r, nil)
		} else {
			_, out = d.Next(a.sighting, watermark, r, nil)
		}
		for _, e := range out {
			if !e.Ended {
				visits, residents[e.Start] = append(visits, e), e.Resident
				continue
			}
			ended[e.Start] = true
			if e.Resident != residents[e.Start] {
				t.Fatalf("visit of %v ended with resident %v, want %v", e.Start.Time(), e.Resident, residents[e.Start])
			}
		}
	}
	if len(ended) != len(visits) || d.Known() {
		t.Fatalf("got %d ends of %d visits, and 40 days later the state %+v, want none", len(ended), len(visits), d)
	}
	slices.SortFunc(visits, func(a, b presence.Event) int { return int(a.Start - b.Start) })
	return visits
}

// compared lists the visits of the device and of the oracle.
func compared(got []presence.Event, want []oracle.Visit) (text string) {
	for _, e := range got {
		text += fmt.Sprintln("got ", e.Start.Time().Format(time.DateTime), "resident", e.Resident)
	}
	for _, v := range want {
		text += fmt.Sprintln("want", v.Start.Time().Format(time.DateTime), "to", v.Last.Time().Format(time.DateTime), "resident", v.Resident)
	}
	return text
}
