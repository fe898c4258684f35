package runtime

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"
)

// function is a served function with its queue. Its mutex also guards the state
// of its environments and processes: which process takes which invocation is a
// single decision.
type function struct {
	Function
	runtime *Runtime
	inTurn  bool

	mu           sync.Mutex
	changed      *sync.Cond // signals that a process has started or that closed is set
	closed       bool
	queue        []*invocation // not yet taken by an environment
	environments []*environment
	turns        map[string]int // by key, the number of the environment that had the key's last invocation
	stats        Stats
}

// invocation is one event on its way through a function.
type invocation struct {
	id      string
	payload []byte
	env     *environment // the environment that has the turn; nil if any environment may take the invocation
	done    chan result  // receives exactly one result
	settled bool         // done has its result; guarded by the function's mutex
	// payloadFree is closed when payload is not read any more.
	payloadFree chan struct{}
	deadline    time.Time
}

// result is how an invocation ended: with an answer or an error.
type result struct {
	answer []byte
	err    error
}

// startFunction starts the environments of a function. Their first processes
// start in the background.
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

// submit queues an invocation and passes it on at once if an environment's
// process waits for one. payload over MaxPayload is an error.
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
	// The environment is chosen now, so that the turns follow the order of the
	// calls.
	if f.inTurn {
		inv.env = f.nextTurn(keys)
	}
	// Offer the invocation to all waiting processes. With InTurn, offer leaves
	// an invocation of another environment in the queue.
	f.queue = append(f.queue, inv)
	for _, e := range f.environments {
		if e.process != nil && e.process.nextRequest != nil {
			e.process.offer()
		}
	}
	return inv, nil
}

// nextTurn returns the environment after the one that had the first key's last
// invocation, and records it as the last of every key. f.mu must be held.
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

// take removes the oldest invocation that e may take from the queue, and
// returns nil if there is none. f.mu must be held.
func (f *function) take(e *environment) *invocation {
	i := slices.IndexFunc(f.queue, func(inv *invocation) bool { return inv.env == nil || inv.env == e })
	if i < 0 {
		return nil
	}
	inv := f.queue[i]
	f.queue = slices.Delete(f.queue, i, i+1)
	return inv
}

// settle passes an invocation its result, unless it already has one. f.mu must
// be held.
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

// withdraw removes an invocation from the queue when the caller no longer
// waits. If a process has taken the invocation, the process goes on with the
// work.
func (f *function) withdraw(inv *invocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.queue, inv); i >= 0 {
		f.queue = slices.Delete(f.queue, i, i+1)
		close(inv.payloadFree)
	}
}

// failNext fails the oldest invocation that waits for e. In Lambda, too, an
// environment that cannot start shows as the failure of an invocation. f.mu
// must be held.
func (f *function) failNext(e *environment, failure func(requestID string) error) {
	if inv := f.take(e); inv != nil {
		f.settle(inv, result{err: failure(inv.id)})
		close(inv.payloadFree)
	}
}

// pickForKill returns a process to kill, preferably with an invocation under
// way, and lets the process take no more invocations. If all processes are
// being restarted, pickForKill waits for a start. The result is nil if the
// runtime is closed.
func (f *function) pickForKill() *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.closed {
		// Prefer a process in the middle of an invocation.
		var found *process
		for _, e := range f.environments {
			if p := e.process; p != nil && !p.noMoreWork && (found == nil || found.current == nil && p.current != nil) {
				found = p
			}
		}
		// found.killed makes finish treat the end as intended.
		if found != nil {
			found.noMoreWork, found.killed = true, true
			return found
		}
		f.changed.Wait()
	}
	return nil
}

// close fails the invocations that are queued or under way. No process takes an
// invocation afterwards.
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

// newRequestID returns a random UUID, the form of Lambda's request ids.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails, by its documentation
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
