package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/stage"
)

// maxRounds limits how often a call hands its records to the client. The client
// itself retries after each retriable answer of a broker. A further round is for
// errors after which the client gives up although another attempt can succeed; see
// canRetry.
const maxRounds = 3

// errDropped is the error of records that the client dropped in every round,
// together with the records of another call.
var errDropped = errors.New("the client dropped the record with those of another call that gave up, in every attempt")

// call holds the records of one call of Produce in the form of the client.
type call struct {
	records []stage.Record // copies
	sent    []kgo.Record   // of the same index
}

// newCall copies records into records of the client, which share no memory with the
// caller. Without the copy: a call gives up and leaves records in the client, the
// caller puts the next batch into the same memory, and the client sends a mixture.
func newCall(records []stage.Record) call {
	// One block of memory holds all keys, values and header values.
	c := call{make([]stage.Record, len(records)), make([]kgo.Record, len(records))}
	size := 0
	for i := range records {
		size += len(records[i].Key) + len(records[i].Value)
		for _, h := range records[i].Headers {
			size += len(h.Value)
		}
	}
	memory := make([]byte, 0, size)
	keep := func(b []byte) []byte {
		if b == nil { // nil is a null, which differs from an empty value
			return nil
		}
		start := len(memory)
		memory = append(memory, b...)
		return memory[start:len(memory):len(memory)]
	}

	for i, r := range records {
		r.Key, r.Value = keep(r.Key), keep(r.Value)
		c.records[i] = r
		c.sent[i] = kgo.Record{Topic: r.Topic, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value}
		if len(r.Headers) > 0 {
			c.sent[i].Headers = make([]kgo.RecordHeader, len(r.Headers))
			for n, h := range r.Headers {
				c.sent[i].Headers[n] = kgo.RecordHeader{Key: h.Key, Value: keep(h.Value)}
			}
		}
	}
	return c
}

// send produces the records of a call and, in further rounds, the records with an
// error that canRetry accepts. The order within a partition stays: when the client
// fails a record, it fails all later records of the partition too, so the records
// left are always the end of each partition.
func (p *Producer) send(ctx context.Context, c call) error {
	left := make([]int, 0, len(c.sent))
	for i := range c.sent {
		left = append(left, i)
	}
	for round := 1; ; round++ {
		// Keep the unacknowledged records.
		errs := p.sendRound(ctx, c, left)
		left = left[:0]
		for i, err := range errs {
			if err != nil {
				left = append(left, i)
			}
		}
		if len(left) == 0 {
			return nil
		}
		if round == maxRounds || !p.canRetry(ctx, c, errs, left) {
			return p.callError(ctx, c, left, errs[left[0]])
		}
	}
}

// sendRound hands the records with the given indexes to the client and waits for the
// results. It returns the errors by the index of the record in the call, or nil if
// all records were acknowledged.
func (p *Producer) sendRound(ctx context.Context, c call, indexes []int) []error {
	batch := make([]*kgo.Record, len(indexes))
	for n, i := range indexes {
		c.sent[i].Partition = c.records[i].Partition // the former round has overwritten the field
		batch[n] = &c.sent[i]
	}
	results := p.client.ProduceSync(ctx, batch...)
	if results.FirstErr() == nil {
		return nil
	}

	// The results are in the order in which the client finished the records, so
	// find the index of each.
	index := make(map[*kgo.Record]int, len(indexes))
	for _, i := range indexes {
		index[&c.sent[i]] = i
	}
	errs := make([]error, len(c.sent))
	for _, r := range results {
		errs[index[r.Record]] = r.Err
	}
	return errs
}

// canRetry reports whether another round can overcome all errors, and prepares the
// client for the round.
func (p *Producer) canRetry(ctx context.Context, c call, errs []error, left []int) bool {
	if ctx.Err() != nil {
		return false
	}
	recreated := map[string]bool{}
	for _, i := range left {
		switch {
		case isContextError(errs[i]):
			// The context of this call goes on, so the error belongs to another call.
			// The records of the other call were before the records of this call in a
			// partition; the other call gave up, or its deadline passed; the client
			// failed all records of the partition, also the records of this call.
		case errors.Is(errs[i], kerr.UnknownTopicID):
			recreated[c.records[i].Topic] = true
		default:
			return false
		}
	}
	for topic := range recreated {
		// The topic was deleted and created again with a new id. The client keeps
		// writing to the former id, and fails, until it is made to forget the topic.
		p.client.PurgeTopicsFromProducing(topic)
	}
	return true
}

// isContextError reports whether an error comes from the end of a context.
func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// callError returns the error of a call from the error of the first record left.
func (p *Producer) callError(ctx context.Context, c call, left []int, err error) error {
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		err = fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, context.Canceled) && ctx.Err() == nil:
		err = errDropped
	}
	if c.records[left[0]].Partition >= 0 {
		// The record names a partition, which may have been added after the last
		// request for metadata. The client sends one every five minutes; let it send
		// one at once, so that a retry of the caller finds the partition.
		p.client.ForceMetadataRefresh()
	}
	return newRecordError(c.records, left[0], len(left), err)
}
