package detect_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/detect"
	"footfall/shared/presence"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// settings are the rules of one business, cafe, and how often they were asked for.
type cafeRules struct {
	history []stage.RulesSince
	calls   int
	err     error
}

func (s *cafeRules) Rules(_ context.Context, ids []events.BusinessID) ([][]stage.RulesSince, error) {
	s.calls++
	all := make([][]stage.RulesSince, len(ids))
	for i, id := range ids {
		if id == cafe {
			all[i] = s.history
		}
	}
	return all, s.err
}

// from gives rules that hold from some minutes after noon on.
func from(minutes int, change func(*presence.Rules)) stage.RulesSince {
	r := presence.DefaultRules()
	change(&r)
	return stage.RulesSince{Since: presence.InstantOf(noon.Add(time.Duration(minutes) * time.Minute)), Rules: r}
}

func sessionGap(d time.Duration) func(*presence.Rules) {
	return func(r *presence.Rules) { r.Silence, r.AssociatedSilence = d, min(d, r.AssociatedSilence) }
}

// environmentWith starts a cold environment with rules.
func (w *deployment) environmentWith(rules stage.Businesses) stage.Handler {
	return detect.New(detect.Deps{Log: w.log, Topics: w.topics, Out: w.out, Rules: rules})
}

// A phone comes in at noon and is heard for the last time seven minutes later.
// Ticks come at the minutes said, and at one of them it has gone.
func TestRulesHoldFromTheirMomentOn(t *testing.T) {
	minutely := func(to int) (at []int) {
		for m := range to {
			at = append(at, m)
		}
		return at
	}
	for _, c := range []struct {
		name  string
		rules []stage.RulesSince
		ticks []int
		gone  int // the minute of the tick that ends the visit, 0 for none
	}{
		{"no rules of its own", nil, minutely(60), 40},
		{"rules since ever", []stage.RulesSince{{Rules: from(0, sessionGap(20*time.Minute)).Rules}}, minutely(60), 30},
		{"a shorter silence, from the middle of it on", []stage.RulesSince{from(20, sessionGap(20*time.Minute))}, minutely(60), 30},
		{"a shorter silence that is over at once", []stage.RulesSince{from(35, sessionGap(20*time.Minute))}, minutely(60), 35},
		{"a longer silence, from the middle of it on", []stage.RulesSince{from(20, sessionGap(50*time.Minute))}, minutely(90), 60},
		{"a longer silence, too late", []stage.RulesSince{from(50, sessionGap(90*time.Minute))}, minutely(60), 40},
		{"a longer silence, too late, and one tick over both", []stage.RulesSince{from(50, sessionGap(12*time.Hour))}, []int{0, 10, 60, 61}, 60},
		{"a tick right on the moment", []stage.RulesSince{from(35, sessionGap(20*time.Minute))}, []int{0, 34, 35}, 35},
		{"one tick over two moments, the first one keeps it", []stage.RulesSince{from(20, sessionGap(3*time.Hour)), from(100, sessionGap(4*time.Hour))}, []int{0, 10, 101, 102}, 0},
		{"one tick over two moments, the second one ends it", []stage.RulesSince{from(20, sessionGap(3*time.Hour)), from(100, sessionGap(20*time.Minute))}, []int{0, 10, 101}, 101},
		{"one tick over two moments, the first one ends it", []stage.RulesSince{from(20, sessionGap(15*time.Minute)), from(100, sessionGap(12*time.Hour))}, []int{0, 10, 101}, 101},
		{"one tick over two moments, both longer, too late", []stage.RulesSince{from(50, sessionGap(12*time.Hour)), from(100, sessionGap(11*time.Hour))}, []int{0, 10, 101}, 101},
		{"rules that are still to come", []stage.RulesSince{from(600, sessionGap(12*time.Hour))}, minutely(60), 40},
		{"rules from before the first tick", []stage.RulesSince{from(-60, sessionGap(15*time.Minute)), from(-30, sessionGap(20*time.Minute))}, minutely(60), 30},
	} {
		for _, cold := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, ", cold ", cold), func(t *testing.T) {
				w, l := newDeployment(), newSightings()
				rules := &cafeRules{history: c.rules}
				env := w.environmentWith(rules)
				gone := 0
				l.seen(t, "phone", noon, -60)
				l.seen(t, "phone", noon.Add(7*time.Minute), -60)
				for i, m := range c.ticks {
					l.tick(t, noon.Add(time.Duration(m)*time.Minute))
					if cold {
						env = w.environmentWith(rules)
					}
					begin := i + 2
					if i == 0 {
						begin = 0
					}
					if err := env.Handle(t.Context(), l.Batch(begin, i+3)); err != nil {
						t.Fatal(err)
					}
					if gone == 0 && len(w.out.On(events.VisitsEnded)) > 0 {
						gone = m
					}
				}
				if n := len(w.walkIns(t)); n != 1 || gone != c.gone {
					t.Errorf("%d walk-ins, gone at minute %d, want 1 and %d", n, gone, c.gone)
				}
			})
		}
	}
}

