package detect_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// oddRules draws rules, as often at the ends of their ranges as in the middle.
func oddRules(t *rapid.T) presence.Rules {
	r := presence.DefaultRules()
	minutes := func(name string, all ...int) time.Duration {
		return time.Duration(rapid.SampledFrom(all).Draw(t, name)) * time.Minute
	}
	r.Entry = rapid.SampledFrom([]int32{-60, -70, -80}).Draw(t, "entry")
	r.Hold = rapid.SampledFrom([]int32{r.Entry, -80, -85, -127}).Draw(t, "hold")
	r.MinStrong = rapid.IntRange(1, 3).Draw(t, "minStrong")
	r.MinSpan = minutes("dwell", 0, 0, 1, 5, 30)
	r.MaxGap = minutes("candidateGap", 2, 3, 10, 40)
	r.AssociatedSilence = r.MaxGap + minutes("associatedGap", 0, 5, 60)
	r.Silence = r.AssociatedSilence + minutes("gap", 0, 15, 300, 620)
	r.Lateness = minutes("lateness", 4, 15, 60)
	r.ResidentHours = rapid.SampledFrom([]int{1, 3, 10, 23}).Draw(t, "residentHours")
	r.ResidentDays = rapid.SampledFrom([]int{0, 1, 1, 3, 28}).Draw(t, "residentDays")
	zone, err := time.LoadLocation(rapid.SampledFrom([]string{
		"UTC", "Europe/Berlin", "Asia/Beirut", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "Pacific/Kiritimati", "Pacific/Pago_Pago",
	}).Draw(t, "zone"))
	if err != nil {
		t.Fatal(err)
	}
	r.Location = zone
	if rapid.Bool().Draw(t, "closes") {
		for d := range r.Closed {
			r.Closed[d] = rapid.SampledFrom([]uint32{0, 1<<6 - 1, 1<<23 | 1, presence.Full}).Draw(t, "closed")
		}
	}
	switch rapid.IntRange(0, 5).Draw(t, "excluded") {
	case 0:
		r.Excluded = map[string]struct{}{"a": {}}
	case 1:
		r.Sensors = map[string]struct{}{"door": {}}
	}
	if err := r.Validate(); err != nil {
		t.Fatalf("drawn rules: %v", err)
	}
	return r
}

// oddHistory draws a partition of some days, around a change to or from summer
// time, and rules of cafe that change in these days. The clocks of some routers
// are wrong.
func oddHistory(t *rapid.T) (*sightingsPartition, *cafeRules) {
	l, s := newSightings(), &cafeRules{}
	begin := rapid.SampledFrom([]time.Time{
		time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC), time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC),
		time.Date(2026, 10, 2, 12, 0, 0, 0, time.UTC), time.Date(2026, 6, 3, 22, 0, 0, 0, time.UTC),
	}).Draw(t, "begin")
	at := begin
	var ticks []time.Time
	for range rapid.IntRange(1, 80).Draw(t, "records") {
		gap := rapid.SampledFrom([]int{0, 20, 60, 60, 150, 400, 800, 1300, 2500, 2 * 3600, 9 * 3600, 40 * 3600}).Draw(t, "gap")
		at = at.Add(time.Duration(gap) * time.Second)
		if rapid.IntRange(0, 3).Draw(t, "tick") == 0 {
			l.tick(t, at)
			ticks = append(ticks, at)
			continue
		}
		device := events.DeviceID(rapid.SampledFrom([]string{"a", "a", "b", "c"}).Draw(t, "device"))
		off := rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 10, 20, 55, -3, -60, -300, -1400}).Draw(t, "lateMinutes")
		business := rapid.SampledFrom([]events.BusinessID{cafe, cafe, cafe, "cafe-2"}).Draw(t, "business") // cafe-2 has no rules of its own
		l.Put(t, events.DeviceKey(business, device), &events.Sighting{
			Business: business, Device: device, SeenAt: at.Add(-time.Duration(off) * time.Minute),
			Sensor:     rapid.SampledFrom([]events.SensorID{"door", "bar", "portal"}).Draw(t, "sensor"),
			RSSI:       rapid.SampledFrom([]events.RSSI{-50, -60, -70, -80, -85, -90}).Draw(t, "rssi"),
			Associated: rapid.IntRange(0, 5).Draw(t, "associated") == 0,
			Randomised: device == "b",
		})
		l.Records[len(l.Records)-1].Timestamp = at
	}
	for _, wait := range []time.Duration{2 * time.Hour, 26 * time.Hour, 20 * 24 * time.Hour} {
		at = at.Add(wait)
		l.tick(t, at)
		ticks = append(ticks, at)
	}
	if rapid.Bool().Draw(t, "always") {
		s.history = append(s.history, stage.RulesSince{Rules: oddRules(t)})
	}
	var moments []presence.Instant // at a tick, or at any time
	for range rapid.IntRange(0, 4).Draw(t, "changes") {
		moment := begin.Add(time.Duration(rapid.IntRange(-60, 1500).Draw(t, "after")) * time.Minute)
		if rapid.Bool().Draw(t, "atTick") {
			moment = rapid.SampledFrom(ticks).Draw(t, "at")
		}
		moments = append(moments, presence.InstantOf(moment))
	}
	slices.Sort(moments)
	for _, since := range slices.Compact(moments) {
		s.history = append(s.history, stage.RulesSince{Since: since, Rules: oddRules(t)})
	}
	return l, s
}

