package runtime

import (
	"context"
	"os/exec"
	"time"
)

// process is one run of a function's executable. The function's mutex guards
// the fields below the blank line.
type process struct {
	id    string
	env   *environment
	cmd   *exec.Cmd
	pid   int
	flush func()        // prints an unfinished last line
	ended chan struct{} // closed when the process is gone and finish has run

	ready       bool             // the process has asked for an event
	invoked     bool             // the process has taken an invocation
	noMoreWork  bool             // the process is about to be killed and takes no more invocations
	killed      bool             // Kill ended the process
	nextRequest chan *invocation // of a request for the next event; nil if there is none
	current     *invocation      // taken and not answered yet
	timer       *time.Timer      // of the initialisation, then of current
	initErr     *FunctionError   // reported by the function, or a timeout
}

// start starts the process and the timer of its initialisation.
func (p *process) start() error {
	if err := p.cmd.Start(); err != nil {
		return err
	}
	f := p.env.f
	f.mu.Lock()
	defer f.mu.Unlock()
	p.pid = p.cmd.Process.Pid
	p.env.process = p
	f.changed.Broadcast()
	if !p.ready { // the process may have asked for an event before this line
		p.timer = time.AfterFunc(f.InitTimeout, p.initTimedOut)
	}
	return nil
}

// initTimedOut kills a process that has not asked for an event in time. finish
// then fails an invocation that waits for the environment.
func (p *process) initTimedOut() {
	f := p.env.f
	f.mu.Lock()
	late := !p.ready
	if late {
		p.initErr = timeoutError(f.Name, "", f.InitTimeout)
	}
	f.mu.Unlock()
	if late {
		p.kill()
	}
}

// next waits until there is an event for the process. It returns nil if ctx,
// the context of the process's request, is done first.
func (p *process) next(ctx context.Context) *invocation {
	f := p.env.f
	f.mu.Lock()
	// A request for the next event ends the initialisation and the last
	// invocation.
	p.failUnanswered()
	if !p.ready {
		p.ready = true
		p.stopTimer()
	}
	// Take an invocation from the queue, or leave the request for submit to
	// find.
	waiting := make(chan *invocation, 1)
	p.nextRequest = waiting
	p.offer()
	f.mu.Unlock()
	select {
	case inv := <-waiting:
		return inv
	case <-ctx.Done():
	}
	// The process died while its request waited.
	f.mu.Lock()
	defer f.mu.Unlock()
	p.nextRequest = nil
	select {
	case inv := <-waiting: // an invocation came at the same moment; finish will fail it
		return inv
	default:
		return nil
	}
}

// offer passes the next invocation in the queue that the process may take to
// its request. f.mu must be held.
func (p *process) offer() {
	f := p.env.f
	if p.noMoreWork || f.closed {
		return
	}
	inv := f.take(p.env)
	if inv == nil {
		return
	}
	// From here on the invocation belongs to the process and its timeout runs.
	f.stats.Invocations++
	p.invoked = true
	p.current = inv
	inv.deadline = time.Now().Add(f.Timeout)
	p.timer = time.AfterFunc(f.Timeout, func() { p.timedOut(inv) })
	p.nextRequest <- inv
	p.nextRequest = nil
}

// failUnanswered fails the current invocation of a process that asks for the
// next event without having answered. f.mu must be held.
func (p *process) failUnanswered() {
	if p.current == nil {
		return
	}
	f := p.env.f
	f.settle(p.current, result{err: lambdaError(f.Name, p.current.id, TypeNoAnswer, "the function asked for the next event")})
	p.current = nil
	p.stopTimer()
}

// settleCurrent settles the invocation with the id. The result is false if
// another invocation or none is under way, for example after a timeout.
func (p *process) settleCurrent(id string, res result) bool {
	f := p.env.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.current == nil || p.current.id != id {
		return false
	}
	f.settle(p.current, res)
	p.current = nil
	p.stopTimer()
	return true
}

// timedOut fails the invocation and kills the process, whose memory may be in
// any state by now. The process takes no other invocation before it dies.
func (p *process) timedOut(inv *invocation) {
	f := p.env.f
	f.mu.Lock()
	late := p.current == inv
	if late {
		p.noMoreWork = true
		p.current = nil
		f.settle(inv, result{err: timeoutError(f.Name, inv.id, f.Timeout)})
	}
	f.mu.Unlock()
	if late {
		p.kill()
	}
}

// stopTimer stops the timer of an initialisation or invocation that has ended.
// If the timer fires at that moment, its function finds nothing to do. f.mu
// must be held.
func (p *process) stopTimer() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// finish settles everything under way in a process that has ended with err. If
// the process died in the middle of an invocation, the invocation fails. If the
// process never asked for an event, the next invocation that waits for the
// environment fails. finish reports whether the process was of use: the process
// had an invocation, or Kill ended it.
func (p *process) finish(err error) (worked bool) {
	f := p.env.f
	f.mu.Lock()
	defer f.mu.Unlock()
	defer close(p.ended)
	// Nothing can reach the process from here on.
	p.flush()
	p.stopTimer()
	p.noMoreWork = true
	p.env.process = nil
	switch {
	// The process took an invocation and died before it answered.
	case p.current != nil:
		f.settle(p.current, result{err: exitError(f.Name, p.current.id, p.exitState(err))})
		p.current = nil
	// The process died during initialisation, by itself or by InitTimeout. The
	// reason is a reported init error, the timeout or the exit status.
	case !p.ready && !p.killed:
		f.failNext(p.env, func(requestID string) error {
			if p.initErr != nil {
				return p.initErr
			}
			return exitError(f.Name, requestID, p.exitState(err))
		})
	}
	return p.invoked || p.killed
}

// exitState returns how the process ended, such as "signal: killed", or the
// error of its start.
func (p *process) exitState(err error) string {
	if p.cmd.ProcessState == nil {
		return err.Error()
	}
	return p.cmd.ProcessState.String()
}
