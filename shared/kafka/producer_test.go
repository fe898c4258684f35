package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"footfall/events"
	"footfall/shared/stage"
)

func TestRecordsArriveByteForByte(t *testing.T) {
	c := cluster(t, topic)
	allBytes := make([]byte, 256)
	for i := range allBytes {
		allBytes[i] = byte(i)
	}
	at := time.Date(2026, 8, 22, 7, 30, 0, 125e6, time.UTC) // far from now, as in a replay
	in := []stage.Record{
		{Key: nil, Value: nil},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("null value"), Value: nil},
		{Key: nil, Value: []byte("null key")},
		{Key: allBytes, Value: allBytes, Timestamp: at},
		{Value: []byte("x"), Headers: []stage.Header{
			{Key: "null", Value: nil}, {Key: "empty", Value: []byte{}}, {Key: "bytes", Value: allBytes},
			{Key: "twice", Value: []byte("1")}, {Key: "twice", Value: []byte("2")}, {Key: "", Value: []byte("no name")},
			{Key: "größe 東京", Value: []byte("größe")},
		}},
	}
	for i := range in {
		in[i].Topic, in[i].Partition = topic, 3
	}
	before := time.Now().Truncate(time.Millisecond)
	produce(t, NewProducer(client(t, c.ListenAddrs())), in...)
	got := stored(t, c, topic)[3]
	if len(got) != len(in) {
		t.Fatalf("got %d records, want %d", len(got), len(in))
	}
	for i, r := range got {
		if !same(r.Key, in[i].Key) || !same(r.Value, in[i].Value) || len(r.Headers) != len(in[i].Headers) {
			t.Errorf("record %d has key %v, value %v and %d headers, want the record that was sent", i, r.Key, r.Value, len(r.Headers))
			continue
		}
		for n, h := range r.Headers {
			if want := in[i].Headers[n]; h.Key != want.Key || !same(h.Value, want.Value) {
				t.Errorf("record %d: header %d is %q: %v, want %q: %v", i, n, h.Key, h.Value, want.Key, want.Value)
			}
		}
		switch {
		case !in[i].Timestamp.IsZero() && !r.Timestamp.Equal(at):
			t.Errorf("record %d: timestamp %v, want %v", i, r.Timestamp, at)
		case in[i].Timestamp.IsZero() && (r.Timestamp.Before(before) || r.Timestamp.After(time.Now())):
			t.Errorf("record %d was sent without a timestamp and has %v, want the time of sending", i, r.Timestamp)
		}
	}
}

// same reports whether a and b are equal. nil differs from empty, as in Kafka.
func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// A record goes to the partition that it names, else to the partition of its key.
func TestPartitionOfARecord(t *testing.T) {
	c := cluster(t, topic)
	p := NewProducer(client(t, c.ListenAddrs()))
	records := append(keyed(0, 200), stage.Record{Topic: topic, Partition: stage.AnyPartition, Value: []byte("no key")})
	for n := range int32(partitions) { // the same key in every partition, as with ticks
		records = append(records, stage.Record{Topic: topic, Partition: n, Key: []byte("tick"), Value: fmt.Append(nil, "tick ", n)})
	}
	produce(t, p, records...)
	wantExactly(t, c, records)

	// Producers in other languages use the rule of Kafka, so the two must agree.
	kafkas := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
	for _, r := range keyed(0, 20) {
		if want := kafkas.Partition(&kgo.Record{Key: r.Key}, partitions); int(events.Partition(r.Key, partitions)) != want {
			t.Errorf("key %s goes to partition %d, by the rule of Kafka to %d", r.Key, events.Partition(r.Key, partitions), want)
		}
	}
}

