package lambdarun

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"footfall/shared/invocation"
	"footfall/shared/stage"
)

var (
	// errNotBegun fails a partition if no worker was free before the deadline.
	errNotBegun = errors.New("not begun before the deadline")
	// errLeftBehind fails a partition if its handler ignored the deadline.
	errLeftBehind = errors.New("the handler still runs after the deadline")
	// errStuck fails a partition if the handler of an earlier event still holds it.
	errStuck = errors.New("the handler of an earlier event never ended; the environment is replaced")
)

// panicError is the error of a handler that panicked.
type panicError struct {
	value any
	stack []byte
}

// Error returns the text of the panic, without the stack.
func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// assumedTimeout is the budget of an invocation without a deadline, which
// Lambda never makes.
const assumedTimeout = time.Minute

// budget returns the two deadlines of an invocation. The context of the handlers
// ends at soft, which is [invocation.AnswerMargin] before the end of the
// invocation. Half of the margin later, at hard, the answer goes out, and a
// partition with a handler that still runs counts as failed. Without an answer
// before the end, Lambda would count all partitions as failed.
func budget(ctx context.Context) (soft, hard time.Time) {
	now := time.Now()
	end, ok := ctx.Deadline()
	if !ok {
		end = now.Add(assumedTimeout)
	}
	margin := invocation.AnswerMargin.Length(end.Sub(now))
	return end.Add(-margin), end.Add(-margin / 2)
}

// result is the error of the partition with index i, nil for a success.
type result struct {
	i   int
	err error
}

// handleAll runs the stage on every partition, up to r.limit at the same time.
// The errors are in the order of parts, nil for a success.
func (r *Runner) handleAll(ctx context.Context, parts []Partition) []error {
	soft, hard := budget(ctx)
	ctx, cancel := context.WithDeadline(ctx, soft)
	defer cancel()

	// Both channels have room for everything ever sent. So a worker can send its
	// result and end after its handler ignored the deadline, although collect has
	// returned by then and nothing receives.
	todo, results := make(chan int, len(parts)), make(chan result, len(parts))
	for i := range parts {
		todo <- i
	}
	close(todo)

	// Workers note which partitions were begun: the log must distinguish a slow
	// handler from a partition that waited behind a slow handler.
	begun := make([]atomic.Bool, len(parts))
	for range min(r.limit, len(parts)) {
		go func() {
			for i := range todo {
				begun[i].Store(ctx.Err() == nil)
				results <- result{i, r.handle(ctx, parts[i].Batch)}
			}
		}()
	}
	return collect(results, begun, time.Until(hard))
}

// collect waits up to timeout for the results of all partitions and returns
// their errors. A partition without a result fails then, see failMissing. Only
// the goroutine of collect writes the errors.
func collect(results <-chan result, begun []atomic.Bool, timeout time.Duration) []error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	errs, known := make([]error, len(begun)), make([]bool, len(begun))
	for range begun {
		select {
		case res := <-results:
			errs[res.i], known[res.i] = res.err, true
		case <-timer.C:
			// The hard deadline: a handler ignored the end of its context at the soft
			// deadline. Results known so far count.
			failMissing(errs, known, begun)
			return errs
		}
	}
	return errs
}

// failMissing fails the partitions without a known result.
func failMissing(errs []error, known []bool, begun []atomic.Bool) {
	for i := range errs {
		switch {
		case known[i]:
		case begun[i].Load():
			errs[i] = errLeftBehind
		default:
			errs[i] = errNotBegun
		}
	}
}

// handle runs the stage on one partition, as soon as no other handler has the
// partition. The error of a stage that panics is a *panicError.
func (r *Runner) handle(ctx context.Context, b stage.Batch) (err error) {
	// The soft deadline passed while the partition waited for a worker.
	if ctx.Err() != nil {
		return errNotBegun
	}
	release, err := r.acquire(ctx, partitionKey{b.Topic, b.Partition})
	if err != nil {
		return err
	}
	// Deferred calls run last first: the panic is caught, then the partition is
	// released.
	defer release()
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
	}()
	return r.handler.Handle(ctx, b)
}

// acquire waits until no handler has the partition, and returns the function to
// release the partition. It returns errStuck if ctx ends first.
//
// Another handler has the partition only after this sequence: the handler of an
// earlier event ignored its deadline and was left behind, the mapping
// redelivered the records, Lambda thawed the environment, and the earlier handler
// runs on. Two handlers at the same time would lose the order of the partition.
func (r *Runner) acquire(ctx context.Context, key partitionKey) (release func(), err error) {
	for {
		r.mu.Lock()
		other, taken := r.busy[key]
		if !taken {
			mine := make(chan struct{})
			r.busy[key] = mine
			r.mu.Unlock()
			return func() { r.release(key, mine) }, nil
		}
		r.mu.Unlock()

		// Wait for the other handler, then try again: a third handler may take the
		// partition first.
		select {
		case <-other:
		case <-ctx.Done():
			return nil, errStuck
		}
	}
}

// release frees the partition and wakes the handlers that wait for it.
func (r *Runner) release(key partitionKey, done chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, key)
	close(done)
}
