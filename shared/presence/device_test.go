package presence_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the test needs a zone, wherever it runs

	"footfall/shared/presence"
)

// The table writes a history as words: "-60@7" is a sighting at -60 dBm seven
// minutes after the base, "a-60@7" an associated one, "r-60@7" one of a
// randomised address, "tick@40" a tick. They arrive in the order written. What
// comes out is "in@0" for a walk-in whose visit started then, "anon@0" for an
// anonymous one, "out@0-20" for its end; "resident@0" and "gone@0-20" for a visit
// that is no customer's.
func play(t *testing.T, r presence.Rules, begin presence.Instant, words string) string {
	t.Helper()
	var d presence.Device
	var clock presence.Instant
	var told []string
	since := func(i presence.Instant) string { return fmt.Sprint(float64(i-begin) / float64(minute)) }
	for word := range strings.FieldsSeq(words) {
		var out []presence.Event
		what, at, _ := strings.Cut(word, "@")
		minutes := 0.0
		if _, err := fmt.Sscan(at, &minutes); err != nil {
			t.Fatalf("%q: %v", word, err)
		}
		now := begin + presence.Instant(minutes*float64(minute))
		if what == "tick" {
			clock = now
			_, out = d.Tick(now, &r, nil)
		} else {
			in := presence.Sighting{SeenAt: now, Associated: strings.Contains(what, "a"), Randomised: strings.Contains(what, "r")}
			if _, err := fmt.Sscan(strings.TrimLeft(what, "ar"), &in.RSSI); err != nil {
				t.Fatalf("%q: %v", word, err)
			}
			var v presence.Verdict
			v, out = d.Next(in, clock, &r, nil)
			if v.Late {
				told = append(told, "late")
			}
			if v.PasserBy {
				told = append(told, "passer")
			}
		}
		for _, e := range out {
			switch {
			case e.Resident && e.Ended:
				told = append(told, "gone@"+since(e.Start)+"-"+since(e.Last))
			case e.Resident:
				told = append(told, "resident@"+since(e.Start))
			case e.Ended:
				told = append(told, "out@"+since(e.Start)+"-"+since(e.Last))
			case e.Anonymous:
				told = append(told, "anon@"+since(e.Start))
			default:
				told = append(told, "in@"+since(e.Start))
			}
		}
	}
	return strings.Join(told, " ")
}

func TestRules(t *testing.T) {
	cases := []struct{ rule, why, history, want string }{
		{"1", "below the entry threshold nobody comes in", "-71@0 -71@6 -71@12", "passer passer passer"},
		{"1", "at the entry threshold a candidate opens", "-70@0 -70@6", "in@0"},
		{"1", "below the hold threshold nothing is heard", "-86@0", "passer"},
		{"2", "one strong sighting is no visit", "-60@0 tick@60", ""},
		{"2", "two strong ones less than five minutes apart are none", "-60@0 -60@4 tick@60", ""},
		{"2", "two strong ones three steps of the grid apart are one", "-60@0 -60@6", "in@0"},
		{"2", "a gap of ten minutes is allowed", "-60@0 -60@10", "in@0"},
		{"2", "after a longer one the candidate begins anew", "-60@0 -60@12 -60@18", "in@12"},
		{"2", "a weak sighting does not bridge a gap", "-60@0 -80@6 -60@12 tick@60", "passer"},
		{"2", "duplicates add nothing", "-60@0 -60@0 -60@1 -60@1 tick@60", ""},
		{"2", "an associated one confirms at once", "a-60@0", "in@0"},
		{"2", "it confirms a candidate from its start", "-60@0 a-60@2", "in@0"},
		{"2", "a weak association is a passer-by's", "a-80@0", "passer"},
		{"2", "a visit is told once", "-60@0 -60@6 -60@8 a-60@10 -60@20", "in@0"},
		{"3", "weak sightings hold a visit", "-60@0 -60@6 -80@30 -80@58 tick@92", "in@0 out@0-58"},
		{"3", "below the hold threshold they do not", "-60@0 -60@6 -86@20 tick@60", "in@0 out@0-6"},
		{"3", "thirty minutes of silence are still one visit", "-60@0 -60@6 -60@36 tick@70", "in@0 out@0-36"},
		{"3", "more than that are two", "-60@0 -60@6 -60@40 -60@46 tick@80", "in@0 out@0-6 in@40 out@40-46"},
		{"3", "a visit ends when nothing can prolong it any more", "-60@0 -60@6 tick@39 tick@40", "in@0 out@0-6"},
		{"3", "fifteen minutes end one that was always associated", "a-60@0 a-60@6 tick@23 tick@24", "in@0 out@0-6"},
		{"3", "one other sighting makes it thirty", "a-60@0 -60@6 tick@24 tick@40", "in@0 out@0-6"},
		{"3", "the next walk-in needs a new candidate", "-60@0 -60@6 tick@50 -60@51 tick@52", "in@0 out@0-6"},
		{"4", "disorder within two minutes changes nothing", "-60@6 -60@4.5 -60@0.5 -60@0", "in@0.5"},
		{"4", "the middle may come last", "-60@0 -60@12 -60@10.5", "in@0"},
		{"4", "a walk-in waits while the middle may still come", "-60@0 a-60@12 -60@10.5", "in@0"},
		{"4", "and is told when it cannot any more", "-60@0 a-60@12 tick@13 tick@14", "in@12"},
		{"4", "or when the device shows it", "-60@0 a-60@12 a-60@14", "in@12"},
		{"4", "what is fifteen minutes late counts", "tick@15 -60@0 -60@6", "in@0"},
		{"4", "what is later does not", "tick@17 -60@0 -60@1", "late late"},
		{"4", "but in an open visit it does", "-60@0 -60@6 tick@30 -60@10 tick@43", "in@0 late"},
		{"4", "a visit that had ended goes on without a walk-in", "-60@0 -60@6 tick@40 -60@30 tick@70", "in@0 out@0-6 out@0-30"},
		{"4", "the clock is the tick's: a fast router changes nothing", "a-60@600 tick@1 -60@0 -60@6", "in@600 in@0"},
		{"6", "a randomised address is anonymous", "r-60@0 r-60@6", "anon@0"},
		{"6", "unless it associated", "ra-60@0", "in@0"},
	}
	for _, c := range cases {
		t.Run(c.rule+" "+c.why, func(t *testing.T) {
			noon := presence.InstantOf(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC))
			if got := play(t, presence.DefaultRules(), noon, c.history); got != c.want {
				t.Errorf("%s\n gave %q\n want %q", c.history, got, c.want)
			}
		})
	}
}