// The property of TestDetectIsAFunctionOfThePartition holds with any rules that
// change in any way: time zone, opening hours, listed devices, sensors. Each
// walk-in is produced once, each visit ends, and only the visit of a resident
// device ends without a walk-in.
func TestDetectIsAFunctionOfThePartitionWhateverTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, s := oddHistory(t)
		calm := newDeployment()
		calm.rules = s
		if err := calm.environment().Handle(context.Background(), l.All()); err != nil {
			t.Fatal(err)
		}
		rough := newDeployment()
		rough.rules = s
		faulty := &failingLog{VisitLog: rough.log}
		rough.log = faulty
		drive(t, rough, faulty, l)
		for _, topic := range []string{events.WalkIns, events.VisitsEnded} {
			want, got := distinctValues(calm.out.On(topic)), distinctValues(rough.out.On(topic))
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %d distinct records, want %d", topic, len(got), len(want))
			}
		}
		if got, want := sumTally(t, faulty.VisitLog), sumTally(t, calm.log); got != want {
			t.Fatalf("tally %+v, want %+v", got, want)
		}
		begun, ended := map[events.WalkInID]bool{}, map[events.WalkInID]bool{}
		for _, walkIn := range calm.walkIns(t) {
			if begun[walkIn.ID] {
				t.Fatalf("walk-in %+v twice", walkIn)
			}
			begun[walkIn.ID] = true
		}
		for _, e := range stagetest.Decode(t, calm.out.On(events.VisitsEnded), events.DecodeVisitEnded) {
			if e.Resident == begun[e.ID] {
				t.Fatalf("%+v ended, walk-in produced: %v", e, begun[e.ID])
			}
			ended[e.ID] = true
		}
		for id := range begun {
			if !ended[id] {
				t.Fatalf("walk-in %s never ended", id)
			}
		}
	})
}

// Routers with wrong clocks confirm a visit that lies between two other stays. When
// that visit is forgotten, the two others become one. A warm environment forgets
// the visit without an entry in the changelog. A cold one decides the same.
func TestStaysBeforeAndAfterAForgottenVisit(t *testing.T) {
	r := presence.DefaultRules()
	r.MinStrong, r.MinSpan, r.MaxGap, r.AssociatedSilence, r.Silence = 1, time.Minute, presence.Grid, presence.Grid, 10*time.Hour
	r.Lateness = 2 * presence.Grid
	for _, cold := range []bool{false, true} {
		dep, l := newDeployment(), newSightings()
		dep.rules = &cafeRules{history: []stage.RulesSince{{Rules: r}}}
		at := func(hours float64) time.Time { return noon.Add(time.Duration(hours * float64(time.Hour))) }
		seen := func(hours float64, associated bool) {
			l.Put(t, events.DeviceKey(cafe, "phone"), &events.Sighting{
				Business: cafe, Sensor: "door", Device: "phone", SeenAt: at(hours), RSSI: -50, Associated: associated,
			})
		}
		l.tick(t, at(0))
		seen(23, false) // a candidate
		seen(14, true)  // the visit in between, with a session gap of two minutes
		l.tick(t, at(9))
		seen(9, false)
		seen(9, true) // a visit with a session gap of ten hours
		seen(13.5, true)
		l.tick(t, at(14.1))
		seen(14.1, true) // from here on the visit reaches the candidate
		l.tick(t, at(16))
		l.tick(t, at(50))
		env := dep.environment()
		for i := range l.Records {
			if cold {
				env = dep.environment()
			}
			if err := env.Handle(t.Context(), l.Batch(i, i+1)); err != nil {
				t.Fatal(err)
			}
		}
		var last time.Time
		for _, e := range stagetest.Decode(t, dep.out.On(events.VisitsEnded), events.DecodeVisitEnded) {
			if e.StartedAt.Equal(at(9)) && e.LastSeenAt.After(last) {
				last = e.LastSeenAt
			}
		}
		if !last.Equal(at(23)) {
			t.Errorf("cold %v: device of the visit of 21:00 was last seen at %v, want 11:00", cold, last)
		}
	}
}
