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

// mutant is a broken design. mutate replaces a part of the real design in a world;
// then a check must fail in some seed.
type mutant struct {
	name   string
	modes  []string // the modes or meetings to run, one after another
	mutate func(w *world)
}

// replaces returns a change of the world that replaces the handler of a stage.
func replaces(name string, double func(w *world, e *env) stage.Handler) func(*world) {
	return func(w *world) {
		w.newHandler = func(e *env) stage.Handler {
			if e.stage == name {
				return double(w, e)
			}
			return w.handlerOf(e)
		}
	}
}

// mutants are all broken designs; docs/guarantees.md describes each.
var mutants = []mutant{
	{"plain ADD", []string{"normal"}, countsWith((*countDouble).plainAdd)},
	{"offset watermark", []string{"recreated", "normal"}, countsWith((*countDouble).offsetMark)},
	{"marker then counter", []string{"normal"}, countsWith((*countDouble).markerThenCounter)},
	{"marker lock", []string{"normal"}, countsWith((*countDouble).markerLock)},
	{"state before produce", []string{"normal"}, replaces(pipeline.Detect, stateBeforeProduce)},
	{"unconditional append", []string{"normal", "environments"}, func(w *world) { w.log = newOverwrittenLog() }},
	{"decides behind the log", []string{"environments", "normal"}, replaces(pipeline.Detect, decidesBehindTheLog)},
	{"offset without topic epoch", []string{"recreated"}, replaces(pipeline.Detect, ignoresTopicEpochs)},
	{"random ids", []string{"normal"}, replaces(pipeline.Detect, randomIDs)},
	{"no emit on duplicate", []string{"normal"}, replaces(pipeline.Count, silentOnDuplicates)},
	{"companions by order of arrival", []string{"normal"}, func(w *world) { w.counts = newDecidesOnce() }},
	{"ends ignored", []string{"normal"}, replaces(pipeline.Enrich, endsIgnored)},
	{"ends of stored walk-ins only", []string{"normal"}, replaces(pipeline.Enrich, endsAfterWalkInsOnly)},
	{"a late attribution without its end", []string{"normal"}, replaces(pipeline.Identify, lateWithoutEnd)},
	{"the first end stays", []string{"a login and two ends"}, oneEndStays(false)},
	{"the end read last stays", []string{"a login and two ends"}, oneEndStays(true)},
	{"an enriched walk-in produced once", []string{"normal"}, replaces(pipeline.Enrich, looksOnceInEnrich)},
	{"a late attribution produced once", []string{"normal", "a login and two ends"}, replaces(pipeline.Identify, looksOnceInIdentify)},
	{"one version for all records of a visit", []string{"normal"}, replaces(pipeline.Enrich, oneVersion)},
	{"a version without ends", []string{"normal"}, func(w *world) { w.counts = visitsOnly{memory.NewCounts()} }},
	{"last-writer-wins sink", []string{"normal"}, replaces(sinkName, func(w *world, _ *env) stage.Handler { return &lastWins{sink{w}} })},
	// These were mistakes in this code once.
	{"the total as the version", []string{"base-counts"}, replaces(pipeline.Count, func(_ *world, e *env) stage.Handler {
		return stage.NewCount(stage.CountDeps{Counts: e.ports, Out: formerProducer{e.ports}})
	})},
	{"produced once", []string{"environments", "overlap", "normal"}, replaces(pipeline.Count, producesOnce)},
	{"no second look", []string{"normal"}, replaces(pipeline.Enrich, noSecondLook)},
	{"reports the first failure only", []string{"normal"}, func(w *world) { w.reportFirstOnly, w.passUnreported = true, true }},
}

// mutantSeeds is the number of seeds of each mode in which a mutant must fail.
const mutantSeeds = 20_000

// TestMutants: for every mutant, a check fails in at least one seed.
func TestMutants(t *testing.T) {
	if quickRun() && *seedsFlag == 0 {
		t.Skip("some mutants take thousands of seeds: run without -short and -race")
	}
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			tried := 0
			for _, name := range m.modes {
				seed, failure := firstFailure(t, runByName(t, name, m.mutate))
				tried += int(seed) + 1
				if failure != nil {
					t.Logf("%s: a check failed in seed %d of %s, run number %d: %v", m.name, seed, name, tried, failure)
					return
				}
			}
			t.Errorf("%s: no check failed in %d seeds of %v", m.name, tried, m.modes)
		})
	}
}

// runByName returns the function that runs a seed of a mode or a meeting.
func runByName(t *testing.T, name string, mutate func(*world)) func(seed uint64) *world {
	t.Helper()
	for _, m := range modes {
		if m.name == name {
			return func(seed uint64) *world { return m.simulate(seed, *faultsFlag, nil, mutate) }
		}
	}
	for _, h := range meetings() {
		if h.name == name {
			h.rivals, h.mutate = true, mutate
			return func(seed uint64) *world { return h.run(nil, seed, nil) }
		}
	}
	t.Fatalf("no mode or meeting %q", name)
	return nil
}

// firstFailure returns the first seed that fails, and the failure. The failure is
// nil if mutantSeeds seeds pass.
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

// TestRunsRepeat: two runs of one seed have the same history, call by call.
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
				t.Fatalf("%s: two runs of seed %d have different histories", m.name, seed)
			}
		}
	}
}

// contextKey is the key of a value that perBatch puts into the context.
type contextKey string

// handlerFunc is a function as a stage.Handler.
type handlerFunc func(ctx context.Context, b stage.Batch) error

// Handle calls the function.
func (f handlerFunc) Handle(ctx context.Context, b stage.Batch) error { return f(ctx, b) }

// perBatch returns a handler that puts a new T into the context of each batch, for
// the ports of a mutant. after, if not nil, runs after a batch without an error.
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

// batchValue returns the T that perBatch put into the context.
func batchValue[T any](ctx context.Context, key contextKey) *T {
	v, ok := ctx.Value(key).(*T)
	if !ok {
		panic(fmt.Sprintf("the context has no value %q; is the handler wrapped by perBatch?", key))
	}
	return v
}
