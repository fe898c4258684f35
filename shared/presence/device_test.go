package presence_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests need time zones on every machine

	"footfall/shared/presence"
)

// play applies a history, written in words, to a new device and returns the
// decisions as words. Minutes are counted from begin.
//
// A history holds records in the order of their arrival: "-60@7" is a sighting at
// -60 dBm in minute 7, "a-60@7" an associated one, "r-60@7" one of a randomised
// address, "tick@40" a tick. Of router 1 "j1@0" is an association, "k1@5" a poll that
// the device answered, "l1@20" a disassociation. The result has "in@0" for a walk-in whose visit began
// in minute 0, "anon@0" for an anonymous one, "out@0-20" for the end of a visit;
// "resident@0" and "gone@0-20" for a visit of a resident device; "late" and
// "passer" for the verdict on a sighting.
func play(t *testing.T, r presence.Rules, begin presence.Instant, history string) string {
	t.Helper()
	var d presence.Device
	var watermark presence.Instant
	var decisions []string
	since := func(i presence.Instant) string { return fmt.Sprint(float64(i-begin) / float64(minute)) }
	for word := range strings.FieldsSeq(history) {
		var out []presence.Event
		kind, after, _ := strings.Cut(word, "@")
		minutes := 0.0
		if _, err := fmt.Sscan(after, &minutes); err != nil {
			t.Fatalf("%q: %v", word, err)
		}
		moment := begin + presence.Instant(minutes*float64(minute))
		if kind == "tick" {
			watermark = moment
			_, out = d.Tick(watermark, &r, nil)
		} else {
			in := parseSighting(t, kind)
			in.SeenAt = moment
			var v presence.Verdict
			v, out = d.Next(in, watermark, &r, nil)
			if v.Late {
				decisions = append(decisions, "late")
			}
			if v.PasserBy {
				decisions = append(decisions, "passer")
			}
		}
		for _, e := range out {
			switch {
			case e.Resident && e.Ended:
				decisions = append(decisions, "gone@"+since(e.Start)+"-"+since(e.Last))
			case e.Resident:
				decisions = append(decisions, "resident@"+since(e.Start))
			case e.Ended:
				decisions = append(decisions, "out@"+since(e.Start)+"-"+since(e.Last))
			case e.Anonymous:
				decisions = append(decisions, "anon@"+since(e.Start))
			default:
				decisions = append(decisions, "in@"+since(e.Start))
			}
		}
	}
	return strings.Join(decisions, " ")
}

// parseSighting returns the sighting of a word of a history, without its moment.
func parseSighting(t *testing.T, kind string) presence.Sighting {
	t.Helper()
	if report, ok := map[byte]presence.Report{'j': presence.Joined, 'k': presence.Alive, 'l': presence.Left}[kind[0]]; ok {
		in := presence.Sighting{Associated: true, Report: report, Router: presence.RouterHash(kind[1:])}
		if report != presence.Joined {
			in.RSSI = -127 // whatever its signal
		}
		return in
	}
	in := presence.Sighting{Associated: strings.Contains(kind, "a"), Randomised: strings.Contains(kind, "r")}
	if _, err := fmt.Sscan(strings.TrimLeft(kind, "ar"), &in.RSSI); err != nil {
		t.Fatalf("%q: %v", kind, err)
	}
	return in
}

