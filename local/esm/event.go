package esm

import (
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

// maxEvent is how many bytes the JSON of an event may have: Lambda's limit for
// an invocation's payload.
const maxEvent = 6 << 20

// event builds the JSON of one invocation (AWS Lambda developer guide, "Using
// Lambda with Amazon MSK", example event). Its buffer is used again and again.
type event struct {
	buf   []byte
	head  []byte // everything up to the brace that opens the records
	limit int
}

func newEvent(arn, bootstrapServers string) *event {
	head := append([]byte(nil), `{"eventSource":"aws:kafka","eventSourceArn":`...)
	head = appendString(head, arn)
	head = append(head, `,"bootstrapServers":`...)
	head = appendString(head, bootstrapServers)
	head = append(head, `,"records":{`...)
	return &event{head: head, limit: maxEvent}
}

// build renders the shares and gives the JSON, which is valid until the next
// build. Where the limit is reached it shortens the shares to what went in; the
// first record always goes in, so that one too large for Lambda fails visibly
// instead of being stuck.
func (e *event) build(shares []share) []byte {
	const closing = len("]}}")
	e.buf = append(e.buf[:0], e.head...)
	empty, full := true, false
	for i := range shares {
		s := &shares[i]
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
		if len(s.records) == 0 {
			e.buf = e.buf[:start]
			continue
		}
		e.buf = append(e.buf, ']')
	}
	e.buf = append(e.buf, "}}"...)
	return e.buf
}

// appendRecord renders a record. A null key or value is left out, which is how
// tombstones were seen to come from AWS; "" is an empty one.
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

// timestampType names the attribute with Kafka's own words.
func timestampType(r *kgo.Record) string {
	switch r.Attrs.TimestampType() {
	case 0:
		return "CREATE_TIME"
	case 1:
		return "LOG_APPEND_TIME"
	default: // records of before Kafka 0.10
		return "NO_TIMESTAMP_TYPE"
	}
}

func appendBytes(b []byte, field string, value []byte) []byte {
	if value == nil {
		return b
	}
	b = append(b, field...)
	b = base64.StdEncoding.AppendEncode(b, value)
	return append(b, '"')
}

// appendHeaders renders headers and closes the record. Bytes go as signed
// numbers, as Java writes them: aws-lambda-go rejects an event with one above
// 127. A null header value goes as an empty array.
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

// appendString renders a JSON string. Names are plain ASCII but for headers of
// foreign producers, which encoding/json takes care of.
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