// What a business has ruled out is counted, and otherwise nothing.
func TestExcludedSightingsAreOnlyCounted(t *testing.T) {
	rules := &cafeRules{history: []stage.RulesSince{
		{Rules: from(0, func(r *presence.Rules) {
			r.Excluded = map[string]struct{}{"till": {}}
			r.Sensors = map[string]struct{}{"door": {}}
		}).Rules},
		from(60, func(r *presence.Rules) { r.Excluded = map[string]struct{}{"phone": {}} }),
	}}
	w, l := newDeployment(), newSightings()
	seen := func(device events.DeviceID, sensor events.SensorID, minute int) {
		l.Put(t, events.DeviceKey(cafe, device), &events.Sighting{
			Business: cafe, Sensor: sensor, Device: device, SeenAt: noon.Add(time.Duration(minute) * time.Minute), RSSI: -50, Associated: true,
		})
	}
	l.tick(t, noon)
	seen("till", "door", 1)
	seen("neighbour", "next door", 1)
	seen("guest", "portal", 1)
	seen("phone", "door", 1)
	l.tick(t, noon.Add(10*time.Minute))
	seen("phone", "door", 10)
	l.tick(t, noon.Add(60*time.Minute)) // the guest has gone, the phone too
	seen("phone", "door", 60)
	seen("till", "next door", 60)
	if err := w.environmentWith(rules).Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	var in []events.DeviceID
	for _, walkIn := range w.walkIns(t) {
		in = append(in, walkIn.Device)
	}
	if want := []events.DeviceID{"guest", "phone", "till"}; !slices.Equal(in, want) {
		t.Errorf("%q walked in, want %q", in, want)
	}
	if got := sumTally(t, w.log); got != (detect.Tally{Sightings: 7, WalkIns: 3, Excluded: 3}) {
		t.Errorf("tally %+v, want 7 sightings of which 3 are excluded", got)
	}
}

// The rules are asked for when a partition is read, at each tick, and for a
// business that is new, but not for each sighting; without an answer the batch
// fails, and is decided when it is given again.
func TestRulesAreLoadedAtTicks(t *testing.T) {
	rules := &cafeRules{err: stagetest.ErrInjected}
	w, l := newDeployment(), newSightings()
	for i := range 100 {
		l.seen(t, fmt.Sprint("phone-", i), noon, -60)
	}
	env := w.environmentWith(rules)
	give := func(from, to int) error { return env.Handle(t.Context(), l.Batch(from, to)) }
	if err := give(0, 100); err == nil {
		t.Fatal("decided without rules")
	}
	rules.err, rules.calls = nil, 0
	if err := give(0, 100); err != nil || rules.calls != 1 {
		t.Errorf("%v, asked %d times for the rules of one business, want once", err, rules.calls)
	}
	other := events.DeviceID("phone")
	l.Put(t, events.DeviceKey("cafe-2", other), &events.Sighting{Business: "cafe-2", Sensor: "door", Device: other, SeenAt: noon, RSSI: -60})
	l.seen(t, "phone-1", noon.Add(time.Minute), -60)
	if err := give(100, 102); err != nil || rules.calls != 2 {
		t.Errorf("%v, asked %d times after a new business, want 2", err, rules.calls)
	}
	for i := range 3 {
		l.tick(t, noon.Add(time.Duration(i)*time.Minute))
	}
	if err := give(102, 105); err != nil || rules.calls != 5 {
		t.Errorf("%v, asked %d times after three ticks, want 5", err, rules.calls)
	}
}