// The rules of a visit, one case per property, with the default rules. The cases
// that name a function are the worked sequences in the comments of the functions.
func TestRules(t *testing.T) {
	cases := []struct{ rule, property, history, want string }{
		{"entry threshold", "a sighting below it opens no candidate", "-71@0 -71@6 -71@12", "passer passer passer"},
		{"entry threshold", "a sighting at it opens a candidate", "-70@0 -70@6", "in@0"},
		{"entry threshold", "a sighting below the hold threshold is a passer-by too", "-86@0", "passer"},

		{"confirmation", "one strong sighting is no visit", "-60@0 tick@60", ""},
		{"confirmation", "two strong sightings less than five minutes apart are no visit", "-60@0 -60@4 tick@60", ""},
		{"confirmation", "two strong sightings five minutes apart are a visit", "-60@0 -60@5", "in@0"},
		{"confirmation", "wherever in a step they lie", "-60@1.9 -60@6.9", "in@1.9"},
		{"confirmation", "a moment less is not enough", "-60@1.9 -60@6.89 tick@60", ""},
		{"confirmation", "the earliest and the latest sighting of a step count", "-60@1.9 -60@1.5 -60@6.1 -60@6.5", "in@1.5"},
		{"confirmation", "a gap of ten minutes is allowed", "-60@0 -60@10", "in@0"},
		{"confirmation", "a strong sighting after a longer gap opens another candidate", "-60@0 -60@12 -60@18", "in@12"},
		{"confirmation", "a weak sighting does not close a gap", "-60@0 -80@6 -60@12 tick@60", "passer"},
		{"confirmation", "duplicates add nothing", "-60@0 -60@0 -60@1 -60@1 tick@60", ""},
		{"confirmation", "an associated strong sighting confirms at once", "a-60@0", "in@0"},
		{"confirmation", "an associated strong sighting confirms a candidate from its start on", "-60@0 a-60@2", "in@0"},
		{"confirmation", "a weak associated sighting is a passer-by", "a-80@0", "passer"},
		{"confirmation", "a visit is confirmed once", "-60@0 -60@6 -60@8 a-60@10 -60@20", "in@0"},

		{"session gap", "weak sightings extend a visit", "-60@0 -60@6 -80@30 -80@58 tick@92", "in@0 out@0-58"},
		{"session gap", "sightings below the hold threshold do not", "-60@0 -60@6 -86@20 tick@60", "in@0 out@0-6"},
		{"session gap", "a visit goes on after thirty minutes", "-60@0 -60@6 -60@36 tick@70", "in@0 out@0-36"},
		{"session gap", "a longer gap parts two visits", "-60@0 -60@6 -60@40 -60@46 tick@80", "in@0 out@0-6 in@40 out@40-46"},
		{"session gap", "a visit ends when no sighting can extend it any more", "-60@0 -60@6 tick@39 tick@40", "in@0 out@0-6"},
		{"session gap", "it is fifteen minutes if all sightings were associated", "a-60@0 a-60@6 tick@25 tick@26", "in@0 out@0-6"},
		{"session gap", "it is never shorter than fifteen minutes", "a-60@1.99 a-60@16.98 tick@60", "in@1.99 out@1.99-16.98"},
		{"session gap", "it is up to three minutes longer", "a-60@0 a-60@18 tick@60", "in@0 out@0-0 in@18 out@18-18"},
		{"session gap", "the end is the latest sighting of its step", "-60@0 -60@6 -80@20 -80@21 -80@20.5 tick@60", "in@0 out@0-21"},
		{"session gap", "it is thirty minutes if one sighting was not", "a-60@0 -60@6 tick@24 tick@40", "in@0 out@0-6"},
		{"session gap", "the next walk-in takes another confirmation", "-60@0 -60@6 tick@50 -60@51 tick@52", "in@0 out@0-6"},

		{"session", "it holds the visit open while the router reports nothing", "j1@0 -60@300 l1@310 tick@343 tick@344", "in@0 out@0-310"},
		{"session", "the visit ends after the session gap from the disassociation", "j1@0 l1@21 tick@39 tick@40", "in@0 out@0-21"},
		{"session", "a device that comes back within the session gap has one visit", "j1@0 l1@21 j1@30 l1@40 tick@60", "in@0 out@0-40"},
		{"session", "a device that roams has one visit", "j1@0 l1@20.99 j2@21 l2@50 tick@70", "in@0 out@0-50"},
		{"session", "only the router of the latest association closes it", "j1@0 j2@30 l1@35 -60@120 l2@130 tick@170", "in@0 out@0-130"},
		{"session", "associations in any order: the latest decides", "j2@30 j1@29 l2@35 tick@53 tick@54", "in@30 out@30-35"},
		{"session", "a disassociation in the first two steps closes it, and extends nothing", "j1@0 l1@1 tick@19 tick@20", "in@0 out@0-0"},
		{"session", "a disassociation in the second of the association does not", "l1@0 j1@0 l1@0 a-60@60 l1@70 tick@90", "passer in@0 out@0-70"},
		{"session", "a duplicate opens no closed session", "j1@0 l1@10 j1@0 l1@10 tick@40", "in@0 out@0-10"},
		{"session", "without a disassociation it ends after twelve hours", "j1@0 tick@723 tick@724", "in@0 out@0-0"},
		{"session", "an answered poll extends the visit", "j1@0 k1@5 k1@600 l1@601 tick@640", "in@0 out@0-601"},
		{"session", "a driver that polls a device that is gone does so within twelve hours", "j1@0 k1@700 k1@721.9 k1@722 tick@780", "in@0 out@0-721.9"},
		{"session", "a poll more than a step after the disassociation does not count", "j1@0 l1@20 k1@24 k1@30 tick@60", "in@0 out@0-20"},
		{"session", "a poll or a disassociation opens no visit", "k1@0 l1@5 tick@60", "passer passer"},

		{"disorder", "two minutes of it change nothing", "-60@6 -60@4.5 -60@0.5 -60@0", "in@0.5"},
		{"disorder", "the sighting in the middle may arrive last", "-60@0 -60@12 -60@10.5", "in@0"},
		{"disorder", "a candidate waits while one in the middle may still arrive", "-60@0 a-60@12 -60@10.5", "in@0"},
		{"disorder", "a tick shows that none can arrive any more", "-60@0 a-60@12 tick@13 tick@14", "in@12"},
		{"disorder", "a later sighting shows the same", "-60@0 a-60@12 a-60@14", "in@12"},

		{"disorder", "a sighting fifteen minutes behind the watermark counts", "tick@15 -60@0 -60@6", "in@0"},
		{"disorder", "a sighting further behind the watermark does not count", "tick@17 -60@0 -60@1", "late late"},
		{"disorder", "such a sighting counts inside an open visit", "-60@0 -60@6 tick@30 -60@10 tick@43", "in@0 late"},
		{"disorder", "a visit that had ended goes on and has one walk-in", "-60@0 -60@6 tick@40 -60@30 tick@70", "in@0 out@0-6 out@0-30"},
		{"disorder", "of two visits that a late sighting reaches it belongs to the later", "-60@0 -60@6 tick@40 -60@40 -60@46 -60@30 tick@80", "in@0 out@0-6 in@40 out@40-46"},
		{"disorder", "only ticks move the watermark, not a router with a fast clock", "a-60@600 tick@1 -60@0 -60@6", "in@600 in@0"},

		{"anonymous day", "the walk-in of a randomised address is anonymous", "r-60@0 r-60@6", "anon@0"},
		{"anonymous day", "the walk-in of one that associated is not", "ra-60@0", "in@0"},

		{"Next", "settles before it adds a sighting", "-60@0 a-60@12 -60@13 -80@40 tick@80", "in@12 out@12-40"},
		{"Tick", "settles again after it forgot a stay", "-60@0 a-60@12 tick@14 -60@30 a-60@1 tick@32 tick@34 tick@47 tick@64", "in@12 in@0 out@12-12 out@0-1 out@0-30"},
		{"settle", "merges before it confirms", "-60@0 -60@12 -60@10.5 tick@60", "in@0 out@0-12"},
		{"settle", "merges again after each confirmation", "-60@0 a-60@12 a-60@1 tick@14 tick@60", "in@0 out@0-12"},
		{"mayJoin", "the stay before ends one step out of reach", "a-60@0 a-60@18 a-60@16.5 tick@90", "in@0 out@0-18"},
		{"weak", "counts for nothing in the first two steps", "a-60@0 -80@1 a-60@18 tick@20 tick@38", "in@0 out@0-0 in@18 out@18-18"},
		{"weak", "counts for nothing before the first step", "-80@1 a-60@0 a-60@18 tick@20 tick@38", "passer in@0 out@0-0 in@18 out@18-18"},
		{"weak", "a candidate may be part of the stay before", "a-60@1 a-60@18 -80@18.5 a-60@17.5 a-60@36.5 tick@120", "in@1 passer out@1-36.5"},
		{"mayReach", "one step out of reach of a visit", "a-60@0 -80@18 a-60@17.5 -60@34 tick@120", "in@0 passer out@0-34"},
		{"mayReach", "a candidate keeps a weak sighting", "-60@1 -80@10.5 a-60@9.5 a-60@40 tick@120", "passer in@1 out@1-40"},
		{"merge", "keeps the walk-in of the visit after", "-60@0 a-60@12 tick@14 -60@10.5 tick@80", "in@12 out@12-12"},
		{"merge", "a visit that had ended goes on", "-60@0 -60@6 tick@40 -60@48 -60@30 tick@100", "in@0 out@0-6 out@0-48"},
		{"merge", "both stays end in the same step", "a-60@1 -60@19 -80@19 -80@17.5 tick@120", "in@1 passer out@1-19"},
	}
	for _, c := range cases {
		t.Run(c.rule+": "+c.property, func(t *testing.T) {
			noon := presence.InstantOf(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC))
			if got := play(t, presence.DefaultRules(), noon, c.history); got != c.want {
				t.Errorf("%s\n got  %q\n want %q", c.history, got, c.want)
			}
		})
	}
}

