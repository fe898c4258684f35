package detect_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/detect"
	"footfall/shared/presence"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// from returns the defaults with a change, which hold from some minutes after noon
// on.
func from(minutes int, change func(*presence.Rules)) stage.RulesSince {
	r := presence.DefaultRules()
	change(&r)
	return stage.RulesSince{Since: presence.InstantOf(noon.Add(time.Duration(minutes) * time.Minute)), Rules: r}
}

// sessionGap sets the session gap.
func sessionGap(d time.Duration) func(*presence.Rules) {
	return func(r *presence.Rules) { r.Silence, r.AssociatedSilence = d, min(d, r.AssociatedSilence) }
}

// Rules decide from their moment on. A phone walks in at noon and is heard for the
// last time seven minutes later. Of the ticks, which come at the minutes given,
// one ends the visit.
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
		end   int // the minute of the tick that ends the visit, 0 for none
	}{
		{"no rules of its own", nil, minutely(60), 40},
		{"rules without a beginning", []stage.RulesSince{{Rules: from(0, sessionGap(20*time.Minute)).Rules}}, minutely(60), 30},
		{"a shorter session gap, from the middle of it on", []stage.RulesSince{from(20, sessionGap(20*time.Minute))}, minutely(60), 30},
		{"a shorter session gap that is over at once", []stage.RulesSince{from(35, sessionGap(20*time.Minute))}, minutely(60), 35},
		{"a longer session gap, from the middle of it on", []stage.RulesSince{from(20, sessionGap(50*time.Minute))}, minutely(90), 60},
		{"a longer session gap, too late", []stage.RulesSince{from(50, sessionGap(90*time.Minute))}, minutely(60), 40},
		{"a longer session gap, too late, and one tick over both", []stage.RulesSince{from(50, sessionGap(12*time.Hour))}, []int{0, 10, 60, 61}, 60},
		{"a tick on the rule boundary", []stage.RulesSince{from(35, sessionGap(20*time.Minute))}, []int{0, 34, 35}, 35},
		{"one tick over two boundaries, the first one keeps the visit", []stage.RulesSince{from(20, sessionGap(3*time.Hour)), from(100, sessionGap(4*time.Hour))}, []int{0, 10, 101, 102}, 0},
		{"one tick over two boundaries, the second one ends the visit", []stage.RulesSince{from(20, sessionGap(3*time.Hour)), from(100, sessionGap(20*time.Minute))}, []int{0, 10, 101}, 101},
		{"one tick over two boundaries, the first one ends the visit", []stage.RulesSince{from(20, sessionGap(15*time.Minute)), from(100, sessionGap(12*time.Hour))}, []int{0, 10, 101}, 101},
		{"one tick over two boundaries, both longer, too late", []stage.RulesSince{from(50, sessionGap(12*time.Hour)), from(100, sessionGap(11*time.Hour))}, []int{0, 10, 101}, 101},
		{"rules that have not begun", []stage.RulesSince{from(600, sessionGap(12*time.Hour))}, minutely(60), 40},
		{"rules from before the first tick", []stage.RulesSince{from(-60, sessionGap(15*time.Minute)), from(-30, sessionGap(20*time.Minute))}, minutely(60), 30},
	} {
		for _, cold := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, ", cold ", cold), func(t *testing.T) {
				dep, l := newDeployment(), newSightings()
				rules := &cafeRules{history: c.rules}
				env := dep.environmentWith(rules)
				end := 0
				l.seen(t, "phone", noon, -60)
				l.seen(t, "phone", noon.Add(7*time.Minute), -60)
				for i, m := range c.ticks {
					l.tick(t, noon.Add(time.Duration(m)*time.Minute))
					if cold {
						env = dep.environmentWith(rules)
					}
					begin := i + 2
					if i == 0 {
						begin = 0
					}
					if err := env.Handle(t.Context(), l.Batch(begin, i+3)); err != nil {
						t.Fatal(err)
					}
					if end == 0 && len(dep.out.On(events.VisitsEnded)) > 0 {
						end = m
					}
				}
				if n := len(dep.walkIns(t)); n != 1 || end != c.end {
					t.Errorf("%d walk-ins, visit ended at minute %d, want 1 and %d", n, end, c.end)
				}
			})
		}
	}
}

