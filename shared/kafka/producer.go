package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/invocation"
	"footfall/shared/stage"
)

var _ stage.Producer = (*Producer)(nil)

// ErrTooLarge is wrapped in the error of a record that exceeds max.message.bytes
// of its topic. A retry cannot succeed.
var ErrTooLarge = errors.New("the record is larger than its topic allows")

// errLate is the error of a record that was not acknowledged before Produce gave
// up. A retry may succeed, such as that of the next invocation.
var errLate = fmt.Errorf("not acknowledged in time: %w", context.DeadlineExceeded)

// RecordError is the error of Produce. It describes the first unacknowledged record
// in the order of the call.
type RecordError struct {
	Index  int // of the record in the call
	Topic  string
	Key    []byte
	Failed int // the number of unacknowledged records
	Total  int
	Err    error
}

// Error returns a text with the topic, the record and the cause.
func (e *RecordError) Error() string {
	return fmt.Sprintf("kafka: produce to %s: record %d (key %q) of %d, first of %d that failed: %v",
		e.Topic, e.Index, e.Key, e.Total, e.Failed, e.Err)
}

// Unwrap returns the cause.
func (e *RecordError) Unwrap() error { return e.Err }

// newRecordError returns the error of records[first], the first of failed
// unacknowledged records. It copies the key, which belongs to the caller.
func newRecordError(records []stage.Record, first, failed int, err error) error {
	r := &records[first]
	return &RecordError{
		Index: first, Topic: r.Topic, Key: slices.Clone(r.Key), Failed: failed, Total: len(records), Err: err,
	}
}

// Producer produces the records of the stages. It is safe for concurrent use.
type Producer struct{ client *kgo.Client }

// NewProducer returns a Producer that uses a client of NewClient. The caller keeps
// the client and closes it.
func NewProducer(client *kgo.Client) *Producer { return &Producer{client} }

// Produce sends records and returns nil once all in-sync replicas have stored each
// of them. Records of one partition are written in the order of the call, and
// after the records of earlier calls.
//
// Produce gives up two seconds before the deadline of ctx, or a tenth of the time
// left if a tenth is less. The error is a *RecordError. Records may have been
// written in spite of the error, and a retry writes such records again.
//
// After Produce returns, the caller may overwrite keys, values and headers.
func (p *Producer) Produce(ctx context.Context, records []stage.Record) error {
	if len(records) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return newRecordError(records, 0, len(records), err)
	}

	// Cancel the sending before the deadline. A cancelled client fails the records
	// in flight at once; it notices a deadline only at its next step.
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	giveUp, margin := giveUpTime(ctx)
	if giveUp != nil {
		defer time.AfterFunc(time.Until(*giveUp), cancel).Stop()
	}

	// Send copies in the background, and wait for the result or for the cancelling.
	result := make(chan error, 1)
	c := newCall(records)
	go func() { result <- p.send(sending, c) }()
	select {
	case err := <-result:
		return withReason(ctx, err)
	case <-sending.Done():
	}

	// The client answers a cancelled call within milliseconds, except if another
	// call goes on and the records of this call wait behind its records. In this
	// case return without the answer of the client.
	last := time.NewTimer(margin / 4)
	defer last.Stop()
	select {
	case err := <-result:
		return withReason(ctx, err)
	case <-last.C:
		return withReason(ctx, newRecordError(records, 0, len(records), context.Canceled))
	}
}

// giveUpTime returns the time at which Produce gives up, and the margin from then
// to the deadline of ctx. The caller needs the margin to report which records are
// not done. The time is nil if ctx has no deadline.
func giveUpTime(ctx context.Context) (giveUp *time.Time, margin time.Duration) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, 0
	}
	margin = invocation.AnswerMargin.Length(time.Until(deadline))
	t := deadline.Add(-margin)
	return &t, margin
}

// withReason replaces context.Canceled in the error of a call by the reason for
// the cancelling: the error of ctx if the caller ended ctx, else errLate.
func withReason(ctx context.Context, err error) error {
	var failed *RecordError
	if errors.As(err, &failed) && errors.Is(failed.Err, context.Canceled) {
		if failed.Err = ctx.Err(); failed.Err == nil {
			failed.Err = errLate
		}
	}
	return err
}
