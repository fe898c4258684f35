package lambdarun

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"time"

	"footfall/shared/stage"
)

// Partition is what an event holds of one partition.
type Partition struct {
	// ID is the key of the partition in the event's records, such as
	// "sightings-7". The answer must name the partition by it.
	ID    string
	Batch stage.Batch // never without records
}

// NotBase64Prefix begins the value of a record that did not come in base64. It makes
// sure that no codec takes such a value for a record.
const NotBase64Prefix = "not base64: "

// errNoRecords is the error for JSON that is no event of a Kafka event source
// mapping, such as that of a schedule.
var errNoRecords = errors.New("no records: not an event of a Kafka event source mapping")

// DecodeEvent decodes the event that an event source mapping for Kafka hands a
// function (AWS Lambda developer guide, "Using Lambda with Amazon MSK"). It
// gives the partitions in the order of the payload and leaves out those without
// records. Nothing in the result points into payload, whose buffer the Lambda
// client uses again.
//
// A missing or null key, value or header value is nil, and "" is empty but not
// nil. Header values are arrays of bytes, signed or unsigned, or base64.
// Fields that are not known are skipped.
//
// A record with a key, value or header value that is not base64 is delivered
// all the same, so that its stage can put it among the dead letters and the
// records after it are not held up: its Value is NotBase64 followed by the
// value (as it stood in the event, if that is the broken one), and its header
// footfall-error says what is wrong. Whatever else is wrong with the event is
// an error that names the byte position.
func DecodeEvent(payload []byte) ([]Partition, error) {
	d := &decoder{
		scanner: scanner{data: payload},
		// Base64 takes four characters for three bytes, and a byte in an array
		// takes two at least, so this is never outgrown.
		arena: make([]byte, 0, len(payload)/4*3+3),
		names: map[string]string{},
		seen:  map[partitionKey]bool{},
	}
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

type partitionKey struct {
	topic     string
	partition int32
}

// decoder fills a few large slices that the batches share, in place of several
// small ones per record.
type decoder struct {
	scanner
	arena   []byte // of keys, values and header values
	headers []stage.Header
	records []stage.Record
	extents []extent
	names   map[string]string // topics and header names
	seen    map[partitionKey]bool
}

// extent says where the records of a partition are among the decoder's.
type extent struct {
	id       string
	from, to int
}

func (d *decoder) result() []Partition {
	ps := make([]Partition, len(d.extents))
	for i, e := range d.extents {
		rs := d.records[e.from:e.to:e.to]
		ps[i] = Partition{ID: e.id, Batch: stage.Batch{Topic: rs[0].Topic, Partition: rs[0].Partition, Records: rs}}
	}
	return ps
}

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
		first := d.records[from]
		key := partitionKey{first.Topic, first.Partition}
		if d.seen[key] {
			// Two batches of a partition would run side by side and lose its order.
			d.fail(at, "partition %d of %s is there twice", key.partition, key.topic)
		}
		d.seen[key] = true
	}
}

// record decodes one record of the partition whose records begin at from.
func (d *decoder) record(from int) {
	d.peek()
	at := d.pos
	r := stage.Record{Partition: -1, Offset: -1}
	var broken error
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
	if d.err != nil || !d.fits(at, r, d.records[from:]) {
		return
	}
	if broken != nil {
		r.Value = append([]byte(NotBase64Prefix), r.Value...)
		r.Headers = append(r.Headers, stage.Header{Key: stage.HeaderError, Value: []byte(broken.Error())})
	}
	if d.records == nil {
		// Records of an event are much of a size: the first tells how many there are.
		n := (len(d.data) - at) / (d.pos - at)
		d.records = make([]stage.Record, 0, n+n/8+1)
	}
	d.records = append(d.records, r)
}

// fits checks that a record belongs behind those before it. A stage would
// silently skip a record whose offset runs backwards.
func (d *decoder) fits(at int, r stage.Record, before []stage.Record) bool {
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

// timestamp decodes milliseconds since 1970. Kafka writes -1 for none.
func (d *decoder) timestamp() time.Time {
	ms := d.integer(math.MinInt64, math.MaxInt64)
	if ms == -1 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// maxNames bounds how many names are remembered, for a payload in which all differ.
const maxNames = 64

// intern makes a string of text that comes again and again.
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

// blob decodes base64 into the arena. What is not base64 it gives as it stands
// and says so in broken.
func (d *decoder) blob(field string, broken *error) []byte {
	if d.null() {
		return nil
	}
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

// headerList decodes an array of objects, usually of one header each.
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

// headerValue decodes an array of bytes, or what blob decodes. AWS documents
// unsigned bytes; its Java runtime and Go library write signed ones.
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
