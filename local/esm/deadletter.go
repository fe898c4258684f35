package esm

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/stage"
)

// writeDeadLetters produces records to the dead-letter topic, with their keys,
// values and headers, and with headers that name their origin and the cause. It
// returns when the broker has acknowledged all of them, or with the first
// error.
func (p *Poller) writeDeadLetters(ctx context.Context, rs []*kgo.Record, cause error) error {
	deadLetters := make([]*kgo.Record, len(rs))
	for i, r := range rs {
		deadLetters[i] = p.deadLetter(r, cause)
	}
	return p.client.ProduceSync(ctx, deadLetters...).FirstErr()
}

// deadLetter returns the dead letter of a record, as stage.DeadLetter forms it.
func (p *Poller) deadLetter(r *kgo.Record, cause error) *kgo.Record {
	// stage.DeadLetter works on the graph's own record type.
	from := stage.Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value,
	}
	for _, h := range r.Headers {
		from.Headers = append(from.Headers, stage.Header(h))
	}
	dead := stage.DeadLetter(p.o.Stage, &from, stage.ReasonRetriesExhausted, cause)
	to := &kgo.Record{Topic: p.o.DeadLetters, Timestamp: dead.Timestamp, Key: dead.Key, Value: dead.Value}
	for _, h := range dead.Headers {
		to.Headers = append(to.Headers, kgo.RecordHeader(h))
	}
	return to
}
