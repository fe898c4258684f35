package calibrate

import (
	"testing"
	"time"

	"footfall/events"
	"footfall/lab/recording"
	"footfall/lab/score"
	"footfall/lab/town"
)

func nobody(events.BusinessID, events.DeviceID) bool { return false }

// The static devices of a simulated shop are found, and no guest is.
func TestStaticDevicesOfATown(t *testing.T) {
	made, trace := shop(t, 4, 4, func(c *town.Config) { c.Businesses[0].Statics = 3 })
	static := map[events.DeviceID]bool{}
	for _, s := range made.Statics {
		static[s.Device] = true
	}
	guests := map[events.DeviceID]bool{}
	for _, v := range made.ScoreTruth() {
		guests[v.Device] = true
	}
	found := Residents(trace, nil, WeakestEntry, time.UTC, nobody)
	for _, r := range found {
		if guests[r.Device] {
			t.Errorf("a guest is taken for a resident: %+v", r)
		}
		delete(static, r.Device)
	}
	if len(static) > 0 {
		t.Errorf("static devices %v are not among %+v", static, found)
	}
}

func TestResidents(t *testing.T) {
	const day = 24 * time.Hour
	// Each day is recorded from 8 to 18 o'clock by a device that is too weak to be
	// listed.
	daily := func(device events.DeviceID, rssi events.RSSI, days []int, from, long time.Duration) (all []recording.Item) {
		for _, d := range days {
			all = append(all, stays(device, rssi, time.Duration(d)*day+from, long)...)
		}
		return all
	}
	week := []int{0, 1, 2, 3, 4, 5}
	alone := []score.Span{
		{From: monday.Add(16 * time.Hour), To: monday.Add(18 * time.Hour)},
		{From: monday.Add(day + 16*time.Hour), To: monday.Add(day + 18*time.Hour)},
	}
	for _, c := range []struct {
		why   string
		items []recording.Item
		empty []score.Span
		want  bool
	}{
		{"half of each day", daily("x", -60, week, 8*time.Hour, 5*time.Hour), nil, true},
		{"half of every other day", daily("x", -60, []int{0, 2, 4}, 8*time.Hour, 5*time.Hour), nil, true},
		{"a regular guest for an hour", daily("x", -60, week, 12*time.Hour, time.Hour), nil, false},
		{"a guest who stayed long twice", daily("x", -60, []int{0, 1}, 8*time.Hour, 8*time.Hour), nil, false},
		{"too weak to walk in", daily("x", -88, week, 8*time.Hour, 10*time.Hour), nil, false},
		{"heard on two evenings when nobody is there", daily("x", -60, []int{0, 1}, 16*time.Hour, time.Hour), alone, true},
		{"on one", daily("x", -60, []int{1}, 16*time.Hour, time.Hour), alone, false},
	} {
		trace := load(t, sequence(daily("clock", -95, week, 8*time.Hour, 10*time.Hour), c.items))
		got := Residents(trace, c.empty, WeakestEntry, time.UTC, nobody)
		if found := len(got) == 1 && got[0].Device == "x"; found != c.want || len(got) > 1 {
			t.Errorf("%s: %+v, want it listed: %v", c.why, got, c.want)
		}
		known := Residents(trace, c.empty, WeakestEntry, time.UTC, func(_ events.BusinessID, d events.DeviceID) bool { return d == "x" })
		if len(known) != 0 {
			t.Errorf("%s: a known guest is listed: %+v", c.why, known)
		}
	}
}

// A third of sixteen days is six: a device that is there for five is listed if it is
// there on nearly every day from its first to its last.
func TestResidentDeviceThatWasBroughtLater(t *testing.T) {
	daily := func(device events.DeviceID, rssi events.RSSI, long time.Duration, days ...int) (all []recording.Item) {
		for _, d := range days {
			all = append(all, stays(device, rssi, time.Duration(d)*24*time.Hour+8*time.Hour, long)...)
		}
		return all
	}
	clock := daily("clock", -95, 10*time.Hour, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	for _, c := range []struct {
		why  string
		days []int
		want bool
	}{
		{"it came late", []int{11, 12, 13, 14, 15}, true},
		{"it was taken away", []int{0, 1, 3, 4, 5}, true},
		{"somebody was there for four days", []int{12, 13, 14, 15}, false},
		{"somebody comes every other day", []int{7, 9, 11, 13, 15}, false},
	} {
		got := Residents(load(t, sequence(clock, daily("x", -60, 5*time.Hour, c.days...))), nil, WeakestEntry, time.UTC, nobody)
		if found := len(got) == 1 && got[0].Device == "x"; found != c.want || len(got) > 1 {
			t.Errorf("%s: %+v, want it listed: %v", c.why, got, c.want)
		}
	}
}
