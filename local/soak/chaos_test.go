//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"footfall/shared/pipeline"
)

// fault is one thing to do to the processes of the rig.
type fault struct {
	what string
	do   func(*rig, context.Context) error
}

// victims are the functions that process records, in the order in which they
// are killed.
var victims = []string{pipeline.Detect, pipeline.Count, pipeline.Identify, pipeline.Enrich}

// planFaults returns the faults of a run in random order. Of five kills, two
// hit functions, each function in turn, and one each hits the broker, the
// poller and the table server.
func planFaults(kills, duplicates int, dice *rand.Rand) []fault {
	var faults []fault
	functions := 0
	for i := range kills {
		switch i % 5 {
		case 1:
			faults = append(faults, fault{"kill the broker", (*rig).killBroker})
		case 2:
			faults = append(faults, fault{"kill the poller, set commits back", (*rig).killPoller})
		case 4:
			faults = append(faults, fault{"kill the table server", (*rig).killTables})
		default:
			name := victims[functions%len(victims)]
			functions++
			faults = append(faults, fault{"kill " + name, func(r *rig, ctx context.Context) error { return r.killFunction(ctx, name) }})
		}
	}
	for range duplicates {
		faults = append(faults, fault{"duplicate the poller", (*rig).duplicate})
	}
	dice.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	return faults
}

// pause waits for a random time up to most, which decides only the moment at
// which a fault strikes.
func (r *rig) pause(ctx context.Context, most time.Duration) {
	select {
	case <-time.After(time.Duration(r.dice.Int64N(int64(most)))):
	case <-ctx.Done():
	}
}

// findWithin is how long a fault waits for a busy function. killAfter bounds
// the random time between finding it and the fault, which so strikes in the
// middle of an invocation.
const (
	findWithin = 3 * time.Second
	killAfter  = 4 * time.Millisecond
)

// findBusy waits until one of the named functions of a poller is busy, any
// function if no name is given, and returns the busy process. Between batches a
// fault would have no effect. If no process is busy within findWithin, it
// returns any of them.
func (r *rig) findBusy(ctx context.Context, p *process, names ...string) (pid int, err error) {
	if len(names) == 0 {
		names = victims
	}
	before := map[int]int64{}
	deadline := time.Now().Add(findWithin)
	err = eventually(ctx, fmt.Sprintf("find a process of %v", names), func(context.Context) (bool, int64, error) {
		found, err := functionsOf(p.pid())
		var pids []int
		for _, name := range names {
			pids = append(pids, found[name]...)
		}
		if err != nil || len(pids) == 0 {
			return false, 0, err
		}
		for time.Now().Before(deadline) {
			if pid = busiest(pids, before); pid != 0 {
				r.pause(ctx, killAfter)
				return true, 0, nil
			}
		}
		pid = pids[r.dice.IntN(len(pids))]
		return true, 0, nil
	})
	return pid, err
}

// busy is the CPU time between two looks, which are about a millisecond apart,
// from which on a process counts as busy.
const busy = 300 * time.Microsecond

// busiest returns the process that has used the most CPU time since the last
// look, or 0 if all are idle or were looked at for the first time. before holds
// the CPU times of the last look.
func busiest(pids []int, before map[int]int64) (pid int) {
	most := int64(busy)
	for _, id := range pids {
		now := cpuTime(id)
		if last, ok := before[id]; ok && now-last > most {
			pid, most = id, now-last
		}
		before[id] = now
	}
	return pid
}

// killFunction kills one process of a function. The runtime of its poller
// starts the next process.
func (r *rig) killFunction(ctx context.Context, name string) error {
	for {
		pid, err := r.findBusy(ctx, r.pollers[r.dice.IntN(len(r.pollers))], name)
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		if errors.Is(err, syscall.ESRCH) {
			continue // the process has ended by itself meanwhile, for instance after a timeout
		}
		if err == nil {
			r.done.functions++
		}
		return err
	}
}

// killBroker kills the broker and restarts it on its data after a pause.
func (r *rig) killBroker(ctx context.Context) error {
	if _, err := r.findBusy(ctx, r.pollers[0]); err != nil {
		return err
	}
	r.done.brokers++
	if err := r.broker.kill(); err != nil {
		return err
	}
	r.pause(ctx, 2*time.Second)
	return r.startBroker(ctx)
}

// killTables kills the table server and restarts it on its data after a pause.
func (r *rig) killTables(ctx context.Context) error {
	if _, err := r.findBusy(ctx, r.pollers[0]); err != nil {
		return err
	}
	r.done.tables++
	if err := syscall.Kill(r.tables.Pid(), syscall.SIGKILL); err != nil {
		return err
	}
	<-r.tables.Done()
	r.pause(ctx, 2*time.Second)
	return r.startTables(ctx)
}

