package offline_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"footfall/events"
	"footfall/lab/offline"
	"footfall/lab/recording"
	"footfall/lab/score"
	"footfall/shared/presence"
)

func TestOnlyTheSelectedPartIsLoaded(t *testing.T) {
	outside, elsewhere := heard("a", 0, -60), heard("a", 0, -60)
	outside.Sighting.Sensor, elsewhere.Sighting.Business = "street", "cafe"
	items := []recording.Item{outside, elsewhere, heard("a", 0, -61)}
	inside := func(_ events.BusinessID, s events.SensorID) bool { return s == "door" || s == "till" }
	for _, c := range []struct {
		why  string
		o    offline.Options
		want int64
	}{
		{"everything", offline.Options{}, 3},
		{"the sensors of the store", offline.Options{Inside: inside}, 2},
		{"one store of two", offline.Options{Business: "shop"}, 2},
		{"both", offline.Options{Business: "shop", Inside: inside}, 1},
	} {
		trace := load(t, items, c.o)
		if trace.Sightings != c.want || trace.Levels[60]+trace.Levels[61] != c.want {
			t.Errorf("%s: %d sightings, %d of them at -61, want %d", c.why, trace.Sightings, trace.Levels[61], c.want)
		}
	}
	if got := load(t, items, offline.Options{}).Businesses(); !reflect.DeepEqual(got, []events.BusinessID{"cafe", "shop"}) {
		t.Errorf("businesses %v", got)
	}
}

type broken struct{ err error }

func (b broken) Next() (recording.Item, error) { return recording.Item{}, b.err }

func TestLoadReturnsTheErrorOfTheRecording(t *testing.T) {
	torn := errors.New("torn")
	if _, err := offline.Load(broken{torn}, offline.Options{}); !errors.Is(err, torn) {
		t.Errorf("error %v, want %v", err, torn)
	}
}

// A trace that was cut holds nothing of the other part.
func TestCut(t *testing.T) {
	var items []recording.Item
	for m := 0; m < 120; m += 2 {
		items = append(items, heard("a", time.Duration(m)*time.Minute, -60))
	}
	items = append(items, heard("late", 118*time.Minute, -60), heard("late", 126*time.Minute, -60))
	trace := load(t, items, offline.Options{})
	half := noon.Add(time.Hour)
	first, second := trace.Cut(time.Time{}, half), trace.Cut(half, time.Time{})
	v := first.Visits(presence.DefaultRules())
	if len(v) != 1 || !v[0].End.Equal(noon.Add(58*time.Minute)) {
		t.Errorf("the first part has %v, want one visit until 12:58", v)
	}
	v = second.Visits(presence.DefaultRules())
	if len(v) != 2 || !v[0].Start.Equal(half) || v[1].Device != "late" {
		t.Errorf("the second part has %v, want visits from 13:00 and 13:58", v)
	}
	v = second.Without(func(d offline.Device) bool { return d.ID == "a" }).Visits(presence.DefaultRules())
	if len(v) != 1 || v[0].Device != "late" {
		t.Errorf("without a: %v", v)
	}
	want := []score.Span{{From: half, To: noon.Add(135 * time.Minute)}}
	if got := second.Recorded(0); !reflect.DeepEqual(got, want) {
		t.Errorf("recorded %v, want %v", got, want)
	}
}

func TestHeard(t *testing.T) {
	trace := load(t, []recording.Item{heard("a", time.Hour, -99), heard("b", 0, -60)}, offline.Options{})
	for _, c := range []struct {
		why      string
		device   events.DeviceID
		from, to time.Duration
		want     bool
	}{
		{"within", "a", 50 * time.Minute, 70 * time.Minute, true},
		{"a step beside it", "a", 30 * time.Minute, 58 * time.Minute, true},
		{"before it", "a", 30 * time.Minute, 57 * time.Minute, false},
		{"after it", "a", 63 * time.Minute, 90 * time.Minute, false},
		{"another device", "b", 50 * time.Minute, 70 * time.Minute, false},
		{"no device", "c", 0, 70 * time.Minute, false},
	} {
		if got := trace.Heard(trace.Businesses()[0], c.device, noon.Add(c.from), noon.Add(c.to)); got != c.want {
			t.Errorf("%s: %v, want %v", c.why, got, c.want)
		}
	}
}

func TestRecordedSpansEndIfNothingIsHeard(t *testing.T) {
	trace := load(t, []recording.Item{
		heard("a", 0, -90), heard("b", 16*time.Minute, -90), heard("a", 80*time.Minute, -90),
	}, offline.Options{})
	at := func(m int) time.Time { return noon.Add(time.Duration(m) * time.Minute) }
	for _, c := range []struct {
		pause time.Duration
		want  []score.Span
	}{
		{0, []score.Span{{From: at(0), To: at(30)}, {From: at(75), To: at(90)}}},
		{time.Hour, []score.Span{{From: at(0), To: at(90)}}},
	} {
		if got := trace.Recorded(c.pause); !reflect.DeepEqual(got, c.want) {
			t.Errorf("pauses of %v: %v, want %v", c.pause, got, c.want)
		}
	}
}

func TestHoursCountSightingsAtTheLevelOrLouder(t *testing.T) {
	trace := load(t, []recording.Item{
		heard("a", 0, -80), heard("weak", 0, -90), heard("a", 10*time.Minute, -81),
		heard("a", 70*time.Minute, -90), heard("a", 150*time.Minute, -60),
	}, offline.Options{})
	hour := noon.Unix() / 3600
	got := map[events.DeviceID][]int64{}
	trace.Hours(-85, func(d offline.Device, hours []int64) { got[d.ID] = append([]int64{}, hours...) })
	if want := map[events.DeviceID][]int64{"a": {hour, hour + 2}}; !reflect.DeepEqual(got, want) {
		t.Errorf("hours %v, want %v", got, want)
	}
}
