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
	// errNotBegun fails a partition whose turn did not come in time.
	errNotBegun = errors.New("not begun before the deadline")
	// errLeftBehind fails a partition whose handler did not heed the deadline.
	errLeftBehind = errors.New("the handler runs on after the deadline")
	// errStuck fails a partition that a handler left behind still holds.
	errStuck = errors.New("a handler of an earlier event never ended")
)

// panicError is the error of a handler that panicked.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// assumedTimeout is the budget of an invocation without a deadline, which
// Lambda never makes.
const assumedTimeout = time.Minute

// budget gives the two deadlines of an invocation. Handlers must be done at
// soft, a tenth of the time left (at most 2 s) before the invocation's end; at
// hard, half of that margin later, the answer goes out without those that are
// not. Without an answer Lambda would count every partition as failed.
func budget(ctx context.Context) (soft, hard time.Time) {
	now := time.Now()
	end, ok := ctx.Deadline()
	if !ok {
		end = now.Add(assumedTimeout)
	}
	margin := invocation.AnswerMargin.Of(end.Sub(now))
	return end.Add(-margin), end.Add(-margin / 2)
}

// result is what became of the partition with index i.
type result struct {
	i   int
	err error
}

// handleAll runs the stage on every partition and gives their errors, in the
// order of parts.
func (r *Runner) handleAll(ctx context.Context, parts []Partition) []error {
	soft, hard := budget(ctx)
	ctx, cancel := context.WithDeadline(ctx, soft)
	defer cancel()

	// Both channels hold everything that is ever sent, so that a worker left
	// behind can end. Only this goroutine touches errs.
	todo, results := make(chan int, len(parts)), make(chan result, len(parts))
	for i := range parts {
		todo <- i
	}
	close(todo)
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

// collect waits for the results of all partitions, or as long as patience.
func collect(results <-chan result, begun []atomic.Bool, patience time.Duration) []error {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	errs, known := make([]error, len(begun)), make([]bool, len(begun))
	for range begun {
		select {
		case res := <-results:
			errs[res.i], known[res.i] = res.err, true
		case <-timeout.C:
			giveUp(errs, known, begun)
			return errs
		}
	}
	return errs
}

// giveUp fails the partitions whose result is not known.
func giveUp(errs []error, known []bool, begun []atomic.Bool) {
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

// handle runs the stage on one partition, once nobody else does.
func (r *Runner) handle(ctx context.Context, b stage.Batch) (err error) {
	if ctx.Err() != nil {
		return errNotBegun
	}
	release, err := r.acquire(ctx, partitionKey{b.Topic, b.Partition})
	if err != nil {
		return err
	}
	defer release()
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
	}()
	return r.handler.Handle(ctx, b)
}

// acquire waits until no handler has the partition. One of an earlier event has
// it where that was left behind, the records it failed on are given again, and
// it goes on as Lambda thaws the environment for them.
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
		select {
		case <-other:
		case <-ctx.Done():
			return nil, errStuck
		}
	}
}

func (r *Runner) release(key partitionKey, done chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, key)
	close(done)
}