// Anonymous day: what happens to a stay in the last minutes of a day.
func TestAnonymousStayEndsWithTheDay(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	inBerlin := func(r *presence.Rules) { r.Location = berlin }
	confirmsAtOnce := func(r *presence.Rules) { r.MinStrong, r.MinSpan, r.ResidentDays = 1, 0, 0 }
	cases := []struct {
		property, history, want string
		rules                   func(*presence.Rules)
		hour                    int // UTC, at which the history begins
	}{
		{"an anonymous address has a visit on each day", "r-60@-10 r-60@-4 r-60@4 r-60@10", "anon@-10 out@-10--4 anon@4", nil, 24},
		{"an address that is not randomised has one visit", "-60@-10 -60@-4 -60@4 -60@10", "in@-10", nil, 24},
		{"a randomised address that associated has one visit", "ra-60@-10 r-60@-4 r-60@4 r-60@10", "in@-10", nil, 24},
		{"midnight UTC ends no day in Berlin", "r-60@-10 r-60@-4 r-60@4 r-60@10", "anon@-10", inBerlin, 24},
		{"23:00 UTC does", "r-60@-10 r-60@-4 r-60@4 r-60@10", "anon@-10 out@-10--4 anon@4", inBerlin, 23},
		{"mayReach: a weak sighting in the first step of the next day counts if the stay is not anonymous after all", "r-60@-8 r-60@-2 r-80@1 ra-60@-0.5 r-60@30.5 tick@120", "anon@-8 passer out@-8-30.5", nil, 24},
		{"mayJoin: a candidate waits while only midnight parts it from the stay after", "r-60@0 r-60@-2 ra-60@-1 tick@90", "anon@0 out@0-0", confirmsAtOnce, 24},
	}
	for _, c := range cases {
		t.Run(c.property, func(t *testing.T) {
			r := presence.DefaultRules()
			if c.rules != nil {
				c.rules(&r)
			}
			midnight := presence.InstantOf(time.Date(2026, 3, 2, c.hour, 0, 0, 0, time.UTC))
			if got := play(t, r, midnight, c.history); got != c.want {
				t.Errorf("%s\n got  %q\n want %q", c.history, got, c.want)
			}
		})
	}
}

