package audit

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// A device is heard twice, ten minutes apart, and ticks follow for two hours. Whether
// this is a visit depends on the rules of the business and on when they began. If
// the rules change while the device is heard, the visit is uncertain.
func TestRecountUsesTheRulesOfTheBusiness(t *testing.T) {
	begin := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	after := func(d time.Duration, change func(*presence.Rules)) stage.RulesSince {
		r := stage.RulesSince{Rules: presence.DefaultRules()}
		change(&r.Rules)
		if d != 0 {
			r.Since = presence.InstantOf(begin.Add(d))
		}
		return r
	}
	usual := func(*presence.Rules) {}
	loud := func(r *presence.Rules) { r.Entry = -50 }
	none, found, changed := "none", "found", "changed"
	for _, c := range []struct {
		name    string
		history []stage.RulesSince
		want    string
	}{
		{"no rules of its own", nil, found},
		{"a threshold above what is heard", []stage.RulesSince{after(0, loud)}, none},
		{"the device is a listed resident device", []stage.RulesSince{after(0, func(r *presence.Rules) {
			r.Excluded = map[string]struct{}{"phone": {}}
		})}, none},
		{"the sensor is not one of the store", []stage.RulesSince{after(0, func(r *presence.Rules) {
			r.Sensors = map[string]struct{}{"window": {}}
		})}, none},
		{"the sensor is one of the store", []stage.RulesSince{after(0, func(r *presence.Rules) {
			r.Sensors = map[string]struct{}{"door": {}}
		})}, found},
		{"other rules long before", []stage.RulesSince{after(0, loud), after(-24*time.Hour, usual)}, found},
		{"other rules long after", []stage.RulesSince{after(0, usual), after(24*time.Hour, loud)}, found},
		{"other rules between the two sightings", []stage.RulesSince{after(0, usual), after(5*time.Minute, loud)}, changed},
		{"other rules before the quiet period is over", []stage.RulesSince{after(30*time.Minute, loud)}, changed},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			r := &recount{in: Input{Rules: presence.DefaultRules(), Businesses: Histories{"cafe": c.history}}, each: func(v Visit) {
				if v.Uncertain && v.RulesChanged {
					got = append(got, changed)
					return
				}
				got = append(got, found)
			}}
			r.begin(false, false)
			for _, record := range heardTwice(t, begin) {
				if err := r.take(record); err != nil {
					t.Fatal(err)
				}
			}
			r.sweep(true)
			if len(got) == 0 {
				got = []string{none}
			}
			if !slices.Equal(got, []string{c.want}) {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

// heardTwice returns the records of a device that is heard 2 and 12 minutes after
// begin, with a tick every minute for two hours.
func heardTwice(t *testing.T, begin time.Time) (records []*kgo.Record) {
	t.Helper()
	put := func(key []byte, at time.Time, event any) {
		value, err := events.Encode(nil, event)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, &kgo.Record{Topic: events.Sightings, Offset: int64(len(records)), Timestamp: at, Key: key, Value: value})
	}
	for m := range 120 {
		at := begin.Add(time.Duration(m) * time.Minute)
		if m == 2 || m == 12 {
			put(events.DeviceKey("cafe", "phone"), at, &events.Sighting{Business: "cafe", Sensor: "door", Device: "phone", SeenAt: at, RSSI: -60})
		}
		put([]byte("tick"), at, &events.Tick{At: at})
	}
	return records
}