// Rule 6, on the last minutes of a day.
func TestAnAnonymousStayEndsWithTheDay(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		why, history, want string
		location           *time.Location
		hour               int // UTC, at which the history begins
	}{
		{"it is two people's", "r-60@-10 r-60@-4 r-60@4 r-60@10", "anon@-10 out@-10--4 anon@4", nil, 24},
		{"a known address is one's", "-60@-10 -60@-4 -60@4 -60@10", "in@-10", nil, 24},
		{"one that associated is one's", "ra-60@-10 r-60@-4 r-60@4 r-60@10", "in@-10", nil, 24},
		{"the day is the store's", "r-60@-10 r-60@-4 r-60@4 r-60@10", "anon@-10", berlin, 24},
		{"where midnight is at 23 UTC", "r-60@-10 r-60@-4 r-60@4 r-60@10", "anon@-10 out@-10--4 anon@4", berlin, 23},
	}
	for _, c := range cases {
		t.Run(c.why, func(t *testing.T) {
			r := presence.DefaultRules()
			r.Location = c.location
			midnight := presence.InstantOf(time.Date(2026, 3, 2, c.hour, 0, 0, 0, time.UTC))
			if got := play(t, r, midnight, c.history); got != c.want {
				t.Errorf("%s\n gave %q\n want %q", c.history, got, c.want)
			}
		})
	}
}

// Memory of a device ends: whatever happened, an hour after its last sighting
// counts nothing is kept.
func TestNothingIsKeptForEver(t *testing.T) {
	r := presence.DefaultRules()
	for _, history := range []int{1, 2, 5} {
		var d presence.Device
		at := base
		for range history {
			d.Next(presence.Sighting{SeenAt: at, RSSI: -60}, base, &r, nil)
			at += 6 * minute
		}
		for clock := at; d.Due(&r) != 0; clock = d.Due(&r) {
			if clock > at+2*60*minute {
				t.Fatalf("two hours on, %+v is kept", d.Stays)
			}
			d.Tick(clock, &r, nil)
		}
		if len(d.Stays) != 0 {
			t.Errorf("%d stays are kept, none is due", len(d.Stays))
		}
	}
}

func TestValidateReportsEveryMistakeAtOnce(t *testing.T) {
	bad := presence.Rules{Entry: 5, Hold: 6, MinStrong: 0, MinSpan: -1, MaxGap: 0, Silence: 24 * time.Hour, AssociatedSilence: -1, Lateness: 0, ResidentDays: 29, ResidentHours: 24}
	bad.Closed[time.Tuesday] = 1 << 24
	err := bad.Validate()
	if err == nil {
		t.Fatal("rules without sense are taken")
	}
	for _, field := range []string{"entry", "hold", "candidate gap", "strong step", "span", "associated session gap", "lateness", "resident days", "resident hours", "of Tuesday"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("no word of %s in %q", field, err)
		}
	}
	good := presence.DefaultRules()
	if err := good.Validate(); err != nil {
		t.Errorf("default rules: %v", err)
	}
	good.ResidentDays, good.ResidentHours = 0, 0
	if err := good.Validate(); err != nil {
		t.Errorf("with rule 5 off: %v", err)
	}
}

func BenchmarkNext(b *testing.B) {
	r := presence.DefaultRules()
	var d presence.Device
	var out []presence.Event
	at := base
	b.ReportAllocs()
	for b.Loop() {
		at += 30_000
		_, out = d.Next(presence.Sighting{SeenAt: at, RSSI: -60}, at, &r, out[:0])
	}
}