// The worked sequence of Tick: the tick that forgets a stay also merges the stays
// that it kept apart, and reports a change, so that the merge is written.
func TestTickMergesStaysThatAForgottenOneKeptApart(t *testing.T) {
	r := presence.DefaultRules()
	noon := presence.InstantOf(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC))
	var d presence.Device
	var watermark presence.Instant
	next := func(minutes presence.Instant, associated bool) {
		d.Next(presence.Sighting{SeenAt: noon + minutes*minute, RSSI: -60, Associated: associated}, watermark, &r, nil)
	}
	tick := func(minutes presence.Instant) (changed bool) {
		watermark = noon + minutes*minute
		changed, _ = d.Tick(watermark, &r, nil)
		return changed
	}
	next(0, false) // candidate A
	next(12, true) // candidate B
	tick(14)       // confirms B
	next(30, false)
	next(1, true) // confirms A, with B between A and the candidate of 12:30
	tick(32)
	tick(34)
	if tick(46) || len(d.Stays) != 3 {
		t.Fatalf("before B is forgotten: got %d stays %+v, want 3 and no change", len(d.Stays), d.Stays)
	}
	if due := d.Due(&r); due != noon+47*minute {
		t.Errorf("due at %v, want 12:47", due.Time())
	}
	if !tick(47) || len(d.Stays) != 1 {
		t.Errorf("when B is forgotten: got %d stays %+v, want 1 and a change", len(d.Stays), d.Stays)
	}
}