// told is what was produced, each record once.
func (w *deployment) produced() []string {
	all := map[string]bool{}
	for _, topic := range []string{events.WalkIns, events.VisitsEnded} {
		for _, r := range w.out.On(topic) {
			all[fmt.Sprintf("%s %s %x", topic, r.Key, r.Value)] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// Thousands of devices, more than an item holds, meet other rules and a tick.
// Whichever append fails, or has its answer lost, the same is told as without
// faults.
func TestTickOverARuleBoundarySurvivesFailedAppends(t *testing.T) {
	const devices = 3000
	late := func(silence, associated time.Duration) func(*presence.Rules) {
		return func(r *presence.Rules) {
			r.Silence, r.AssociatedSilence, r.Lateness = silence, associated, time.Hour
		}
	}
	for _, c := range []struct {
		name       string
		before     stage.RulesSince
		after      stage.RulesSince
		associated bool
		first      int   // the minute of a tick before anything is heard, 0 for none
		heard      []int // minutes
		ticks      []int // between those that are heard
		want       int   // records told of each device
	}{
		// By the old rules visits that the new ones confirm would have ended before.
		{
			"candidates that only the new rules confirm", from(0, late(15*time.Minute, 15*time.Minute)),
			from(40, func(r *presence.Rules) { r.MinStrong, r.MinSpan, r.Silence, r.Lateness = 1, 0, 12*time.Hour, time.Hour }),
			false, 1, []int{1, 43}, []int{41, 42}, 1,
		},
		// By the old rules visits that end at the first tick would be forgotten by
		// then, and what is heard late would begin others.
		{
			"visits from before the first tick", from(0, sessionGap(15*time.Minute)), from(-30, late(110*time.Minute, 110*time.Minute)),
			true, 0, []int{-120, -20}, []int{0, 1}, 2,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.before.Since = 0
			rules := &cafeRules{history: []stage.RulesSince{c.before, c.after}}
			l := newSightings()
			if c.first != 0 {
				l.tick(t, noon)
			}
			for i, minute := range c.heard {
				for device := range devices {
					d := events.DeviceID(fmt.Sprintf("%0100d", device))
					l.Put(t, events.DeviceKey(cafe, d), &events.Sighting{
						Business: cafe, Sensor: "door", Device: d, SeenAt: noon.Add(time.Duration(minute) * time.Minute), RSSI: -60, Associated: c.associated,
					})
				}
				if i < len(c.ticks)-1 {
					l.tick(t, noon.Add(time.Duration(c.ticks[i])*time.Minute))
				}
			}
			l.tick(t, noon.Add(time.Duration(c.ticks[1])*time.Minute))
			run := func(cut int, lost bool) (w *deployment, failed bool) {
				w = newDeployment()
				w.log = &failingAppend{w.log, cut, lost}
				for from := 0; from < len(l.Records); {
					to := min(from+2000, len(l.Records))
					if err := w.environmentWith(rules).Handle(t.Context(), l.Batch(from, to)); err != nil {
						failed = true
						continue
					}
					from = to
				}
				return w, failed
			}
			whole, _ := run(0, false)
			want := whole.produced()
			if len(want) != c.want*devices {
				t.Fatalf("%d records told, want %d of each of %d devices", len(want), c.want, devices)
			}
			for _, lost := range []bool{false, true} {
				cut := 2 // behind the generation's entry
				for failed := true; failed; cut++ {
					var w *deployment
					if w, failed = run(cut, lost); !slices.Equal(w.produced(), want) {
						t.Errorf("append %d fails, lost %v: %d records told, want %d", cut, lost, len(w.produced()), len(want))
					}
				}
				if cut < 6 {
					t.Errorf("only %d appends: the tick was not written in parts", cut)
				}
			}
		})
	}
}

// What is heard before the first tick is decided by the rules of its own time, and
// a boundary of long before ends nothing and confirms nothing. It forgets, as a
// cold environment does.
func TestRulesBeforeTheFirstTick(t *testing.T) {
	loud := func(r *presence.Rules) { r.Entry = -50 }
	quick := func(r *presence.Rules) { r.MinStrong, r.MinSpan = 1, 0 }
	usual := func(*presence.Rules) {}
	short := func(r *presence.Rules) { r.MaxGap, r.Lateness = 4*time.Minute, 4*time.Minute }
	long := func(r *presence.Rules) {
		r.MaxGap, r.AssociatedSilence, r.Lateness = 30*time.Minute, 30*time.Minute, time.Hour
	}
	for _, c := range []struct {
		name          string
		before, after func(*presence.Rules)
		since         int
		heard         []int // minutes: the first before the tick at noon, the others after it
		want          int
	}{
		{"too weak by the rules of its time", usual, loud, -60, []int{0, 7}, 0},
		{"strong enough by the rules of its time", loud, usual, -60, []int{0, 7}, 1},
		{"no visit by the rules of its time", quick, usual, -60, []int{0}, 0},
		{"forgotten by the rules before", short, long, -30, []int{-55, -26}, 0},
		{"keptItems by the rules of its time", long, long, -30, []int{-55, -26}, 1},
	} {
		for _, cold := range []bool{false, true} {
			rules := &cafeRules{history: []stage.RulesSince{{Rules: from(0, c.before).Rules}, from(c.since, c.after)}}
			w, l := newDeployment(), newSightings()
			env := w.environmentWith(rules)
			for i, minute := range c.heard {
				l.seen(t, "phone", noon.Add(time.Duration(minute)*time.Minute), -60)
				if i == 0 {
					l.tick(t, noon)
				}
			}
			for i := range l.Records {
				if cold {
					env = w.environmentWith(rules)
				}
				if err := env.Handle(t.Context(), l.Batch(i, i+1)); err != nil {
					t.Fatal(err)
				}
			}
			if got := len(w.walkIns(t)); got != c.want {
				t.Errorf("%s, cold %v: %d walk-ins, want %d", c.name, cold, got, c.want)
			}
		}
	}
}

// Partitions are added, and rules change before the new ones have begun. Warm
// environments and cold ones tell the same.
func TestRulesChangeWhilePartitionsAreAdded(t *testing.T) {
	rules := &cafeRules{history: []stage.RulesSince{
		from(-60, sessionGap(20*time.Minute)), from(30, sessionGap(15*time.Minute)), from(90, sessionGap(3*time.Hour)), from(200, sessionGap(30*time.Minute)),
	}}
	run := func(cold bool) []string {
		w := newDeployment()
		parts := withVisits(t, w, 12)
		env := w.environmentWith(rules)
		give := func(p *sightingsPartition, begin int) {
			if cold {
				env = w.environmentWith(rules)
			}
			if err := env.Handle(t.Context(), p.Batch(begin, len(p.Records))); err != nil {
				t.Fatal(err)
			}
		}
		begin := len(parts[0].Records)
		parts[0].tick(t, noon.Add(10*time.Minute))
		give(parts[0], begin)
		w.topics.Description.Partitions = 4
		for minute := 20; minute < 300; minute += 7 {
			for p, part := range parts[:4] {
				begin := len(part.Records)
				if minute > 50 || p == 1 { // one partition goes ahead
					part.tick(t, noon.Add(time.Duration(minute)*time.Minute))
				}
				for i := range 12 {
					d := events.DeviceID(fmt.Sprintf("%0100d", i))
					if minute%(14+7*i) == 0 && events.Partition(events.DeviceKey(cafe, d), 4) == part.Number {
						enter(t, part, i, noon.Add(time.Duration(minute)*time.Minute))
					}
				}
				if len(part.Records) > begin {
					give(part, begin)
				}
			}
		}
		return w.produced()
	}
	warm, cold := run(false), run(true)
	if len(warm) < 20 || !slices.Equal(warm, cold) {
		t.Errorf("warm environments told %d records, cold ones %d, want the same", len(warm), len(cold))
	}
}

// Ticks come at whole minutes, and so do rules. The item of a boundary has the clock
// of the tick that comes with it, whose own part may still fail: given again, it does
// what is left.
func TestTickOnARuleBoundaryIsAppliedWhenRedelivered(t *testing.T) {
	rules := &cafeRules{history: []stage.RulesSince{from(10, func(r *presence.Rules) { r.MinStrong, r.MinSpan = 1, 0 })}}
	for _, cold := range []bool{false, true} {
		w, l := newDeployment(), newSightings()
		env := w.environmentWith(rules)
		l.tick(t, noon)
		l.seen(t, "phone", noon.Add(3*time.Minute), -60)
		l.tick(t, noon.Add(10*time.Minute)) // by the new rules the phone is in
		w.out.Fail = func(int) error { return stagetest.ErrInjected }
		if err := env.Handle(t.Context(), l.All()); err == nil {
			t.Fatal("nothing was told, and nothing failed")
		}
		w.out.Fail = nil
		if cold {
			env = w.environmentWith(rules)
		}
		if err := env.Handle(t.Context(), l.All()); err != nil {
			t.Fatal(err)
		}
		if got := w.walkIns(t); len(got) != 1 || !got[0].ConfirmedAt.Equal(noon.Add(10*time.Minute)) {
			t.Errorf("cold %v: walk-ins %+v, want one that the tick has confirmed", cold, got)
		}
	}
}
