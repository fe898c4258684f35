package lambdarun

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"time"

	"footfall/shared/stage"
)

// Partition is the part of an event that belongs to one partition.
type Partition struct {
	// ID is the key of the partition in the event's records, such as
	// "sightings-7". The answer names the partition by this key.
	ID    string
	Batch stage.Batch // holds at least one record
}

// NotBase64Prefix marks the value of a record with a field that is not base64.
// The invariant: no codec of package events decodes a value with this prefix. So
// every stage rejects the record, even if the plain text spells a valid record.
const NotBase64Prefix = "not base64: "

// errNoRecords is the error for any other JSON than the event of a Kafka event
// source mapping, such as the event of a schedule.
var errNoRecords = errors.New("no records: not an event of a Kafka event source mapping")

// DecodeEvent decodes the event of an event source mapping for Kafka (AWS Lambda
// developer guide, "Using Lambda with Amazon MSK"). It returns the partitions in
// the order of the payload; a partition without records is left out. The result
// does not alias payload: the Lambda client uses the buffer again.
//
// A missing or null key, value or header value is nil, and "" is empty but not
// nil. Header values are arrays of bytes, signed or unsigned, or base64. Unknown
// fields are skipped.
//
// If the key, the value or a header value of a record is not base64, the record
// is delivered all the same. The stage then sends the record to the dead letters,
// and the records behind it are not held up. The value of such a record is
// NotBase64Prefix followed by the decoded value, or by the text of the event if
// the value itself is not base64. The header footfall-error holds the error.
//
// For any other mistake in the event DecodeEvent returns an error with the byte
// position.
func DecodeEvent(payload []byte) ([]Partition, error) {
	d := &decoder{
		scanner: scanner{data: payload},
		// Base64 takes four characters for three bytes, and a byte in an array
		// takes at least two. So no event needs more than this, and the arena never
		// grows.
		arena: make([]byte, 0, len(payload)/4*3+3),
		names: map[string]string{},
		seen:  map[partitionKey]bool{},
	}
	// Step over all fields of the event except records.
	found := false
	for key := range d.object {
		if string(key) == "records" && d.peek() == '{' {
			found = true
			d.partitions()
		} else {
			d.skip()
		}
	}
	d.end()
	if d.err == nil && !found {
		d.fail(d.pos, "%w", errNoRecords)
	}
	if d.err != nil {
		return nil, d.err
	}
	return d.result(), nil
}

// partitionKey identifies a partition.
type partitionKey struct {
	topic     string
	partition int32
}

// decoder fills a few large slices, shared by all batches, in place of several
// small slices per record. The capacity of every slice in a record ends with its
// length: a stage may append to the slice without writing over the next.
type decoder struct {
	scanner
	arena   []byte // of keys, values and header values
	headers []stage.Header
	records []stage.Record
	extents []extent
	names   map[string]string // topics and header names, see intern
	seen    map[partitionKey]bool
}

// extent is the range of a partition's records among the decoder's. An extent
// holds indexes, since the slice of records may move as it grows.
type extent struct {
	id       string
	from, to int
}

// result returns the decoded partitions.
func (d *decoder) result() []Partition {
	ps := make([]Partition, len(d.extents))
	for i, e := range d.extents {
		rs := d.records[e.from:e.to:e.to]
		ps[i] = Partition{ID: e.id, Batch: stage.Batch{Topic: rs[0].Topic, Partition: rs[0].Partition, Records: rs}}
	}
	return ps
}

// partitions decodes the object records. Its keys name the partitions.
func (d *decoder) partitions() {
	for id := range d.object {
		from, at := len(d.records), d.pos
		for range d.array {
			d.record(from)
		}
		if d.err != nil || len(d.records) == from {
			continue
		}
		d.extents = append(d.extents, extent{string(id), from, len(d.records)})

		// The same partition under two keys: its two batches would run side by side
		// and lose the order of the partition.
		first := d.records[from]
		key := partitionKey{first.Topic, first.Partition}
		if d.seen[key] {
			d.fail(at, "partition %d of %s is there twice", key.partition, key.topic)
		}
		d.seen[key] = true
	}
}

