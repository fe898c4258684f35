package stage_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/presence"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// enrichedWalkIns returns a partition with the walk-ins of one contact, by start.
func enrichedWalkIns(t rapid.TB, contact string, starts ...time.Time) *stagetest.Partition {
	t.Helper()
	l := &stagetest.Partition{Topic: events.EnrichedWalkIns}
	for _, at := range starts {
		c := events.ContactID(contact)
		l.Put(t, events.ContactKey(cafe, c), &events.EnrichedWalkIn{
			ID: events.NewWalkInID(cafe, "phone", at), Business: cafe, Device: "phone", Contact: c, StartedAt: at, BoundAt: at,
		})
	}
	return l
}

func counts(t rapid.TB, out *stagetest.Sink) []events.WalkInCount {
	t.Helper()
	return stagetest.Decode(t, out.On(events.WalkInCounts), events.DecodeWalkInCount)
}

// The count of a batch has the total, and the total of the month of the latest
// walk-in.
func TestCountHasMonthAndTotal(t *testing.T) {
	out := &stagetest.Sink{}
	h := stage.NewCount(stage.CountDeps{Counts: memory.NewCounts(), Out: out})
	march, april := noon, noon.AddDate(0, 1, 0)
	l := enrichedWalkIns(t, "ann", march, march.Add(24*time.Hour), april)
	if err := h.Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	want := events.WalkInCount{
		Business: cafe, Contact: "ann", WalkIn: events.NewWalkInID(cafe, "phone", april), WalkInAt: april,
		Month: "2026-04", MonthTotal: 1, Total: 3, Version: 3,
	}
	if got := counts(t, out); len(got) != 1 || got[0] != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

// Every walk-in is counted once, for any batches, any redelivery, and any failure of
// a produce before or after the broker wrote the records.
func TestEveryWalkInIsCountedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "walkIns")
		starts := make([]time.Time, n)
		for i := range starts {
			starts[i] = noon.Add(time.Duration(i*40) * time.Hour)
		}
		l, out, table := enrichedWalkIns(t, "ann", starts...), &stagetest.Sink{}, memory.NewCounts()
		for done := 0; done < n; {
			from := max(0, done-rapid.IntRange(0, 4).Draw(t, "redelivered"))
			to := min(n, done+rapid.IntRange(1, 5).Draw(t, "size"))
			out.Fail = nil
			if rapid.IntRange(0, 3).Draw(t, "fault") == 0 {
				out.Fail, out.KeepFailed = func(int) error { return stagetest.ErrInjected }, rapid.Bool().Draw(t, "applied")
			}
			h := stage.NewCount(stage.CountDeps{Counts: table, Out: out})
			if err := h.Handle(context.Background(), l.Batch(from, to)); err == nil {
				done = to
			}
		}
		highest := int64(0)
		for _, c := range counts(t, out) {
			highest = max(highest, c.Total)
		}
		if highest != int64(n) {
			t.Fatalf("got a highest total of %d, want %d", highest, n)
		}
	})
}

