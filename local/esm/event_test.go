package esm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	awsevents "github.com/aws/aws-lambda-go/events"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/lambdarun"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

func part(id int32) *partition { return &partition{id: id, name: fmt.Sprintf("t-%d", id)} }

func record(partition int32, offset int64) *kgo.Record {
	return &kgo.Record{
		Topic: "t", Partition: partition, Offset: offset, Timestamp: time.UnixMilli(1_700_000_000_123),
		Key: []byte("shop/phone"), Value: []byte{0, 1, 254, 255},
	}
}

func eventInFull(t *testing.T) {
	odd := record(1, 8)
	odd.Key, odd.Value = nil, nil
	odd.Headers = []kgo.RecordHeader{{Key: "a", Value: []byte{0, 127, 128, 255}}, {Key: "é\"", Value: nil}}
	empty := record(1, 9)
	empty.Key, empty.Value = []byte{}, []byte{}
	const want = `{"eventSource":"aws:kafka","eventSourceArn":"arn","bootstrapServers":"b1:1,b2:2","records":{` +
		`"t-0":[{"topic":"t","partition":0,"offset":5,"timestamp":1700000000123,"timestampType":"CREATE_TIME","key":"c2hvcC9waG9uZQ==","value":"AAH+/w==","headers":[]}],` +
		`"t-1":[{"topic":"t","partition":1,"offset":8,"timestamp":1700000000123,"timestampType":"CREATE_TIME","headers":[{"a":[0,127,-128,-1]},{"é\"":[]}]},` +
		`{"topic":"t","partition":1,"offset":9,"timestamp":1700000000123,"timestampType":"CREATE_TIME","key":"","value":"","headers":[]}]}}`
	e := newEvent("arn", "b1:1,b2:2")
	for range 2 { // the buffer is used again
		got := e.build([]share{{part(0), []*kgo.Record{record(0, 5)}}, {part(1), []*kgo.Record{odd, empty}}})
		if string(got) != want {
			t.Errorf("built  %s\nwant %s", got, want)
		}
	}
}

// TestBothDecodersReadTheEvent: aws-lambda-go and the functions' own decoder
// read the event.
func TestBothDecodersReadTheEvent(t *testing.T) {
	r := record(3, 42)
	r.Headers = []kgo.RecordHeader{{Key: "h", Value: []byte{1, 200}}}
	tombstone := record(3, 43)
	tombstone.Value = nil
	payload := newEvent("arn", "b").build([]share{{part(3), []*kgo.Record{r, tombstone}}})

	var aws awsevents.KafkaEvent
	if err := json.Unmarshal(payload, &aws); err != nil {
		t.Fatal(err)
	}
	if h := aws.Records["t-3"][0].Headers[0]["h"]; !bytes.Equal(h, r.Headers[0].Value) {
		t.Errorf("aws-lambda-go reads the header as %v", h)
	}
	own, err := lambdarun.DecodeEvent(payload)
	if err != nil {
		t.Fatal(err)
	}
	got := own[0].Batch.Records
	if own[0].ID != "t-3" || len(got) != 2 || got[1].Value != nil {
		t.Fatalf("the functions read %+v", own)
	}
	want := stage.Record{
		Topic: "t", Partition: 3, Offset: 42, Timestamp: r.Timestamp.UTC(), Key: r.Key, Value: r.Value,
		Headers: []stage.Header{{Key: "h", Value: []byte{1, 200}}},
	}
	if fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("the functions read %+v, want %+v", got[0], want)
	}
}

// TestEventIsShortenedAtTheLimit tries every limit up to the event's length.
func TestEventIsShortenedAtTheLimit(t *testing.T) {
	batch := func() []share {
		return []share{
			{part(0), []*kgo.Record{record(0, 1), record(0, 2)}},
			{part(1), []*kgo.Record{record(1, 1), record(1, 2)}},
		}
	}
	whole := len(newEvent("arn", "b").build(batch()))
	seen := map[string]bool{}
	for limit := range whole + 1 {
		e := newEvent("arn", "b")
		e.limit = limit
		shares := batch()
		payload := e.build(shares)
		var event awsevents.KafkaEvent
		if err := json.Unmarshal(payload, &event); err != nil {
			t.Fatalf("limit %d: %v in %s", limit, err, payload)
		}
		a, b := len(event.Records["t-0"]), len(event.Records["t-1"])
		if a != len(shares[0].records) || b != len(shares[1].records) {
			t.Fatalf("limit %d: event holds %d and %d records, shares say %d and %d", limit, a, b, len(shares[0].records), len(shares[1].records))
		}
		if len(payload) > limit && a+b > 1 {
			t.Fatalf("limit %d: event has %d bytes and %d records", limit, len(payload), a+b)
		}
		if _, ok := event.Records["t-1"]; ok && b == 0 {
			t.Fatalf("limit %d: a partition without records is in %s", limit, payload)
		}
		seen[fmt.Sprint(a, b)] = true
	}
	for _, want := range []string{"1 0", "2 0", "2 1", "2 2"} {
		if !seen[want] {
			t.Errorf("no limit led to %s records", want)
		}
	}
}

