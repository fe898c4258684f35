package presence_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/shared/presence"
)

// days returns the sightings of a history in words. Each string is a day in local
// time: "" a day without a stay, "8:00-12:00 13:00-19:00" a day with two. During a
// stay the device is heard every nine minutes; kind holds the other fields of a
// sighting.
func days(t *testing.T, zone *time.Location, first string, kind presence.Sighting, all []string) (history []heard) {
	t.Helper()
	day, err := time.ParseInLocation(time.DateOnly, first, zone)
	if err != nil {
		t.Fatal(err)
	}
	for _, stays := range all {
		for stay := range strings.FieldsSeq(stays) {
			var fh, fm, th, tm int
			if _, err := fmt.Sscanf(stay, "%d:%d-%d:%d", &fh, &fm, &th, &tm); err != nil {
				t.Fatalf("%q: %v", stay, err)
			}
			from := time.Date(day.Year(), day.Month(), day.Day(), fh, fm, 0, 0, zone)
			until := time.Date(day.Year(), day.Month(), day.Day(), th, tm, 0, 0, zone)
			for seenAt := from; !seenAt.After(until); seenAt = seenAt.Add(9 * time.Minute) {
				s := kind
				s.SeenAt, s.RSSI = presence.InstantOf(seenAt), -60
				history = append(history, heard{Sighting: s})
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return history
}

// daily returns n days with the same stays.
func daily(n int, stays string) (all []string) {
	for range n {
		all = append(all, stays)
	}
	return all
}

// then returns the days of several histories one after the other.
func then(parts ...[]string) (all []string) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// Resident devices: each case is a history of days, and for each of its visits "in"
// if it is a walk-in or "-" if it is that of a resident device.
func TestResidentDevices(t *testing.T) {
	const week, month = 7, 30
	// Open from 9:00 to 20:00, closed on Sundays. The hours around opening and closing
	// do not count as closed.
	night := func(r *presence.Rules) {
		for d := range r.Closed {
			r.Closed[d] = 0xff | 7<<21
		}
		r.Closed[time.Sunday] = presence.Full
	}
	phone, random := presence.Sighting{}, presence.Sighting{Randomised: true}
	associated := presence.Sighting{Randomised: true, Associated: true}
	cases := []struct {
		property string
		days     []string
		kind     presence.Sighting
		rules    func(*presence.Rules)
		want     string
	}{
		{"a till with a pause of an hour at night is learnt in three days", daily(5, "1:00-24:00"), phone, nil, "in in in - -"},
		{"a till without a pause has one walk-in", daily(week, "0:00-24:00"), phone, nil, "in"},
		{"after a fortnight without a pause it is learnt too", then(daily(14, "0:00-23:59"), daily(1, ""), daily(1, "9:00-10:00")), phone, nil, "in -"},
		{"an employee is learnt in three days, with a break each day", daily(4, "8:00-12:00 12:45-19:00"), phone, nil, "in in in in in in - -"},
		{"a visit on the evening of the third long day is of a resident device", then(daily(3, "8:00-18:30 20:00-21:00"), daily(1, "9:00-9:30")), phone, nil, "in in in in in - -"},
		{"ten hours of a day are not more than ten", daily(week, "8:00-17:59"), phone, nil, "in in in in in in in"},
		{"a daily visit of an hour is a walk-in each day", daily(2*month, "17:10-18:10"), phone, nil, strings.TrimSpace(strings.Repeat("in ", 2*month))},
		{"twelve short visits a day make no long day", daily(4, "8:00-8:10 9:00-9:10 10:00-10:10 11:00-11:10 12:00-12:10 13:00-13:10 14:00-14:10 15:00-15:10 16:00-16:10 17:00-17:10 18:00-18:10 19:00-19:10"), phone, nil, strings.TrimSpace(strings.Repeat("in ", 48))},
		{"two long days are too few", then(daily(2, "8:00-20:00"), daily(2, "8:00-9:00")), phone, nil, "in in in in"},
		{"so are three in more than four weeks", then(daily(2, "8:00-20:00"), daily(26, ""), daily(1, "8:00-20:00"), daily(1, "9:00-9:30")), phone, nil, "in in in in"},
		{"three within four weeks are enough", then(daily(2, "8:00-20:00"), daily(25, ""), daily(1, "8:00-20:00"), daily(1, "9:00-9:30")), phone, nil, "in in in -"},
		{"five weeks after the last long day a visit is a walk-in", then(daily(4, "8:00-20:00"), daily(35, ""), daily(1, "8:00-9:00")), phone, nil, "in in in - in"},
		{"three weeks after the last long day it is not", then(daily(4, "8:00-20:00"), daily(21, ""), daily(1, "8:00-9:00")), phone, nil, "in in in - -"},
		{"a visit that begins in a closed hour is no walk-in", []string{"2:00-2:30", "10:00-10:30"}, phone, night, "- in"},
		{"nor is it under a randomised address", []string{"2:00-2:30"}, random, night, "-"},
		{"three nights are enough", then(daily(3, "2:00-2:30"), []string{"10:00-10:30"}), phone, night, "- - - -"},
		{"one evening into a closed hour is too few", then([]string{"19:00-22:00"}, daily(3, "10:00-10:30")), phone, night, "in in in in"},
		{"the hour after closing is no closed hour", daily(5, "19:00-20:45"), phone, night, "in in in in in"},
		{"three evenings into a closed hour are enough", then(daily(3, "18:30-21:15"), daily(1, "10:00-10:30")), phone, night, "in in in -"},
		{"an anonymous address is never learnt", daily(5, "1:00-23:00"), random, nil, "in in in in in"},
		{"a randomised address that associates is learnt", daily(5, "1:00-23:00"), associated, nil, "in in in - -"},
		{"with 0 days no device is learnt", daily(5, "1:00-23:00"), phone, func(r *presence.Rules) { r.ResidentDays = 0 }, "in in in in in"},
	}
	for _, c := range cases {
		t.Run(c.property, func(t *testing.T) {
			r := presence.DefaultRules()
			if c.rules != nil {
				c.rules(&r)
			}
			if got := visits(t, days(t, time.UTC, "2026-06-01", c.kind, c.days), &r); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// visits returns the visits of a history whose sightings arrive without delay: "in"
// for a walk-in, "-" for the visit of a resident device.
func visits(t rapid.TB, history []heard, r *presence.Rules) string {
	var words []string
	for _, v := range confirmed(t, arriveByDays(history, 1), r) {
		word := "in"
		if v.Resident {
			word = "-"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// confirm: the worked sequence in its comment. The tick of 19:04 both ends the long
// visit of the third day and confirms the candidate of 19:02.
func TestConfirmEndsTheVisitBeforeFirst(t *testing.T) {
	r := presence.DefaultRules()
	history := days(t, time.UTC, "2026-06-01", presence.Sighting{}, daily(3, "8:00-18:30"))
	evening := presence.InstantOf(time.Date(2026, 6, 3, 19, 2, 0, 0, time.UTC))
	history = append(history, heard{Sighting: presence.Sighting{SeenAt: evening, RSSI: -60, Associated: true}})
	if got, want := visits(t, history, &r), "in in in -"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The days and hours are those of the time zone of the store, also on the days on
// which clocks are changed: a day of 23 hours has no hour 2, a day of 25 hours has
// it twice.
func TestResidentDevicesInTheZoneOfTheStore(t *testing.T) {
	all := zones(t)
	berlin, kathmandu, stJohns := all[1], all[2], all[3]
	closedAt := func(hour int) func(*presence.Rules) {
		return func(r *presence.Rules) { r.Closed[time.Sunday] = 1 << hour }
	}
	more := func(hours int) func(*presence.Rules) {
		return func(r *presence.Rules) { r.ResidentDays, r.ResidentHours = 1, hours }
	}
	cases := []struct {
		property string
		zone     *time.Location
		first    string
		days     []string
		rules    func(*presence.Rules)
		want     string
	}{
		{"0:00 to 10:10 touches eleven hours on most days", berlin, "2026-03-22", []string{"0:00-10:10", "9:00-9:30"}, more(10), "in -"},
		{"it touches ten on the day of 23 hours", berlin, "2026-03-29", []string{"0:00-10:10", "9:00-9:30"}, more(10), "in in"},
		{"the hour that comes twice counts once", berlin, "2026-10-25", []string{"0:00-9:50", "9:00-9:30"}, more(10), "in in"},
		{"it counts once in Newfoundland too", stJohns, "2026-11-01", []string{"0:00-9:50", "9:00-9:30"}, more(10), "in in"},
		{"a closed hour is closed on the first day of summer time", berlin, "2026-03-29", []string{"3:10-3:40"}, closedAt(3), "-"},
		{"and on the last", berlin, "2026-10-25", []string{"3:10-3:40"}, closedAt(3), "-"},
		{"the hour before it is open", berlin, "2026-10-25", []string{"2:10-2:40"}, closedAt(3), "in"},
		{"Sunday begins in the zone of the store", kathmandu, "2026-06-07", []string{"0:10-0:40"}, closedAt(0), "-"},
		{"Sunday ends in the zone of the store", kathmandu, "2026-06-06", []string{"", "", "0:10-0:40"}, closedAt(0), "in"},
		{"the day is local: two stays on one day", kathmandu, "2026-06-02", []string{"0:00-5:30 6:30-11:30", "9:00-9:30"}, more(10), "in in -"},
		{"the day is local: two stays on two days", kathmandu, "2026-06-02", []string{"18:00-23:30", "0:30-5:30 9:00-9:30"}, more(10), "in in in"},
	}
	for _, c := range cases {
		t.Run(c.property, func(t *testing.T) {
			r := presence.DefaultRules()
			r.Location = c.zone
			c.rules(&r)
			if got := visits(t, days(t, c.zone, c.first, presence.Sighting{}, c.days), &r); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// However long and often a device is inside, its habit holds few days, and a month
// later none.
func TestHabitHoldsFewDays(t *testing.T) {
	r := presence.DefaultRules()
	var d presence.Device
	most := 0
	history := days(t, time.UTC, "2026-01-01", presence.Sighting{}, then(
		daily(60, "5:00-9:00 10:00-23:00"), daily(60, "0:00-24:00"), daily(60, "9:00-13:00 18:00-21:30"),
	))
	watermark := presence.Instant(0)
	for _, h := range history {
		watermark = h.SeenAt
		d.Tick(watermark, &r, nil)
		d.Next(h.Sighting, watermark, &r, nil)
		most = max(most, len(d.Habit))
	}
	if most > r.ResidentDays+3 {
		t.Errorf("got a habit of %d days, want %d at the most", most, r.ResidentDays+3)
	}

	// Apply ticks until no state is left.
	end := watermark
	for d.Known() {
		if watermark = max(d.Due(&r), watermark+1); watermark > end+31*24*60*minute {
			t.Fatalf("a month later: got the state %+v, want none", d)
		}
		d.Tick(watermark, &r, nil)
	}
	if watermark < end+90*minute {
		t.Errorf("got no state at %v, too soon after the last sighting of %v", watermark.Time(), end.Time())
	}
}

// prune: of the days that speak, the newest three are kept.
func TestHabitKeepsTheNewestDaysThatSpeak(t *testing.T) {
	r := presence.DefaultRules()
	var d presence.Device
	for _, h := range days(t, time.UTC, "2026-06-01", presence.Sighting{}, daily(4, "8:00-20:00")) {
		d.Tick(h.SeenAt, &r, nil)
		d.Next(h.Sighting, h.SeenAt, &r, nil)
	}
	d.Tick(d.Due(&r), &r, nil)
	monday := int32(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60))
	want := presence.Habit{{Number: monday + 1, Hours: presence.Full}, {Number: monday + 2, Hours: presence.Full}, {Number: monday + 3, Hours: presence.Full}}
	if !slices.Equal(d.Habit, want) {
		t.Errorf("got %+v, want %+v", d.Habit, want)
	}
}

// prune: the worked sequence in its comment. A router whose clock is a day ahead has
// put the device into Wednesday when late sightings from Monday arrive.
func TestHabitKeepsADayThatHoursCanBeAddedTo(t *testing.T) {
	r := presence.DefaultRules()
	r.Lateness = time.Hour
	r.Closed[time.Wednesday] = 1 // from 0:00 to 1:00
	monday := presence.InstantOf(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))
	moment := func(day, hour, minutes int) presence.Instant {
		return monday + presence.Instant((day*24+hour)*60+minutes)*minute
	}

	// heard applies a sighting every nine minutes. If a watermark is given, it stands
	// still; else it follows the sightings.
	var d presence.Device
	heard := func(from, until, watermark presence.Instant) {
		for seenAt := from; seenAt <= until; seenAt += 9 * minute {
			now := watermark
			if now == 0 {
				now = seenAt
			}
			d.Tick(now, &r, nil)
			d.Next(presence.Sighting{SeenAt: seenAt, RSSI: -60}, now, &r, nil)
		}
	}
	const evening = 1<<20 | 1<<21 | 1<<22
	day := int32(monday / (24 * 60 * minute))
	check := func(when string, want presence.Habit) {
		t.Helper()
		if !slices.Equal(d.Habit, want) {
			t.Errorf("%s: got %+v, want %+v", when, d.Habit, want)
		}
	}

	heard(moment(0, 20, 10), moment(0, 22, 43), 0)
	d.Tick(moment(1, 0, 20), &r, nil)
	check("after the visit on Monday", presence.Habit{{Number: day, Hours: evening}})

	heard(moment(2, 0, 1), moment(2, 0, 19), moment(1, 0, 20))
	heard(moment(2, 0, 52), moment(2, 1, 10), moment(1, 0, 20)) // the next visit ends the first
	check("after the visit on Wednesday", presence.Habit{{Number: day, Hours: evening}, {Number: day + 2, Hours: presence.Full}})

	heard(moment(0, 23, 50), moment(1, 0, 17), moment(1, 0, 20))
	heard(moment(1, 0, 26), moment(1, 2, 59), 0)
	d.Tick(moment(1, 4, 0), &r, nil)
	check("after the late visit", presence.Habit{
		{Number: day, Hours: evening | 1<<23}, {Number: day + 1, Hours: 1<<0 | 1<<1 | 1<<2}, {Number: day + 2, Hours: presence.Full},
	})
}

// A device that is inside for less than three clock hours, or is anonymous, has no
// habit afterwards.
func TestMostDevicesHaveNoHabit(t *testing.T) {
	r := presence.DefaultRules()
	for property, c := range map[string]struct {
		kind  presence.Sighting
		stays string
	}{
		"two clock hours":      {presence.Sighting{}, "9:05-10:55"},
		"an anonymous address": {presence.Sighting{Randomised: true}, "9:00-19:00"},
	} {
		var d presence.Device
		for _, a := range arriveByDays(days(t, time.UTC, "2026-06-01", c.kind, []string{c.stays}), 1) {
			if a.tick {
				d.Tick(a.moment, &r, nil)
			} else {
				d.Next(a.sighting, a.moment, &r, nil)
			}
			if len(d.Habit) > 0 {
				t.Fatalf("%s: got the habit %+v, want none", property, d.Habit)
			}
		}
	}
}

// A visit that was confirmed as that of a resident device, or as a walk-in, ends as
// the same, whatever arrives late. The hour from 12:00 is closed.
func TestVisitStaysThatOfAResidentDevice(t *testing.T) {
	noon := presence.InstantOf(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC))
	r := presence.DefaultRules()
	r.Closed[time.Monday] = 1 << 12
	for _, c := range []struct{ property, history, want string }{
		{"its end is emitted", "-60@0 -60@6 tick@50", "resident@0 gone@0-6"},
		{"its end is emitted again when it goes on", "-60@0 -60@6 tick@40 -60@30 tick@80", "resident@0 gone@0-6 gone@0-30"},
		{"a candidate before it is merged into it", "-60@0 a-60@12 tick@14 -60@10.5 tick@80", "resident@12 gone@12-12"},
		{"a candidate after it is merged into it", "-60@0 -60@6 -60@50 tick@16 -60@20 -60@36 tick@90", "resident@0 gone@0-50"},
		{"mayBeginEarlier: a candidate in the first step of the closed hour waits", "a-60@0 a-60@-1 tick@60", "in@-1 out@-1-0"},
		{"a walk-in before the closed hour stays a walk-in", "a-60@-3 tick@-1 a-60@0 tick@60", "in@-3 out@-3-0"},
	} {
		if got := play(t, r, noon, c.history); got != c.want {
			t.Errorf("%s: %s\n got  %q\n want %q", c.property, c.history, got, c.want)
		}
	}
}
