package kafka

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/stage"
)

// topic is the topic of most tests.
const topic = events.WalkIns

// partitions is the number of partitions of a topic in these tests.
const partitions = 8

// cluster starts three brokers in memory, with topics.
func cluster(t testing.TB, topics ...string) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(partitions, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// client returns a client of NewClient without authentication.
func client(t testing.TB, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := NewClient(Config{Brokers: brokers}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// within returns a context that ends after d.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// produce sends records, which must succeed.
func produce(t testing.TB, p *Producer, records ...stage.Record) {
	t.Helper()
	if err := p.Produce(within(t, 30*time.Second), records); err != nil {
		t.Fatal(err)
	}
}

// keyed returns n records with the keys of 20 devices. The value of each record is
// its number, so that a test notices a wrong order and duplicates.
func keyed(from, n int) []stage.Record {
	var records []stage.Record
	for i := from; i < from+n; i++ {
		records = append(records, stage.Record{
			Topic: topic, Partition: stage.AnyPartition,
			Key:   events.DeviceKey("shop", events.DeviceID(fmt.Sprint("device-", i%20))),
			Value: fmt.Append(nil, i),
		})
	}
	return records
}

// stored returns all records of a topic, by partition in the order of offsets.
func stored(t testing.TB, c *kfake.Cluster, topic string) map[int32][]*kgo.Record {
	t.Helper()
	var total int64
	for _, p := range c.PartitionInfos(topic) {
		total += p.HighWatermark
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	byPartition := map[int32][]*kgo.Record{}
	for n := int64(0); n < total; {
		fetches := cl.PollFetches(within(t, 30*time.Second))
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", n, total, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			byPartition[r.Partition] = append(byPartition[r.Partition], r)
			n++
		})
	}
	return byPartition
}

// wantExactly checks that a topic holds the records and no others, each once, in its
// partition and in order.
func wantExactly(t testing.TB, c *kfake.Cluster, records []stage.Record) {
	t.Helper()
	want := map[int32][]string{}
	for _, r := range records {
		p := r.Partition
		if p == stage.AnyPartition {
			p = events.Partition(r.Key, partitions)
		}
		want[p] = append(want[p], string(r.Value))
	}
	got := stored(t, c, records[0].Topic)
	for p := range int32(partitions) {
		var values []string
		for _, r := range got[p] {
			values = append(values, string(r.Value))
		}
		if !slices.Equal(values, want[p]) {
			t.Errorf("partition %d holds\n%v, want\n%v", p, values, want[p])
		}
	}
}