// sixMegabytesOfJSON: base64 makes values of about a megabyte a third longer.
func sixMegabytesOfJSON(t *testing.T) {
	bubble(t, func(h *harness) {
		for range 6 {
			h.must(h.client.ProduceSync(h.Context(), &kgo.Record{Topic: topic, Partition: 0, Value: make([]byte, 999_000)}).FirstErr())
		}
		h.produce(1, 1)
		f := h.start(pipeline.Mapping{Window: time.Second, BatchSize: 10_000})
		c := f.expect("0:[0-3]")
		if len(c.payload) > maxEvent {
			h.Errorf("event has %d bytes", len(c.payload))
		}
		c.ok()
		f.expect("0:[4-5] 1:[0-0]").ok()
		h.wantCommitted(0, 6)
		h.wantCommitted(1, 1)
	})
}

// FuzzEvent: the functions decode the records that went in, whatever bytes they
// hold.
func FuzzEvent(f *testing.F) {
	f.Add([]byte("key"), []byte("value"), "header", []byte{0, 128, 255}, int64(7))
	f.Add([]byte(nil), []byte{}, "\"\\\x00é\u2028", []byte(nil), int64(0))
	f.Fuzz(func(t *testing.T, key, value []byte, name string, header []byte, offset int64) {
		if offset < 0 || offset > 1<<60 {
			return
		}
		r, next := record(1, offset), record(1, offset+1)
		r.Key, r.Value, r.Headers = key, value, []kgo.RecordHeader{{Key: name, Value: header}}
		got, err := lambdarun.DecodeEvent(newEvent("arn", "b").build([]share{{part(1), []*kgo.Record{r, next}}}))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || len(got[0].Batch.Records) != 2 {
			t.Fatalf("decoded %+v", got)
		}
		d := got[0].Batch.Records[0]
		if d.Offset != offset || !bytes.Equal(d.Key, key) || (d.Key == nil) != (key == nil) ||
			!bytes.Equal(d.Value, value) || (d.Value == nil) != (value == nil) {
			t.Errorf("%q=%q at %d became %q=%q at %d", key, value, offset, d.Key, d.Value, d.Offset)
		}
		// A name that is not UTF-8 cannot be in JSON.
		if utf8.ValidString(name) && d.Headers[0].Key != name || !bytes.Equal(d.Headers[0].Value, header) {
			t.Errorf("header %q=%q became %q=%q", name, header, d.Headers[0].Key, d.Headers[0].Value)
		}
	})
}

func FuzzJudge(f *testing.F) {
	for _, seed := range []string{"", "{}", "null", "[]", `{"batchItemFailures":[{"itemIdentifier":{"partition":"t-0","offset":3}}]}`,
		`{"batchItemFailures":[{"itemIdentifier":{"partition":"t-1","offset":9}},{"itemIdentifier":null}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		shares := []share{
			{part(0), []*kgo.Record{record(0, 1), record(0, 3)}}, // a hole, as compaction leaves them
			{part(1), []*kgo.Record{record(1, 9)}},
		}
		outcomes, err := readAnswer(shares, body)
		if err != nil {
			if outcomes != nil {
				t.Fatal("got outcomes and an error, want one of them")
			}
			return
		}
		for i, o := range outcomes {
			if n := len(shares[i].records); o.done < 0 || o.done > n || (o.err == nil) != (o.done == n) {
				t.Fatalf("%d of %d records done, %v", o.done, n, o.err)
			}
			for r := range o.reported {
				if r < o.done || r >= len(shares[i].records) {
					t.Fatalf("record %d is reported, %d are done", r, o.done)
				}
			}
			if o.err != nil && !strings.Contains(string(body), fmt.Sprint(shares[i].records[o.done].Offset)) {
				t.Fatalf("share failed from offset %d on, which the answer does not name", shares[i].records[o.done].Offset)
			}
		}
	})
}

func BenchmarkBuild(b *testing.B) {
	const n = 5000
	r := record(0, 1)
	r.Value = make([]byte, 200)
	rs := make([]*kgo.Record, n)
	for i := range rs {
		rs[i] = r
	}
	e := newEvent("arn", "b")
	for b.Loop() {
		e.build([]share{{part(0), rs}})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}
