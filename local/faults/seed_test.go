// Package faults runs the real Kafka clients against real brokers that fail. A
// seed chooses the faults. The clock is that of a synctest bubble, so timeouts
// of minutes take no time.
//
// A seed decides whether the nth request of each kind fails. Which goroutine
// sends that request is up to the scheduler, so a seed that failed may have to
// be run several times before it fails again.
//
// Start reading at TestKafka in kafka_test.go, which lists the properties.
// broker_test.go injects the faults, and this file runs the seeds.
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

// forSeeds runs a test with many seeds, in one bubble for each worker at a
// time. If a seed fails, it prints the seed's history and the command that runs
// the seed again.
func forSeeds(t *testing.T, run func(*testing.T, *history)) {
	if !channelMutexes {
		t.Skip("needs -tags synctests, as in make check-faults")
	}
	const workers = 4
	seeds := uint64(1000)
	if raceDetector {
		seeds = 100 // takes as long as 1,000 seeds without the race detector
	}
	if *seedsFlag > 0 {
		seeds = *seedsFlag
	}
	one := func(t *testing.T, seed uint64) {
		h := &history{seed: seed, counts: map[string]uint64{}}
		report := func() string {
			return fmt.Sprintf("history of seed %d:\n%s\nto run it again: go test -tags synctests ./local/faults -run %s -count 1 -v -seed %d",
				seed, h, strings.SplitN(t.Name(), "/", 2)[0], seed)
		}
		// This timer is outside the bubble, whose clock stands still if a
		// goroutine loops without waiting.
		defer time.AfterFunc(2*time.Minute, func() { panic("a run does not end\n" + report()) }).Stop()
		defer func() {
			if t.Failed() || *seedFlag > 0 {
				t.Log(report())
			}
		}()
		synctest.Test(t, func(t *testing.T) {
			// A goroutine that sleeps when the bubble ends would never wake.
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

// history holds the decisions of a seed and the events of its run, in their
// order.
type history struct {
	seed  uint64
	began time.Time

	mu     sync.Mutex
	lines  []string
	counts map[string]uint64 // decisions by kind
	used   int               // faults so far
	budget int               // of faults: when it is used up, nothing fails any more
}

// hashed returns the FNV-1a hash of text.
func hashed(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// dice returns the random numbers for the next decision of a kind.
func (h *history) dice(kind string) *rand.Rand {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.counts[kind]
	h.counts[kind]++
	return rand.New(rand.NewPCG(h.seed, hashed(kind)+n*0x9e3779b97f4a7c15))
}

// fault reports whether a decision for a fault may be carried out, and notes
// the fault.
func (h *history) fault(format string, args ...any) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.used >= h.budget {
		return false
	}
	h.used++
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

// String returns the history, one event on each line.
func (h *history) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(slices.Clone(h.lines), "\n")
}

// historyWriter writes log lines into a history.
type historyWriter struct{ h *history }

func (n historyWriter) Write(line []byte) (int, error) {
	n.h.note("log: %s", strings.TrimSpace(string(line)))
	return len(line), nil
}
