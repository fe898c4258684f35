package stage

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"footfall/events"
)

// Headers that a dead letter carries in addition to the headers of its record.
const (
	HeaderReason    = "footfall-reason"    // an events.Reason, or ReasonRetriesExhausted
	HeaderError     = "footfall-error"     // the text of the error, up to maxErrorBytes
	HeaderTopic     = "footfall-topic"     // topic that the record was consumed from
	HeaderPartition = "footfall-partition" // decimal
	HeaderOffset    = "footfall-offset"    // decimal
	HeaderStage     = "footfall-stage"     // name of the stage that could not process the record
)

// ReasonRetriesExhausted is the reason of records that an event source mapping
// stopped redelivering.
const ReasonRetriesExhausted events.Reason = "retries-exhausted"

// maxErrorBytes bounds the error header, since an error may quote text of any length
// from the record.
const maxErrorBytes = 1 << 10

// DeadLetter returns the dead letter of a record: the record's key, value, headers
// and timestamp unchanged, and the headers above, for the dead-letter topic of the
// record's topic. It does not change r.
func DeadLetter(stage string, r *Record, reason events.Reason, cause error) Record {
	t, _ := events.TopicByName(r.Topic)
	return Record{
		Topic: t.DeadLetters, Partition: AnyPartition, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value,
		Headers: append(slices.Clone(r.Headers),
			Header{HeaderReason, []byte(reason)},
			Header{HeaderError, []byte(truncate(cause.Error(), maxErrorBytes))},
			Header{HeaderTopic, []byte(r.Topic)},
			Header{HeaderPartition, strconv.AppendInt(nil, int64(r.Partition), 10)},
			Header{HeaderOffset, strconv.AppendInt(nil, r.Offset, 10)},
			Header{HeaderStage, []byte(stage)},
		),
	}
}

// truncate returns the first n bytes of text, or fewer if n cuts a UTF-8 character.
func truncate(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
