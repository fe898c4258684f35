package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/local/broker/brokertest"
	"footfall/shared/stage"
)

// putBatch writes values to a partition as one batch.
func putBatch(t testing.TB, p *Producer, partition int32, values ...string) {
	t.Helper()
	var records []stage.Record
	for _, v := range values {
		records = append(records, stage.Record{Topic: topic, Partition: partition, Key: []byte("k"), Value: []byte(v)})
	}
	produce(t, p, records...)
}

// readValues returns the values of the records of ranges, by partition.
func readValues(t testing.TB, cl *kgo.Client, ranges []OffsetRange) (map[int32][]string, error) {
	t.Helper()
	got := map[int32][]string{}
	err := Read(within(t, 30*time.Second), cl, ranges, func(r *kgo.Record) error {
		got[r.Partition] = append(got[r.Partition], string(r.Value))
		return nil
	})
	return got, err
}

// Read returns the records of the ranges, without the records produced later. A
// client can read again.
func TestReadReturnsTheRecordsOfTheRanges(t *testing.T) {
	c := cluster(t, topic)
	cl := client(t, c.ListenAddrs(), ReadOptions()...)
	p := NewProducer(cl)
	putBatch(t, p, 0, "a", "b", "c")
	putBatch(t, p, 1, "d")
	ranges, err := ListOffsetRanges(t.Context(), cl, topic)
	if err != nil || len(ranges) != partitions {
		t.Fatalf("%d ranges (%v), want %d", len(ranges), err, partitions)
	}
	putBatch(t, p, 0, "later")
	for range 2 { // the same client reads again
		got, err := readValues(t, cl, ranges)
		if err != nil || fmt.Sprint(got) != "map[0:[a b c] 1:[d]]" {
			t.Fatalf("read %v (%v), want a b c of partition 0 and d of partition 1", got, err)
		}
	}
	ranges[0].From = 2
	if got, err := readValues(t, cl, ranges[:1]); err != nil || fmt.Sprint(got) != "map[0:[c]]" {
		t.Errorf("from offset 2: read %v (%v), want c", got, err)
	}
	if got, err := readValues(t, cl, ranges[4:]); err != nil || len(got) != 0 {
		t.Errorf("empty partitions: read %v (%v), want nothing", got, err)
	}
}

