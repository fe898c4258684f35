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

// within calls f with a context that ends after d, on the bubble's clock, as
// the Lambda runtime does with the function's timeout.
func within(t *testing.T, d time.Duration, f func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	f(ctx)
}

// untilDone is a stage that waits for its context to end.
func untilDone(ctx context.Context, _ stage.Batch) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestBudget(t *testing.T) {
	for _, tt := range []struct {
		name       string
		timeout    time.Duration // 0 for none
		soft, hard time.Duration
	}{
		{"a tenth is kept back", 10 * time.Second, 9 * time.Second, 9500 * time.Millisecond},
		{"but 2 s at most", 14 * time.Minute, 14*time.Minute - 2*time.Second, 14*time.Minute - time.Second},
		{"without a deadline it is a minute", 0, 58 * time.Second, 59 * time.Second},
		{"nothing is kept back of what is over", -time.Second, -time.Second, -time.Second},
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

// What is done counts; what ran out of time is named; the answer is out before
// Lambda ends the invocation.
func TestInvokeAnswersBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New("count", handlerFunc(func(ctx context.Context, b stage.Batch) error {
			if b.Partition == 1 {
				return untilDone(ctx, b)
			}
			return nil
		}), discard())
		began := time.Now()
		within(t, time.Minute, func(ctx context.Context) {
			got, want := invoke(t, r, ctx, partitionEvent([]int64{1}, []int64{2, 3}, []int64{4})), failures(map[int][]int64{1: {2, 3}})
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
		if took := time.Since(began); took != 58*time.Second {
			t.Errorf("answered after %v", took)
		}
	})
}

func TestInvokeFailsPartitionsWhoseTurnDidNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun []int32
		r := New("count", handlerFunc(func(ctx context.Context, b stage.Batch) error {
			begun = append(begun, b.Partition)
			return untilDone(ctx, b)
		}), discard())
		r.limit = 1
		within(t, time.Minute, func(ctx context.Context) {
			got, want := invoke(t, r, ctx, partitionEvent([]int64{1}, []int64{2, 3}, []int64{4})), failures(map[int][]int64{0: {1}, 1: {2, 3}, 2: {4}})
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
		if len(begun) != 1 || begun[0] != 0 {
			t.Errorf("begun %v, want the first alone", begun)
		}
	})
}

// deaf is a stage whose partition 0 does not heed its context, and ends when
// it is let go.
type deaf struct {
	letGo   chan struct{}
	running int // of partition 0
	most    int
}

func (d *deaf) Handle(_ context.Context, b stage.Batch) error {
	if b.Partition != 0 {
		return nil
	}
	d.running++
	d.most = max(d.most, d.running)
	<-d.letGo
	d.running--
	return nil
}

// A handler that runs on is left behind for the sake of the other partitions.
// Its records come again in the next event; until it has ended, they wait, so
// that a partition is never in two hands.
func TestInvokeLeavesDeafHandlerBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &deaf{letGo: make(chan struct{})}
		r := New("count", h, discard())
		began := time.Now()
		within(t, time.Minute, func(ctx context.Context) {
			got, want := invoke(t, r, ctx, partitionEvent([]int64{1}, []int64{2})), failures(map[int][]int64{0: {1}})
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
		if took := time.Since(began); took != 59*time.Second {
			t.Errorf("answered after %v", took)
		}
		go func() {
			time.Sleep(10 * time.Second) // on the bubble's clock, while the next event waits
			close(h.letGo)
		}()
		within(t, time.Minute, func(ctx context.Context) {
			if got := invoke(t, r, ctx, partitionEvent([]int64{1}, []int64{3})); got != `{}` {
				t.Errorf("got %s once the partition is free", got)
			}
		})
		if h.most != 1 {
			t.Errorf("%d handlers had the partition at once", h.most)
		}
	})
}

// A handler that outlasts two events is stuck. Lambda replaces an environment
// whose function panics; answering would fail the partition for ever.
func TestInvokePanicsOverStuckHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &deaf{letGo: make(chan struct{})}
		defer close(h.letGo)
		r := New("count", h, discard())
		within(t, time.Minute, func(ctx context.Context) { invoke(t, r, ctx, partitionEvent([]int64{1})) })
		defer func() {
			if err, _ := recover().(error); !errors.Is(err, errStuck) {
				t.Errorf("recovered %v", err)
			}
		}()
		within(t, time.Minute, func(ctx context.Context) {
			answer, err := r.Invoke(ctx, partitionEvent([]int64{1}))
			t.Errorf("answered %s, %v", answer, err)
		})
	})
}

// Behind a deaf handler, with no second worker, the others were never begun:
// that is what the log must say, since it sends people to another place.
func TestLeftBehindAndNotBegunAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &deaf{letGo: make(chan struct{})}
		defer close(h.letGo)
		r := New("count", h, discard())
		r.limit = 1
		parts, err := DecodeEvent(partitionEvent([]int64{1}, []int64{2}))
		if err != nil {
			t.Fatal(err)
		}
		within(t, time.Minute, func(ctx context.Context) {
			errs := r.handleAll(ctx, parts)
			if !errors.Is(errs[0], errLeftBehind) || !errors.Is(errs[1], errNotBegun) {
				t.Errorf("got %v", errs)
			}
		})
	})
}

func TestInvokeAfterTheDeadlineBeginsNothing(t *testing.T) {
	r := New("count", handlerFunc(func(_ context.Context, b stage.Batch) error {
		t.Error("begun")
		return nil
	}), discard())
	within(t, -time.Second, func(ctx context.Context) {
		if got := invoke(t, r, ctx, partitionEvent([]int64{1}, []int64{2})); strings.Count(got, "offset") != 2 {
			t.Errorf("got %s", got)
		}
	})
}