// record decodes one record. from is the index of the partition's first record.
func (d *decoder) record(from int) {
	d.peek()
	at := d.pos
	r := stage.Record{Partition: -1, Offset: -1}
	var broken error // set if a field is not base64
	for key := range d.object {
		switch string(key) {
		case "topic":
			r.Topic = d.intern(d.text())
		case "partition":
			r.Partition = int32(d.integer(0, math.MaxInt32))
		case "offset":
			r.Offset = d.integer(0, math.MaxInt64)
		case "timestamp":
			r.Timestamp = d.timestamp()
		case "key":
			r.Key = d.blob("key", &broken)
		case "value":
			r.Value = d.blob("value", &broken)
		case "headers":
			r.Headers = d.headerList(&broken)
		default:
			d.skip()
		}
	}
	if d.err != nil || !d.follows(at, r, d.records[from:]) {
		return
	}
	// A field was not base64: mark the record, so that its stage rejects it.
	if broken != nil {
		r.Value = append([]byte(NotBase64Prefix), r.Value...)
		r.Headers = append(r.Headers, stage.Header{Key: stage.HeaderError, Value: []byte(broken.Error())})
	}
	// The first record of the event. The records of an event are of similar size,
	// so this length estimates their number.
	if d.records == nil {
		n := (len(d.data) - at) / (d.pos - at)
		d.records = make([]stage.Record, 0, n+n/8+1)
	}
	d.records = append(d.records, r)
}

// follows reports whether the record r at byte position at has a topic,
// partition and offset, belongs to the partition of the records before, and has a
// higher offset. If not, follows fails the decoder: a stage would take an offset
// that runs backwards for a redelivery and silently skip the record.
func (d *decoder) follows(at int, r stage.Record, before []stage.Record) bool {
	if r.Topic == "" || r.Partition < 0 || r.Offset < 0 {
		d.fail(at, "record without topic, partition or offset")
		return false
	}
	if len(before) == 0 {
		return true
	}
	last := before[len(before)-1]
	if r.Topic != last.Topic || r.Partition != last.Partition || r.Offset <= last.Offset {
		d.fail(at, "%s/%d/%d follows %s/%d/%d in one partition",
			r.Topic, r.Partition, r.Offset, last.Topic, last.Partition, last.Offset)
		return false
	}
	return true
}

// timestamp decodes milliseconds since 1970. It returns the zero time for -1,
// which Kafka writes for a record without a timestamp.
func (d *decoder) timestamp() time.Time {
	ms := d.integer(math.MinInt64, math.MaxInt64)
	if ms == -1 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// maxNames bounds the names kept by intern, for a payload of different names only.
const maxNames = 64

// intern returns text as a string. Topics and header names repeat in every
// record: intern returns the same string for the same text.
func (d *decoder) intern(text []byte) string {
	if known, ok := d.names[string(text)]; ok {
		return known
	}
	name := string(text)
	if len(d.names) < maxNames {
		d.names[name] = name
	}
	return name
}

// blob decodes a base64 string into the arena and returns its part of the arena.
// It returns nil for null. If the string is not base64, it returns a copy of the
// text and sets broken to an error with the name of the field.
func (d *decoder) blob(field string, broken *error) []byte {
	if d.null() {
		return nil
	}
	// The text between the quotes, empty if the scanner has failed.
	text, escaped := d.span()
	if escaped {
		text = d.unescape(text)
	}
	start := len(d.arena)
	decoded, err := base64.StdEncoding.AppendDecode(d.arena, text)
	if err != nil {
		*broken = fmt.Errorf("%s is not base64: %w", field, err)
		return append([]byte{}, text...)
	}
	d.arena = decoded
	return decoded[start:len(decoded):len(decoded)]
}

// headerList decodes an array of objects, usually of one header each. It returns
// nil for an empty array and for null.
func (d *decoder) headerList(broken *error) []stage.Header {
	if d.null() {
		return nil
	}
	start := len(d.headers)
	for range d.array {
		for key := range d.object {
			d.headers = append(d.headers, stage.Header{Key: d.intern(key), Value: d.headerValue(broken)})
		}
	}
	if len(d.headers) == start {
		return nil
	}
	return d.headers[start:len(d.headers):len(d.headers)]
}

// headerValue decodes an array of bytes, or a string or null as blob does. AWS
// documents unsigned bytes; its Java runtime and Go library write signed ones.
func (d *decoder) headerValue(broken *error) []byte {
	if d.peek() != '[' {
		return d.blob("header", broken)
	}
	start := len(d.arena)
	for range d.array {
		d.arena = append(d.arena, byte(d.integer(math.MinInt8, math.MaxUint8)))
	}
	return d.arena[start:len(d.arena):len(d.arena)]
}
