package simtest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seedsFlag  = flag.Int("seeds", 0, "number of seeds of each mode; 0 means 20,000, or 100 with -short or the race detector")
	seedFlag   = flag.Int64("seed", -1, "run this one seed and print its history")
	faultsFlag = flag.Int("faults", 6, "number of faults of each seed")
)

// quickRun reports whether this run is short: under the race detector, which is
// slow, or with -short. A short run has few seeds, and at most one fault where
// every course is run.
func quickRun() bool { return testing.Short() || raceDetector }

// seeds returns the number of seeds that each mode is run with.
func seeds() int {
	switch {
	case *seedsFlag > 0:
		return *seedsFlag
	case quickRun():
		return 100
	default:
		return 20_000
	}
}

// mode is one course of events around the stages.
type mode struct {
	name string
	run  func(w *world)
}

// simulate runs one seed of a mode and returns the world at its end. prepare, if
// not nil, changes the world before the run; a mutant does. simulate must be
// called within a bubble of synctest.
func (m mode) simulate(seed uint64, faults int, history *strings.Builder, prepare func(*world)) *world {
	w := newWorld(seed, faults)
	w.history = history
	w.script = newScript(rand.New(rand.NewPCG(seed, 2)))
	if prepare != nil {
		prepare(w)
	}
	w.seen.newEpoch()
	m.run(w)
	// A failure of the run itself is more telling than that of a check.
	if w.failure == nil {
		w.check()
	}
	w.close()
	return w
}

// close ends the tasks that still run, so that no goroutine is left in the bubble.
func (w *world) close() {
	for _, t := range w.tasks {
		t.env.dead = true
	}
	for len(w.tasks) > 0 {
		w.gather()
		w.endCallsOfDead()
	}
}

// TestSimulation: in every mode, every seed passes all checks. Each walk-in is
// produced under one id, counted once, and attributed to the right contact,
// whatever faults the seed draws.
func TestSimulation(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			if *seedFlag >= 0 {
				runOne(t, m, uint64(*seedFlag))
				return
			}
			began := time.Now()
			stats := runSeeds(t, seeds(), func(seed uint64) *world { return m.simulate(seed, *faultsFlag, nil, nil) }, func(t *testing.T, seed uint64) {
				runOne(t, m, seed)
			})
			if !t.Failed() {
				t.Logf("%v; 0 lost, 0 duplicated, all drained; %.0f s", stats, time.Since(began).Seconds())
			}
		})
	}
}

// bubble runs do in a bubble of synctest, in which the scheduler can wait until
// every goroutine of the stages has stopped.
func bubble(t *testing.T, do func()) {
	t.Helper()
	synctest.Test(t, func(*testing.T) { do() })
}

// stats adds up the figures of many runs; observations documents each of them.
type stats struct {
	mu                                                               sync.Mutex
	calls, faults, walkIns, attributed, decidedEarly, overtaken, all int
	companions, residents                                            int
}

func (s *stats) add(w *world) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all++
	s.calls += w.calls
	s.faults += *faultsFlag - w.faults
	s.walkIns += w.seen.walkIns
	s.attributed += w.seen.attributed
	s.decidedEarly += w.seen.decidedEarly
	s.overtaken += w.seen.overtaken
	s.companions += w.seen.companions
	s.residents += w.seen.residents
}

func (s *stats) String() string {
	return fmt.Sprintf("%d seeds, %d calls, %d faults; %d walk-ins, %d attributed to a contact, %d companions, %d visits of resident devices, %d decided early; %d last records by overtaken writers",
		s.all, s.calls, s.faults, s.walkIns, s.attributed, s.companions, s.residents, s.decidedEarly, s.overtaken)
}

// runSeeds runs the seeds 0 to n-1 on all processors. If a seed fails, runSeeds
// stops and runs that seed again with report, which prints its history.
func runSeeds(t *testing.T, n int, run func(seed uint64) *world, report func(t *testing.T, seed uint64)) *stats {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a world is small and lives for milliseconds
	var next atomic.Int64
	var s stats
	failed := atomic.Int64{}
	failed.Store(-1)
	// One worker per processor; each takes the next seed until one has failed.
	t.Run("seeds", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("worker", func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(*testing.T) {
					for failed.Load() < 0 {
						seed := next.Add(1) - 1
						if seed >= int64(n) {
							return
						}
						w := run(uint64(seed))
						s.add(w)
						if w.failure != nil {
							failed.CompareAndSwap(-1, seed)
						}
					}
				})
			})
		}
	})
	if seed := failed.Load(); seed >= 0 {
		report(t, uint64(seed))
	}
	return &s
}

// runOne runs one seed and prints its history, and after a failure the command
// that repeats the run.
func runOne(t *testing.T, m mode, seed uint64) {
	t.Helper()
	var history strings.Builder
	var failure error
	bubble(t, func() { failure = m.simulate(seed, *faultsFlag, &history, nil).failure })
	t.Log("\n" + history.String())
	if failure != nil {
		t.Errorf("%v\nrun it again: %s", failure, fmt.Sprintf("go test ./shared/simtest -run 'TestSimulation/%s' -seed %d -faults %d -v", m.name, seed, *faultsFlag))
	}
}
