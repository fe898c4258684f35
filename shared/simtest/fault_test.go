package simtest

import (
	"context"
	"errors"
	"slices"
)

// fault is a kind of fault of one call of a port. Each comment says first whether
// the request is carried out.
type fault uint8

const (
	noFault     fault = iota
	rejected          // not carried out; the caller gets an error
	throttled         // not carried out; the next few calls of the same port are rejected too
	answerLost        // carried out; the caller gets an error
	repeated          // carried out; the client repeats the request by itself, and the caller gets the second answer
	partly            // carried out in part; the caller gets an error
	late              // carried out at some later time; the caller gets an error now
	crashBefore       // not carried out; the environment crashes
	crashAfter        // carried out; the environment crashes
	deadline          // carried out or not; the time of the invocation is over
	faultKinds
)

// String returns the text in a history.
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

// lateRequest is a request that is carried out after its caller has gone on.
type lateRequest struct {
	text string // for the history
	do   func() error
}

// drawFault draws the fault of a call, if any.
func (s *scheduler) drawFault(c *call) fault {
	if s.explore != nil {
		return s.explore.fault(s, c)
	}
	if s.throttle[c.port] > 0 {
		s.throttle[c.port]--
		return rejected
	}
	if s.faults == 0 || s.random.IntN(s.faultEvery) > 0 {
		return noFault
	}
	// The last ones of the list are for writes, and partly for calls that can be
	// carried out in part.
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

// apply carries out a call as far as the fault lets it, and sets the answer that
// its caller gets.
func (s *scheduler) apply(c *call, f fault) {
	s.current = c.task
	defer func() { s.current = nil }()
	switch f {
	case noFault:
		c.err = c.do()
		return
	case throttled:
		s.throttle[c.port] = s.intn(4)
	case answerLost, crashAfter:
		_ = c.do()
	case repeated:
		// The first answer is lost; the client asks again and gets the second.
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
		s.lateRequests = append(s.lateRequests, lateRequest{c.task.name + ": " + c.String(), c.do})
	case deadline:
		// The request may have left before the time was over.
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

// crash ends an environment and all its tasks. A write that waited for its turn
// may have left the environment before: half of the writes are carried out later.
func (s *scheduler) crash(e *env) {
	e.dead = true
	for _, c := range s.waiting {
		if c.task.env == e && c.write && s.coin() {
			s.lateRequests = append(s.lateRequests, lateRequest{c.task.name + ": " + c.String(), c.do})
		}
	}
	for _, t := range s.tasks {
		if t.env == e {
			t.ended(errDead)
		}
	}
	s.endCallsOfDead()
}

// endCallsOfDead lets the goroutines of dead environments end: their calls return
// errDead.
func (s *scheduler) endCallsOfDead() {
	s.waiting = slices.DeleteFunc(s.waiting, func(c *call) bool {
		if c.task.env.dead {
			c.err = errDead
			close(c.granted)
		}
		return c.task.env.dead
	})
}

// runLate carries out the i-th late request.
func (s *scheduler) runLate(i int) {
	l := s.lateRequests[i]
	s.lateRequests = slices.Delete(s.lateRequests, i, i+1)
	s.note("(late)", l.text, l.do())
}
