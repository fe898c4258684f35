package kafka

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/stage"
)

// Headers of a record after a redrive. If the record fails again, its next dead
// letter has the same headers.
const (
	HeaderRedrivenFrom = "footfall-redriven-from" // the dead letter, "topic/partition/offset"
	HeaderRedrives     = "footfall-redrives"      // how many times the record was put back, decimal
)

// ownHeaders is the prefix of all headers of Footfall.
const ownHeaders = "footfall-"

// unknownNumber is an unknown partition or offset of a Position.
const unknownNumber = -1

// Position is the position of a record in a topic.
type Position struct {
	Topic     string
	Partition int32 // -1 if not known
	Offset    int64 // -1 if not known
}

// String returns "topic/partition/offset", the format of ParsePosition, with "?"
// for an unknown number. ParsePosition does not accept "?".
func (p Position) String() string {
	number := func(n int64) string {
		if n == unknownNumber {
			return "?"
		}
		return strconv.FormatInt(n, 10)
	}
	return p.Topic + "/" + number(int64(p.Partition)) + "/" + number(p.Offset)
}

// ParsePosition reads "topic/partition/offset".
func ParsePosition(text string) (Position, error) {
	parts := strings.Split(text, "/")
	if len(parts) == 3 && parts[0] != "" {
		partition, err := strconv.ParseUint(parts[1], 10, 31)
		offset, err2 := strconv.ParseUint(parts[2], 10, 63)
		if err == nil && err2 == nil {
			return Position{parts[0], int32(partition), int64(offset)}, nil
		}
	}
	return Position{}, fmt.Errorf("%q is not TOPIC/PARTITION/OFFSET", text)
}

// DeadLetter is a record of a dead-letter topic: a record that a stage could not
// process, with the reason.
type DeadLetter struct {
	Position             // of the dead letter
	Time       time.Time // the timestamp of the dead letter; stages copy it from the failed record
	Key, Value []byte    // nil for a null
	Headers    []stage.Header
	Reason     events.Reason
	Error      string   // the error of the stage, "" if no header holds it
	Stage      string   // the stage that failed, "" if no header names it
	Origin     Position // of the failed record
	Redrives   int      // how many times the record has been put back before
}

