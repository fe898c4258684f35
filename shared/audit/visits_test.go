package audit

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
)

// partition is a history of a partition of sightings as records: three days of
// a few devices, of which one may hardly ever be silent, each record up to some
// minutes late and some too late, with a tick every ten minutes.
func partition(t *rapid.T) []*kgo.Record {
	var all []arrival
	add := func(arrives time.Time, key string, event any) {
		value, err := events.Encode(nil, event)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, arrival{arrives, &kgo.Record{Topic: events.Sightings, Key: []byte(key), Value: value}})
	}
	const last = 3 * day
	for m := 0; m <= last; m += 10 {
		add(at(m), "tick", &events.Tick{At: at(m)})
	}
	for d := range rapid.IntRange(1, 3).Draw(t, "devices") {
		device := events.DeviceID(fmt.Sprint("device", d))
		if rapid.IntRange(0, 3).Draw(t, "never leaves") == 0 {
			// It is associated but at first, which makes its visit survive pauses
			// that would end it.
			for m, first := 0, true; m < last; m, first = m+rapid.IntRange(5, 25).Draw(t, "pause"), false {
				add(at(m), "cafe/"+string(device), &events.Sighting{Business: "cafe", Sensor: "door", Device: device, SeenAt: at(m), RSSI: -60, Associated: !first})
				if first {
					add(at(m+6), "cafe/"+string(device), &events.Sighting{Business: "cafe", Sensor: "door", Device: device, SeenAt: at(m + 6), RSSI: -60})
				}
			}
			continue
		}
		longest := rapid.SampledFrom([]int{29, 40, 400, 2000}).Draw(t, "longest pause")
		randomised := rapid.Bool().Draw(t, "randomised")
		for m := rapid.IntRange(0, 300).Draw(t, "begins"); m < last; m += rapid.IntRange(1, longest).Draw(t, "pause") {
			late := rapid.SampledFrom([]int{0, 0, 0, 1, 2, 14, 16, 40}).Draw(t, "late")
			add(at(m+late), "cafe/"+string(device), &events.Sighting{
				Business: "cafe", Sensor: "door", Device: device, SeenAt: at(m), Randomised: randomised,
				RSSI:       events.RSSI(rapid.SampledFrom([]int{-60, -60, -80, -90}).Draw(t, "rssi")),
				Associated: rapid.IntRange(0, 9).Draw(t, "associated") == 0,
			})
			if longest == 2000 && rapid.Bool().Draw(t, "stays") {
				for range 4 {
					m += 3
					add(at(m), "cafe/"+string(device), &events.Sighting{Business: "cafe", Sensor: "door", Device: device, SeenAt: at(m), RSSI: -60, Randomised: randomised})
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b arrival) int { return a.at.Compare(b.at) })
	records := make([]*kgo.Record, len(all))
	for i, a := range all {
		a.record.Offset = int64(i)
		records[i] = a.record
	}
	return records
}

type arrival struct {
	at     time.Time
	record *kgo.Record
}

// soonLearnt are rules by which a device is a resident's after one long visit.
func soonLearnt() presence.Rules {
	r := presence.DefaultRules()
	r.ResidentHours, r.ResidentDays = 2, 1
	return r
}

// recounted gives the visits that are found from a record on.
func recounted(t *rapid.T, records []*kgo.Record, first int) (visits []Visit, known Coverage) {
	c := &recount{in: Input{Rules: soonLearnt()}, each: func(v Visit) { visits = append(visits, v) }}
	c.begin(first > 0, false)
	for _, r := range records[first:] {
		if err := c.take(r); err != nil {
			t.Fatal(err)
		}
	}
	c.sweep(true)
	slices.SortFunc(visits, func(a, b Visit) int { return cmp.Or(cmp.Compare(a.Device, b.Device), a.Start.Compare(b.Start)) })
	return visits, c.known()
}

// Letting go of devices on the way changes nothing: the visits are those that
// the oracle finds in the whole partition at once.
func TestRecountIsWhatTheOracleFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := partition(t)
		var all []oracle.Record
		for _, r := range records {
			var e events.SightingsRecord
			if err := events.DecodeSightings(r.Key, r.Value, &e); err != nil {
				t.Fatal(err)
			}
			if e.IsTick {
				all = append(all, oracle.Record{Tick: presence.InstantOf(e.Tick.At)})
				continue
			}
			all = append(all, oracle.Record{Device: string(r.Key), Sighting: presence.Sighting{
				SeenAt: presence.InstantOf(e.Sighting.SeenAt), RSSI: int32(e.Sighting.RSSI),
				Associated: e.Sighting.Associated, Randomised: e.Sighting.Randomised,
			}})
		}
		var want []Visit
		byDevice, _ := oracle.PartitionVisits(all, soonLearnt())
		for device, visits := range byDevice {
			for _, v := range visits {
				if !v.Resident {
					want = append(want, Visit{Device: device, Start: v.Start.Time(), Last: v.Last.Time()})
				}
			}
		}
		slices.SortFunc(want, func(a, b Visit) int { return cmp.Or(cmp.Compare(a.Device, b.Device), a.Start.Compare(b.Start)) })
		got, known := recounted(t, records, 0)
		if !slices.Equal(got, want) {
			t.Fatalf("found\n%v\nthe oracle has\n%v", got, want)
		}
		if !known.Since.IsZero() {
			t.Fatalf("known since %v, want from the beginning", known.Since)
		}
	})
}

// A recount that begins anywhere finds, of the visits that it says it knows,
// the same as one that begins at the beginning, but for those of which it says that
// they may be a resident's.
func TestRecountFromTheMiddleKnowsWhatItKnows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := partition(t)
		whole, _ := recounted(t, records, 0)
		part, known := recounted(t, records, rapid.IntRange(1, len(records)-1).Draw(t, "first"))
		unsure := map[string]Visit{}
		for _, v := range part {
			if v.Uncertain {
				unsure[v.Device] = v
			}
		}
		var got []Visit
		for _, v := range part {
			told := Visit{Device: v.Device, Start: v.Start, Last: v.Last}
			if !v.Uncertain && !v.Start.Before(known.Since) && (!v.MaybeResident || slices.Contains(whole, told)) {
				got = append(got, told)
			}
		}
		want := slices.DeleteFunc(slices.Clone(whole), func(v Visit) bool {
			u, ok := unsure[v.Device]
			return v.Start.Before(known.Since) || ok && !v.Start.After(u.Until)
		})
		if !slices.Equal(got, want) {
			t.Fatalf("known since %v, found\n%v\nthe whole has\n%v\nunsure %v", known.Since, got, want, unsure)
		}
	})
}
