package calibrate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/lab/recording"
	"footfall/lab/score"
	"footfall/shared/business"
)

// stayed returns a true visit, with times relative to the beginning of the
// recording.
func stayed(device events.DeviceID, from, to time.Duration) score.Visit {
	return score.Visit{Business: "shop", Device: device, Enter: monday.Add(from), Leave: monday.Add(to)}
}

func only(known events.DeviceID) func(events.BusinessID, events.DeviceID) bool {
	return func(_ events.BusinessID, d events.DeviceID) bool { return d == known }
}

// crowd are so many visits of as many devices, half an hour apart.
func crowd(n int, rssi events.RSSI, long time.Duration) (all []recording.Item) {
	for i := range n {
		id := events.DeviceID(fmt.Sprintf("at%d-%02d", rssi, i))
		all = append(all, stays(id, rssi, time.Duration(i)*30*time.Minute, long)...)
	}
	return all
}

// A visit with a long silence is split, except by a threshold so strict that the
// customer never walks in again. Splits do not justify such a threshold; false
// walk-ins do. -70 dBm is the default.
func TestStricterEntryOnlyAgainstFalseWalkIns(t *testing.T) {
	split := [][]recording.Item{stays("me", -48, time.Hour, time.Hour), stays("me", -66, 4*time.Hour, time.Hour)}
	outside := stays("me", -66, 9*time.Hour, time.Hour)
	neighbour := stays("neighbour", -68, 30*time.Hour, 30*time.Minute)
	nights := []score.Span{{From: monday.Add(29 * time.Hour), To: monday.Add(329 * time.Hour)}}
	truth := []score.Visit{stayed("me", time.Hour, 5*time.Hour)}
	for _, c := range []struct {
		why     string
		groups  [][]recording.Item
		limit   float64
		between [2]int32
	}{
		{"a split visit", split, 1, [2]int32{WeakestEntry, -70}},
		{"false walk-ins in front of the door", append(slices.Clone(split), outside), 1, [2]int32{-65, loudestEntry}},
		{"a neighbour in empty hours: 3 dB of margin and no more", append(slices.Clone(split), neighbour), 0.1, [2]int32{-64, -64}},
	} {
		known := score.Reference{Truth: truth, Empty: nights, Named: only("me")}
		choice, err := Choose(Input{Trace: load(t, sequence(c.groups...)), Known: known, Base: business.Defaults(), Limit: c.limit})
		if err != nil {
			t.Fatal(err)
		}
		if got := choice.Settings.Entry; got < c.between[0] || got > c.between[1] {
			t.Errorf("%s: entry %d dBm, want it within %v", c.why, got, c.between)
		}
	}
}

// Of a shop full of people one wrote down a visit. The others are not false. Nor are
// they all customers, if a weaker threshold finds more of them without finding more
// of the known visits.
func TestDevicesOutsideTheTruth(t *testing.T) {
	groups := [][]recording.Item{stays("me", -60, time.Hour, time.Hour), crowd(20, -60, 20*time.Minute), crowd(20, -78, 20*time.Minute)}
	known := score.Reference{Truth: []score.Visit{stayed("me", time.Hour, 2*time.Hour)}, Named: only("me")}
	choice, err := Choose(Input{Trace: load(t, sequence(groups...)), Known: known, Base: business.Defaults(), Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := choice.Settings.Entry; got > -70 || got <= -78 {
		t.Errorf("entry %d dBm, want it weak enough for the guests at -60 and too strict for the passers-by at -78", got)
	}
	if why := strings.Join(choice.Why(), " "); !strings.Contains(why, "passers-by") {
		t.Errorf("says %q, want passers-by in it", why)
	}
}

// The address is mistyped, or the times are in seconds: no setting finds such a
// visit, so it means nothing for the settings.
func TestTrueVisitsThatAreNeverHeardAreLeftOut(t *testing.T) {
	trace := load(t, sequence(stays("me", -60, time.Hour, time.Hour), stays("me", -60, 50*time.Hour, time.Minute)))
	heard, other, late := stayed("me", time.Hour, 2*time.Hour), stayed("mistyped", time.Hour, 2*time.Hour), stayed("me", 30*time.Hour, 31*time.Hour)
	for _, c := range []struct {
		why   string
		truth []score.Visit
		says  string
		usual bool
	}{
		{"all of it", []score.Visit{other, late}, "The devices of 2 true visits are never heard", true},
		{"a part", []score.Visit{heard, other}, "The devices of 1 true visits are never heard", false},
		{"heard once, so that no setting finds it", []score.Visit{stayed("me", 49*time.Hour, 51*time.Hour)}, "Chosen on 1 true visits", true},
		{"none", []score.Visit{heard}, "Chosen on 1 true visits", false},
	} {
		choice, err := Choose(Input{Trace: trace, Known: score.Reference{Truth: c.truth}, Base: business.Defaults(), Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if got := choice.Settings.Entry == business.Defaults().Entry; got != c.usual {
			t.Errorf("%s: entry %d dBm, want the usual one: %v", c.why, choice.Settings.Entry, c.usual)
		}
		if why := strings.Join(choice.Why(), " "); !strings.Contains(why, c.says) {
			t.Errorf("%s: says %q, want %q in it", c.why, why, c.says)
		}
	}
}

// Of a few walk-ins more than half must be confirmed in time.
func TestPromptly(t *testing.T) {
	for _, c := range []struct {
		late []int // minutes beyond the dwell
		want bool
	}{
		{[]int{0}, true},
		{[]int{2}, false},
		{[]int{0, 1, 2, 2}, false},
		{[]int{0, 0, 1, 2}, true},
		{[]int{0, 0, 0, 0, 0, 2, 2, 2, 2}, false},
		{[]int{0, 0, 0, 0, 0, 0, 2, 2, 2}, true},
	} {
		var truth []score.Visit
		var found []score.FoundVisit
		for i, late := range c.late {
			v := stayed("me", time.Duration(i)*time.Hour, time.Duration(i)*time.Hour+30*time.Minute)
			truth = append(truth, v)
			found = append(found, score.FoundVisit{
				Business: v.Business, Device: v.Device, Start: v.Enter, End: v.Leave,
				ConfirmedAt: v.Enter.Add(5*time.Minute + time.Duration(late)*time.Minute),
			})
		}
		if got := promptly(score.MeasureTiming(truth, found, score.EqualDwell(5*time.Minute)).Beyond); got != c.want {
			t.Errorf("minutes late %v: %v, want %v", c.late, got, c.want)
		}
	}
}
