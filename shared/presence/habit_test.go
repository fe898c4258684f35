package presence_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/shared/presence"
)

// days writes a history: each string is a day, "" one without, "8:00-12:00
// 13:00-19:00" one of two stays. Times are local. Between breaks the device is
// heard every nine minutes.
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
			for at := from; !at.After(until); at = at.Add(9 * time.Minute) {
				s := kind
				s.SeenAt, s.RSSI = presence.InstantOf(at), -60
				history = append(history, heard{Sighting: s})
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return history
}

// daily is the same day so many times.
func daily(n int, stays string) (all []string) {
	for range n {
		all = append(all, stays)
	}
	return all
}

func then(parts ...[]string) (all []string) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// Rule 5: what comes of a history is "in" for a walk-in and "-" for a visit that
// is no customer's, from the first visit on.
func TestResidents(t *testing.T) {
	const week, month = 7, 30
	night := func(r *presence.Rules) { // open from 9 to 20, an hour on both sides is left out; closed on Sundays
		for d := range r.Closed {
			r.Closed[d] = 0xff | 7<<21
		}
		r.Closed[time.Sunday] = presence.Full
	}
	phone, random := presence.Sighting{}, presence.Sighting{Randomised: true}
	joined := presence.Sighting{Randomised: true, Associated: true}
	cases := []struct {
		why   string
		days  []string
		kind  presence.Sighting
		rules func(*presence.Rules)
		want  string
	}{
		{"a till that rests for an hour at night is learnt in three days", daily(5, "1:00-24:00"), phone, nil, "in in in - -"},
		{"one that never rests walks in once", daily(week, "0:00-24:00"), phone, nil, "in"},
		{"after a fortnight without a pause it is known too", then(daily(14, "0:00-23:59"), daily(1, ""), daily(1, "9:00-10:00")), phone, nil, "in -"},
		{"an employee is learnt with all breaks", daily(4, "8:00-12:00 12:45-19:00"), phone, nil, "in in in in in in - -"},
		{"on the evening of the third long day it is one", then(daily(3, "8:00-18:30 20:00-21:00"), daily(1, "9:00-9:30")), phone, nil, "in in in in in - -"},
		{"ten hours of a day are not more than ten", daily(week, "8:00-17:59"), phone, nil, "in in in in in in in"},
		{"a regular who comes for an hour a day stays a customer", daily(2*month, "17:10-18:10"), phone, nil, strings.TrimSpace(strings.Repeat("in ", 2*month))},
		{"ten short visits a day make no long one", daily(4, "8:00-8:10 9:00-9:10 10:00-10:10 11:00-11:10 12:00-12:10 13:00-13:10 14:00-14:10 15:00-15:10 16:00-16:10 17:00-17:10 18:00-18:10 19:00-19:10"), phone, nil, strings.TrimSpace(strings.Repeat("in ", 48))},
		{"two long days are no habit", then(daily(2, "8:00-20:00"), daily(2, "8:00-9:00")), phone, nil, "in in in in"},
		{"nor are three in more than four weeks", then(daily(2, "8:00-20:00"), daily(26, ""), daily(1, "8:00-20:00"), daily(1, "9:00-9:30")), phone, nil, "in in in in"},
		{"three within four weeks are", then(daily(2, "8:00-20:00"), daily(25, ""), daily(1, "8:00-20:00"), daily(1, "9:00-9:30")), phone, nil, "in in in -"},
		{"who worked here and comes after five weeks comes as a customer", then(daily(4, "8:00-20:00"), daily(35, ""), daily(1, "8:00-9:00")), phone, nil, "in in in - in"},
		{"after three weeks not yet", then(daily(4, "8:00-20:00"), daily(21, ""), daily(1, "8:00-9:00")), phone, nil, "in in in - -"},
		{"while closed nobody walks in", []string{"2:00-2:30", "10:00-10:30"}, phone, night, "- in"},
		{"also under a made-up address", []string{"2:00-2:30"}, random, night, "-"},
		{"three nights make a resident", then(daily(3, "2:00-2:30"), []string{"10:00-10:30"}), phone, night, "- - - -"},
		{"who stays late once is a customer", then([]string{"19:00-22:00"}, daily(3, "10:00-10:30")), phone, night, "in in in in"},
		{"who is let out late is one too", daily(5, "19:00-20:45"), phone, night, "in in in in in"},
		{"who is there while closed on three evenings is none", then(daily(3, "18:30-21:15"), daily(1, "10:00-10:30")), phone, night, "in in in -"},
		{"a made-up address is nobody's tomorrow", daily(5, "1:00-23:00"), random, nil, "in in in in in"},
		{"on the store's network it is somebody's", daily(5, "1:00-23:00"), joined, nil, "in in in - -"},
		{"the rule can be off", daily(5, "1:00-23:00"), phone, func(r *presence.Rules) { r.ResidentDays = 0 }, "in in in in in"},
	}
	for _, c := range cases {
		t.Run(c.why, func(t *testing.T) {
			r := presence.DefaultRules()
			if c.rules != nil {
				c.rules(&r)
			}
			if got := came(t, days(t, time.UTC, "2026-06-01", c.kind, c.days), &r); got != c.want {
				t.Errorf(" gave %q\n want %q", got, c.want)
			}
		})
	}
}