// A partition is added after the client has looked up the topic. A record that names
// the partition gets there after some attempts.
func TestPartitionAddedLater(t *testing.T) {
	c := cluster(t, topic)
	cl := client(t, c.ListenAddrs())
	p := NewProducer(cl)
	produce(t, p, keyed(0, 1)...) // the client looks up 8 partitions
	req := kmsg.NewPtrCreatePartitionsRequest()
	more := kmsg.NewCreatePartitionsRequestTopic()
	more.Topic, more.Count = topic, partitions+1
	req.Topics = append(req.Topics, more)
	if _, err := req.RequestWith(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	tick := []stage.Record{{Topic: topic, Partition: partitions, Value: []byte("tick")}}
	ctx := within(t, 20*time.Second)
	for err := p.Produce(ctx, tick); err != nil; err = p.Produce(ctx, tick) {
		if ctx.Err() != nil {
			t.Fatalf("no attempt reached the new partition: %v", err)
		}
	}
	if got := stored(t, c, topic)[partitions]; len(got) != 1 {
		t.Errorf("the new partition holds %d records, want 1", len(got))
	}
}

func TestBatchesAreCompressed(t *testing.T) {
	c := cluster(t, topic)
	produce(t, NewProducer(client(t, c.ListenAddrs())), keyed(0, 1000)...)
	const zstd = 4 // the codec's number in the attributes of a batch
	for p, records := range stored(t, c, topic) {
		for _, r := range records {
			if r.Attrs.CompressionType() != zstd {
				t.Fatalf("partition %d: compression type %d, want %d", p, r.Attrs.CompressionType(), zstd)
			}
		}
	}
}

func TestProduceWithoutRecords(t *testing.T) {
	p := NewProducer(client(t, []string{"127.0.0.1:1"})) // no broker listens there
	if err := p.Produce(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestConcurrentCallersKeepTheOrderOfEachPartition(t *testing.T) {
	c := cluster(t, topic)
	p := NewProducer(client(t, c.ListenAddrs()))
	var wg sync.WaitGroup
	for n := range int32(partitions) { // one caller for each partition
		wg.Go(func() {
			for call := range 10 {
				var records []stage.Record
				for i := range 20 {
					records = append(records, stage.Record{Topic: topic, Partition: n, Value: fmt.Append(nil, call*20+i)})
				}
				if err := p.Produce(within(t, 30*time.Second), records); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var want []stage.Record
	for n := range int32(partitions) {
		for i := range 200 {
			want = append(want, stage.Record{Topic: topic, Partition: n, Value: fmt.Append(nil, i)})
		}
	}
	wantExactly(t, c, want)
}

func TestErrorNamesTheUnknownTopic(t *testing.T) {
	p := NewProducer(client(t, cluster(t, topic).ListenAddrs()))
	records := keyed(0, 3)
	records[1].Topic = "no-such-topic"
	err := p.Produce(within(t, 30*time.Second), records)
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("error %v, want %v", err, kerr.UnknownTopicOrPartition)
	}
	var failed *RecordError
	if !errors.As(err, &failed) || failed.Index != 1 || failed.Topic != "no-such-topic" || failed.Failed != 1 || failed.Total != 3 {
		t.Errorf("error %+v, want record 1 of 3, of no-such-topic", failed)
	}
	for _, part := range []string{"no-such-topic", "record 1", `"shop/device-1"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
}

func TestTooLargeRecord(t *testing.T) {
	c := cluster(t, topic)
	// The limit of this topic was lowered on the broker, and the client does not know
	// it.
	if err := c.CreateTopic("lowered", partitions, map[string]string{"max.message.bytes": "2000"}); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 2<<20) // bytes that do not compress
	for i := range noise {
		noise[i] = byte(i * i >> (i % 13))
	}
	for _, in := range []struct {
		name  string
		topic string
		size  int
	}{
		{"rejected by the client", topic, 1<<20 + 1},
		{"rejected by the broker", "lowered", 100_000},
	} {
		t.Run(in.name, func(t *testing.T) {
			p := NewProducer(client(t, c.ListenAddrs()))
			records := keyed(0, 20)
			for i := range records {
				records[i].Topic, records[i].Partition = in.topic, int32(i%partitions)
			}
			records[5].Value = noise[:in.size]
			err := p.Produce(within(t, 30*time.Second), records)
			var failed *RecordError
			if !errors.Is(err, ErrTooLarge) || !errors.Is(err, kerr.MessageTooLarge) || !errors.As(err, &failed) || failed.Index != 5 {
				t.Fatalf("error %v, want %v for record 5", err, ErrTooLarge)
			}
			// The next call succeeds, so the record did not stay in the client.
			produce(t, p, records[:5]...)
		})
	}
}

// The dead-letter topic accepts the dead letter of the largest record, with the
// headers of the stage.
func TestDeadLetterOfALargeRecordFits(t *testing.T) {
	c := cluster(t)
	cl := client(t, c.ListenAddrs())
	if err := CreateTopics(t.Context(), cl, events.Topics(), partitions, 1); err != nil {
		t.Fatal(err)
	}
	full := stage.Record{Topic: topic, Partition: 0, Value: make([]byte, 1<<20-200)}
	p := NewProducer(cl)
	produce(t, p, full)
	letter := stage.DeadLetter("test", &full, "test", errors.New(strings.Repeat("x", 5000)))
	if len(letter.Value) != len(full.Value) || letter.Topic == topic {
		t.Fatalf("the dead letter has %d bytes on topic %s, want %d bytes on another topic", len(letter.Value), letter.Topic, len(full.Value))
	}
	produce(t, p, letter)
	if got := stored(t, c, letter.Topic); len(got) != 1 {
		t.Errorf("the dead letter is in %d partitions, want 1", len(got))
	}
}
