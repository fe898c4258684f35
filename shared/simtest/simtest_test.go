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
	seedsFlag  = flag.Int("seeds", 0, "how many seeds each mode is run with; 0 for 20,000, or 100 with -short or the race detector")
	seedFlag   = flag.Int64("seed", -1, "the one seed to run, telling its history")
	faultsFlag = flag.Int("faults", 6, "how many faults each seed has")
)

// few says that this run is for the race detector, or for somebody who waits: it
// takes few seeds, and one fault where every course is tried.
func few() bool { return testing.Short() || raceDetector }

// seeds is how many seeds a mode is to be run with.
func seeds() int {
	switch {
	case *seedsFlag > 0:
		return *seedsFlag
	case few():
		return 100
	default:
		return 20_000
	}
}

// mode is one way the world may go.
type mode struct {
	name string
	run  func(w *world)
}

// simulate runs one seed of a mode and gives the world as it ended. It must be
// called within a bubble of synctest.
func (m mode) simulate(seed uint64, faults int, history *strings.Builder, prepare func(*world)) *world {
	w := newWorld(seed, faults)
	w.history = history
	w.script = newScript(rand.New(rand.NewPCG(seed, 2)))
	if prepare != nil {
		prepare(w)
	}
	w.seen.newLife()
	m.run(w)
	if w.failure == nil {
		w.check()
	}
	w.close()
	return w
}

// close lets what is under way end, so that no goroutine is left in the bubble.
func (w *world) close() {
	for _, t := range w.tasks {
		t.env.dead = true
	}
	for len(w.tasks) > 0 {
		w.gather()
		w.bury()
	}
}

// TestSimulation runs every mode with many seeds.
func TestSimulation(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			if *seedFlag >= 0 {
				tell(t, m, uint64(*seedFlag), nil)
				return
			}
			began := time.Now()
			stats := runSeeds(t, seeds(), func(seed uint64) *world { return m.simulate(seed, *faultsFlag, nil, nil) }, func(t *testing.T, seed uint64) {
				tell(t, m, seed, nil)
			})
			if !t.Failed() {
				t.Logf("%v; 0 lost, 0 duplicated, all drained; %.0f s", stats, time.Since(began).Seconds())
			}
		})
	}
}

// bubble runs do where the scheduler can tell that every goroutine waits.
func bubble(t *testing.T, do func()) {
	t.Helper()
	synctest.Test(t, func(*testing.T) { do() })
}

// stats is what many runs came to.
type stats struct {
	mu                                                      sync.Mutex
	calls, faults, walkIns, attributed, earlier, stale, all int
	companions, residents                                   int
}

func (s *stats) add(w *world) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all++
	s.calls += w.calls
	s.faults += *faultsFlag - w.faults
	s.walkIns += w.seen.walkIns
	s.attributed += w.seen.attributed
	s.earlier += w.seen.earlier
	s.stale += w.seen.stale
	s.companions += w.seen.companions
	s.residents += w.seen.residents
}

func (s *stats) String() string {
	return fmt.Sprintf("%d seeds, %d calls, %d faults; %d walk-ins, %d of a contact, %d companions, %d visits of residents, %d decided on before all CRM events were known; %d last words of overtaken writers",
		s.all, s.calls, s.faults, s.walkIns, s.attributed, s.companions, s.residents, s.earlier, s.stale)
}

// runSeeds runs seeds on all processors until one fails, which is told.
func runSeeds(t *testing.T, n int, run func(seed uint64) *world, tell func(t *testing.T, seed uint64)) *stats {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // worlds are small and short-lived
	var next atomic.Int64
	var s stats
	failed := atomic.Int64{}
	failed.Store(-1)
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
		tell(t, uint64(seed))
	}
	return &s
}

// tell runs one seed with its history told.
func tell(t *testing.T, m mode, seed uint64, prepare func(*world)) {
	t.Helper()
	var history strings.Builder
	var failure error
	bubble(t, func() { failure = m.simulate(seed, *faultsFlag, &history, prepare).failure })
	t.Log("\n" + history.String())
	if failure != nil {
		t.Errorf("%v\nreplay: %s", failure, fmt.Sprintf("go test ./shared/simtest -run 'TestSimulation/%s' -seed %d -faults %d -v", m.name, seed, *faultsFlag))
	}
}