// ErrStopPartition ends the reading of one partition. Any other error of the function
// and the end of the context end Read.
func TestReadEndsWithAnErrorOfTheFunction(t *testing.T) {
	c := cluster(t, topic)
	cl := client(t, c.ListenAddrs(), ReadOptions()...)
	p := NewProducer(cl)
	putBatch(t, p, 0, "a", "b", "c")
	putBatch(t, p, 1, "d", "e")
	ranges, err := ListOffsetRanges(t.Context(), cl, topic)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = Read(t.Context(), cl, ranges, func(r *kgo.Record) error {
		got = append(got, string(r.Value))
		if string(r.Value) == "b" {
			return ErrStopPartition
		}
		return nil
	})
	slices.Sort(got)
	if err != nil || strings.Join(got, "") != "abde" {
		t.Errorf("read %v (%v), want all records except those after b in its partition", got, err)
	}
	failure := errors.New("no more")
	if err := Read(t.Context(), cl, ranges, func(*kgo.Record) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("error %v, want %v", err, failure)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Read(ctx, cl, ranges, func(*kgo.Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// A range may end with the control record of a transaction, which Read does not pass
// on.
func TestReadSkipsControlRecords(t *testing.T) {
	c := cluster(t, topic)
	cl := client(t, c.ListenAddrs(), ReadOptions()...)
	writer, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := writer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := writer.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: 0, Value: []byte("a")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := writer.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	ranges, err := ListOffsetRanges(t.Context(), cl, topic)
	if err != nil || ranges[0].To != 2 {
		t.Fatalf("ranges %v (%v), want a control record behind the record", ranges, err)
	}
	if got, err := readValues(t, cl, ranges); err != nil || fmt.Sprint(got) != "map[0:[a]]" {
		t.Errorf("read %v (%v), want a", got, err)
	}
}

func TestListOffsetRangesNamesAMissingTopic(t *testing.T) {
	c := cluster(t, topic)
	cl := client(t, c.ListenAddrs())
	if _, err := ListOffsetRanges(t.Context(), cl, topic, "nowhere"); !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error %v, want one that names the topic nowhere", err)
	}
}

// damagedLog starts a broker with three batches of two records in partition 0, of
// which the middle one is damaged.
func damagedLog(t *testing.T) (*kgo.Client, *Producer) {
	t.Helper()
	dir := t.TempDir()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), kfake.SeedTopics(2, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cl := client(t, c.ListenAddrs(), ReadOptions()...)
	p := NewProducer(cl)
	putBatch(t, p, 0, "a", "b")
	putBatch(t, p, 0, "c", "d")
	putBatch(t, p, 0, "e", "f")
	if err := brokertest.Damage(dir, topic, 0, 3); err != nil {
		t.Fatal(err)
	}
	return cl, p
}

// The error of Read names the offset of a damaged batch, and StoredBatches tells
// damaged batches from whole ones.
func TestReadNamesADamagedBatch(t *testing.T) {
	cl, _ := damagedLog(t)
	ranges, err := ListOffsetRanges(t.Context(), cl, topic)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readValues(t, cl, ranges)
	if err == nil || !strings.Contains(err.Error(), topic+"/0 from offset 2: encoded crc") {
		t.Errorf("error %v, want one that names offset 2", err)
	}
	if fmt.Sprint(got) != "map[0:[a b]]" {
		t.Errorf("read %v, want the records before the damaged batch", got)
	}
	batches, err := StoredBatches(t.Context(), cl, ranges[0])
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, b := range batches {
		lines = append(lines, fmt.Sprintf("%d-%d %v", b.First, b.Last, b.Err == nil))
	}
	if got := strings.Join(lines, ", "); got != "0-1 true, 2-3 false, 4-5 true" {
		t.Errorf("batches %s, want the middle one unreadable", got)
	}
}

func TestReadAroundADamagedBatch(t *testing.T) {
	cl, p := damagedLog(t)
	putBatch(t, p, 0, "g")
	ranges, err := ListOffsetRanges(t.Context(), cl, topic)
	if err != nil {
		t.Fatal(err)
	}
	var got, left string
	each := func(r *kgo.Record) error { got += string(r.Value); return nil }
	err = ReadAround(within(t, 30*time.Second), cl, ranges[0], each, func(s OffsetRange, err error) {
		left += fmt.Sprintf("%s %d-%d: %v", s, s.From, s.To-1, err)
	})
	if err != nil || got != "abefg" || !strings.HasPrefix(left, topic+"/0 2-3: encoded crc") {
		t.Errorf("read %s and left out %s (%v), want all records except those of the damaged batch", got, left, err)
	}
	// An error of the function each is not taken for damage.
	failure := errors.New("no more")
	err = ReadAround(t.Context(), cl, ranges[0], func(*kgo.Record) error { return failure }, func(OffsetRange, error) { t.Error("ReadAround reports damage") })
	if !errors.Is(err, failure) {
		t.Errorf("error %v, want %v", err, failure)
	}
}

// The batches of a range include the batch in the middle of which the range begins,
// and none behind the range.
func TestStoredBatchesOfAPartOfALog(t *testing.T) {
	cl, _ := damagedLog(t)
	batches, err := StoredBatches(t.Context(), cl, OffsetRange{topic, 0, 3, 4})
	if err != nil || len(batches) != 1 || batches[0].First != 2 || batches[0].Err == nil {
		t.Errorf("batches %+v (%v), want the damaged one", batches, err)
	}
	if _, err := StoredBatches(t.Context(), cl, OffsetRange{topic, 7, 0, 1}); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("partition 7: error %v, want %v", err, kerr.UnknownTopicOrPartition)
	}
}

// Retention drops unread records: a part of the range, or all of it. Read returns
// the records left and ends.
func TestReadEndsAfterRetentionHasDroppedRecords(t *testing.T) {
	for _, dropped := range []int64{2, 3} {
		cl := client(t, cluster(t, topic).ListenAddrs(), ReadOptions()...)
		p := NewProducer(cl)
		for _, v := range []string{"a", "b", "c"} {
			putBatch(t, p, 0, v)
		}
		ranges, err := ListOffsetRanges(t.Context(), cl, topic)
		if err != nil {
			t.Fatal(err)
		}
		var offsets kadm.Offsets
		offsets.AddOffset(topic, 0, dropped, -1)
		if _, err := kadm.NewClient(cl).DeleteRecords(t.Context(), offsets); err != nil {
			t.Fatal(err)
		}
		want := []string{"a", "b", "c"}[dropped:]
		if got, err := readValues(t, cl, ranges); err != nil || !slices.Equal(got[0], want) {
			t.Errorf("%d of 3 dropped: read %v (%v), want %v", dropped, got, err, want)
		}
	}
}

// If all brokers go away, Read fails instead of waiting for ever.
func TestReadFailsWithoutBrokers(t *testing.T) {
	c := cluster(t, topic)
	cl := client(t, c.ListenAddrs(), append(ReadOptions(), kgo.RetryTimeout(time.Second))...)
	putBatch(t, NewProducer(cl), 0, "a")
	r := OffsetRange{Topic: topic, From: 0, To: 2} // one offset more than the partition holds
	err := Read(within(t, 30*time.Second), cl, []OffsetRange{r}, func(*kgo.Record) error {
		c.Close()
		return nil
	})
	if err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "read map[walk-ins:[0]]") {
		t.Errorf("error %v, want one that names the partition", err)
	}
}