// came gives what came of a history whose sightings arrive at once.
func came(t rapid.TB, history []heard, r *presence.Rules) string {
	var said []string
	for _, v := range confirmed(t, arriveByDays(history, 1), r) {
		word := "in"
		if v.Resident {
			word = "-"
		}
		said = append(said, word)
	}
	return strings.Join(said, " ")
}

// The hours of a day are the store's, also where clocks are changed: a day of 23
// hours has no 2 o'clock, one of 25 has it twice.
func TestResidentsByTheStoresClock(t *testing.T) {
	all := zones(t)
	berlin, kathmandu, stJohns := all[1], all[2], all[3]
	closedAt := func(hour int) func(*presence.Rules) {
		return func(r *presence.Rules) { r.Closed[time.Sunday] = 1 << hour }
	}
	more := func(hours int) func(*presence.Rules) {
		return func(r *presence.Rules) { r.ResidentDays, r.ResidentHours = 1, hours }
	}
	cases := []struct {
		why   string
		zone  *time.Location
		first string
		days  []string
		rules func(*presence.Rules)
		want  string
	}{
		{"from 0 to 11 are eleven hours on most days", berlin, "2026-03-22", []string{"0:00-10:10", "9:00-9:30"}, more(10), "in -"},
		{"and ten when one is left out", berlin, "2026-03-29", []string{"0:00-10:10", "9:00-9:30"}, more(10), "in in"},
		{"an hour that comes twice is one", berlin, "2026-10-25", []string{"0:00-9:50", "9:00-9:30"}, more(10), "in in"},
		{"in Newfoundland too", stJohns, "2026-11-01", []string{"0:00-9:50", "9:00-9:30"}, more(10), "in in"},
		{"closed is closed in summer", berlin, "2026-03-29", []string{"3:10-3:40"}, closedAt(3), "-"},
		{"and in winter", berlin, "2026-10-25", []string{"3:10-3:40"}, closedAt(3), "-"},
		{"the hour before is not", berlin, "2026-10-25", []string{"2:10-2:40"}, closedAt(3), "in"},
		{"a Sunday begins where the store is", kathmandu, "2026-06-07", []string{"0:10-0:40"}, closedAt(0), "-"},
		{"and ends there", kathmandu, "2026-06-06", []string{"", "", "0:10-0:40"}, closedAt(0), "in"},
		{"a day is the store's: two halves of one", kathmandu, "2026-06-02", []string{"0:00-5:30 6:30-11:30", "9:00-9:30"}, more(10), "in in -"},
		{"and not of two", kathmandu, "2026-06-02", []string{"18:00-23:30", "0:30-5:30 9:00-9:30"}, more(10), "in in in"},
	}
	for _, c := range cases {
		t.Run(c.why, func(t *testing.T) {
			r := presence.DefaultRules()
			r.Location = c.zone
			c.rules(&r)
			if got := came(t, days(t, c.zone, c.first, presence.Sighting{}, c.days), &r); got != c.want {
				t.Errorf(" gave %q\n want %q", got, c.want)
			}
		})
	}
}

