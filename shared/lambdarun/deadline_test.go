package lambdarun

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"footfall/shared/stage"
)

// withTimeout calls f with a context that ends after d, on the bubble's clock. The
// Lambda runtime sets such a deadline from the function's timeout.
func withTimeout(t *testing.T, d time.Duration, f func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	f(ctx)
}

// waitForDeadline is a stage that waits for the end of its context.
func waitForDeadline(ctx context.Context, _ stage.Batch) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestBudget(t *testing.T) {
	for _, tt := range []struct {
		name       string
		timeout    time.Duration // 0 for none
		soft, hard time.Duration
	}{
		{"the margin is a tenth", 10 * time.Second, 9 * time.Second, 9500 * time.Millisecond},
		{"the margin is at most 2 s", 14 * time.Minute, 14*time.Minute - 2*time.Second, 14*time.Minute - time.Second},
		{"an invocation without a deadline has a minute", 0, 58 * time.Second, 59 * time.Second},
		{"after the deadline there is no margin", -time.Second, -time.Second, -time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, now := t.Context(), time.Now()
				if tt.timeout != 0 {
					var cancel func()
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
					defer cancel()
				}
				soft, hard := budget(ctx)
				if soft.Sub(now) != tt.soft || hard.Sub(now) != tt.hard {
					t.Errorf("got %v and %v, want %v and %v", soft.Sub(now), hard.Sub(now), tt.soft, tt.hard)
				}
			})
		})
	}
}

// Finished partitions count as done, the records of the partition that ran out of
// time are named, and the answer is out before Lambda ends the invocation.
func TestInvokeAnswersBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New("count", handlerFunc(func(ctx context.Context, b stage.Batch) error {
			if b.Partition == 1 {
				return waitForDeadline(ctx, b)
			}
			return nil
		}), discard())
		began := time.Now()
		withTimeout(t, time.Minute, func(ctx context.Context) {
			got, want := invoke(t, r, ctx, partitionEvent([]int64{1}, []int64{2, 3}, []int64{4})), failures(map[int][]int64{1: {2, 3}})
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
		if took := time.Since(began); took != 58*time.Second {
			t.Errorf("answered after %v, want 58 s", took)
		}
	})
}

func TestInvokeFailsPartitionsWithoutAFreeWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun []int32
		r := New("count", handlerFunc(func(ctx context.Context, b stage.Batch) error {
			begun = append(begun, b.Partition)
			return waitForDeadline(ctx, b)
		}), discard())
		r.limit = 1
		withTimeout(t, time.Minute, func(ctx context.Context) {
			got, want := invoke(t, r, ctx, partitionEvent([]int64{1}, []int64{2, 3}, []int64{4})), failures(map[int][]int64{0: {1}, 1: {2, 3}, 2: {4}})
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
		if len(begun) != 1 || begun[0] != 0 {
			t.Errorf("began partitions %v, want 0 alone", begun)
		}
	})
}

// ignoresContext is a stage that ignores its context for partition 0, and returns
// when release is closed.
type ignoresContext struct {
	release chan struct{}
	running int // handlers of partition 0
	most    int // highest value of running
}

func (d *ignoresContext) Handle(_ context.Context, b stage.Batch) error {
	if b.Partition != 0 {
		return nil
	}
	d.running++
	d.most = max(d.most, d.running)
	<-d.release
	d.running--
	return nil
}

// The answer for the other partitions does not wait for a handler that runs on
// after the deadline. The records of such a handler are redelivered in the next
// event and wait until the handler has ended: two handlers never have a partition
// at the same time.
func TestInvokeLeavesAHandlerBehindThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &ignoresContext{release: make(chan struct{})}
		r := New("count", h, discard())
		began := time.Now()
		withTimeout(t, time.Minute, func(ctx context.Context) {
			got, want := invoke(t, r, ctx, partitionEvent([]int64{1}, []int64{2})), failures(map[int][]int64{0: {1}})
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
		if took := time.Since(began); took != 59*time.Second {
			t.Errorf("answered after %v, want 59 s", took)
		}
		go func() {
			time.Sleep(10 * time.Second) // on the bubble's clock, while the next event waits
			close(h.release)
		}()
		withTimeout(t, time.Minute, func(ctx context.Context) {
			if got := invoke(t, r, ctx, partitionEvent([]int64{1}, []int64{3})); got != `{}` {
				t.Errorf("got %s, want {} once the partition is free", got)
			}
		})
		if h.most != 1 {
			t.Errorf("%d handlers had the partition at the same time, want 1", h.most)
		}
	})
}

// A handler that still runs at the deadline of a second event is stuck. An answer
// would make the partition fail in every later event; after a panic Lambda
// replaces the environment.
func TestInvokePanicsIfAHandlerIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &ignoresContext{release: make(chan struct{})}
		defer close(h.release)
		r := New("count", h, discard())
		withTimeout(t, time.Minute, func(ctx context.Context) { invoke(t, r, ctx, partitionEvent([]int64{1})) })
		defer func() {
			if err, _ := recover().(error); !errors.Is(err, errStuck) {
				t.Errorf("recovered %v, want errStuck", err)
			}
		}()
		withTimeout(t, time.Minute, func(ctx context.Context) {
			answer, err := r.Invoke(ctx, partitionEvent([]int64{1}))
			t.Errorf("got %s, %v, want a panic", answer, err)
		})
	})
}

// With one worker, the partitions behind a handler that ignores its context are
// never begun. The log must distinguish the two cases: the reader looks for the
// fault in the handler that was left behind.
func TestLeftBehindAndNotBegunAreDistinguished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &ignoresContext{release: make(chan struct{})}
		defer close(h.release)
		r := New("count", h, discard())
		r.limit = 1
		parts, err := DecodeEvent(partitionEvent([]int64{1}, []int64{2}))
		if err != nil {
			t.Fatal(err)
		}
		withTimeout(t, time.Minute, func(ctx context.Context) {
			errs := r.handleAll(ctx, parts)
			if !errors.Is(errs[0], errLeftBehind) || !errors.Is(errs[1], errNotBegun) {
				t.Errorf("got %v, want errLeftBehind and errNotBegun", errs)
			}
		})
	})
}

func TestInvokeAfterTheDeadlineBeginsNothing(t *testing.T) {
	r := New("count", handlerFunc(func(_ context.Context, b stage.Batch) error {
		t.Error("the handler was called")
		return nil
	}), discard())
	withTimeout(t, -time.Second, func(ctx context.Context) {
		if got := invoke(t, r, ctx, partitionEvent([]int64{1}, []int64{2})); strings.Count(got, "offset") != 2 {
			t.Errorf("got %s, want both offsets", got)
		}
	})
}
