package lambdarun

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// oneRecord returns an event of one record. fields are the record's besides topic,
// partition and offset.
func oneRecord(fields string) string {
	if fields != "" {
		fields = "," + fields
	}
	return `{"eventSource":"aws:kafka","records":{"t-0":[{"topic":"t","partition":0,"offset":5` + fields + `}]}}`
}

func TestDecodeEventFields(t *testing.T) {
	at := func(r stage.Record) stage.Record {
		r.Topic, r.Offset = "t", 5
		return r
	}
	broken := func(value, what string, before ...stage.Header) stage.Record {
		return at(stage.Record{Value: []byte("not base64: " + value),
			Headers: append(before, stage.Header{Key: "footfall-error", Value: []byte(what)})})
	}
	header := func(name string, value []byte) stage.Record {
		return at(stage.Record{Headers: []stage.Header{{Key: name, Value: value}}})
	}
	for _, tt := range []struct {
		name, fields string
		want         stage.Record
	}{
		{"absent value and key are null", ``, at(stage.Record{})},
		{"null value and key are null", `"key":null,"value":null,"headers":null`, at(stage.Record{})},
		{"empty value and key are not null", `"key":"","value":""`, at(stage.Record{Key: []byte{}, Value: []byte{}})},
		{"base64", `"key":"az0/","value":"dj4+Pw=="`, at(stage.Record{Key: []byte("k=?"), Value: []byte("v>>?")})},
		{"base64 with escapes, as some encoders write = and /", `"value":"dj4+Pw\u003d=","key":"\/\/\/\/"`,
			at(stage.Record{Key: []byte{255, 255, 255}, Value: []byte("v>>?")})},
		{"timestamp is in milliseconds", `"timestamp":1700000000123,"timestampType":"CREATE_TIME"`,
			at(stage.Record{Timestamp: time.Date(2023, 11, 14, 22, 13, 20, 123e6, time.UTC)})},
		{"timestamp -1 is none", `"timestamp":-1`, at(stage.Record{})},
		{"header bytes are unsigned", `"headers":[{"h":[0,65,255]}]`, header("h", []byte{0, 65, 255})},
		{"header bytes are signed", `"headers":[{"h":[-1,-128,127]}]`, header("h", []byte{255, 128, 127})},
		{"header in base64", `"headers":[{"h":"QUI="}]`, header("h", []byte("AB"))},
		{"header without bytes", `"headers":[{"h":[]}]`, header("h", []byte{})},
		{"header of null", `"headers":[{"h":null}]`, header("h", nil)},
		{"header name with escapes and beyond ASCII", `"headers":[{"\u0068é\t":[]}]`, header("hé\t", []byte{})},
		{"header name that is not UTF-8", "\"headers\":[{\"\xff\":[]}]", header("\ufffd", []byte{})},
		{"no headers", `"headers":[]`, at(stage.Record{})},
		{"header twice, and two in one object", `"headers":[{"a":[1]},{"a":[2],"b":[3]}]`, at(stage.Record{
			Headers: []stage.Header{{Key: "a", Value: []byte{1}}, {Key: "a", Value: []byte{2}}, {Key: "b", Value: []byte{3}}}})},
		{"unknown fields of any type", `"valueSchemaMetadata":{"dataFormat":"AVRO","x":[1e-3,true,false,null,{"]":"}\\"}]},"value":"QQ=="`,
			at(stage.Record{Value: []byte("A")})},

		{"many values side by side are not deep", `"x":[` + strings.Repeat(`[0],`, maxDepth) + `[0]]`, at(stage.Record{})},

		{"value that is not base64 is delivered, marked", `"value":"{\"business\":1}"`,
			broken(`{"business":1}`, "value is not base64: illegal base64 data at input byte 0")},
		{"base64 cut short", `"value":"QUJ"`, broken("QUJ", "value is not base64: illegal base64 data at input byte 0")},
		{"key that is not base64 marks a good value", `"key":"a-b","value":"QQ=="`, func() stage.Record {
			r := broken("A", "key is not base64: illegal base64 data at input byte 1")
			r.Key = []byte("a-b")
			return r
		}()},
		{"header that is not base64", `"headers":[{"h":"?"}]`,
			broken("", "header is not base64: illegal base64 data at input byte 0", stage.Header{Key: "h", Value: []byte("?")})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeEvent([]byte(oneRecord(tt.fields)))
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, []Partition{{ID: "t-0", Batch: stage.Batch{Topic: "t", Records: []stage.Record{tt.want}}}})
		})
	}
}