// A sighting of a listed device, or by a sensor that does not count, is counted and
// has no other effect.
func TestExcludedSightingsAreOnlyCounted(t *testing.T) {
	rules := &cafeRules{history: []stage.RulesSince{
		{Rules: from(0, func(r *presence.Rules) {
			r.Excluded = map[string]struct{}{"till": {}}
			r.Sensors = map[string]struct{}{"door": {}}
		}).Rules},
		from(60, func(r *presence.Rules) { r.Excluded = map[string]struct{}{"phone": {}} }),
	}}
	dep, l := newDeployment(), newSightings()
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
	l.tick(t, noon.Add(60*time.Minute)) // ends the visits of the guest and the phone
	seen("phone", "door", 60)
	seen("till", "next door", 60)
	if err := dep.environmentWith(rules).Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	var in []events.DeviceID
	for _, walkIn := range dep.walkIns(t) {
		in = append(in, walkIn.Device)
	}
	if want := []events.DeviceID{"guest", "phone", "till"}; !slices.Equal(in, want) {
		t.Errorf("%q walked in, want %q", in, want)
	}
	if got := sumTally(t, dep.log); got != (detect.Tally{Sightings: 7, WalkIns: 3, Excluded: 3}) {
		t.Errorf("tally %+v, want 7 sightings of which 3 are excluded", got)
	}
}

// Rules are loaded when a changelog is read, at each tick, and for a business that
// is new, but not for each sighting. If they cannot be loaded, the batch fails,
// and is decided when it is redelivered.
func TestRulesAreLoadedAtTicks(t *testing.T) {
	rules := &cafeRules{err: stagetest.ErrInjected}
	dep, l := newDeployment(), newSightings()
	for i := range 100 {
		l.seen(t, fmt.Sprint("phone-", i), noon, -60)
	}
	env := dep.environmentWith(rules)
	deliver := func(from, to int) error { return env.Handle(t.Context(), l.Batch(from, to)) }
	if err := deliver(0, 100); err == nil {
		t.Fatal("decided without rules")
	}
	rules.err, rules.calls = nil, 0
	if err := deliver(0, 100); err != nil || rules.calls != 1 {
		t.Errorf("error %v, rules of one business loaded %d times, want once", err, rules.calls)
	}
	other := events.DeviceID("phone")
	l.Put(t, events.DeviceKey("cafe-2", other), &events.Sighting{Business: "cafe-2", Sensor: "door", Device: other, SeenAt: noon, RSSI: -60})
	l.seen(t, "phone-1", noon.Add(time.Minute), -60)
	if err := deliver(100, 102); err != nil || rules.calls != 2 {
		t.Errorf("error %v, rules loaded %d times after a new business, want 2", err, rules.calls)
	}
	for i := range 3 {
		l.tick(t, noon.Add(time.Duration(i)*time.Minute))
	}
	if err := deliver(102, 105); err != nil || rules.calls != 5 {
		t.Errorf("error %v, rules loaded %d times after three ticks, want 5", err, rules.calls)
	}
}