// Two devices of one contact that are in the store at the same time count as one
// visit, in any order of events. If an event lowers the total, the count has a
// higher version all the same.
func TestOverlappingDevicesCountAsOneVisit(t *testing.T) {
	out := &stagetest.Sink{}
	h := stage.NewCount(stage.CountDeps{Counts: memory.NewCounts(), Out: out})
	handle := func(device events.DeviceID, from, to int) {
		t.Helper()
		at := noon.Add(time.Duration(from) * time.Minute)
		e := &events.EnrichedWalkIn{
			ID: events.NewWalkInID(cafe, device, at), Business: cafe, Device: device, Contact: "ann", StartedAt: at, BoundAt: at,
		}
		if to != 0 {
			e.Ended, e.DwellMillis = true, int64(to-from)*60_000
		}
		l := &stagetest.Partition{Topic: events.EnrichedWalkIns}
		l.Put(t, events.ContactKey(cafe, "ann"), e)
		if err := h.Handle(t.Context(), l.All()); err != nil {
			t.Fatal(err)
		}
	}
	handle("tablet", 50, 0)  // counts
	handle("phone", 0, 0)    // open since before the tablet: the tablet is a companion
	handle("phone", 0, 40)   // ended before the tablet came: both count
	handle("phone", 0, 40)   // redelivered
	handle("phone", 0, 52)   // a later end: the tablet is a companion again
	handle("phone", 100, 0)  // the tablet's visit is still open, so the phone is a companion
	handle("tablet", 50, 90) // ended before the phone came back: both count
	var got []string
	for _, c := range counts(t, out) {
		got = append(got, fmt.Sprintf("v%d: %d", c.Version, c.Total))
	}
	want := []string{"v1: 1", "v2: 1", "v3: 2", "v3: 2", "v4: 1", "v5: 1", "v6: 2"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// panicking is a table whose Add panics.
type panicking struct{ stage.Counts }

func (panicking) Add(context.Context, stage.CountKey, string, []presence.Fact) error {
	panic("table is broken")
}

// A panic in a goroutine of the stage becomes the error of the batch, so that the
// other partitions of the invocation go on.
func TestAPanicBecomesTheErrorOfTheBatch(t *testing.T) {
	h := stage.NewCount(stage.CountDeps{Counts: panicking{}, Out: &stagetest.Sink{}})
	err := h.Handle(t.Context(), enrichedWalkIns(t, "ann", noon).All())
	if err == nil || !strings.Contains(err.Error(), "table is broken") {
		t.Errorf("got error %v, want the panic", err)
	}
}

func BenchmarkCount(b *testing.B) {
	l := &stagetest.Partition{Topic: events.EnrichedWalkIns}
	for i := range 500 {
		l.Records = append(l.Records, enrichedWalkIns(b, fmt.Sprint("contact-", i), noon).Records...)
	}
	b.ReportAllocs()
	for b.Loop() {
		h := stage.NewCount(stage.CountDeps{Counts: memory.NewCounts(), Out: &stagetest.Sink{}})
		if err := h.Handle(b.Context(), l.All()); err != nil {
			b.Fatal(err)
		}
	}
}

// A base is set, raised and lowered between walk-ins: each change produces a count
// with a higher version.
func TestABaseIsProducedLikeAnyChange(t *testing.T) {
	out := &stagetest.Sink{}
	deps := stage.CountDeps{Counts: memory.NewCounts(), Out: out}
	key := stage.CountKey{Business: cafe, Contact: "ann"}
	if err := stage.NewCount(deps).Handle(t.Context(), enrichedWalkIns(t, "ann", noon).All()); err != nil {
		t.Fatal(err)
	}
	for _, base := range []int64{40, 40, 7} { // the second is a repeated backfill
		if err := stage.SetBase(t.Context(), deps, key, base); err != nil {
			t.Fatal(err)
		}
	}
	if err := stage.NewCount(deps).Handle(t.Context(), enrichedWalkIns(t, "ann", noon.Add(time.Hour)).All()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range counts(t, out) {
		got = append(got, fmt.Sprintf("v%d: %d, %d of them base, %d in %q", c.Version, c.Total, c.Base, c.MonthTotal, c.Month))
	}
	want := []string{
		`v1: 1, 0 of them base, 1 in "2026-03"`, `v2: 41, 40 of them base, 0 in ""`, `v2: 41, 40 of them base, 0 in ""`,
		`v3: 8, 7 of them base, 0 in ""`, `v4: 9, 7 of them base, 2 in "2026-03"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if err := stage.SetBase(t.Context(), deps, key, -1); err == nil {
		t.Error("SetBase accepts a base below 0")
	}
}

// overtakenCounts is a table in which another poller counts a walk-in after the
// first read and before the caller produces the count that it read.
type overtakenCounts struct {
	stage.Counts
	otherPoller func()
}

func (o *overtakenCounts) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	months, err := o.Counts.Get(ctx, key)
	if o.otherPoller != nil {
		o.otherPoller()
		o.otherPoller = nil
	}
	return months, err
}

// The poller that was overtaken produces the stored count again, so that the last
// record holds the stored count.
func TestTheLastCountProducedIsTheStoredOne(t *testing.T) {
	out, table := &stagetest.Sink{}, memory.NewCounts()
	other := stage.NewCount(stage.CountDeps{Counts: table, Out: out})
	slow := &overtakenCounts{table, func() {
		if err := other.Handle(t.Context(), enrichedWalkIns(t, "ann", noon.Add(time.Hour)).All()); err != nil {
			t.Fatal(err)
		}
	}}
	h := stage.NewCount(stage.CountDeps{Counts: slow, Out: out})
	if err := h.Handle(t.Context(), enrichedWalkIns(t, "ann", noon).All()); err != nil {
		t.Fatal(err)
	}
	all := counts(t, out)
	if last := all[len(all)-1]; last.Total != 2 || last.Version != 2 {
		t.Errorf("got last count %d with version %d, want 2 and 2", last.Total, last.Version)
	}
}
