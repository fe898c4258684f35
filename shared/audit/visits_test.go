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
	"footfall/shared/stage"
)

// drawPartition draws the records of a partition of sightings: three days of up to
// three devices, with a tick every ten minutes. Records are up to some minutes late,
// and a few are too late to count. A device may never pause.
func drawPartition(t *rapid.T) []*kgo.Record {
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
		add(afterNoon(m), "tick", &events.Tick{At: afterNoon(m)})
	}
	for d := range rapid.IntRange(1, 3).Draw(t, "devices") {
		device := events.DeviceID(fmt.Sprint("device", d))
		if rapid.IntRange(0, 3).Draw(t, "never leaves") == 0 {
			// The device is associated, except in its first two sightings: its visit
			// goes on through pauses that end the visit of an associated device.
			for m, first := 0, true; m < last; m, first = m+rapid.IntRange(5, 25).Draw(t, "pause"), false {
				add(afterNoon(m), "cafe/"+string(device), &events.Sighting{Business: "cafe", Sensor: "door", Device: device, SeenAt: afterNoon(m), RSSI: -60, Associated: !first})
				if first {
					add(afterNoon(m+6), "cafe/"+string(device), &events.Sighting{Business: "cafe", Sensor: "door", Device: device, SeenAt: afterNoon(m + 6), RSSI: -60})
				}
			}
			continue
		}
		longest := rapid.SampledFrom([]int{29, 40, 400, 2000}).Draw(t, "longest pause")
		randomised := rapid.Bool().Draw(t, "randomised")
		for m := rapid.IntRange(0, 300).Draw(t, "begins"); m < last; m += rapid.IntRange(1, longest).Draw(t, "pause") {
			late := rapid.SampledFrom([]int{0, 0, 0, 1, 2, 14, 16, 40}).Draw(t, "late")
			add(afterNoon(m+late), "cafe/"+string(device), &events.Sighting{
				Business: "cafe", Sensor: "door", Device: device, SeenAt: afterNoon(m), Randomised: randomised,
				RSSI:       events.RSSI(rapid.SampledFrom([]int{-60, -60, -80, -90}).Draw(t, "rssi")),
				Associated: rapid.IntRange(0, 9).Draw(t, "associated") == 0,
			})
			if longest == 2000 && rapid.Bool().Draw(t, "stays") {
				for range 4 {
					m += 3
					add(afterNoon(m), "cafe/"+string(device), &events.Sighting{Business: "cafe", Sensor: "door", Device: device, SeenAt: afterNoon(m), RSSI: -60, Randomised: randomised})
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

// arrival is a record with the time at which it arrives in the topic.
type arrival struct {
	at     time.Time
	record *kgo.Record
}

// quickLearningRules returns rules by which a device is a resident device after one
// long visit.
func quickLearningRules() presence.Rules {
	r := presence.DefaultRules()
	r.ResidentHours, r.ResidentDays = 2, 1
	return r
}

// recounted returns the visits of a recount that begins at records[first].
func recounted(t *rapid.T, records []*kgo.Record, first int) (visits []Visit, covered Coverage) {
	c := &recount{in: Input{Rules: quickLearningRules()}, each: func(v Visit) { visits = append(visits, v) }}
	c.begin(first > 0, false)
	for _, r := range records[first:] {
		if err := c.take(r); err != nil {
			t.Fatal(err)
		}
	}
	c.sweep(true)
	slices.SortFunc(visits, func(a, b Visit) int { return cmp.Or(cmp.Compare(a.Device, b.Device), a.Start.Compare(b.Start)) })
	return visits, c.covered()
}

// A recount, which decides on devices and drops them while it reads, finds the same
// visits as the oracle in the whole partition at once.
func TestRecountFindsTheVisitsOfTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := drawPartition(t)
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
			all = append(all, oracle.Record{Device: string(r.Key), Sighting: stage.PresenceSighting(&e.Sighting)})
		}
		var want []Visit
		byDevice, _ := oracle.PartitionVisits(all, quickLearningRules())
		for device, visits := range byDevice {
			for _, v := range visits {
				if !v.Resident {
					want = append(want, Visit{Device: device, Start: v.Start.Time(), Last: v.Last.Time()})
				}
			}
		}
		slices.SortFunc(want, func(a, b Visit) int { return cmp.Or(cmp.Compare(a.Device, b.Device), a.Start.Compare(b.Start)) })
		got, covered := recounted(t, records, 0)
		if !slices.Equal(got, want) {
			t.Fatalf("got\n%v\nwant, by the oracle,\n%v", got, want)
		}
		if !covered.Since.IsZero() {
			t.Fatalf("coverage since %v, want from the beginning", covered.Since)
		}
	})
}

// A recount that begins in the middle finds, within its coverage, the same visits as
// a recount of everything. The exceptions are visits that it reports as uncertain or
// as possibly of a resident device.
func TestRecountFromTheMiddleIsRightWithinItsCoverage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := drawPartition(t)
		whole, _ := recounted(t, records, 0)
		part, covered := recounted(t, records, rapid.IntRange(1, len(records)-1).Draw(t, "first"))
		uncertain := map[string]Visit{}
		for _, v := range part {
			if v.Uncertain {
				uncertain[v.Device] = v
			}
		}
		var got []Visit
		for _, v := range part {
			plain := Visit{Device: v.Device, Start: v.Start, Last: v.Last}
			if !v.Uncertain && !v.Start.Before(covered.Since) && (!v.MaybeResident || slices.Contains(whole, plain)) {
				got = append(got, plain)
			}
		}
		want := slices.DeleteFunc(slices.Clone(whole), func(v Visit) bool {
			u, ok := uncertain[v.Device]
			return v.Start.Before(covered.Since) || ok && !v.Start.After(u.Until)
		})
		if !slices.Equal(got, want) {
			t.Fatalf("coverage since %v, got\n%v\nwant, by the recount of everything,\n%v\nuncertain %v", covered.Since, got, want, uncertain)
		}
	})
}
