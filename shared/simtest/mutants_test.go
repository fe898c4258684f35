package simtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"footfall/shared/memory"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// mutant is a broken design that the simulation must tell from the real one.
type mutant struct {
	name  string
	modes []string // where it is looked for, in turn, or meetings
	spoil func(w *world)
}

// replaces gives a stage's handler another shape.
func replaces(name string, double func(w *world, e *env) stage.Handler) func(*world) {
	return func(w *world) {
		w.make = func(e *env) stage.Handler {
			if e.stage == name {
				return double(w, e)
			}
			return w.handlerOf(e)
		}
	}
}

var mutants = []mutant{
	{"plain ADD", []string{"normal"}, countsWith((*countDouble).plainAdd)},
	{"offset watermark", []string{"recreated", "normal"}, countsWith((*countDouble).watermark)},
	{"marker then counter", []string{"normal"}, countsWith((*countDouble).markerThenCounter)},
	{"marker lock", []string{"normal"}, countsWith((*countDouble).markerLock)},
	{"state before produce", []string{"normal"}, replaces(pipeline.Detect, stateBeforeProduce)},
	{"unconditional append", []string{"normal", "environments"}, func(w *world) { w.log = newOverwrittenLog() }},
	{"decides behind the log", []string{"environments", "normal"}, replaces(pipeline.Detect, decidesBehindTheLog)},
	{"offset without generation", []string{"recreated"}, replaces(pipeline.Detect, ignoresGenerations)},
	{"random ids", []string{"normal"}, replaces(pipeline.Detect, randomIDs)},
	{"no emit on duplicate", []string{"normal"}, replaces(pipeline.Count, silentOnDuplicates)},
	{"companions by order of arrival", []string{"normal"}, func(w *world) { w.counts = newFirstCome() }},
	{"ends ignored", []string{"normal"}, replaces(pipeline.Enrich, endsIgnored)},
	{"ends of stored walk-ins only", []string{"normal"}, replaces(pipeline.Enrich, endsAfterWalkInsOnly)},
	{"a late attribution without its end", []string{"normal"}, replaces(pipeline.Identify, lateWithoutEnd)},
	{"the first end stays", []string{"a login and two ends"}, oneEndStays(false)},
	{"the end read last stays", []string{"a login and two ends"}, oneEndStays(true)},
	{"a version without ends", []string{"normal"}, func(w *world) { w.counts = visitsOnly{memory.NewCounts()} }},
	{"last-writer-wins sink", []string{"normal"}, replaces(sinkName, func(w *world, _ *env) stage.Handler { return &lastWins{sink{w}} })},
	// What the simulation, or thinking about it, has found wrong in this code.
	{"the total as the version", []string{"base-counts"}, replaces(pipeline.Count, func(_ *world, e *env) stage.Handler {
		return stage.NewCount(stage.CountDeps{Counts: e.ports, Out: formerProducer{e.ports}})
	})},
	{"told once", []string{"environments", "overlap", "normal"}, replaces(pipeline.Count, toldOnce)},
	{"no second look", []string{"normal"}, replaces(pipeline.Enrich, noSecondLook)},
	{"reports the first failure only", []string{"normal"}, func(w *world) { w.reportFirstOnly, w.passUnreported = true, true }},
}

// mutantSeeds is how many seeds each mode of a mutant may take.
const mutantSeeds = 20_000

// TestMutants wants every broken design found out.
func TestMutants(t *testing.T) {
	if few() && *seedsFlag == 0 {
		t.Skip("some mutants take thousands of seeds: run without -short and -race")
	}
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			tried := 0
			for _, name := range m.modes {
				seed, failure := firstFailure(t, runByName(t, name, m.spoil))
				tried += int(seed) + 1
				if failure != nil {
					t.Logf("%s: found in seed %d of %s, the %d. tried: %v", m.name, seed, name, tried, failure)
					return
				}
			}
			t.Errorf("%s: not found in %d seeds of %v", m.name, tried, m.modes)
		})
	}
}

// runByName gives how a seed of a mode or a meeting is run.
func runByName(t *testing.T, name string, spoil func(*world)) func(seed uint64) *world {
	t.Helper()
	for _, m := range modes {
		if m.name == name {
			return func(seed uint64) *world { return m.simulate(seed, *faultsFlag, nil, spoil) }
		}
	}
	for _, h := range meetings() {
		if h.name == name {
			h.rivals, h.spoil = true, spoil
			return func(seed uint64) *world { return h.run(nil, seed, nil) }
		}
	}
	t.Fatalf("no mode %s", name)
	return nil
}

// firstFailure gives the first seed that fails, and how.
func firstFailure(t *testing.T, run func(seed uint64) *world) (seed uint64, failure error) {
	t.Helper()
	bubble(t, func() {
		for seed = range uint64(mutantSeeds) {
			if failure = run(seed).failure; failure != nil {
				return
			}
		}
	})
	return seed, failure
}

// TestRunsRepeat wants a seed to give the same history each time.
func TestRunsRepeat(t *testing.T) {
	for _, m := range modes {
		for seed := range uint64(20) {
			seed += rand.Uint64N(1 << 40)
			var first, second strings.Builder
			bubble(t, func() {
				m.simulate(seed, *faultsFlag, &first, nil)
				m.simulate(seed, *faultsFlag, &second, nil)
			})
			if first.String() != second.String() {
				t.Fatalf("%s: seed %d gave two histories", m.name, seed)
			}
		}
	}
}

type contextKey string

// handlerFunc is a stage.Handler.
type handlerFunc func(ctx context.Context, b stage.Batch) error

func (f handlerFunc) Handle(ctx context.Context, b stage.Batch) error { return f(ctx, b) }

// perBatch gives each batch a T of its own, which the ports find in the context.
func perBatch[T any](key contextKey, h stage.Handler, after func(ctx context.Context, v *T) error) stage.Handler {
	return handlerFunc(func(ctx context.Context, b stage.Batch) error {
		v := new(T)
		ctx = context.WithValue(ctx, key, v)
		if err := h.Handle(ctx, b); err != nil || after == nil {
			return err
		}
		return after(ctx, v)
	})
}

func of[T any](ctx context.Context, key contextKey) *T {
	v, ok := ctx.Value(key).(*T)
	if !ok {
		panic(fmt.Sprintf("no %s in the context", key))
	}
	return v
}
