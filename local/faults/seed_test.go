// Package faults runs the real clients against a real broker that fails. A seed
// chooses what fails and how; the clock is that of a synctest bubble, so
// timeouts of minutes take no time.
//
// A seed decides the fate of the nth request of each kind. Which goroutine sends
// it is the scheduler's choice, so a seed that failed may have to be run some
// times until it fails again.
package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this seed only, and print its history")
	seedsFlag = flag.Uint64("seeds", 0, "how many seeds to run, instead of 1,000 (100 under the race detector)")
)

// forSeeds runs a test with many seeds, in as many bubbles at once as there are
// workers, and says of one that fails how to run it again.
func forSeeds(t *testing.T, run func(*testing.T, *history)) {
	if !channelMutexes {
		t.Skip("needs -tags synctests, as in make check-faults")
	}
	const workers = 4
	seeds := uint64(1000)
	if raceDetector {
		seeds = 100 // which takes as long as 1,000 do without
	}
	if *seedsFlag > 0 {
		seeds = *seedsFlag
	}
	one := func(t *testing.T, seed uint64) {
		h := &history{seed: seed, counts: map[string]uint64{}}
		told := func() string {
			return fmt.Sprintf("history of seed %d:\n%s\nagain: go test -tags synctests ./local/faults -run %s -count 1 -v -seed %d",
				seed, h, strings.SplitN(t.Name(), "/", 2)[0], seed)
		}
		// Outside of the bubble, whose clock stands still when something turns in
		// circles.
		defer time.AfterFunc(2*time.Minute, func() { panic("a run does not end\n" + told()) }).Stop()
		defer func() {
			if t.Failed() || *seedFlag > 0 {
				t.Log(told())
			}
		}()
		synctest.Test(t, func(t *testing.T) {
			// Who sleeps when a bubble ends would never wake.
			t.Cleanup(func() { time.Sleep(time.Minute) })
			h.began = time.Now()
			run(t, h)
		})
	}
	if *seedFlag > 0 {
		one(t, *seedFlag)
		return
	}
	for w := range uint64(workers) {
		t.Run(fmt.Sprint("worker ", w), func(t *testing.T) {
			t.Parallel()
			for seed := 1 + w; seed <= seeds && !t.Failed(); seed += workers {
				one(t, seed)
			}
		})
	}
}

// history is what a seed has decided and what happened, in its order.
type history struct {
	seed  uint64
	began time.Time

	mu     sync.Mutex
	lines  []string
	counts map[string]uint64 // decisions by kind
	spent  int               // faults
	budget int               // of faults: when it is spent, all goes well
}

// hashed is FNV-1a.
func hashed(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// dice gives the random numbers of the next decision of a kind.
func (h *history) dice(kind string) *rand.Rand {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.counts[kind]
	h.counts[kind]++
	return rand.New(rand.NewPCG(h.seed, hashed(kind)+n*0x9e3779b97f4a7c15))
}

// fault says whether a decision that came out as a fault may still be one.
func (h *history) fault(format string, args ...any) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.spent >= h.budget {
		return false
	}
	h.spent++
	h.add("FAULT "+format, args...)
	return true
}

func (h *history) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.add(format, args...)
}

func (h *history) add(format string, args ...any) {
	at := time.Since(h.began).Round(time.Millisecond)
	h.lines = append(h.lines, fmt.Sprintf("%10v  ", at)+fmt.Sprintf(format, args...))
}

// String is the history, a line each.
func (h *history) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(slices.Clone(h.lines), "\n")
}

// noting writes what is logged into a history.
type noting struct{ h *history }

func (n noting) Write(line []byte) (int, error) {
	n.h.note("log: %s", strings.TrimSpace(string(line)))
	return len(line), nil
}