// A tick takes thousands of devices, more than fit into an item, over a rule
// boundary. Whichever append fails, before the write or after it, the same
// records are produced as without faults.
func TestTickOverARuleBoundarySurvivesFailedAppends(t *testing.T) {
	const devices = 3000
	late := func(gap, associatedGap time.Duration) func(*presence.Rules) {
		return func(r *presence.Rules) {
			r.Silence, r.AssociatedSilence, r.Lateness = gap, associatedGap, time.Hour
		}
	}
	for _, c := range []struct {
		name       string
		before     stage.RulesSince
		after      stage.RulesSince
		associated bool
		first      int   // not 0: a tick at noon comes before all sightings
		heard      []int // the minutes of the sightings of each device
		ticks      []int // the minutes of the ticks: one between the sightings, one after them
		want       int   // records produced of each device
	}{
		// If a part of the tick, with visits that the new rules have confirmed, met
		// the boundary again, the old rules would end the visits.
		{
			"candidates that only the new rules confirm", from(0, late(15*time.Minute, 15*time.Minute)),
			from(40, func(r *presence.Rules) { r.MinStrong, r.MinSpan, r.Silence, r.Lateness = 1, 0, 12*time.Hour, time.Hour }),
			false, 1, []int{1, 43}, []int{41, 42}, 1,
		},
		// If a part of the first tick, with visits that the new rules have ended, met
		// the boundary again, the old rules would forget the visits, and late
		// sightings would begin others.
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
					d := events.DeviceID(longName(device))
					l.Put(t, events.DeviceKey(cafe, d), &events.Sighting{
						Business: cafe, Sensor: "door", Device: d, SeenAt: noon.Add(time.Duration(minute) * time.Minute), RSSI: -60, Associated: c.associated,
					})
				}
				if i < len(c.ticks)-1 {
					l.tick(t, noon.Add(time.Duration(c.ticks[i])*time.Minute))
				}
			}
			l.tick(t, noon.Add(time.Duration(c.ticks[1])*time.Minute))
			run := func(failing int, answerLost bool) (dep *deployment, failed bool) {
				dep = newDeployment()
				dep.log = &failingAppend{dep.log, failing, answerLost}
				for from := 0; from < len(l.Records); {
					to := min(from+2000, len(l.Records))
					if err := dep.environmentWith(rules).Handle(t.Context(), l.Batch(from, to)); err != nil {
						failed = true
						continue
					}
					from = to
				}
				return dep, failed
			}
			whole, _ := run(0, false)
			want := whole.produced()
			if len(want) != c.want*devices {
				t.Fatalf("%d records produced, want %d of each of %d devices", len(want), c.want, devices)
			}
			for _, answerLost := range []bool{false, true} {
				failing := 2 // append 1 is the entry of the topic epoch
				for failed := true; failed; failing++ {
					var dep *deployment
					if dep, failed = run(failing, answerLost); !slices.Equal(dep.produced(), want) {
						t.Errorf("append %d fails, answer lost %v: %d records produced, want %d", failing, answerLost, len(dep.produced()), len(want))
					}
				}
				if failing < 6 {
					t.Errorf("only %d appends: the tick was not written in parts", failing)
				}
			}
		})
	}
}

// A sighting before the first tick is decided by the rules at the timestamp of its
// record. A rule boundary before the first tick ends no visit and confirms none.
// It only forgets, as a cold environment does.
func TestRulesBeforeTheFirstTick(t *testing.T) {
	loud := func(r *presence.Rules) { r.Entry = -50 }
	quick := func(r *presence.Rules) { r.MinStrong, r.MinSpan = 1, 0 }
	defaults := func(*presence.Rules) {}
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
		{"too weak by the rules of its time", defaults, loud, -60, []int{0, 7}, 0},
		{"strong enough by the rules of its time", loud, defaults, -60, []int{0, 7}, 1},
		{"no visit by the rules of its time", quick, defaults, -60, []int{0}, 0},
		{"forgotten by the rules before", short, long, -30, []int{-55, -26}, 0},
		{"remembered by the rules of its time", long, long, -30, []int{-55, -26}, 1},
	} {
		for _, cold := range []bool{false, true} {
			rules := &cafeRules{history: []stage.RulesSince{{Rules: from(0, c.before).Rules}, from(c.since, c.after)}}
			dep, l := newDeployment(), newSightings()
			env := dep.environmentWith(rules)
			for i, minute := range c.heard {
				l.seen(t, "phone", noon.Add(time.Duration(minute)*time.Minute), -60)
				if i == 0 {
					l.tick(t, noon)
				}
			}
			for i := range l.Records {
				if cold {
					env = dep.environmentWith(rules)
				}
				if err := env.Handle(t.Context(), l.Batch(i, i+1)); err != nil {
					t.Fatal(err)
				}
			}
			if got := len(dep.walkIns(t)); got != c.want {
				t.Errorf("%s, cold %v: %d walk-ins, want %d", c.name, cold, got, c.want)
			}
		}
	}
}

