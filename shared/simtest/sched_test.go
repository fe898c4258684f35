package simtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"
)

// fault is what becomes of one call of a port.
type fault uint8

const (
	noFault     fault = iota
	rejected          // the request never arrived, the caller is told
	throttled         // so are this one and the next few of the same port
	answerLost        // carried out, the caller gets an error
	repeated          // carried out, the client asks again by itself: the caller gets the second answer
	partly            // carried out in part, the caller gets an error
	late              // the caller gets an error, and the request is carried out at some later time
	crashBefore       // the environment dies, the request never left it
	crashAfter        // the environment dies, the request was carried out
	deadline          // the invocation's time is up; carried out or not
	faultKinds
)

func (f fault) String() string {
	return [...]string{
		"", "REJECTED", "THROTTLED", "ANSWER LOST", "ANSWER LOST, CLIENT REPEATS", "PARTLY DONE", "LANDS LATE",
		"CRASH BEFORE", "CRASH AFTER", "DEADLINE",
	}[f]
}

var (
	errFault = errors.New("injected fault")
	errDead  = errors.New("the environment is dead")
)

// call is one request of a stage that waits for its turn. do and again run on
// the scheduler's goroutine alone, so the world needs no locks.
type call struct {
	ctx    context.Context
	task   *task
	port   string // "visit-log", "produce", ...: what is throttled together
	op     string
	key    string
	n      int64
	write  bool
	do     func() error
	again  func() error // what a repeated request does; nil: do
	part   func()       // carries it out in part; nil where that cannot be
	frozen int          // not before this step
	leave  chan struct{}
	err    error
}

func (c *call) String() string { return fmt.Sprintf("%s %s %s %d", c.port, c.op, c.key, c.n) }

// task is one run of a handler in an environment.
type task struct {
	id        int
	name      string
	env       *env
	key       groupKey // the partition it is at work on
	cancel    context.CancelFunc
	ended     func(error) // what to do with the outcome; not called for a dead environment
	err       error
	succeeded bool
}

// scheduler lets one call at a time go on.
type scheduler struct {
	random   *rand.Rand // of the schedule and the faults
	faults   int        // left
	every    int        // a call is faulty with the chance of 1 in every
	explore  *explorer  // takes all decisions, in place of random; nil where none does
	calls    int        // granted so far
	step     int
	waiting  []*call
	landing  []landing
	tasks    []*task
	throttle map[string]int
	nextTask int
	history  *strings.Builder // nil: not kept
	injected [faultKinds]int
	by       *task // whose request is carried out; nil for one that lands late

	mu      sync.Mutex // for what the stages' goroutines hand over
	arrived []*call
	ended   []*task
}

// landing is a request that is carried out when nobody waits for it any more.
type landing struct {
	what string
	do   func() error
}

type taskKey struct{}

// call waits for the scheduler's leave and gives its verdict.
func (s *scheduler) call(ctx context.Context, c call) error {
	c.ctx, c.task, c.leave = ctx, ctx.Value(taskKey{}).(*task), make(chan struct{})
	s.mu.Lock()
	s.arrived = append(s.arrived, &c)
	s.mu.Unlock()
	<-c.leave
	return c.err
}

// start runs do in an environment. Its end is seen by gather.
func (s *scheduler) start(e *env, name string, do func(context.Context) error, ended func(error)) *task {
	s.nextTask++
	t := &task{id: s.nextTask, name: name, env: e, ended: ended}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), taskKey{}, t))
	t.cancel = cancel
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

// gather waits until every goroutine waits for its turn or has ended, and takes
// in what they have handed over, in an order that does not depend on Go's.
func (s *scheduler) gather() {
	for again := true; again; {
		again = s.gatherOnce()
	}
}

// compareCalls orders calls of one moment by what they are.
func compareCalls(a, b *call) int {
	return cmp.Or(cmp.Compare(a.task.id, b.task.id), cmp.Compare(a.port, b.port), cmp.Compare(a.op, b.op),
		cmp.Compare(a.key, b.key), cmp.Compare(a.n, b.n))
}

