package runtime

import (
	"context"
	"os/exec"
	"time"
)

// process is one run of a function's executable. The function's mutex guards
// everything below it.
type process struct {
	id    string
	env   *environment
	cmd   *exec.Cmd
	pid   int
	flush func()
	ended chan struct{} // closed when it is gone and its end is dealt with

	ready       bool             // it has asked for an event
	invoked     bool             // it has got one
	noMoreWork  bool             // it is about to be killed and gets no more
	killed      bool             // its end is asked for, not its own failure
	nextRequest chan *invocation // of a request for the next event; nil for none
	current     *invocation      // handed over, not answered
	timer       *time.Timer      // of the initialisation, then of current
	initErr     *FunctionError   // reported by the function, or by its timeout
}

// start starts the process and the clock of its initialisation.
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
	if !p.ready { // it may have been quicker than this
		p.timer = time.AfterFunc(f.InitTimeout, p.initTimedOut)
	}
	return nil
}

// initTimedOut kills a process that has not asked for an event in time. Its end
// then fails an invocation that waits for it.
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

// next waits until there is an event for the process; nil means that ctx, of
// its request, was done first.
func (p *process) next(ctx context.Context) *invocation {
	f := p.env.f
	f.mu.Lock()
	p.failUnanswered()
	if !p.ready {
		p.ready = true
		p.stopTimer()
	}
	waiting := make(chan *invocation, 1)
	p.nextRequest = waiting
	p.offer()
	f.mu.Unlock()
	select {
	case inv := <-waiting:
		return inv
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p.nextRequest = nil
	select {
	case inv := <-waiting: // came at the same moment; the process's end will fail it
		return inv
	default:
		return nil
	}
}

// offer gives a waiting process the next invocation there is for it. f.mu is
// held.
func (p *process) offer() {
	f := p.env.f
	if p.noMoreWork || f.closed {
		return
	}
	inv := f.take(p.env)
	if inv == nil {
		return
	}
	f.stats.Invocations++
	p.invoked = true
	p.current = inv
	inv.deadline = time.Now().Add(f.Timeout)
	p.timer = time.AfterFunc(f.Timeout, func() { p.timedOut(inv) })
	p.nextRequest <- inv
	p.nextRequest = nil
}

// failUnanswered fails the invocation of a function that asks for the next event
// without having answered. f.mu is held.
func (p *process) failUnanswered() {
	if p.current == nil {
		return
	}
	f := p.env.f
	f.settle(p.current, result{err: lambdaError(f.Name, p.current.id, TypeNoAnswer, "the function asked for the next event")})
	p.current = nil
	p.stopTimer()
}

// settleCurrent settles the invocation with the id; false where it is not the one
// under way, such as one that timed out.
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

// timedOut fails the invocation and kills the process, which may hold anything
// by now. It gets no other invocation until it is dead.
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

// stopTimer stops the clock of what has ended. A timer that fires at that
// moment finds that it is too late. f.mu is held.
func (p *process) stopTimer() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// finish deals with the end of the process: its invocation fails, or, where it
// never came up, the next one that waits for its environment. It reports whether
// the process was of use: had an invocation, or was killed on purpose.
func (p *process) finish(err error) (worked bool) {
	f := p.env.f
	f.mu.Lock()
	defer f.mu.Unlock()
	defer close(p.ended)
	p.flush()
	p.stopTimer()
	p.noMoreWork = true
	p.env.process = nil
	switch {
	case p.current != nil:
		f.settle(p.current, result{err: exitError(f.Name, p.current.id, p.exitState(err))})
		p.current = nil
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

// exitState says how the process ended.
func (p *process) exitState(err error) string {
	if p.cmd.ProcessState == nil {
		return err.Error()
	}
	return p.cmd.ProcessState.String()
}