// Partitions are added, and rules change before some of the added partitions have
// begun. Warm environments and cold ones produce the same records.
func TestRulesChangeWhilePartitionsAreAdded(t *testing.T) {
	rules := &cafeRules{history: []stage.RulesSince{
		from(-60, sessionGap(20*time.Minute)), from(30, sessionGap(15*time.Minute)), from(90, sessionGap(3*time.Hour)), from(200, sessionGap(30*time.Minute)),
	}}
	run := func(cold bool) []string {
		dep := newDeployment()
		parts := withVisits(t, dep, 12)
		env := dep.environmentWith(rules)
		deliver := func(p *sightingsPartition, begin int) {
			if cold {
				env = dep.environmentWith(rules)
			}
			if err := env.Handle(t.Context(), p.Batch(begin, len(p.Records))); err != nil {
				t.Fatal(err)
			}
		}
		begin := len(parts[0].Records)
		parts[0].tick(t, noon.Add(10*time.Minute))
		deliver(parts[0], begin)
		dep.topics.Description.Partitions = 4
		for minute := 20; minute < 300; minute += 7 {
			for p, part := range parts[:4] {
				begin := len(part.Records)
				if minute > 50 || p == 1 { // one partition goes ahead
					part.tick(t, noon.Add(time.Duration(minute)*time.Minute))
				}
				for i := range 12 {
					key := events.DeviceKey(cafe, events.DeviceID(longName(i)))
					if minute%(14+7*i) == 0 && events.Partition(key, 4) == part.Number {
						part.associated(t, longName(i), noon.Add(time.Duration(minute)*time.Minute))
					}
				}
				if len(part.Records) > begin {
					deliver(part, begin)
				}
			}
		}
		return dep.produced()
	}
	warm, cold := run(false), run(true)
	if len(warm) < 20 || !slices.Equal(warm, cold) {
		t.Errorf("warm environments produced %d records, cold ones %d, want the same ones and 20 at least", len(warm), len(cold))
	}
}

// A tick comes at the very moment of a rule boundary, and its own item fails after
// that of the boundary was appended, with the same watermark. The redelivered tick
// is applied all the same.
func TestTickOnARuleBoundaryIsAppliedWhenRedelivered(t *testing.T) {
	rules := &cafeRules{history: []stage.RulesSince{from(10, func(r *presence.Rules) { r.MinStrong, r.MinSpan = 1, 0 })}}
	for _, cold := range []bool{false, true} {
		dep, l := newDeployment(), newSightings()
		env := dep.environmentWith(rules)
		l.tick(t, noon)
		l.seen(t, "phone", noon.Add(3*time.Minute), -60)
		l.tick(t, noon.Add(10*time.Minute)) // by the new rules the phone walks in
		dep.out.Fail = func(int) error { return stagetest.ErrInjected }
		if err := env.Handle(t.Context(), l.All()); err == nil {
			t.Fatal("the injected fault was not met")
		}
		dep.out.Fail = nil
		if cold {
			env = dep.environmentWith(rules)
		}
		if err := env.Handle(t.Context(), l.All()); err != nil {
			t.Fatal(err)
		}
		if got := dep.walkIns(t); len(got) != 1 || !got[0].ConfirmedAt.Equal(noon.Add(10*time.Minute)) {
			t.Errorf("cold %v: walk-ins %+v, want one that the tick confirmed", cold, got)
		}
	}
}