// killPoller kills the event source mappings with their functions, waits until
// the broker has removed the dead members from the groups, sets committed
// offsets back and starts new mappings.
func (r *rig) killPoller(ctx context.Context) error {
	p := r.pollers[0]
	if _, err := r.findBusy(ctx, p); err != nil {
		return err
	}
	r.done.pollers++
	r.pollers = nil
	if err := p.kill(); err != nil {
		return err
	}
	if err := r.awaitMembers(ctx, 0); err != nil {
		return err
	}
	offsets, records, err := r.rewind(ctx, func(int64) int64 { return r.dice.Int64N(maxRewind) })
	r.done.rewinds, r.done.rewound = r.done.rewinds+offsets, r.done.rewound+records
	if err != nil {
		return err
	}
	return r.startPoller(ctx)
}

// replay has every record redelivered to the functions.
func (r *rig) replay(ctx context.Context) error {
	err := r.stopPollers()
	if err == nil {
		err = r.awaitMembers(ctx, 0)
	}
	if err == nil {
		_, r.done.replayed, err = r.rewind(ctx, func(committed int64) int64 { return committed })
	}
	if err == nil {
		err = r.startPoller(ctx)
	}
	if err == nil {
		err = awaitDrained(ctx, r.admin, allMappings)
	}
	return err
}

// duplicate runs two pollers in the same groups. The sequence is: a second
// poller joins; the first one is frozen, at times with its functions; its
// session ends and the groups assign all partitions to the second, which goes
// on from the committed offsets; the first one wakes up and goes on with the
// batches that it held; it rejoins; one of the two leaves.
func (r *rig) duplicate(ctx context.Context) error {
	r.done.duplicates++
	if err := r.startPoller(ctx); err != nil {
		return err
	}
	if err := r.awaitMembers(ctx, 2); err != nil {
		return err
	}
	r.pause(ctx, time.Second)
	// Freeze the first poller until its session has ended.
	frozen, err := r.freeze(ctx, r.pollers[0])
	if err != nil {
		return err
	}
	err = r.awaitMembers(ctx, 1)
	r.pause(ctx, time.Second)
	// Wake it up, also after an error: a frozen process does not end when it is
	// asked to.
	if err := errors.Join(err, signalAll(frozen, syscall.SIGCONT)); err != nil {
		return err
	}
	if err := r.awaitMembers(ctx, 2); err != nil {
		return err
	}
	// One of the two leaves, at random.
	leaves := r.dice.IntN(2)
	p := r.pollers[leaves]
	r.pollers = slices.Delete(r.pollers, leaves, leaves+1)
	return p.stop(patience)
}

// freeze stops a poller with SIGSTOP, and at times its functions too, so that
// their writes come after those of the new owner of their partitions. It
// returns the frozen processes, the poller first.
func (r *rig) freeze(ctx context.Context, p *process) ([]int, error) {
	pids := []int{p.pid()}
	if _, err := r.findBusy(ctx, p); err != nil {
		return nil, err
	}
	if r.dice.IntN(2) == 0 {
		functions, err := functionsOf(p.pid())
		if err != nil {
			return nil, err
		}
		for _, more := range functions {
			pids = append(pids, more...)
		}
	}
	return pids, signalAll(pids, syscall.SIGSTOP)
}

// signalAll sends a signal to each process, in reverse order: when processes
// wake up, the functions write before their poller has seen their answers.
func signalAll(pids []int, s syscall.Signal) error {
	var errs []error
	for _, pid := range slices.Backward(pids) {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("signal %v to process %d: %w", s, pid, err))
		}
	}
	return errors.Join(errs...)
}

// runFaults runs the faults one after the other, each one when due is received.
// The sender waits while the fault before is still under way.
func (r *rig) runFaults(ctx context.Context, faults []fault, due <-chan struct{}) error {
	for i, f := range faults {
		select {
		case <-due:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		r.pause(ctx, 300*time.Millisecond)
		if err := r.alive(); err != nil {
			return err
		}
		began := time.Now()
		r.faultRunning.Store(true)
		err := f.do(r, ctx)
		r.faultRunning.Store(false)
		if err != nil {
			return fmt.Errorf("fault %d, %s: %w", i+1, f.what, err)
		}
		fmt.Fprintf(r.out, "fault %d of %d: %s, %v\n", i+1, len(faults), f.what, time.Since(began).Round(10*time.Millisecond))
	}
	return nil
}