// gatherOnce is true where the end of a task may have started another.
func (s *scheduler) gatherOnce() bool {
	synctest.Wait()
	slices.SortFunc(s.arrived, compareCalls)
	for i, c := range s.arrived {
		if i > 0 && compareCalls(s.arrived[i-1], c) == 0 {
			panic(fmt.Sprintf("%s: nothing tells two calls %q apart, so the seed would not repeat", c.task.name, c))
		}
	}
	s.waiting = append(s.waiting, s.arrived...)
	s.arrived = s.arrived[:0]
	slices.SortFunc(s.ended, func(a, b *task) int { return cmp.Compare(a.id, b.id) })
	ended := s.ended
	s.ended = nil
	for _, t := range ended {
		s.tasks = slices.DeleteFunc(s.tasks, func(o *task) bool { return o == t })
		t.env.tasks--
		if t.env.dead {
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

func (s *scheduler) note(who, what string, err error) {
	if s.history == nil {
		return
	}
	fmt.Fprintf(s.history, "%5d  %-34s %s", s.step, who, what)
	if err != nil {
		fmt.Fprintf(s.history, "  -> %.300v", err)
	}
	s.history.WriteByte('\n')
}

// draw decides what becomes of a call.
func (s *scheduler) draw(c *call) fault {
	if s.explore != nil {
		return s.explore.fault(s, c)
	}
	if s.throttle[c.port] > 0 {
		s.throttle[c.port]--
		return rejected
	}
	if s.faults == 0 || s.random.IntN(s.every) > 0 {
		return noFault
	}
	kinds := [...]fault{rejected, throttled, crashBefore, deadline, crashAfter, answerLost, repeated, late, partly}
	n := 4
	if c.write {
		n = len(kinds) - 1
	}
	if c.part != nil {
		n = len(kinds)
	}
	s.faults--
	return kinds[s.random.IntN(n)]
}

// grant carries out a call, or what a fault makes of it, and lets its caller go
// on.
func (s *scheduler) grant(c *call) {
	s.calls++
	if err := c.ctx.Err(); err != nil && !c.task.env.dead {
		// Given up while it was under way: nobody can tell whether it arrived.
		if s.coin() {
			_ = c.do()
		}
		c.err = err
		s.note(c.task.name, c.String()+"  (given up)", c.err)
		close(c.leave)
		return
	}
	f := s.draw(c)
	s.injected[f]++
	s.apply(c, f)
	if s.history != nil {
		what := c.String()
		if f != noFault {
			what += "  *** " + f.String()
		}
		s.note(c.task.name, what, c.err)
	}
	if f == crashBefore || f == crashAfter {
		s.crash(c.task.env)
	}
	close(c.leave)
}

func (s *scheduler) apply(c *call, f fault) {
	s.by = c.task
	defer func() { s.by = nil }()
	switch f {
	case noFault:
		c.err = c.do()
		return
	case throttled:
		s.throttle[c.port] = s.intn(4)
	case answerLost, crashAfter:
		_ = c.do()
	case repeated:
		again := c.again
		if again == nil {
			again = c.do
		}
		_ = c.do()
		c.err = again()
		return
	case partly:
		if c.part != nil {
			c.part()
		}
	case late:
		s.landing = append(s.landing, landing{c.task.name + ": " + c.String(), c.do})
	case deadline:
		if s.coin() {
			_ = c.do()
		}
		c.task.cancel()
		c.err = context.DeadlineExceeded
		return
	case rejected, crashBefore, faultKinds:
	}
	c.err = errFault
}

// crash ends an environment. Requests that it had under way may have left it.
func (s *scheduler) crash(e *env) {
	e.dead = true
	for _, c := range s.waiting {
		if c.task.env == e && c.write && s.coin() {
			s.landing = append(s.landing, landing{c.task.name + ": " + c.String(), c.do})
		}
	}
	for _, t := range s.tasks {
		if t.env == e {
			t.ended(errDead)
		}
	}
	s.bury()
}

// bury lets the calls of dead environments end.
func (s *scheduler) bury() {
	s.waiting = slices.DeleteFunc(s.waiting, func(c *call) bool {
		if c.task.env.dead {
			c.err = errDead
			close(c.leave)
		}
		return c.task.env.dead
	})
}

// intn decides between n possibilities.
func (s *scheduler) intn(n int) int {
	if s.explore != nil {
		return s.explore.pick(n)
	}
	return s.random.IntN(n)
}

func (s *scheduler) coin() bool { return s.intn(2) == 0 }

// chance is true once in n, and never where all possibilities are tried.
func (s *scheduler) chance(n int) bool { return s.explore == nil && s.random.IntN(n) == 0 }

// land carries out a request that comes late.
func (s *scheduler) land(i int) {
	l := s.landing[i]
	s.landing = slices.Delete(s.landing, i, i+1)
	s.note("(late)", l.what, l.do())
}

// thaw lets every frozen call go on; false if there was none.
func (s *scheduler) thaw() bool {
	thawed := false
	for _, c := range s.waiting {
		thawed = thawed || c.frozen > s.step
		c.frozen = 0
	}
	return thawed
}

// epoch is when the input begins.
var epoch = time.Date(2026, time.March, 2, 8, 0, 0, 0, time.UTC)
