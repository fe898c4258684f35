package esm

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/stage"
)

// writeDeadLetters writes records to the dead-letter topic, with their keys, values and
// headers and with where they came from, and waits until all are acknowledged.
func (p *Poller) writeDeadLetters(ctx context.Context, rs []*kgo.Record, cause error) error {
	letters := make([]*kgo.Record, len(rs))
	for i, r := range rs {
		letters[i] = p.deadLetter(r, cause)
	}
	return p.client.ProduceSync(ctx, letters...).FirstErr()
}

// deadLetter is what stage.DeadLetter makes of a record.
func (p *Poller) deadLetter(r *kgo.Record, cause error) *kgo.Record {
	from := stage.Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value,
	}
	for _, h := range r.Headers {
		from.Headers = append(from.Headers, stage.Header(h))
	}
	letter := stage.DeadLetter(p.o.Stage, &from, stage.ReasonRetriesExhausted, cause)
	to := &kgo.Record{Topic: p.o.DeadLetters, Timestamp: letter.Timestamp, Key: letter.Key, Value: letter.Value}
	for _, h := range letter.Headers {
		to.Headers = append(to.Headers, kgo.RecordHeader(h))
	}
	return to
}
