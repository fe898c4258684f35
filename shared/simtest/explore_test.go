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

// explorer takes the decisions of a run in place of the random source. Run after
// run, it tries every combination: each run repeats the decisions of the run
// before up to the last one that has a possibility left, and takes the next
// possibility there.
type explorer struct {
	path   []int // the decisions of this run
	limits []int // the number of possibilities of each decision
	next   int   // index of the next decision
	runs   int
}

// pick returns the next decision, a number from 0 to n-1.
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

// nextRun prepares the next run. It returns false if every combination was tried.
func (e *explorer) nextRun() bool {
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

// fault decides the fault of a call, as long as faults are left. It never decides
// throttled, which the stage cannot tell from rejected.
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

// history is a short input, a few records of one or two stages. A course of it is
// one order of the calls with one choice of faults.
type history struct {
	name   string
	known  []item   // processed first, without faults
	items  []item   // in the topics when the course begins
	later  []item   // processed afterwards, without faults
	stages []string // that run during the course; the others run afterwards
	batch  int      // records of a batch at most
	faults int      // of a course at most
	rivals bool     // two pollers on every partition
	mutate func(w *world)
	check  func(w *world) error
}

// run runs one course of the history and returns the world at its end. e decides
// the course, or the seed if e is nil. The lines of the history go to text, which
// may be nil.
func (h *history) run(e *explorer, seed uint64, text *strings.Builder) *world {
	w := newWorld(seed, 0)
	w.history, w.infoMayBeOld, w.passUnreported = text, false, true
	w.explore = &explorer{}
	if h.mutate != nil {
		h.mutate(w)
	}
	// Process the known items, without faults: a new explorer takes the first
	// possibility of each decision.
	w.seen.newEpoch()
	w.maxBatch = max(1, h.batch)
	w.runEach(h.known)
	// Set up the course: the items are in the topics, only the given stages run.
	for _, s := range []string{pipeline.Detect, pipeline.Identify, pipeline.Enrich, pipeline.Count, sinkName} {
		w.paused[s] = true
	}
	for _, s := range h.stages {
		delete(w.paused, s)
	}
	for _, i := range h.items {
		w.feedItem(&i)
	}
	// A rival poller delivers one more batch of the same records.
	if h.rivals {
		for _, p := range w.pollers {
			if w.ready(p) {
				w.pollers = append(w.pollers, &poller{key: p.key, next: p.next, lastBatches: 1})
			}
		}
	}
	// Run the course.
	w.explore, w.faults = e, h.faults
	if e == nil {
		w.faults = w.random.IntN(*faultsFlag + 1)
	}
	w.run(nil, true)
	// Let all stages process the rest, without faults, and check.
	w.explore, w.faults = &explorer{}, 0
	w.allCRMKnown = !slices.ContainsFunc(slices.Concat(h.known, h.items), func(i item) bool { return i.record.Topic == events.WalkIns })
	clear(w.paused)
	w.run(nil, true)
	w.runEach(h.later)
	if w.failure == nil {
		if err := h.check(w); err != nil {
			w.fail("%w", err)
		}
	}
	w.close()
	return w
}

// runEach feeds the items one by one, and after each one runs the world until all
// is processed.
func (w *world) runEach(items []item) {
	for _, i := range items {
		if w.failure == nil {
			w.feedItem(&i)
			w.run(nil, true)
		}
	}
}

// feedItem appends the record of an item, or starts the tool that sets a base
// count.
func (w *world) feedItem(i *item) {
	if i.base != nil {
		w.setBase(i.base)
		return
	}
	w.put(i)
}

// TestEveryCourse: short histories pass their checks in every course, that is in
// every order of the calls and with every choice of faults.
func TestEveryCourse(t *testing.T) {
	for _, h := range histories() {
		if quickRun() {
			h.faults = min(h.faults, 1)
		}
		t.Run(h.name, func(t *testing.T) {
			var e explorer
			var failure error
			began := time.Now()
			bubble(t, func() {
				for {
					if failure = h.run(&e, 0, nil).failure; failure != nil || !e.nextRun() {
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

// TestMeetings: histories whose records meet at two stages or on two topics pass
// their checks with many seeds, with two pollers on every partition.
func TestMeetings(t *testing.T) {
	for _, h := range meetings() {
		h.rivals = true
		t.Run(h.name, func(t *testing.T) {
			if *seedFlag >= 0 {
				runMeeting(t, &h, uint64(*seedFlag))
				return
			}
			runSeeds(t, min(seeds(), 2000), func(seed uint64) *world { return h.run(nil, seed, nil) }, func(t *testing.T, seed uint64) {
				runMeeting(t, &h, seed)
			})
		})
	}
}

// runMeeting runs one seed of a meeting and prints its history, and after a failure
// the command that repeats the run.
func runMeeting(t *testing.T, h *history, seed uint64) {
	t.Helper()
	var text strings.Builder
	bubble(t, func() {
		if failure := h.run(nil, seed, &text).failure; failure != nil {
			t.Errorf("%v\nrun it again: go test ./shared/simtest -run 'TestMeetings/%s' -seed %d -v", failure, strings.ReplaceAll(h.name, " ", "_"), seed)
		}
	})
	t.Log("\n" + text.String())
}

// allOf returns a check that returns the first error of several checks.
func allOf(all ...func(*world) error) func(*world) error {
	return func(w *world) error {
		for _, check := range all {
			if err := check(w); err != nil {
				return err
			}
		}
		return nil
	}
}

// record returns an item with a record of that topic and key.
func record(topic string, key []byte, event any) item {
	value, err := events.Encode(nil, event)
	if err != nil {
		panic(err) // a mistake of this package
	}
	return item{at: inputStart, record: stage.Record{Topic: topic, Partition: stage.AnyPartition, Key: key, Value: value, Timestamp: inputStart}}
}
