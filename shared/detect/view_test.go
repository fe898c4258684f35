package detect

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
	"footfall/shared/stage"
)

// chains is a VisitLog in a map, for package memory cannot be imported here. It
// loses the answer of an Append now and then.
type chains struct {
	random *rand.Rand
	items  map[string][]stage.LogItem
}

var errLost = errors.New("injected fault")

func (c *chains) Last(_ context.Context, chain string, _ bool) (stage.LogItem, bool, error) {
	if n := len(c.items[chain]); n > 0 {
		return c.items[chain][n-1], true, nil
	}
	return stage.LogItem{}, false, nil
}

func (c *chains) Read(_ context.Context, chain string, from, to int64, _ bool) ([]stage.LogItem, error) {
	all := c.items[chain]
	return all[min(from, int64(len(all))):min(to+1, int64(len(all)))], nil
}

func (c *chains) Append(_ context.Context, chain string, item stage.LogItem, _ time.Time) error {
	if item.Seq != int64(len(c.items[chain])) {
		return stage.ErrConflict
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

func (oneTopic) Info(context.Context, string, time.Duration) (stage.TopicInfo, error) {
	return stage.TopicInfo{ID: "t", Partitions: 1}, nil
}

type nowhere struct{}

func (nowhere) Produce(context.Context, []stage.Record) error { return nil }

// tickOrSighting makes a tick or a sighting of one of some devices: in time, late or
// ahead of it.
func tickOrSighting(t *testing.T, random *rand.Rand, offset int64, at time.Time) stage.Record {
	t.Helper()
	var event any = &events.Tick{At: at}
	key := []byte("tick")
	if random.IntN(4) > 0 {
		device := events.DeviceID(fmt.Sprint("device-", random.IntN(6)))
		business := events.BusinessID([]string{"cafe-1", "cafe-1", "cafe-2"}[random.IntN(3)])
		off := []int{0, 0, 0, 0, -1, -2, -10, -20, -50, 3, 40, 600}[random.IntN(12)]
		event = &events.Sighting{
			Business: business, Sensor: "door", Device: device, SeenAt: at.Add(time.Duration(off) * time.Minute),
			RSSI: []events.RSSI{-60, -60, -80, -90}[random.IntN(4)], Associated: random.IntN(6) == 0, Randomised: random.IntN(3) == 0,
		}
		key = events.DeviceKey(business, device)
	}
	value, err := events.Encode(nil, event)
	if err != nil {
		t.Fatal(err)
	}
	return stage.Record{Topic: events.Sightings, Offset: offset, Timestamp: at, Key: key, Value: value}
}

// viewRules learn soon who is no customer.
func viewRules() presence.Rules {
	r := presence.DefaultRules()
	r.ResidentHours, r.ResidentDays = 2, 2
	for d := range r.Closed {
		r.Closed[d] = 1 << 3
	}
	return r
}

// announced is a Businesses that tells of rules a minute before they begin, and no
// earlier.
type announced struct {
	now time.Time
	all map[events.BusinessID][]stage.RulesSince
}

func (a *announced) Rules(_ context.Context, ids []events.BusinessID) ([][]stage.RulesSince, error) {
	told := make([][]stage.RulesSince, len(ids))
	for i, id := range ids {
		for _, r := range a.all[id] {
			if r.Since <= presence.InstantOf(a.now.Add(time.Minute)) {
				told[i] = append(told[i], r)
			}
		}
	}
	return told, nil
}

// draw makes rules that begin at any time of a day and more, some at once with
// those of the other business, some before anything was heard.
func (a *announced) draw(random *rand.Rand, from time.Time) {
	for i := range 2 * random.IntN(8) {
		id := events.BusinessID([]string{"cafe-1", "cafe-2"}[i%2])
		r := viewRules()
		r.MinStrong, r.MinSpan = 1+random.IntN(3), time.Duration(random.IntN(4))*2*time.Minute
		r.MaxGap = []time.Duration{4 * time.Minute, 10 * time.Minute, 30 * time.Minute}[random.IntN(3)]
		r.AssociatedSilence = r.MaxGap + time.Duration(random.IntN(3))*10*time.Minute
		r.Silence = r.AssociatedSilence + time.Duration(random.IntN(4))*25*time.Minute
		r.Lateness = []time.Duration{4 * time.Minute, 15 * time.Minute, time.Hour}[random.IntN(3)]
		if random.IntN(4) == 0 {
			r.Excluded = map[string]struct{}{"device-0": {}}
		}
		since := presence.InstantOf(from.Add(time.Duration(random.IntN(2400)-120) * time.Minute))
		if last := a.all[id]; len(last) == 0 || last[len(last)-1].Since < since {
			a.all[id] = append(last, stage.RulesSince{Since: since, Rules: r})
		}
	}
}

// mattering gives the state that can still matter of each device: what the clock
// of the view has forgotten is left out.
func mattering(v *view) map[string]string {
	states := map[string]string{}
	for key, d := range v.devices {
		one := presence.Device{Stays: slices.Clone(d.Stays), Habit: slices.Clone(d.Habit)}
		if v.clock != 0 {
			business, _, _ := events.SplitDeviceKey(key)
			one.Tick(v.clock, v.rules.at(business, v.clock), nil)
		}
		if one.Known() {
			states[key] = fmt.Sprintf("%+v", one)
		}
	}
	return states
}

// After every batch, whichever of three environments had it and whatever was
// lost, who begins at the item that the last one points to knows of each device
// what the warm environment and a reader of the whole chain know, though the
// rules of two businesses change in between.
func TestAColdReaderKnowsWhatTheWarmOneKnows(t *testing.T) {
	habits, forgotten := 0, 0 // devices known by their habits alone, and how often one was forgotten
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 2))
		log := &chains{random, map[string][]stage.LogItem{}}
		at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
		rules := &announced{all: map[events.BusinessID][]stage.RulesSince{}}
		for _, id := range []events.BusinessID{"cafe-1", "cafe-2"} {
			rules.all[id] = []stage.RulesSince{{Rules: viewRules()}}
		}
		rules.draw(random, at)
		deps := Deps{Log: log, Topics: oneTopic{}, Out: nowhere{}, Rules: rules}
		envs := []*detect{New(deps).(*detect), New(deps).(*detect), New(deps).(*detect)}
		var records []stage.Record
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
			rules.now = records[to-1].Timestamp
			if env.Handle(t.Context(), stage.Batch{Topic: events.Sightings, Records: records[from:to]}) != nil {
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
	if err := env.chains.settle(t.Context(), whole); err != nil {
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