// The state of a device ends: two hours after the last sighting none is left,
// whatever the history.
func TestStateOfADeviceEnds(t *testing.T) {
	r := presence.DefaultRules()
	for _, sightings := range []int{1, 2, 5} {
		var d presence.Device
		seenAt := base
		for range sightings {
			d.Next(presence.Sighting{SeenAt: seenAt, RSSI: -60}, base, &r, nil)
			seenAt += 6 * minute
		}
		for watermark := seenAt; d.Due(&r) != 0; watermark = d.Due(&r) {
			if watermark > seenAt+2*60*minute {
				t.Fatalf("two hours after the last sighting: got %+v, want no stay", d.Stays)
			}
			d.Tick(watermark, &r, nil)
		}
		if len(d.Stays) != 0 {
			t.Errorf("no tick is due: got %d stays, want none", len(d.Stays))
		}
	}
}

// Validate lists every mistake, not only the first.
func TestValidateReportsEveryMistakeAtOnce(t *testing.T) {
	bad := presence.Rules{Entry: 5, Hold: 6, MinStrong: 0, MinSpan: -1, MaxGap: 0, Silence: 24 * time.Hour, AssociatedSilence: -1, MaxSession: -1, Lateness: 0, ResidentDays: 29, ResidentHours: 24}
	bad.Closed[time.Tuesday] = 1 << 24
	err := bad.Validate()
	if err == nil {
		t.Fatal("got no error for rules with every field out of range")
	}
	for _, field := range []string{"entry", "hold", "candidate gap", "strong step", "span", "associated session gap", "longest session", "lateness", "resident days", "resident hours", "of Tuesday"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("got %q, want %q in it", err, field)
		}
	}
	good := presence.DefaultRules()
	if err := good.Validate(); err != nil {
		t.Errorf("default rules: %v", err)
	}
	good.ResidentDays, good.ResidentHours = 0, 0
	if err := good.Validate(); err != nil {
		t.Errorf("no resident devices learnt: %v", err)
	}
}

func BenchmarkNext(b *testing.B) {
	r := presence.DefaultRules()
	var d presence.Device
	var out []presence.Event
	seenAt := base
	b.ReportAllocs()
	for b.Loop() {
		seenAt += 30_000
		_, out = d.Next(presence.Sighting{SeenAt: seenAt, RSSI: -60}, seenAt, &r, out[:0])
	}
}
