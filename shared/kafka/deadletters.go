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

// Headers of a record that was put back from the dead letters. Where it fails
// again its next dead letter carries them along.
const (
	HeaderRedrivenFrom = "footfall-redriven-from" // the dead letter, "topic/partition/offset"
	HeaderRedrives     = "footfall-redrives"      // how often its record was put back, decimal
)

// ownHeaders is what all headers begin with that Footfall adds to records.
const ownHeaders = "footfall-"

// unknownPlace is the partition or the offset of an origin that is not told.
const unknownPlace = -1

// Position is where a record lies, or lay.
type Position struct {
	Topic     string
	Partition int32 // -1 where that is not known
	Offset    int64 // -1 where that is not known
}

// String gives "topic/partition/offset", which ParsePlace reads, with a ? for
// what is not known.
func (p Position) String() string {
	number := func(n int64) string {
		if n == unknownPlace {
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

// DeadLetter is a dead letter.
type DeadLetter struct {
	Position             // where it lies
	Time       time.Time // of the record that it is of
	Key, Value []byte    // nil for a null
	Headers    []stage.Header
	Reason     events.Reason
	Error      string   // what was found, "" where nobody wrote that down
	Stage      string   // who could not process it, "" where nobody wrote that down
	Origin     Position // where the record was
	Redrives   int      // how often it has been put back before
}

// Size is how many bytes key, value and headers have.
func (l *DeadLetter) Size() int {
	n := len(l.Key) + len(l.Value)
	for _, h := range l.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// DeadLetterTopics names the dead-letter topics.
func DeadLetterTopics() []string {
	var names []string
	for _, t := range events.Topics() {
		if t.DeadLetters != "" {
			names = append(names, t.DeadLetters)
		}
	}
	return names
}

// originOf gives the topic whose dead letters a topic holds, "" for another one.
func originOf(deadLetters string) string {
	all := events.Topics()
	i := slices.IndexFunc(all, func(t events.Topic) bool { return t.DeadLetters != "" && t.DeadLetters == deadLetters })
	if i < 0 {
		return ""
	}
	return all[i].Name
}

// ParseDeadLetter takes a record of a dead-letter topic for what it is. Every header
// may be missing: an older version wrote fewer, and a record that Lambda itself
// delivered to a failure destination has none. What Lambda delivers has used up
// its retries, so that is the reason where none is told. The topic that a record
// came from is always the one whose dead letters these are, whatever a header
// says: a letter must not choose where it is put back to.
func ParseDeadLetter(r *kgo.Record) DeadLetter {
	l := DeadLetter{
		Position: Position{r.Topic, r.Partition, r.Offset}, Time: r.Timestamp, Key: r.Key, Value: r.Value,
		Reason: stage.ReasonRetriesExhausted,
		Origin: Position{originOf(r.Topic), unknownPlace, unknownPlace},
	}
	for _, h := range r.Headers {
		l.Headers = append(l.Headers, stage.Header(h))
		switch h.Key { // of a header that is there twice, the later is the stage's
		case stage.HeaderReason:
			l.Reason = events.Reason(h.Value)
		case stage.HeaderError:
			l.Error = string(h.Value)
		case stage.HeaderStage:
			l.Stage = string(h.Value)
		case stage.HeaderPartition:
			l.Origin.Partition = int32(readNumber(h.Value, 31))
		case stage.HeaderOffset:
			l.Origin.Offset = readNumber(h.Value, 63)
		case HeaderRedrives:
			l.Redrives = int(max(readNumber(h.Value, 31), 0))
		}
	}
	return l
}

// readNumber gives unknownPlace for what is not a number of so many bits.
func readNumber(text []byte, bits int) int64 {
	n, err := strconv.ParseUint(string(text), 10, bits)
	if err != nil {
		return unknownPlace
	}
	return int64(n)
}

// RedrivenRecord is the record as it goes back: to the topic it came from, with its
// key, its value and its own headers, and with where it comes from and how often
// that was. Its partition is that of its key, as for any producer; a tick, whose
// key says nothing, goes to the partition it was for. Its timestamp is that of
// the moment: state written with it must not expire before its time.
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

// recordOverhead is the most that Kafka adds to a record that is alone in its
// batch: the batch's header, and the numbers of the record at their longest.
// headerOverhead comes to it for each header.
const (
	recordOverhead = batchHeaderBytes + 36
	headerOverhead = 10
)

// Fits says whether the topic takes the record as Redrive makes it. One that
// was as large as its topic allows is larger by two headers then. Little is lost
// by that: no stage takes a value of more than events.MaxValueBytes.
func (l *DeadLetter) Fits() bool {
	topic, known := events.TopicByName(l.Origin.Topic)
	r := l.RedrivenRecord()
	size := recordOverhead + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += headerOverhead + len(h.Key) + len(h.Value)
	}
	return !known || size <= int(topic.MaxMessage)
}

func (l *DeadLetter) isTick() bool {
	if l.Origin.Topic != events.Sightings {
		return false
	}
	var r events.SightingsRecord
	return events.DecodeSightings(l.Key, l.Value, &r) == nil && r.IsTick
}

// DeadLetterFilter says which dead letters are meant. What is left at its zero value
// leaves nothing out.
type DeadLetterFilter struct {
	Reasons []events.Reason
	Stages  []string
	// Partitions of the dead-letter topic.
	Partitions   []int32
	Since, Until time.Time // of the record: from Since on, before Until
	Key          []byte    // nil for any
}

// Match says whether a letter is meant.
func (f *DeadLetterFilter) Match(l *DeadLetter) bool {
	return (len(f.Reasons) == 0 || slices.Contains(f.Reasons, l.Reason)) &&
		(len(f.Stages) == 0 || slices.Contains(f.Stages, l.Stage)) &&
		(len(f.Partitions) == 0 || slices.Contains(f.Partitions, l.Partition)) &&
		!l.Time.Before(f.Since) && (f.Until.IsZero() || l.Time.Before(f.Until)) &&
		(f.Key == nil || bytes.Equal(f.Key, l.Key))
}
