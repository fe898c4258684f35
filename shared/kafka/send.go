package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/stage"
)

// maxRounds is how often a call hands its records to the client. The client
// retries by itself whatever a broker answers; a second round is for what it
// gives up although another try is right.
const maxRounds = 3

// errDropped is the error of records that went with those of another call.
var errDropped = errors.New("dropped with the records of a call that gave up, again and again")

// call is the records of one call of Produce, as the client sees them.
type call struct {
	records []stage.Record // copies
	out     []kgo.Record   // of the same index
}

// copied makes records of the client that share no memory with the caller's: a
// call that gave up may leave records behind in the client, which reads them
// when the caller has long put something else there.
func copied(records []stage.Record) call {
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
		if b == nil { // a null, which an empty one is not
			return nil
		}
		start := len(memory)
		memory = append(memory, b...)
		return memory[start:len(memory):len(memory)]
	}
	for i, r := range records {
		r.Key, r.Value = keep(r.Key), keep(r.Value)
		c.records[i] = r
		c.out[i] = kgo.Record{Topic: r.Topic, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value}
		if len(r.Headers) > 0 {
			c.out[i].Headers = make([]kgo.RecordHeader, len(r.Headers))
			for n, h := range r.Headers {
				c.out[i].Headers[n] = kgo.RecordHeader{Key: h.Key, Value: keep(h.Value)}
			}
		}
	}
	return c
}

// send produces the records of a call and, in further rounds, those that are
// worth it. It keeps order: when the client fails a record it fails all later
// ones of that partition, so what is left is the end of each partition's.
func (p *Producer) send(ctx context.Context, c call) error {
	left := make([]int, 0, len(c.out))
	for i := range c.out {
		left = append(left, i)
	}
	for round := 1; ; round++ {
		errs := p.round(ctx, c, left)
		left = left[:0]
		for i, err := range errs {
			if err != nil {
				left = append(left, i)
			}
		}
		if len(left) == 0 {
			return nil
		}
		if round == maxRounds || !p.worthAnother(ctx, c, errs, left) {
			return p.failure(ctx, c, left, errs[left[0]])
		}
	}
}

// round hands the records with these indexes to the client and gives the error
// of each record of the call by its index, or nil where there is none at all.
func (p *Producer) round(ctx context.Context, c call, indexes []int) []error {
	batch := make([]*kgo.Record, len(indexes))
	for n, i := range indexes {
		c.out[i].Partition = c.records[i].Partition // the client overwrites it with its choice
		batch[n] = &c.out[i]
	}
	results := p.client.ProduceSync(ctx, batch...)
	if results.FirstErr() == nil {
		return nil
	}
	index := make(map[*kgo.Record]int, len(indexes))
	for _, i := range indexes {
		index[&c.out[i]] = i
	}
	errs := make([]error, len(c.out))
	for _, r := range results { // in the order in which the client was done with them
		errs[index[r.Record]] = r.Err
	}
	return errs
}

// worthAnother tells whether every failure is one that is over when the records
// are given again, and sees to it that it is.
func (p *Producer) worthAnother(ctx context.Context, c call, errs []error, left []int) bool {
	if ctx.Err() != nil {
		return false
	}
	recreated := map[string]bool{}
	for _, i := range left {
		switch {
		case ended(errs[i]):
			// Another call gave up, or its time was up before it could, and its
			// records stood before ours in a partition: the client then fails all of
			// them.
		case errors.Is(errs[i], kerr.UnknownTopicID):
			recreated[c.records[i].Topic] = true
		default:
			return false
		}
	}
	for topic := range recreated {
		// The client stays with the first life of a topic for good, and refuses
		// to write to its next one until it is made to forget it.
		p.client.PurgeTopicsFromProducing(topic)
	}
	return true
}

// ended says whether an error is that of a context, which is another call's where
// that of the call itself goes on.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// failure is the error of a call: that of the first record left.
func (p *Producer) failure(ctx context.Context, c call, left []int, err error) error {
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		err = fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, context.Canceled) && ctx.Err() == nil:
		err = errDropped
	}
	if c.records[left[0]].Partition >= 0 {
		// It may be a partition that was added after the client last looked,
		// which it does every five minutes.
		p.client.ForceMetadataRefresh()
	}
	return failed(c.records, left[0], len(left), err)
}