// However long and often somebody is here, what is remembered stays short, and is
// gone a month later.
func TestAHabitStaysShort(t *testing.T) {
	r := presence.DefaultRules()
	var d presence.Device
	most := 0
	history := days(t, time.UTC, "2026-01-01", presence.Sighting{}, then(
		daily(60, "5:00-9:00 10:00-23:00"), daily(60, "0:00-24:00"), daily(60, "9:00-13:00 18:00-21:30"),
	))
	clock := presence.Instant(0)
	for _, h := range history {
		clock = h.SeenAt
		d.Tick(clock, &r, nil)
		d.Next(h.Sighting, clock, &r, nil)
		most = max(most, len(d.Habit))
	}
	if most > r.ResidentDays+3 {
		t.Errorf("%d days are remembered", most)
	}
	end := clock
	for d.Known() {
		if clock = max(d.Due(&r), clock+1); clock > end+31*24*60*minute {
			t.Fatalf("a month later %+v is known", d)
		}
		d.Tick(clock, &r, nil)
	}
	if clock < end+90*minute {
		t.Errorf("forgotten at %v, last seen at %v", clock.Time(), end.Time())
	}
}

// Who was here for a few minutes leaves nothing behind, nor who is anonymous.
func TestMostVisitorsAreForgottenWhole(t *testing.T) {
	r := presence.DefaultRules()
	for why, c := range map[string]struct {
		kind  presence.Sighting
		stays string
	}{
		"two clock hours":   {presence.Sighting{}, "9:05-10:55"},
		"a made-up address": {presence.Sighting{Randomised: true}, "9:00-19:00"},
	} {
		var d presence.Device
		for _, a := range arriveByDays(days(t, time.UTC, "2026-06-01", c.kind, []string{c.stays}), 1) {
			if a.tick {
				d.Tick(a.at, &r, nil)
			} else {
				d.Next(a.sighting, a.at, &r, nil)
			}
			if len(d.Habit) > 0 {
				t.Fatalf("%s: %+v is remembered", why, d.Habit)
			}
		}
	}
}

// What a visit was told as it stays, whatever comes late; noon is closed.
func TestAVisitStaysAResidents(t *testing.T) {
	noon := presence.InstantOf(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC))
	r := presence.DefaultRules()
	r.Closed[time.Monday] = 1 << 12
	for _, c := range []struct{ why, history, want string }{
		{"it is told when it ends", "-60@0 -60@6 tick@50", "resident@0 gone@0-6"},
		{"and again when it goes on", "-60@0 -60@6 tick@40 -60@30 tick@80", "resident@0 gone@0-6 gone@0-30"},
		{"also when a candidate before it joins it", "-60@0 a-60@12 tick@14 -60@10.5 tick@80", "resident@12 gone@12-12"},
		{"also when one after it does", "-60@0 -60@6 -60@50 tick@16 -60@20 -60@36 tick@90", "resident@0 gone@0-50"},
		{"an association waits where it may be from before", "a-60@0 a-60@-1 tick@60", "in@-1 out@-1-0"},
		{"a walk-in stays one", "a-60@-3 tick@-1 a-60@0 tick@60", "in@-3 out@-3-0"},
	} {
		if got := play(t, r, noon, c.history); got != c.want {
			t.Errorf("%s: %s\n gave %q\n want %q", c.why, c.history, got, c.want)
		}
	}
}
