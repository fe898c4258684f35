package detect

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/presence"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// lossyLog is a VisitLog that loses some writes, and the answers of others.
type lossyLog struct {
	stage.VisitLog
	random *rand.Rand
}

func (l *lossyLog) Append(ctx context.Context, chain string, item stage.LogItem, expires time.Time) error {
	fate := l.random.IntN(20)
	if fate == 0 {
		return stagetest.ErrInjected
	}
	if err := l.VisitLog.Append(ctx, chain, item, expires); err != nil {
		return err
	}
	if fate == 1 {
		return stagetest.ErrInjected
	}
	return nil
}

// tickOrSighting returns the record of a tick, or of a sighting of one of some
// devices that is in time, late or ahead of time.
func tickOrSighting(t *testing.T, random *rand.Rand, offset int64, now time.Time) stage.Record {
	t.Helper()
	var event any = &events.Tick{At: now}
	key := []byte("tick")
	if random.IntN(4) > 0 {
		device := events.DeviceID(fmt.Sprint("device-", random.IntN(6)))
		business := events.BusinessID([]string{"cafe-1", "cafe-1", "cafe-2"}[random.IntN(3)])
		off := []int{0, 0, 0, 0, -1, -2, -10, -20, -50, 3, 40, 600}[random.IntN(12)]
		event = &events.Sighting{
			Business: business, Sensor: "door", Device: device, SeenAt: now.Add(time.Duration(off) * time.Minute),
			RSSI: []events.RSSI{-60, -60, -80, -90}[random.IntN(4)], Associated: random.IntN(6) == 0, Randomised: random.IntN(3) == 0,
			Session: []events.Session{"", "", "", "", "", events.SessionJoined, events.SessionAlive, events.SessionLeft}[random.IntN(8)],
		}
		key = events.DeviceKey(business, device)
	}
	value, err := events.Encode(nil, event)
	if err != nil {
		t.Fatal(err)
	}
	return stage.Record{Topic: events.Sightings, Offset: offset, Timestamp: now, Key: key, Value: value}
}

// viewRules returns rules by which a device is soon learnt as resident.
func viewRules() presence.Rules {
	r := presence.DefaultRules()
	r.ResidentHours, r.ResidentDays = 2, 2
	for d := range r.Closed {
		r.Closed[d] = 1 << 3
	}
	return r
}

// announcedRules is a Businesses that returns rules from a minute before they
// begin.
type announcedRules struct {
	now time.Time
	all map[events.BusinessID][]stage.RulesSince
}

func (a *announcedRules) Rules(_ context.Context, ids []events.BusinessID) ([][]stage.RulesSince, error) {
	announced := make([][]stage.RulesSince, len(ids))
	for i, id := range ids {
		for _, r := range a.all[id] {
			if r.Since <= presence.InstantOf(a.now.Add(time.Minute)) {
				announced[i] = append(announced[i], r)
			}
		}
	}
	return announced, nil
}

// draw adds rules that begin at any time within more than a day. Some begin
// together with those of the other business, some before the first sighting.
func (a *announcedRules) draw(random *rand.Rand, from time.Time) {
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

// relevantStates returns the state of each device, as text, without the stays
// and habits that are forgotten by the watermark of the view. Of the latest moments
// of a visit only the step is compared: a later moment of the same step is in the
// memory of one environment, until another change of the visit is written.
func relevantStates(t *testing.T, v *view) map[string]string {
	t.Helper()
	states := map[string]string{}
	for key, d := range v.devices {
		one := presence.Device{Stays: slices.Clone(d.Stays), Habit: slices.Clone(d.Habit)}
		if v.watermark != 0 {
			business, _, _ := events.SplitDeviceKey(key)
			rules, err := v.rules.loaded(business, v.watermark)
			if err != nil {
				t.Fatal(err)
			}
			one.Tick(v.watermark, rules, nil)
		}
		for i := range one.Stays {
			s := &one.Stays[i]
			if s.Confirmed {
				s.Last -= s.Last % presence.Instant(presence.Grid.Milliseconds())
			}
			s.Weak -= s.Weak % presence.Instant(presence.Grid.Milliseconds())
		}
		if one.Known() {
			states[key] = fmt.Sprintf("%+v", one)
		}
	}
	return states
}

// Three environments get a partition in turn, some writes and some answers are
// lost, and the rules of two businesses change. After each batch the view of the
// environment that had it equals a view that is read from the oldest item that
// the last one names, and one that is read from the first item.
func TestColdViewEqualsWarmView(t *testing.T) {
	habits, forgotten := 0, 0 // devices that have nothing but a habit, and how often the last of them was forgotten
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 2))
		now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
		rules := &announcedRules{all: map[events.BusinessID][]stage.RulesSince{}}
		for _, id := range []events.BusinessID{"cafe-1", "cafe-2"} {
			rules.all[id] = []stage.RulesSince{{Rules: viewRules()}}
		}
		rules.draw(random, now)
		deps := Deps{
			Log: &lossyLog{memory.NewVisitLog(), random}, Topics: &stagetest.Topics{Description: stage.TopicInfo{ID: "t", Partitions: 1}},
			Out: &stagetest.Sink{}, Rules: rules,
		}
		envs := []*detect{New(deps).(*detect), New(deps).(*detect), New(deps).(*detect)}
		var records []stage.Record
		for i := range int64(600) {
			now = now.Add(time.Duration([]int{0, 10, 30, 60, 120, 400, 1500}[random.IntN(7)]) * time.Second)
			if random.IntN(200) == 0 {
				now = now.AddDate(0, 0, []int{1, 2, 31}[random.IntN(3)])
			}
			records = append(records, tickOrSighting(t, random, i, now))
		}
		for done, habitsBefore := 0, 0; done < len(records); {
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
			if n == 0 && habitsBefore > 0 {
				forgotten++
			}
			habitsBefore = n
			if t.Failed() {
				t.Fatalf("seed %d, after offset %d", seed, done-1)
			}
		}
	}
	if habits < 100 || forgotten < 10 {
		t.Errorf("%d views with a device that has nothing but a habit, %d without after that: want 100 and 10 at least", habits, forgotten)
	}
}

// compareViews compares the view of partition 0 in an environment with views
// that are read from the changelog.
func compareViews(t *testing.T, env *detect) {
	t.Helper()
	warm := env.partitions[0].view
	cold, err := env.changelogs.read(t.Context(), warm.epoch, 0)
	if err != nil {
		t.Fatal(err)
	}
	whole := newView(warm.epoch, 0)
	if _, err := env.changelogs.follow(t.Context(), whole, warm.seq); err != nil {
		t.Fatal(err)
	}
	if err := env.changelogs.settle(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]*view{"read from the oldest item needed": cold, "read from the first item": whole} {
		if v.seq != warm.seq || v.offset != warm.offset || v.watermark != warm.watermark {
			t.Errorf("view %s: item %d, offset %d, watermark %v, want %d, %d, %v", name, v.seq, v.offset, v.watermark, warm.seq, warm.offset, warm.watermark)
		}
		if got, want := relevantStates(t, v), relevantStates(t, warm); !maps.Equal(got, want) {
			t.Errorf("view %s: got  %v\nwant %v", name, got, want)
		}
	}
}
