package stage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/presence"
)

// chains is a VisitLog in a map, for package memory cannot be imported here. It
// loses the answer of an Append now and then.
type chains struct {
	random *rand.Rand
	items  map[string][]LogItem
}

var errLost = errors.New("injected fault")

func (c *chains) Last(_ context.Context, chain string, _ bool) (LogItem, bool, error) {
	if n := len(c.items[chain]); n > 0 {
		return c.items[chain][n-1], true, nil
	}
	return LogItem{}, false, nil
}

func (c *chains) Read(_ context.Context, chain string, from, to int64, _ bool) ([]LogItem, error) {
	all := c.items[chain]
	return all[min(from, int64(len(all))):min(to+1, int64(len(all)))], nil
}

func (c *chains) Append(_ context.Context, chain string, item LogItem, _ time.Time) error {
	if item.Seq != int64(len(c.items[chain])) {
		return ErrConflict
	}
	fate := c.random.IntN(20)
	if fate != 0 {
		c.items[chain] = append(c.items[chain], item)
	}
	if fate < 2 {
		return errLost
	}
	return nil
}

type oneTopic struct{}

func (oneTopic) Info(context.Context, string, time.Duration) (TopicInfo, error) {
	return TopicInfo{"t", 1}, nil
}

type nowhere struct{}

func (nowhere) Produce(context.Context, []Record) error { return nil }

// tickOrSighting makes a tick or a sighting of one of some devices: in time, late or
// ahead of it.
func tickOrSighting(t *testing.T, random *rand.Rand, offset int64, at time.Time) Record {
	t.Helper()
	var event any = &events.Tick{At: at}
	key := []byte("tick")
	if random.IntN(4) > 0 {
		device := events.DeviceID(fmt.Sprint("device-", random.IntN(6)))
		off := []int{0, 0, 0, 0, -1, -2, -10, -20, 3, 40, 600}[random.IntN(11)]
		event = &events.Sighting{
			Business: "cafe-1", Sensor: "door", Device: device, SeenAt: at.Add(time.Duration(off) * time.Minute),
			RSSI: []events.RSSI{-60, -60, -80, -90}[random.IntN(4)], Associated: random.IntN(6) == 0, Randomised: random.IntN(3) == 0,
		}
		key = events.DeviceKey("cafe-1", device)
	}
	value, err := events.Encode(nil, event)
	if err != nil {
		t.Fatal(err)
	}
	return Record{Topic: events.Sightings, Offset: offset, Timestamp: at, Key: key, Value: value}
}

// viewRules learn soon who is no customer.
func viewRules(events.BusinessID) *presence.Rules {
	r := presence.DefaultRules()
	r.ResidentHours, r.ResidentDays = 2, 2
	for d := range r.Closed {
		r.Closed[d] = 1 << 3
	}
	return &r
}

// mattering gives the state that can still matter of each device: what the clock
// of the view has forgotten is left out.
func mattering(v *view) map[string]string {
	rules := viewRules("")
	states := map[string]string{}
	for key, d := range v.devices {
		one := presence.Device{Stays: slices.Clone(d.Stays), Habit: slices.Clone(d.Habit)}
		if v.clock != 0 {
			one.Tick(v.clock, rules, nil)
		}
		if one.Known() {
			states[key] = fmt.Sprintf("%+v", one)
		}
	}
	return states
}

// After every batch, whichever of three environments had it and whatever was
// lost, who begins at the item that the last one points to knows of each device
// what the warm environment and a reader of the whole chain know.
func TestAColdReaderKnowsWhatTheWarmOneKnows(t *testing.T) {
	habits, forgotten := 0, 0 // devices known by their habits alone, and how often one was forgotten
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 2))
		log := &chains{random, map[string][]LogItem{}}
		deps := DetectDeps{Log: log, Topics: oneTopic{}, Out: nowhere{}, Rules: viewRules}
		envs := []*detect{NewDetect(deps).(*detect), NewDetect(deps).(*detect), NewDetect(deps).(*detect)}
		at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
		var records []Record
		for i := range int64(600) {
			at = at.Add(time.Duration([]int{0, 10, 30, 60, 120, 400, 1500}[random.IntN(7)]) * time.Second)
			if random.IntN(200) == 0 {
				at = at.AddDate(0, 0, []int{1, 2, 31}[random.IntN(3)])
			}
			records = append(records, tickOrSighting(t, random, i, at))
		}
		for done, had := 0, 0; done < len(records); {
			from, to := max(0, done-random.IntN(4)), min(len(records), done+1+random.IntN(12))
			env := envs[random.IntN(3)]
			if env.Handle(t.Context(), Batch{events.Sightings, 0, records[from:to]}) != nil {
				continue
			}
			done = to
			compareViews(t, env)
			n := 0
			for _, d := range env.partitions[0].view.devices {
				if len(d.Stays) == 0 {
					n++
				}
			}
			habits += n
			if n == 0 && had > 0 {
				forgotten++
			}
			had = n
			if t.Failed() {
				t.Fatalf("seed %d, after offset %d", seed, done-1)
			}
		}
	}
	if habits < 100 || forgotten < 10 {
		t.Errorf("%d views with a habit alone, %d forgotten: too few", habits, forgotten)
	}
}

func compareViews(t *testing.T, env *detect) {
	t.Helper()
	warm := env.partitions[0].view
	cold, err := env.chains.read(t.Context(), warm.gen, 0)
	if err != nil {
		t.Fatal(err)
	}
	whole := newView(warm.gen)
	if _, err := env.chains.follow(t.Context(), whole, 0, warm.seq); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]*view{"cold": cold, "whole": whole} {
		if v.seq != warm.seq || v.offset != warm.offset || v.clock != warm.clock {
			t.Errorf("%s: item %d, offset %d, clock %v, want %d, %d, %v", name, v.seq, v.offset, v.clock, warm.seq, warm.offset, warm.clock)
		}
		if got, want := mattering(v), mattering(warm); !maps.Equal(got, want) {
			t.Errorf("%s: got  %v\nwant %v", name, got, want)
		}
	}
}
