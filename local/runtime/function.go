package runtime

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"
)

// function is a served function with its queue. Its mutex guards the state of
// its environments and processes too: which process gets which invocation is
// one decision.
type function struct {
	Function
	runtime *Runtime
	inTurn  bool

	mu           sync.Mutex
	changed      *sync.Cond // a process has started, or closed is set
	closed       bool
	queue        []*invocation // that no environment has taken
	environments []*environment
	turns        map[string]int // by key, the number of the environment that had its last turn
	stats        Stats
}

// invocation is one event on its way through a function.
type invocation struct {
	id      string
	payload []byte
	env     *environment // the one whose turn it is; nil for any
	done    chan result  // gets one result
	settled bool         // that result was given; guarded by the function's mutex
	// payloadFree is closed when nobody reads payload any more.
	payloadFree chan struct{}
	deadline    time.Time
}

// result is what became of an invocation: an answer, or why there is none.
type result struct {
	answer []byte
	err    error
}

// startFunction starts the environments, whose first processes are not there yet.
func (r *Runtime) startFunction(ctx context.Context, spec Function, inTurn bool) *function {
	f := &function{Function: spec, runtime: r, inTurn: inTurn, turns: map[string]int{}}
	f.changed = sync.NewCond(&f.mu)
	for i := range spec.Environments {
		f.environments = append(f.environments, &environment{f: f, number: i, started: make(chan error, 1)})
	}
	for _, e := range f.environments {
		r.wg.Go(func() { e.run(ctx) })
	}
	return f
}

// submit queues an invocation and hands it over where an environment waits.
func (f *function) submit(payload []byte, keys []string) (*invocation, error) {
	inv := &invocation{
		id: newRequestID(), payload: payload,
		done: make(chan result, 1), payloadFree: make(chan struct{}),
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	if len(payload) > MaxPayload {
		f.stats.Errors++
		return nil, &FunctionError{
			Function: f.Name, Type: TypeRequestTooLarge,
			Message: fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation, this one has %d", MaxPayload, len(payload)),
		}
	}
	if f.inTurn {
		inv.env = f.nextTurn(keys)
	}
	f.queue = append(f.queue, inv)
	for _, e := range f.environments {
		if e.process != nil && e.process.nextRequest != nil {
			e.process.offer()
		}
	}
	return inv, nil
}

// nextTurn picks the environment after the one that the first key had last, and
// remembers it for all keys. f.mu is held.
func (f *function) nextTurn(keys []string) *environment {
	if len(keys) == 0 {
		keys = []string{""}
	}
	n := 0
	if last, ok := f.turns[keys[0]]; ok {
		n = (last + 1) % len(f.environments)
	}
	for _, k := range keys {
		f.turns[k] = n
	}
	return f.environments[n]
}

// take removes the oldest invocation that e may have, nil if there is none.
// f.mu is held.
func (f *function) take(e *environment) *invocation {
	i := slices.IndexFunc(f.queue, func(inv *invocation) bool { return inv.env == nil || inv.env == e })
	if i < 0 {
		return nil
	}
	inv := f.queue[i]
	f.queue = slices.Delete(f.queue, i, i+1)
	return inv
}

// settle gives an invocation its result, unless it has one. f.mu is held.
func (f *function) settle(inv *invocation, res result) {
	if inv.settled {
		return
	}
	inv.settled = true
	if res.err != nil {
		f.stats.Errors++
	}
	inv.done <- res
}

// withdraw takes an invocation back that its caller no longer waits for. One
// that a process has got goes on there.
func (f *function) withdraw(inv *invocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.queue, inv); i >= 0 {
		f.queue = slices.Delete(f.queue, i, i+1)
		close(inv.payloadFree)
	}
}

// failNext fails the oldest invocation that waits for e: in Lambda too it is an
// invocation that learns of an environment that cannot start. f.mu is held.
func (f *function) failNext(e *environment, failure func(requestID string) error) {
	if inv := f.take(e); inv != nil {
		f.settle(inv, result{err: failure(inv.id)})
		close(inv.payloadFree)
	}
}

// pickForKill picks a process to kill and lets it have no more invocations. It waits
// for one where all are being restarted; nil means that the runtime is closed.
func (f *function) pickForKill() *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.closed {
		var found *process
		for _, e := range f.environments {
			if p := e.process; p != nil && !p.noMoreWork && (found == nil || found.current == nil && p.current != nil) {
				found = p
			}
		}
		if found != nil {
			found.noMoreWork, found.killed = true, true
			return found
		}
		f.changed.Wait()
	}
	return nil
}

// close fails what is queued or under way. No process gets anything after it.
func (f *function) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.changed.Broadcast()
	for len(f.queue) > 0 {
		f.failNext(f.queue[0].env, func(string) error { return ErrClosed })
	}
	for _, e := range f.environments {
		if e.process != nil && e.process.current != nil {
			f.settle(e.process.current, result{err: ErrClosed})
		}
	}
}

// newRequestID makes an id in the form of Lambda's, a random UUID.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails, by its documentation
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
