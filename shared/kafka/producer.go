package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/stage"
)

var _ stage.Producer = (*Producer)(nil)

// maxMargin and marginShare say how long before the deadline of its context
// Produce gives up: the caller still has to answer which records are not done.
const (
	maxMargin   = 2 * time.Second
	marginShare = 10 // of what is left when Produce is called
)

// ErrTooLarge is wrapped in the error of a record over its topic's
// max.message.bytes, which no retry makes smaller.
var ErrTooLarge = errors.New("the record is larger than its topic takes")

// errLate is the error of a record that was not acknowledged in time. Waiting
// longer may help, as the next invocation will.
var errLate = fmt.Errorf("not acknowledged in time: %w", context.DeadlineExceeded)

// RecordError is the error of Produce: the first of its records, in the order
// of the call, that was not acknowledged.
type RecordError struct {
	Index  int // of the record in the call
	Topic  string
	Key    []byte
	Failed int // how many of the records were not acknowledged
	Total  int
	Err    error
}

// Error names the topic, the record and the cause.
func (e *RecordError) Error() string {
	return fmt.Sprintf("kafka: produce to %s: record %d (key %q) of %d, first of %d that failed: %v",
		e.Topic, e.Index, e.Key, e.Total, e.Failed, e.Err)
}

// Unwrap gives the cause.
func (e *RecordError) Unwrap() error { return e.Err }

// Producer sends the records of the stages. It is safe for concurrent use.
type Producer struct{ client *kgo.Client }

// NewProducer uses a client of NewClient, which stays the caller's to close.
func NewProducer(client *kgo.Client) *Producer { return &Producer{client} }

// Produce sends records and returns nil once all in-sync replicas have each of
// them. Records for one partition are written in the order of the call, and
// after those of earlier calls. It gives up two seconds before the deadline of
// ctx, or a tenth of the time left where that is less. Its error is a
// *RecordError; records may have been written all the same, and are written
// again by a retry. Keys, values and headers are the caller's again when it
// returns.
func (p *Producer) Produce(ctx context.Context, records []stage.Record) error {
	if len(records) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return failed(records, 0, len(records), err)
	}
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	giveUp, margin := patience(ctx)
	if giveUp != nil {
		// The client is told by cancelling, for which it fails what is in flight
		// at once. Of a deadline it only takes notice at its next step.
		defer time.AfterFunc(time.Until(*giveUp), cancel).Stop()
	}
	result := make(chan error, 1)
	c := copied(records)
	go func() { result <- p.send(sending, c) }()
	select {
	case err := <-result:
		return inTime(ctx, err)
	case <-sending.Done():
	}
	// The client answers a cancelled call within milliseconds, unless the
	// records wait behind those of another call that may still go on.
	last := time.NewTimer(margin / 4)
	defer last.Stop()
	select {
	case err := <-result:
		return inTime(ctx, err)
	case <-last.C:
		return inTime(ctx, failed(records, 0, len(records), context.Canceled))
	}
}

// patience gives the time at which to give up, nil for a context without
// deadline, and how long that is before the deadline.
func patience(ctx context.Context) (giveUp *time.Time, margin time.Duration) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, 0
	}
	margin = min(maxMargin, time.Until(deadline)/marginShare)
	at := deadline.Add(-margin)
	return &at, margin
}

// inTime replaces what the client says of a call that was cancelled by the
// reason: the caller did it, or the time was up.
func inTime(ctx context.Context, err error) error {
	var failed *RecordError
	if errors.As(err, &failed) && errors.Is(failed.Err, context.Canceled) {
		if failed.Err = ctx.Err(); failed.Err == nil {
			failed.Err = errLate
		}
	}
	return err
}

func failed(records []stage.Record, first, n int, err error) error {
	r := &records[first]
	return &RecordError{
		Index: first, Topic: r.Topic, Key: slices.Clone(r.Key), Failed: n, Total: len(records), Err: err,
	}
}
