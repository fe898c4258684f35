package simtest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// explorer takes the decisions of a run and, run after run, takes them all: each
// run follows the one before up to the last decision that has a possibility
// left, and takes that one.
type explorer struct {
	path   []int // what was decided
	limits []int // among how many
	next   int
	runs   int
}

// pick decides between n possibilities.
func (e *explorer) pick(n int) int {
	if n == 1 {
		return 0
	}
	if e.next == len(e.path) {
		e.path, e.limits = append(e.path, 0), append(e.limits, n)
	}
	e.next++
	return e.path[e.next-1]
}

// again prepares the next run; false if there is none.
func (e *explorer) again() bool {
	e.runs++
	e.next = 0
	for n := len(e.path) - 1; n >= 0; n-- {
		if e.path[n]++; e.path[n] < e.limits[n] {
			e.path, e.limits = e.path[:n+1], e.limits[:n+1]
			return true
		}
	}
	return false
}

// fault decides what becomes of a call, as long as faults are left.
func (e *explorer) fault(s *scheduler, c *call) fault {
	if s.faults == 0 {
		return noFault
	}
	kinds := []fault{noFault, rejected, crashBefore, deadline}
	if c.write {
		kinds = append(kinds, answerLost, crashAfter, repeated, late)
	}
	if c.part != nil {
		kinds = append(kinds, partly)
	}
	f := kinds[e.pick(len(kinds))]
	if f != noFault {
		s.faults--
	}
	return f
}

// history is a short one of which every course is tried.
type history struct {
	name   string
	known  []item // processed before, without a fault
	items  []item // there from the beginning
	later  []item // processed after, without a fault
	stages []string
	batch  int // records at the most
	faults int
	rivals bool // two pollers on every partition
	spoil  func(w *world)
	check  func(w *world) error
}

// run takes one course of the history: the explorer's, or that of the seed where
// there is none.
func (h *history) run(e *explorer, seed uint64, told *strings.Builder) *world {
	w := newWorld(seed, 0)
	w.history, w.infoMayBeOld, w.passUnreported = told, false, true
	w.explore = &explorer{}
	if h.spoil != nil {
		h.spoil(w)
	}
	w.seen.newLife()
	w.maxBatch = max(1, h.batch)
	w.rest(h.known)
	for _, s := range []string{pipeline.Detect, pipeline.Identify, pipeline.Enrich, pipeline.Count, sinkName} {
		w.paused[s] = true
	}
	for _, s := range h.stages {
		delete(w.paused, s)
	}
	for _, i := range h.items {
		w.take(&i)
	}
	if h.rivals {
		for _, p := range w.pollers {
			if w.ready(p) {
				w.pollers = append(w.pollers, &poller{key: p.key, next: p.next, leaving: 1})
			}
		}
	}
	w.explore, w.faults = e, h.faults
	if e == nil {
		w.faults = w.random.IntN(*faultsFlag + 1)
	}
	w.pump(nil, true)
	w.explore, w.faults = &explorer{}, 0
	w.allKnown = !slices.ContainsFunc(slices.Concat(h.known, h.items), func(i item) bool { return i.record.Topic == events.WalkIns })
	clear(w.paused)
	w.pump(nil, true)
	w.rest(h.later)
	if w.failure == nil {
		if err := h.check(w); err != nil {
			w.fail("%w", err)
		}
	}
	w.close()
	return w
}

// rest feeds items one after the other and lets the world come to rest.
func (w *world) rest(items []item) {
	for _, i := range items {
		if w.failure == nil {
			w.take(&i)
			w.pump(nil, true)
		}
	}
}

// take stores a record or begins to set a base.
func (w *world) take(i *item) {
	if i.base != nil {
		w.setBase(i.base)
		return
	}
	w.put(i)
}

// TestEveryCourse tries every course of short histories: every order of the
// calls and every choice of faults.
func TestEveryCourse(t *testing.T) {
	for _, h := range histories() {
		if few() {
			h.faults = min(h.faults, 1)
		}
		t.Run(h.name, func(t *testing.T) {
			var e explorer
			var failure error
			began := time.Now()
			bubble(t, func() {
				for {
					if failure = h.run(&e, 0, nil).failure; failure != nil || !e.again() {
						return
					}
				}
			})
			if failure != nil {
				t.Fatalf("run %d, course %v: %v", e.runs, e.path, failure)
			}
			t.Logf("%d courses in %.1f s", e.runs, time.Since(began).Seconds())
		})
	}
}

// TestMeetings runs what meets at two stages, or on two topics, with many seeds.
func TestMeetings(t *testing.T) {
	for _, h := range meetings() {
		h.rivals = true
		t.Run(h.name, func(t *testing.T) {
			if *seedFlag >= 0 {
				tellMeeting(t, &h, uint64(*seedFlag))
				return
			}
			runSeeds(t, min(seeds(), 2000), func(seed uint64) *world { return h.run(nil, seed, nil) }, func(t *testing.T, seed uint64) {
				tellMeeting(t, &h, seed)
			})
		})
	}
}

func tellMeeting(t *testing.T, h *history, seed uint64) {
	t.Helper()
	var told strings.Builder
	bubble(t, func() {
		if failure := h.run(nil, seed, &told).failure; failure != nil {
			t.Errorf("%v\nreplay: go test ./shared/simtest -run 'TestMeetings/%s' -seed %d -v", failure, strings.ReplaceAll(h.name, " ", "_"), seed)
		}
	})
	t.Log("\n" + told.String())
}

// checks gives the first error of some checks.
func checks(all ...func(*world) error) func(*world) error {
	return func(w *world) error {
		for _, check := range all {
			if err := check(w); err != nil {
				return err
			}
		}
		return nil
	}
}

func record(topic string, key []byte, event any) item {
	value, err := events.Encode(nil, event)
	if err != nil {
		panic(err) // only a mistake here can make it
	}
	return item{at: epoch, record: stage.Record{Topic: topic, Partition: stage.AnyPartition, Key: key, Value: value, Timestamp: epoch}}
}
