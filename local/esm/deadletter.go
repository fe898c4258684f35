package esm

import (
	"context"
	"strconv"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// reasonExhausted is the reason of every dead letter from here. A stage that
// knows a record to be bad writes the others.
const reasonExhausted = "retries-exhausted"

// maxError bounds the error text in a dead letter's header, in bytes.
const maxError = 1024

// bury writes records to the dead-letter topic, with their keys, values and
// headers and with where they came from, and waits until all are acknowledged.
func (p *Poller) bury(ctx context.Context, rs []*kgo.Record, cause error) error {
	letters := make([]*kgo.Record, len(rs))
	for i, r := range rs {
		letters[i] = p.deadLetter(r, cause)
	}
	return p.client.ProduceSync(ctx, letters...).FirstErr()
}

func (p *Poller) deadLetter(r *kgo.Record, cause error) *kgo.Record {
	own := []kgo.RecordHeader{
		{Key: "footfall-stage", Value: []byte(p.o.Stage)},
		{Key: "footfall-topic", Value: []byte(r.Topic)},
		{Key: "footfall-partition", Value: strconv.AppendInt(nil, int64(r.Partition), 10)},
		{Key: "footfall-offset", Value: strconv.AppendInt(nil, r.Offset, 10)},
		{Key: "footfall-reason", Value: []byte(reasonExhausted)},
		{Key: "footfall-error", Value: []byte(shorten(cause.Error(), maxError))},
	}
	headers := make([]kgo.RecordHeader, 0, len(r.Headers)+len(own))
	return &kgo.Record{
		Topic: p.o.DeadLetters, Key: r.Key, Value: r.Value,
		Headers: append(append(headers, r.Headers...), own...),
	}
}

// shorten cuts text to n bytes, not within a character.
func shorten(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
