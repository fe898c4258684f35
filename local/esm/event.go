package esm

import (
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

// maxEvent is how many bytes the JSON of an event may have: Lambda's limit on
// the payload of an invocation.
const maxEvent = 6 << 20

// event renders the JSON of an invocation (AWS Lambda developer guide, "Using
// Lambda with Amazon MSK", example event). Its buffer is reused for every
// invocation.
type event struct {
	buf   []byte
	head  []byte // the JSON up to the brace that opens the records
	limit int
}

// newEvent returns an event with the cluster's ARN and a comma-separated list
// of its brokers.
func newEvent(arn, bootstrapServers string) *event {
	head := append([]byte(nil), `{"eventSource":"aws:kafka","eventSourceArn":`...)
	head = appendString(head, arn)
	head = append(head, `,"bootstrapServers":`...)
	head = appendString(head, bootstrapServers)
	head = append(head, `,"records":{`...)
	return &event{head: head, limit: maxEvent}
}

// build renders the shares and returns the JSON, which is valid until the next
// build. At the size limit build shortens the shares to the records that went
// in. The first record always goes in: a record too large for Lambda then fails
// visibly instead of blocking its partition.
func (e *event) build(shares []share) []byte {
	const closing = len("]}}")
	e.buf = append(e.buf[:0], e.head...)
	empty, full := true, false
	for i := range shares {
		s := &shares[i]
		// The limit was reached in an earlier share.
		if full {
			s.records = nil
			continue
		}
		start := len(e.buf)
		if !empty {
			e.buf = append(e.buf, ',')
		}
		e.buf = append(append(append(e.buf, '"'), s.p.name...), `":[`...)
		for j, r := range s.records {
			// Render the record, and take it back if the event grew beyond the
			// limit.
			before := len(e.buf)
			if j > 0 {
				e.buf = append(e.buf, ',')
			}
			e.buf = appendRecord(e.buf, r)
			if len(e.buf)+closing > e.limit && !empty {
				e.buf = e.buf[:before]
				s.records, full = s.records[:j], true
				break
			}
			empty = false
		}
		// No record of the share went in: take its name back too.
		if len(s.records) == 0 {
			e.buf = e.buf[:start]
			continue
		}
		e.buf = append(e.buf, ']')
	}
	e.buf = append(e.buf, "}}"...)
	return e.buf
}

// appendRecord renders a record. The field of a null key or value is left out,
// as was observed for tombstones on AWS. "" is a key or value of no bytes.
func appendRecord(b []byte, r *kgo.Record) []byte {
	b = append(b, `{"topic":`...)
	b = appendString(b, r.Topic)
	b = append(b, `,"partition":`...)
	b = strconv.AppendInt(b, int64(r.Partition), 10)
	b = append(b, `,"offset":`...)
	b = strconv.AppendInt(b, r.Offset, 10)
	b = append(b, `,"timestamp":`...)
	b = strconv.AppendInt(b, r.Timestamp.UnixMilli(), 10)
	b = append(b, `,"timestampType":"`...)
	b = append(b, timestampType(r)...)
	b = append(b, '"')
	b = appendBytes(b, `,"key":"`, r.Key)
	b = appendBytes(b, `,"value":"`, r.Value)
	return appendHeaders(b, r.Headers)
}

// timestampType returns the record's timestamp type as Kafka names it.
func timestampType(r *kgo.Record) string {
	switch r.Attrs.TimestampType() {
	case 0:
		return "CREATE_TIME"
	case 1:
		return "LOG_APPEND_TIME"
	default: // records from before Kafka 0.10
		return "NO_TIMESTAMP_TYPE"
	}
}

// appendBytes renders a field in base64, or nothing if value is null. field is
// the JSON up to the quote that opens the value.
func appendBytes(b []byte, field string, value []byte) []byte {
	if value == nil {
		return b
	}
	b = append(b, field...)
	b = base64.StdEncoding.AppendEncode(b, value)
	return append(b, '"')
}

// appendHeaders renders headers and closes the record. Bytes are rendered as
// signed numbers, as Java writes them: aws-lambda-go rejects an event with a
// number above 127. A null header value is rendered as an empty array.
func appendHeaders(b []byte, headers []kgo.RecordHeader) []byte {
	b = append(b, `,"headers":[`...)
	for i, h := range headers {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendString(b, h.Key)
		b = append(b, ":["...)
		for j, v := range h.Value {
			if j > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(int8(v)), 10)
		}
		b = append(b, "]}"...)
	}
	return append(b, "]}"...)
}

// appendString renders a JSON string. Almost all strings are plain ASCII and
// need no escapes; header keys of other producers may need them, and are left
// to encoding/json.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string always encodes
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
