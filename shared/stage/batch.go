package stage

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"footfall/events"
)

// decodeBatch decodes the records of a batch. A record that can never be decoded
// becomes a dead letter, which the caller must produce before the batch is done.
// Any other error is a *Failure at the record's offset.
func decodeBatch[T any](stage string, b Batch, decode func(key, value []byte) (T, error)) (decoded []T, dead []Record, err error) {
	decoded = make([]T, 0, len(b.Records))
	for i := range b.Records {
		r := &b.Records[i]
		v, err := decode(r.Key, r.Value)
		if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
			dead = append(dead, DeadLetter(stage, r, bad.Reason, bad.Err))
			continue
		}
		if err != nil {
			return nil, nil, &Failure{Offset: r.Offset, Err: err}
		}
		decoded = append(decoded, v)
	}
	return decoded, dead, nil
}

// maxConcurrency bounds the table calls of one batch that run at the same time.
const maxConcurrency = 16

// concurrently calls do for each i in [0, n), up to maxConcurrency calls at the
// same time, and returns the first error. It turns a panic of do into an error: no
// caller can recover a panic of another goroutine, and the panic would end the
// process with the other partitions of the invocation.
func concurrently(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxConcurrency)
	for i := range n {
		g.Go(func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
				}
			}()
			return do(ctx, i)
		})
	}
	return g.Wait()
}
