package simtest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"
)

// call is one request of a stage at a port, which waits for its turn. The
// functions do, again and part run on the goroutine of the scheduler alone, so
// the world needs no locks.
type call struct {
	ctx     context.Context
	task    *task
	port    string // "visit-log", "produce", …; calls of one port are throttled together
	op      string
	key     string
	n       int64 // a number that tells calls with the same key apart
	write   bool
	do      func() error  // carries out the request
	again   func() error  // carries out a repeated request; nil: like do
	part    func()        // carries out a part of the request; nil if the request has no parts
	frozen  int           // the step before which the call does not go on
	granted chan struct{} // closed when the call may return err
	err     error
}

// String returns the text in a history.
func (c *call) String() string { return fmt.Sprintf("%s %s %s %d", c.port, c.op, c.key, c.n) }

// task is one run of a handler, or of a tool, in an environment.
type task struct {
	id        int
	name      string
	env       *env
	key       groupKey // the partition of the batch
	cancel    context.CancelFunc
	ended     func(error) // called with the outcome, in a crash with errDead; not called if the environment is dead
	err       error
	succeeded bool
}

// scheduler lets one call at a time go on.
type scheduler struct {
	random       *rand.Rand // of the schedule and the faults
	faults       int        // that are left
	faultEvery   int        // 1 call in faultEvery has a fault
	explore      *explorer  // decides everything in place of random; nil in a run by seed
	calls        int        // that have gone on so far
	step         int
	waiting      []*call // for their turn
	lateRequests []lateRequest
	tasks        []*task
	throttle     map[string]int // by port, how many of the next calls are rejected
	nextTask     int
	history      *strings.Builder // nil if no history is kept
	injected     [faultKinds]int
	current      *task // the task whose request is being carried out; nil for a late request

	mu      sync.Mutex // guards the fields below, which the goroutines of stages write
	arrived []*call
	ended   []*task
}

// taskKey is the key of the task in the context of a stage.
type taskKey struct{}

// call hands a call over to the scheduler, waits for its turn and returns the
// answer. The goroutine of a stage calls it.
func (s *scheduler) call(ctx context.Context, c call) error {
	c.ctx, c.task, c.granted = ctx, ctx.Value(taskKey{}).(*task), make(chan struct{})
	s.mu.Lock()
	s.arrived = append(s.arrived, &c)
	s.mu.Unlock()
	<-c.granted
	return c.err
}

// start runs do as a task in an environment, on a goroutine of its own. When the
// task ends, gather calls ended.
func (s *scheduler) start(e *env, name string, do func(context.Context) error, ended func(error)) *task {
	s.nextTask++
	t := &task{id: s.nextTask, name: name, env: e, ended: ended}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), taskKey{}, t))
	t.cancel = cancel
	// The task ends with the error of do, or with a panic as an error.
	s.tasks = append(s.tasks, t)
	e.tasks++
	go func() {
		defer func() {
			if p := recover(); p != nil {
				t.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
			cancel()
			s.mu.Lock()
			s.ended = append(s.ended, t)
			s.mu.Unlock()
		}()
		t.err = do(ctx)
	}()
	return t
}

// gather waits until every goroutine of a stage waits for its turn or has ended.
// It takes over the calls and the ends of tasks, in an order that does not depend
// on the order of the goroutines.
func (s *scheduler) gather() {
	for again := true; again; {
		again = s.gatherOnce()
	}
}

// compareCalls orders calls that arrived at the same time by their fields.
func compareCalls(a, b *call) int {
	return cmp.Or(cmp.Compare(a.task.id, b.task.id), cmp.Compare(a.port, b.port), cmp.Compare(a.op, b.op),
		cmp.Compare(a.key, b.key), cmp.Compare(a.n, b.n))
}

// gatherOnce is one round of gather. It returns true if a task has ended, which
// may have started another.
func (s *scheduler) gatherOnce() bool {
	synctest.Wait()
	// Calls, sorted. Two equal ones would go on in an order that Go decides.
	slices.SortFunc(s.arrived, compareCalls)
	for i, c := range s.arrived {
		if i > 0 && compareCalls(s.arrived[i-1], c) == 0 {
			panic(fmt.Sprintf("%s: two calls %q are equal, so a run by seed would not repeat; give them different keys or numbers", c.task.name, c))
		}
	}
	s.waiting = append(s.waiting, s.arrived...)
	s.arrived = s.arrived[:0]
	// Ended tasks, sorted.
	slices.SortFunc(s.ended, func(a, b *task) int { return cmp.Compare(a.id, b.id) })
	ended := s.ended
	s.ended = nil
	for _, t := range ended {
		s.tasks = slices.DeleteFunc(s.tasks, func(o *task) bool { return o == t })
		t.env.tasks--
		if t.env.dead { // crash has called ended already
			continue
		}
		if t.err != nil {
			s.note(t.name, "ends", t.err)
		} else {
			t.succeeded = true
			s.note(t.name, "ends", nil)
		}
		t.ended(t.err)
	}
	return len(ended) > 0
}

// note adds a line to the history, if one is kept.
func (s *scheduler) note(actor, text string, err error) {
	if s.history == nil {
		return
	}
	fmt.Fprintf(s.history, "%5d  %-34s %s", s.step, actor, text)
	if err != nil {
		fmt.Fprintf(s.history, "  -> %.300v", err)
	}
	s.history.WriteByte('\n')
}

// grant carries out a call, or a fault in its place, and lets its caller go on.
func (s *scheduler) grant(c *call) {
	s.calls++
	if err := c.ctx.Err(); err != nil && !c.task.env.dead {
		// The caller gave up while the request was under way, at its deadline: the
		// request may have arrived or not.
		if s.coin() {
			_ = c.do()
		}
		c.err = err
		s.note(c.task.name, c.String()+"  (given up)", c.err)
		close(c.granted)
		return
	}
	f := s.drawFault(c)
	s.injected[f]++
	s.apply(c, f)
	if s.history != nil {
		text := c.String()
		if f != noFault {
			text += "  *** " + f.String()
		}
		s.note(c.task.name, text, c.err)
	}
	if f == crashBefore || f == crashAfter {
		s.crash(c.task.env)
	}
	close(c.granted)
}

// intn draws a number from 0 to n-1.
func (s *scheduler) intn(n int) int {
	if s.explore != nil {
		return s.explore.pick(n)
	}
	return s.random.IntN(n)
}

// coin reports true for half of the draws.
func (s *scheduler) coin() bool { return s.intn(2) == 0 }

// chance reports true for 1 draw in n, and never if an explorer decides.
func (s *scheduler) chance(n int) bool { return s.explore == nil && s.random.IntN(n) == 0 }

// unfreeze lets every frozen call go on. It returns false if there was none.
func (s *scheduler) unfreeze() bool {
	unfrozen := false
	for _, c := range s.waiting {
		unfrozen = unfrozen || c.frozen > s.step
		c.frozen = 0
	}
	return unfrozen
}

// inputStart is the time at which the input begins.
var inputStart = time.Date(2026, time.March, 2, 8, 0, 0, 0, time.UTC)
