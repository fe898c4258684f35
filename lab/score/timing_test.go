package score

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

// told returns a found visit whose walk-in was confirmed a number of minutes after
// noon.
func told(start, tell, end int) FoundVisit {
	f := found(start, end)
	f.ConfirmedAt = at(tell)
	return f
}

func TestMeasureTiming(t *testing.T) {
	const m = time.Minute
	for _, c := range []struct {
		why                       string
		truth                     []Visit
		found                     []FoundVisit
		start, tell, beyond, exit time.Duration // medians
		arrivals, exits           int           // compared
	}{
		{why: "nothing at all"},
		{
			"told when the dwell is over, gone before the phone falls silent",
			[]Visit{visit(0, 30)},
			[]FoundVisit{told(1, 6, 33)},
			1 * m, 6 * m, 1 * m, 3 * m, 1, 1,
		},
		{
			"told within the dwell is what the rule asks for",
			[]Visit{visit(0, 30)},
			[]FoundVisit{told(-3, 2, 30)},
			3 * m, 2 * m, 0, 0, 1, 1,
		},
		{
			"told before anybody came in is an error, not a head start",
			[]Visit{visit(10, 30)},
			[]FoundVisit{told(0, 6, 30)},
			10 * m, 4 * m, 4 * m, 0, 1, 1,
		},
		{
			"the first part of a split visit has the arrival, the last one the exit",
			[]Visit{visit(0, 90)},
			[]FoundVisit{told(60, 65, 88), told(2, 7, 20)},
			2 * m, 7 * m, 2 * m, 2 * m, 1, 1,
		},
		{
			"of a merged one only the outer ends are compared",
			[]Visit{visit(0, 20), visit(30, 50)},
			[]FoundVisit{told(1, 6, 49)},
			1 * m, 6 * m, 1 * m, 1 * m, 1, 1,
		},
		{
			"what is missed or false has no error",
			[]Visit{visit(0, 20)},
			[]FoundVisit{told(30, 35, 50)},
			0, 0, 0, 0, 0, 0,
		},
		{
			"an open visit has no exit",
			[]Visit{visit(0, 20)},
			[]FoundVisit{{Business: "shop", Device: "phone", Start: at(1), ConfirmedAt: at(6)}},
			1 * m, 6 * m, 1 * m, 0, 1, 0,
		},
	} {
		g := MeasureTiming(c.truth, c.found, EqualDwell(5*m))
		if g.Start.Median != c.start || g.Confirmed.Median != c.tell || g.Beyond.Median != c.beyond || g.Exit.Median != c.exit {
			t.Errorf("%s: %v, %v, %v and %v; want %v, %v, %v and %v", c.why,
				g.Start.Median, g.Confirmed.Median, g.Beyond.Median, g.Exit.Median, c.start, c.tell, c.beyond, c.exit)
		}
		if g.Start.N != c.arrivals || g.Confirmed.N != c.arrivals || g.Exit.N != c.exits {
			t.Errorf("%s: %d arrivals, %d told, %d exits; want %d and %d", c.why, g.Start.N, g.Confirmed.N, g.Exit.N, c.arrivals, c.exits)
		}
	}
}

// A found visit without a time of confirmation is not counted as confirmed in 1970.
func TestTimingWithoutTimesOfConfirmation(t *testing.T) {
	g := MeasureTiming([]Visit{visit(0, 20)}, []FoundVisit{found(1, 20)}, EqualDwell(time.Minute))
	if g.Confirmed.N != 0 || g.Beyond.N != 0 || g.Start.N != 1 {
		t.Errorf("%d told, %d beyond, %d starts; want 0, 0 and 1", g.Confirmed.N, g.Beyond.N, g.Start.N)
	}
}

func TestSpread(t *testing.T) {
	var off []time.Duration
	for i := range 10 {
		off = append(off, time.Duration(10-i)*time.Minute) // 1 to 10 minutes
	}
	off[0] = -off[0] // the 10 is early
	s := spread(off)
	if s.Median != 5*time.Minute || s.P90 != 9*time.Minute || s.Bias != 4*time.Minute {
		t.Errorf("median %v, p90 %v, bias %v; want 5m, 9m and 4m", s.Median, s.P90, s.Bias)
	}
	// 1+2+3+4 minutes of 4, and six times one.
	if got, want := s.Weight(4*time.Minute), 2.5+6; math.Abs(got-want) > 1e-9 {
		t.Errorf("weight %v, want %v", got, want)
	}
	text, err := json.Marshal(s)
	if want := `{"n":10,"median_s":300,"p90_s":540,"bias_s":240}`; err != nil || string(text) != want {
		t.Errorf("JSON %s (%v), want %s", text, err, want)
	}
}
