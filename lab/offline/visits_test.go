package offline_test

import (
	"io"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/events"
	"footfall/lab/offline"
	"footfall/lab/recording"
	"footfall/lab/score"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
	"footfall/shared/stage"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// source is a source of items in memory.
type source []recording.Item

func (s *source) Next() (recording.Item, error) {
	if len(*s) == 0 {
		return recording.Item{}, io.EOF
	}
	it := (*s)[0]
	*s = (*s)[1:]
	return it, nil
}

func load(t rapid.TB, items []recording.Item, o offline.Options) *offline.Trace {
	src := source(items)
	trace, err := offline.Load(&src, o)
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

// heard is a sighting of a device so long after noon, which arrives at once.
func heard(device events.DeviceID, after time.Duration, rssi events.RSSI) recording.Item {
	at := noon.Add(after)
	return recording.Item{ArrivedAt: at, Sighting: events.Sighting{
		Business: "shop", Sensor: "door", Device: device, RSSI: rssi, SeenAt: at,
	}}
}

// history draws sightings of a few devices that transmit in bursts, some of which
// arrive late.
func history(t *rapid.T, late time.Duration) []recording.Item {
	var items []recording.Item
	at := noon.Add(9 * time.Hour) // a day ends during the history
	for range rapid.IntRange(1, 60).Draw(t, "sightings") {
		at = at.Add(time.Duration(rapid.OneOf(
			rapid.Int64Range(0, 60_000), rapid.Int64Range(0, 600_000), rapid.Int64Range(0, 3_000_000),
		).Draw(t, "pause")) * time.Millisecond)
		it := recording.Item{ArrivedAt: at, Sighting: events.Sighting{
			Business: "shop", Sensor: "door", Device: rapid.SampledFrom([]events.DeviceID{"a", "b"}).Draw(t, "device"),
			RSSI:       rapid.SampledFrom([]events.RSSI{-60, -65, -70, -75, -80, -90}).Draw(t, "rssi"),
			SeenAt:     at.Add(-time.Duration(rapid.Int64Range(0, late.Milliseconds()).Draw(t, "late")) * time.Millisecond),
			Associated: rapid.IntRange(0, 5).Draw(t, "associated") == 0,
		}}
		it.Sighting.Randomised = it.Sighting.Device == "b"
		items = append(items, it)
	}
	return items
}

// naive decides on every sighting and ticks every minute, as the pipeline does.
func naive(items []recording.Item, r presence.Rules) []score.FoundVisit {
	devices := map[events.DeviceID]*presence.Device{}
	found := map[events.DeviceID][]score.FoundVisit{}
	take := func(id events.DeviceID, told []presence.Event) {
		for _, e := range told {
			if !e.Ended {
				found[id] = append(found[id], score.FoundVisit{Business: "shop", Device: id, Start: e.Start.Time(), ConfirmedAt: e.ConfirmedAt.Time(), Anonymous: e.Anonymous, Resident: e.Resident})
				continue
			}
			for i := range found[id] {
				if v := &found[id][i]; v.Start.Equal(e.Start.Time()) {
					v.End = e.Last.Time()
				}
			}
		}
	}
	clock := items[0].ArrivedAt.Truncate(time.Minute).Add(-time.Minute)
	tick := func(until time.Time) {
		for clock.Before(until.Truncate(time.Minute)) {
			clock = clock.Add(time.Minute)
			for id, d := range devices {
				_, told := d.Tick(presence.InstantOf(clock), &r, nil)
				take(id, told)
			}
		}
	}
	for _, it := range items {
		tick(it.ArrivedAt)
		s := it.Sighting
		d := devices[s.Device]
		if d == nil {
			d = &presence.Device{}
			devices[s.Device] = d
		}
		_, told := d.Next(stage.PresenceSighting(&s), presence.InstantOf(clock), &r, nil)
		take(s.Device, told)
	}
	tick(clock.Add(15 * time.Hour))
	all := slices.Concat(found["a"], found["b"])
	slices.SortStableFunc(all, func(a, b score.FoundVisit) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		return int(a.Device[0]) - int(b.Device[0])
	})
	return all
}

func rules(t *rapid.T) presence.Rules {
	r := presence.DefaultRules()
	r.Entry = rapid.SampledFrom([]int32{-60, -65, -70, -75}).Draw(t, "entry")
	r.Hold = r.Entry - rapid.SampledFrom([]int32{0, 5, 15}).Draw(t, "hold")
	r.MinSpan = time.Duration(rapid.IntRange(0, 10).Draw(t, "dwell")) * time.Minute
	r.Silence = time.Duration(rapid.IntRange(15, 60).Draw(t, "gap")) * time.Minute
	r.ResidentDays, r.ResidentHours = rapid.IntRange(0, 2).Draw(t, "residentDays"), rapid.IntRange(1, 4).Draw(t, "residentHours")
	closed := rapid.SampledFrom([]uint32{0, 0, 3}).Draw(t, "closed")
	for d := range r.Closed {
		r.Closed[d] = closed
	}
	return r
}

// Leaving out repeated sightings, and ticks at which nothing is due, changes no
// visit, to the millisecond.
func TestVisitsEqualThoseOfAllSightingsAndAllTicks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := history(t, 20*time.Minute)
		r := rules(t)
		want := naive(items, r)
		got := load(t, slices.Clone(items), offline.Options{}).Visits(r)
		if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("%d items:\n got %v\nwant %v", len(items), got, want)
		}
	})
}

func TestVisitsEqualThoseOfTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := history(t, 0)
		r := rules(t)
		got := map[events.DeviceID][]bool{} // whether each visit is a resident's
		for _, v := range load(t, slices.Clone(items), offline.Options{}).Visits(r) {
			got[v.Device] = append(got[v.Device], v.Resident)
		}
		for _, device := range []events.DeviceID{"a", "b"} {
			var in []presence.Sighting
			for _, it := range items {
				if s := it.Sighting; s.Device == device {
					in = append(in, stage.PresenceSighting(&s))
				}
			}
			var want []bool
			for _, v := range oracle.Visits(in, r) {
				want = append(want, v.Resident)
			}
			if !slices.Equal(got[device], want) {
				t.Fatalf("device %s: visits of residents %v, the oracle has %v", device, got[device], want)
			}
		}
	})
}

func TestALoginConfirmsAVisit(t *testing.T) {
	login := func(arrived time.Duration) recording.Item {
		return recording.Item{
			ArrivedAt: noon.Add(arrived),
			CRM:       &events.CRMEvent{Login: &events.PortalLogin{Business: "shop", Device: "a", Contact: "ann", At: noon.Add(time.Minute)}},
		}
	}
	for _, c := range []struct {
		why     string
		arrived time.Duration
		want    int
	}{
		{"at once", 2 * time.Minute, 1},
		{"from an archive identify makes no sighting of it", 2 * time.Hour, 0},
	} {
		got := load(t, []recording.Item{heard("a", 0, -60), login(c.arrived)}, offline.Options{}).Visits(presence.DefaultRules())
		if len(got) != c.want {
			t.Errorf("%s: %d visits, want %d", c.why, len(got), c.want)
		}
	}
}

func TestSightingADayAheadIsIgnored(t *testing.T) {
	ahead := heard("a", 25*time.Hour, -60)
	ahead.Sighting.Associated, ahead.ArrivedAt = true, noon
	if got := load(t, []recording.Item{ahead}, offline.Options{}).Visits(presence.DefaultRules()); len(got) != 0 {
		t.Errorf("visits %v", got)
	}
}