// same fails the test if two decoders returned different partitions. nil and empty
// are different.
func same(t interface{ Fatalf(string, ...any) }, got, want []Partition) {
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %#v\nwant %#v", got, want)
	}
}

func TestDecodeEventPartitions(t *testing.T) {
	const event = ` { "records" : { "web-logs-2-10":[
		{"value":"QQ==","offset":"7","partition":"10","topic":"web-logs-2"}, {"offset":9,"partition":10,"topic":"web-logs-2"}],
		"empty-0":[ ], "\u0061-1":[{"topic":"a","partition":1,"offset":0}] } , "eventSource":"aws:kafka" } `
	got, err := DecodeEvent([]byte(event))
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, []Partition{
		{ID: "web-logs-2-10", Batch: stage.Batch{Topic: "web-logs-2", Partition: 10, Records: []stage.Record{
			{Topic: "web-logs-2", Partition: 10, Offset: 7, Value: []byte("A")},
			{Topic: "web-logs-2", Partition: 10, Offset: 9},
		}}},
		{ID: "a-1", Batch: stage.Batch{Topic: "a", Partition: 1, Records: []stage.Record{{Topic: "a", Partition: 1}}}},
	})
}

func TestDecodeEventRejectsMalformedEvents(t *testing.T) {
	deep := strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)
	for _, tt := range []struct{ name, event, err string }{
		{"nothing", ``, `byte 0: want '{', found the end`},
		{"event of a schedule", `{"time":"2026-11-21T00:00:00Z"}`, `byte 31: no records`},
		{"null instead of records", `{"records":null}`, `byte 16: no records`},
		{"cut short in a value", oneRecord(`"value":"QUJD`)[:95], `byte 91: string without an end`},
		{"cut short in an escape", `{"records":{"\`, `byte 12: string without an end`},
		{"cut short behind a record", `{"records":{"t-0":[{"topic":"t","partition":0,"offset":5}`, `byte 57: want ']', found the end`},
		{"wrong escape", oneRecord(`"value":"\x"`), `byte 91: string: invalid character 'x'`},
		{"line feed in a name", "{\"a\nb\":1}", `byte 1: string: invalid character '\n'`},
		{"no colon", `{"records" {}}`, `byte 11: want ':', found '{'`},
		{"no comma", `{"a":1 "records":{}}`, `byte 7: want '}', found '"'`},
		{"comma before the end", `{"records":{},}`, `byte 14: want '"', found '}'`},
		{"value without a value", `{"a":,"records":{}}`, `byte 5: want a value, found ','`},
		{"half a literal", `{"a":nul,"records":{}}`, `byte 5: want null, found 'n'`},
		{"two events", `{"records":{}}{}`, `byte 14: more after the event, found '{'`},
		{"nested too deep", `{"a":` + deep + `,"records":{}}`, `nested deeper than 10000`},
		{"offset with a fraction", `{"records":{"t-0":[{"topic":"t","partition":0,"offset":5.5}]}}`, `byte 56: want '}', found '.'`},
		{"offset too large", `{"records":{"t-0":[{"topic":"t","partition":0,"offset":9223372036854775808}]}}`, `byte 55: want an integer`},
		{"partition too large", `{"records":{"t-0":[{"topic":"t","partition":2147483648,"offset":5}]}}`, `byte 44: want an integer`},
		{"no topic", `{"records":{"t-0":[{"partition":0,"offset":5}]}}`, `byte 19: record without topic, partition or offset`},
		{"no partition", `{"records":{"t-0":[{"topic":"t","offset":5}]}}`, `byte 19: record without topic, partition or offset`},
		{"no offset", `{"records":{"t-0":[{"topic":"t","partition":0}]}}`, `byte 19: record without topic, partition or offset`},
		{"header byte out of range", oneRecord(`"headers":[{"h":[256]}]`), `want an integer within [-128, 255]`},
		{"header byte out of range below", oneRecord(`"headers":[{"h":[-129]}]`), `want an integer within [-128, 255]`},
		{"value that is no string", oneRecord(`"value":7`), `want '"', found '7'`},
		{"another partition's record", `{"records":{"t-0":[{"topic":"t","partition":0,"offset":5},{"topic":"t","partition":1,"offset":6}]}}`,
			`byte 58: t/1/6 follows t/0/5 in one partition`},
		// A stage takes a record at or below the last offset for a redelivery, and skips it.
		{"offsets run backwards", `{"records":{"t-0":[{"topic":"t","partition":0,"offset":5},{"topic":"t","partition":0,"offset":4}]}}`,
			`byte 58: t/0/4 follows t/0/5 in one partition`},
		{"offset twice", `{"records":{"t-0":[{"topic":"t","partition":0,"offset":5},{"topic":"t","partition":0,"offset":5}]}}`,
			`byte 58: t/0/5 follows t/0/5 in one partition`},
		{"partition twice", `{"records":{"t-0":[{"topic":"t","partition":0,"offset":5}],"t-00":[{"topic":"t","partition":0,"offset":6}]}}`,
			`partition 0 of t is there twice`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeEvent([]byte(tt.event))
			if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.HasPrefix(err.Error(), "byte ") {
				t.Fatalf("got %v, %v; want an error with %q", got, err, tt.err)
			}
			if _, documented := reference([]byte(tt.event)); documented {
				t.Error("the reference accepts the event as one of the documented shape")
			}
		})
	}
}

// No slice of the result may alias the payload: the Lambda client reads the next
// event into the same buffer.
func TestDecodeEventResultDoesNotAliasThePayload(t *testing.T) {
	payload := []byte(oneRecord(`"key":"a-b","value":"QUJD","headers":[{"name":"QUJD"}]`))
	got, err := DecodeEvent(payload)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := reference(payload)
	clear(payload)
	same(t, got, want)
}

// A stage may append to any slice of a record without writing over another.
func TestDecodeEventSlicesHaveNoSpareCapacity(t *testing.T) {
	var entries []string
	for p := range 5 {
		entries = append(entries, fmt.Sprintf(`"t-%d":[{"topic":"t","partition":%d,"offset":0,"key":"QQ==","value":"QUI=","headers":[{"a":[1]}]}]`, p, p))
	}
	payload := []byte(`{"records":{` + strings.Join(entries, ",") + `}}`)
	got, err := DecodeEvent(payload)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range got {
		r := p.Batch.Records[0]
		_ = append(p.Batch.Records, stage.Record{Topic: "x"})
		_ = append(r.Headers, stage.Header{Key: "x"})
		for _, bytes := range [][]byte{r.Key, r.Value, r.Headers[0].Value} {
			_ = append(bytes, 'x')
		}
	}
	want, _ := reference(payload)
	same(t, got, want)
}

// Any event that a mapping can send decodes to the records that were sent, in
// whatever order the fields come and however the strings are escaped.
func TestDecodeEventMatchesEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent, payload := drawEvent(t)
		got, err := DecodeEvent(payload)
		if err != nil {
			t.Fatalf("%v in %s", err, payload)
		}
		same(t, got, sent)
		want, documented := reference(payload)
		if !documented {
			t.Fatalf("the reference does not find the documented shape in %s", payload)
		}
		same(t, got, want)
	})
}

// drawEvent draws partitions, and an event of these partitions.
func drawEvent(t *rapid.T) (sent []Partition, payload []byte) {
	topics := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9._-]{1,8}`), 0, 3, rapid.ID).Draw(t, "topics")
	var entries []string
	for i, topic := range topics {
		b := stage.Batch{Topic: topic, Partition: int32(i * 3)}
		var records []string
		offset := rapid.Int64Range(0, 1<<40).Draw(t, "offset")
		for range rapid.IntRange(0, 6).Draw(t, "records") {
			r, text := drawRecord(t, stage.Record{Topic: topic, Partition: b.Partition, Offset: offset})
			b.Records, records = append(b.Records, r), append(records, text)
			offset += rapid.Int64Range(1, 9).Draw(t, "gap")
		}
		id := fmt.Sprintf("%s-%d", topic, b.Partition)
		entries = append(entries, drawString(t, id)+":["+strings.Join(records, ",")+"]")
		if len(records) > 0 {
			sent = append(sent, Partition{ID: id, Batch: b})
		}
	}
	return sent, []byte(drawObject(t, []string{`"eventSource":"aws:kafka"`, `"records":{` + strings.Join(entries, ",") + `}`}))
}

// drawRecord draws the other fields of r, and the JSON of the record.
func drawRecord(t *rapid.T, r stage.Record) (stage.Record, string) {
	members := []string{
		`"topic":` + drawString(t, r.Topic),
		fmt.Sprintf(`"partition":%d`, r.Partition),
		fmt.Sprintf(`"offset":%d`, r.Offset),
	}
	ms := rapid.Int64Range(0, 1<<42).Draw(t, "timestamp")
	r.Timestamp = time.UnixMilli(ms).UTC()
	members = append(members, fmt.Sprintf(`"timestamp":%d`, ms))
	var text string
	if r.Key, text = drawBytes(t); text != "" {
		members = append(members, `"key":`+text)
	}
	if r.Value, text = drawBytes(t); text != "" {
		members = append(members, `"value":`+text)
	}
	var headers []string
	for range rapid.IntRange(0, 2).Draw(t, "headers") {
		name, value := rapid.String().Draw(t, "name"), rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		r.Headers = append(r.Headers, stage.Header{Key: name, Value: value})
		numbers := fmt.Sprint(value)
		if rapid.Bool().Draw(t, "signed") {
			signed := make([]int8, len(value))
			for i, b := range value {
				signed[i] = int8(b)
			}
			numbers = fmt.Sprint(signed)
		}
		headers = append(headers, "{"+drawString(t, name)+":"+strings.ReplaceAll(numbers, " ", ",")+"}")
	}
	return r, drawObject(t, append(members, `"headers":[`+strings.Join(headers, ",")+`]`))
}

// drawBytes draws a value and its JSON: "" for an absent field, null, or base64.
func drawBytes(t *rapid.T) ([]byte, string) {
	if kind := rapid.IntRange(0, 5).Draw(t, "kind"); kind < 2 {
		return nil, []string{"", "null"}[kind]
	}
	b := append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")...)
	return b, drawString(t, base64.StdEncoding.EncodeToString(b))
}

// drawString returns s as JSON, with some characters escaped needlessly.
func drawString(t *rapid.T, s string) string {
	if !rapid.Bool().Draw(t, "escaped") {
		quoted, _ := json.Marshal(s)
		return string(quoted)
	}
	var b strings.Builder
	for i, c := range s {
		if c < 0x10000 && (i%2 == 0 || c < ' ' || c == '"' || c == '\\') {
			fmt.Fprintf(&b, `\u%04x`, c)
		} else {
			b.WriteRune(c)
		}
	}
	return `"` + b.String() + `"`
}

// drawObject joins members in any order, with white space and an unknown member
// between them.
func drawObject(t *rapid.T, members []string) string {
	unknown := rapid.SampledFrom([]string{`"x":{"y":[1,{"z":"}"}]}`, `"Value":"QQ=="`, `"n":-1.5e3`}).Draw(t, "unknown")
	members = rapid.Permutation(append(members, unknown)).Draw(t, "order")
	space := rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "space")
	return space + "{" + space + strings.Join(members, space+","+space) + space + "}" + space
}

// The project's sample events decode as the reference decodes them.
func TestDecodeEventSamples(t *testing.T) {
	files, err := filepath.Glob("../../events/testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	decoded := 0
	for _, file := range files {
		payload, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, documented := reference(payload)
		if !documented {
			continue // a schedule's event, see TestScheduleSample, or an HTTP API's
		}
		decoded++
		t.Run(filepath.Base(file), func(t *testing.T) {
			got, err := DecodeEvent(payload)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, want)
		})
	}
	others := 0
	for _, s := range pipeline.Default().Stages {
		if len(s.Reads) == 0 {
			others++
		}
	}
	if decoded+others != len(files) {
		t.Errorf("%d of %d samples are events of a mapping, want all but %d", decoded, len(files), others)
	}
}