// Size returns the number of bytes of key, value and headers.
func (l *DeadLetter) Size() int {
	n := len(l.Key) + len(l.Value)
	for _, h := range l.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// DeadLetterTopics returns the names of the dead-letter topics.
func DeadLetterTopics() []string {
	var names []string
	for _, t := range events.Topics() {
		if t.DeadLetters != "" {
			names = append(names, t.DeadLetters)
		}
	}
	return names
}

// sourceTopic returns the topic whose dead letters go to the topic deadLetters, or
// "" if deadLetters is no dead-letter topic.
func sourceTopic(deadLetters string) string {
	all := events.Topics()
	i := slices.IndexFunc(all, func(t events.Topic) bool { return t.DeadLetters != "" && t.DeadLetters == deadLetters })
	if i < 0 {
		return ""
	}
	return all[i].Name
}

// ParseDeadLetter reads any record of a dead-letter topic. Every header may be
// missing: an older version wrote fewer headers, and Lambda itself writes none
// when a record goes to a failure destination. Lambda does so after the last
// retry, so a missing reason means stage.ReasonRetriesExhausted.
//
// The topic of Origin follows from r.Topic alone and never from a header.
// Otherwise the producer of a record could choose the topic of a redrive.
func ParseDeadLetter(r *kgo.Record) DeadLetter {
	l := DeadLetter{
		Position: Position{r.Topic, r.Partition, r.Offset}, Time: r.Timestamp, Key: r.Key, Value: r.Value,
		Reason: stage.ReasonRetriesExhausted,
		Origin: Position{sourceTopic(r.Topic), unknownNumber, unknownNumber},
	}
	// The failed record may have had headers of the same names. The stage appends
	// new headers, so the last header of a name wins.
	for _, h := range r.Headers {
		l.Headers = append(l.Headers, stage.Header(h))
		switch h.Key {
		case stage.HeaderReason:
			l.Reason = events.Reason(h.Value)
		case stage.HeaderError:
			l.Error = string(h.Value)
		case stage.HeaderStage:
			l.Stage = string(h.Value)
		case stage.HeaderPartition:
			l.Origin.Partition = int32(parseNumber(h.Value, 31))
		case stage.HeaderOffset:
			l.Origin.Offset = parseNumber(h.Value, 63)
		case HeaderRedrives:
			l.Redrives = int(max(parseNumber(h.Value, 31), 0))
		}
	}
	return l
}

// parseNumber reads a decimal number of at most bits bits, and returns
// unknownNumber if text is not such a number.
func parseNumber(text []byte, bits int) int64 {
	n, err := strconv.ParseUint(string(text), 10, bits)
	if err != nil {
		return unknownNumber
	}
	return int64(n)
}

// RedrivenRecord returns the record for a redrive of the dead letter to the topic
// of Origin. The record has the key, the value and the foreign headers of the
// failed record, HeaderRedrivenFrom, and HeaderRedrives with the next number.
//
// The partition follows from the key, as for any producer. Only a tick returns to
// the partition of Origin, since the key of a tick does not determine a partition.
// The timestamp is zero, so the record gets the time of its production. With the
// timestamp of an old dead letter, an item of the changelog would expire too early.
func (l *DeadLetter) RedrivenRecord() stage.Record {
	r := stage.Record{Topic: l.Origin.Topic, Partition: stage.AnyPartition, Key: l.Key, Value: l.Value}
	if l.isTick() && l.Origin.Partition >= 0 {
		r.Partition = l.Origin.Partition
	}
	for _, h := range l.Headers {
		if !strings.HasPrefix(h.Key, ownHeaders) {
			r.Headers = append(r.Headers, h)
		}
	}
	r.Headers = append(r.Headers,
		stage.Header{Key: HeaderRedrivenFrom, Value: []byte(l.Position.String())},
		stage.Header{Key: HeaderRedrives, Value: strconv.AppendInt(nil, int64(l.Redrives)+1, 10)})
	return r
}

// recordOverhead is the greatest number of bytes that Kafka adds to a record alone
// in a batch: the header of the batch, and the numbers of the record at their
// greatest length. headerOverhead is the same for each header of a record.
const (
	recordOverhead = batchHeaderBytes + 36
	headerOverhead = 10
)

// Fits reports whether the topic of Origin accepts the RedrivenRecord. The two
// headers of a redrive can make a record too large if the record had the greatest
// size before. Such a loss is small, since no stage accepts a value of more than
// events.MaxValueBytes.
func (l *DeadLetter) Fits() bool {
	topic, known := events.TopicByName(l.Origin.Topic)
	r := l.RedrivenRecord()
	size := recordOverhead + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += headerOverhead + len(h.Key) + len(h.Value)
	}
	return !known || size <= int(topic.MaxMessage)
}

// isTick reports whether the failed record is a tick of sightings.
func (l *DeadLetter) isTick() bool {
	if l.Origin.Topic != events.Sightings {
		return false
	}
	var r events.SightingsRecord
	return events.DecodeSightings(l.Key, l.Value, &r) == nil && r.IsTick
}

// DeadLetterFilter selects dead letters. A zero field selects all.
type DeadLetterFilter struct {
	Reasons []events.Reason
	Stages  []string
	// Partitions are partitions of the dead-letter topic.
	Partitions   []int32
	Since, Until time.Time // bounds of DeadLetter.Time: at or after Since, before Until
	Key          []byte    // nil for any key
}

// Match reports whether the filter selects a dead letter.
func (f *DeadLetterFilter) Match(l *DeadLetter) bool {
	return (len(f.Reasons) == 0 || slices.Contains(f.Reasons, l.Reason)) &&
		(len(f.Stages) == 0 || slices.Contains(f.Stages, l.Stage)) &&
		(len(f.Partitions) == 0 || slices.Contains(f.Partitions, l.Partition)) &&
		!l.Time.Before(f.Since) && (f.Until.IsZero() || l.Time.Before(f.Until)) &&
		(f.Key == nil || bytes.Equal(f.Key, l.Key))
}
