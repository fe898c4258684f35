package stage

import (
	"errors"
	"slices"
	"strconv"
	"unicode/utf8"

	"footfall/events"
)

// Headers that a dead letter carries beside those it came with.
const (
	HeaderReason    = "footfall-reason"    // an events.Reason, or ReasonRetriesExhausted
	HeaderError     = "footfall-error"     // what was found, for people
	HeaderTopic     = "footfall-topic"     // where the record was
	HeaderPartition = "footfall-partition" // decimal
	HeaderOffset    = "footfall-offset"    // decimal
	HeaderStage     = "footfall-stage"     // who could not process it
)

// ReasonRetriesExhausted is the reason of records that an event source mapping
// gave up.
const ReasonRetriesExhausted events.Reason = "retries-exhausted"

// maxErrorBytes keeps a header small whatever a record made an error say.
const maxErrorBytes = 1 << 10

// DeadLetter is r as it goes to its topic's dead letters: key, value, headers
// and timestamp as they came, and where it came from.
func DeadLetter(stage string, r *Record, reason events.Reason, cause error) Record {
	t, _ := events.TopicByName(r.Topic)
	return Record{
		Topic: t.DeadLetters, Partition: AnyPartition, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value,
		Headers: append(slices.Clone(r.Headers),
			Header{HeaderReason, []byte(reason)},
			Header{HeaderError, []byte(shorten(cause.Error(), maxErrorBytes))},
			Header{HeaderTopic, []byte(r.Topic)},
			Header{HeaderPartition, strconv.AppendInt(nil, int64(r.Partition), 10)},
			Header{HeaderOffset, strconv.AppendInt(nil, r.Offset, 10)},
			Header{HeaderStage, []byte(stage)},
		),
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

// decodeAll decodes the records of a batch. What can never be decoded becomes a
// dead letter, which must be produced before the batch is done.
func decodeAll[T any](stage string, b Batch, decode func(key, value []byte) (T, error)) (good []T, dead []Record, err error) {
	good = make([]T, 0, len(b.Records))
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
		good = append(good, v)
	}
	return good, dead, nil
}

// EncodeRecord makes the record of an event.
func EncodeRecord(topic string, key []byte, event any) (Record, error) {
	value, err := events.Encode(nil, event)
	if err != nil {
		return Record{}, err
	}
	return Record{Topic: topic, Partition: AnyPartition, Key: key, Value: value}, nil
}
