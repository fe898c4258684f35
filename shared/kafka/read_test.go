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

// put writes values to a partition, each call as one batch.
func put(t testing.TB, p *Producer, partition int32, values ...string) {
	t.Helper()
	var records []stage.Record
	for _, v := range values {
		records = append(records, stage.Record{Topic: topic, Partition: partition, Key: []byte("k"), Value: []byte(v)})
	}
	produce(t, p, records...)
}

// read gives the values of spans by partition.
func read(t testing.TB, cl *kgo.Client, spans []OffsetRange) (map[int32][]string, error) {
	t.Helper()
	got := map[int32][]string{}
	err := Read(within(t, 30*time.Second), cl, spans, func(r *kgo.Record) error {
		got[r.Partition] = append(got[r.Partition], string(r.Value))
		return nil
	})
	return got, err
}

func TestReadGivesWhatWasThere(t *testing.T) {
	c := cluster(t, topic)
	cl := client(t, c.ListenAddrs(), ReadOptions()...)
	p := NewProducer(cl)
	put(t, p, 0, "a", "b", "c")
	put(t, p, 1, "d")
	spans, err := ListOffsetRanges(t.Context(), cl, topic)
	if err != nil || len(spans) != partitions {
		t.Fatalf("%d spans (%v), want %d", len(spans), err, partitions)
	}
	put(t, p, 0, "later")
	for range 2 { // the same client reads again
		got, err := read(t, cl, spans)
		if err != nil || fmt.Sprint(got) != "map[0:[a b c] 1:[d]]" {
			t.Fatalf("read %v (%v)", got, err)
		}
	}
	spans[0].From = 2
	if got, err := read(t, cl, spans[:1]); err != nil || fmt.Sprint(got) != "map[0:[c]]" {
		t.Errorf("from offset 2: %v (%v)", got, err)
	}
	if got, err := read(t, cl, spans[4:]); err != nil || len(got) != 0 {
		t.Errorf("empty partitions hold %v (%v)", got, err)
	}
}

func TestReadEndsWhenToldTo(t *testing.T) {
	c := cluster(t, topic)
	cl := client(t, c.ListenAddrs(), ReadOptions()...)
	p := NewProducer(cl)
	put(t, p, 0, "a", "b", "c")
	put(t, p, 1, "d", "e")
	spans, err := ListOffsetRanges(t.Context(), cl, topic)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = Read(t.Context(), cl, spans, func(r *kgo.Record) error {
		got = append(got, string(r.Value))
		if string(r.Value) == "b" {
			return ErrStopPartition
		}
		return nil
	})
	slices.Sort(got)
	if err != nil || strings.Join(got, "") != "abde" {
		t.Errorf("read %v (%v), want all but what follows b in its partition", got, err)
	}
	failure := errors.New("no more")
	if err := Read(t.Context(), cl, spans, func(*kgo.Record) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("error %v, want that of the function", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Read(ctx, cl, spans, func(*kgo.Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that it was cancelled", err)
	}
}

// A span may end with the mark of a transaction, which is not given.
func TestReadPassesTheMarksOfTransactions(t *testing.T) {
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
	spans, err := ListOffsetRanges(t.Context(), cl, topic)
	if err != nil || spans[0].To != 2 {
		t.Fatalf("spans %v (%v), want a mark behind the record", spans, err)
	}
	if got, err := read(t, cl, spans); err != nil || fmt.Sprint(got) != "map[0:[a]]" {
		t.Errorf("read %v (%v)", got, err)
	}
}

func TestSpansNamesATopicThatIsNotThere(t *testing.T) {
	c := cluster(t, topic)
	cl := client(t, c.ListenAddrs())
	if _, err := ListOffsetRanges(t.Context(), cl, topic, "nowhere"); !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error %v", err)
	}
}

// damaged is a broker with three batches of two records in a partition, of
// which the middle one cannot be read.
func damaged(t *testing.T) (*kgo.Client, *Producer) {
	t.Helper()
	dir := t.TempDir()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), kfake.SeedTopics(2, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cl := client(t, c.ListenAddrs(), ReadOptions()...)
	p := NewProducer(cl)
	put(t, p, 0, "a", "b")
	put(t, p, 0, "c", "d")
	put(t, p, 0, "e", "f")
	if err := brokertest.Damage(dir, topic, 0, 3); err != nil {
		t.Fatal(err)
	}
	return cl, p
}

func TestADamagedBatchIsNamed(t *testing.T) {
	cl, _ := damaged(t)
	spans, err := ListOffsetRanges(t.Context(), cl, topic)
	if err != nil {
		t.Fatal(err)
	}
	got, err := read(t, cl, spans)
	if err == nil || !strings.Contains(err.Error(), topic+"/0 from offset 2: encoded crc") {
		t.Errorf("error %v, want one that names offset 2", err)
	}
	if fmt.Sprint(got) != "map[0:[a b]]" {
		t.Errorf("read %v, want what lies before it", got)
	}
	batches, err := StoredBatches(t.Context(), cl, spans[0])
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, b := range batches {
		lines = append(lines, fmt.Sprintf("%d-%d %v", b.First, b.Last, b.Err == nil))
	}
	if got := strings.Join(lines, ", "); got != "0-1 true, 2-3 false, 4-5 true" {
		t.Errorf("batches %s", got)
	}
}

func TestReadAroundADamagedBatch(t *testing.T) {
	cl, p := damaged(t)
	put(t, p, 0, "g")
	spans, err := ListOffsetRanges(t.Context(), cl, topic)
	if err != nil {
		t.Fatal(err)
	}
	var got, left string
	each := func(r *kgo.Record) error { got += string(r.Value); return nil }
	err = ReadAround(within(t, 30*time.Second), cl, spans[0], each, func(s OffsetRange, err error) {
		left += fmt.Sprintf("%s %d-%d: %v", s, s.From, s.To-1, err)
	})
	if err != nil || got != "abefg" || !strings.HasPrefix(left, topic+"/0 2-3: encoded crc") {
		t.Errorf("read %s and left out %s (%v), want all but the damaged batch", got, left, err)
	}
	// What each returns is not about the bytes.
	failure := errors.New("no more")
	err = ReadAround(t.Context(), cl, spans[0], func(*kgo.Record) error { return failure }, func(OffsetRange, error) { t.Error("left something out") })
	if !errors.Is(err, failure) {
		t.Errorf("error %v, want %v", err, failure)
	}
}

// The batch in which a span begins is among its batches, and what lies behind
// the span is not.
func TestStoredBatchesOfPartOfALog(t *testing.T) {
	cl, _ := damaged(t)
	batches, err := StoredBatches(t.Context(), cl, OffsetRange{topic, 0, 3, 4})
	if err != nil || len(batches) != 1 || batches[0].First != 2 || batches[0].Err == nil {
		t.Errorf("batches %+v (%v), want the damaged one", batches, err)
	}
	if _, err := StoredBatches(t.Context(), cl, OffsetRange{topic, 7, 0, 1}); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("partition 7: %v", err)
	}
}

const group = "footfall-enrich-walk-ins"

func commitAt(t testing.TB, cl *kgo.Client, partition int32, offset int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, partition, offset, -1)
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), group, offsets); err != nil {
		t.Fatal(err)
	}
}

func TestShiftGetsPastADamagedBatch(t *testing.T) {
	cl, p := damaged(t)
	put(t, p, 1, "x")
	commitAt(t, cl, 0, 2)
	commitAt(t, cl, 1, 1)
	s, err := PlanShift(t.Context(), cl, group, topic, 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	if s.Target != 4 || len(s.Batches) != 2 || s.Batches[0].Err == nil || s.Batches[1].Err != nil || s.Batches[1].First != 4 {
		t.Errorf("plan %+v, want to pass the damaged batch and go on at 4", s)
	}
	wantGroup(t, cl, "2 4, 1 0") // a plan moves nothing
	if err := s.Apply(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	wantGroup(t, cl, "4 2, 1 0")
	if err := s.Apply(t.Context(), cl); err == nil || !strings.Contains(err.Error(), "moved from 2 to 4 meanwhile") {
		t.Errorf("the same shift again: %v", err)
	}
}

// wantGroup wants "committed lag" of each partition.
func wantGroup(t testing.TB, cl *kgo.Client, want string) {
	t.Helper()
	offsets, err := GroupOffsets(t.Context(), cl, group, topic)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range offsets {
		got = append(got, fmt.Sprintf("%d %d", o.Committed, o.Lag()))
	}
	if g := strings.Join(got, ", "); g != want {
		t.Errorf("the group is at %s, want %s", g, want)
	}
}

func TestShiftStaysWithinTheLog(t *testing.T) {
	cl, _ := damaged(t)
	for _, c := range []struct {
		name string
		by   int64
		ok   bool
	}{
		{"from the start of the log, where nothing is committed, to its end", 6, true},
		{"beyond the end", 7, false},
		{"before the start", -1, false},
		{"only a look", 0, true},
	} {
		_, err := PlanShift(t.Context(), cl, group, topic, 0, c.by)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && !strings.Contains(err.Error(), "between 0 and 6 are possible") {
			t.Errorf("%s: %v does not say what is possible", c.name, err)
		}
	}
	if _, err := PlanShift(t.Context(), cl, group, topic, 2, 1); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("a partition that is not there: %v", err)
	}
}

// Its offsets are notes of what was put back, which a shift would wipe out.
func TestShiftIsRefusedForTheGroupOfRedrives(t *testing.T) {
	cl := client(t, cluster(t, topic).ListenAddrs())
	if _, err := PlanShift(t.Context(), cl, RedriveGroup, topic, 0, 0); err == nil || !strings.Contains(err.Error(), "is noted there") {
		t.Errorf("error %v", err)
	}
}

// A group with a member is not shifted, whichever group protocol it has, and one
// that comes to life after the look is found out when it is to be shifted.
func TestShiftIsRefusedWhileTheGroupIsActive(t *testing.T) {
	for name, opt := range map[string]kgo.Opt{
		"classic": kgo.Balancers(kgo.CooperativeStickyBalancer()),
		"newer":   kgo.ServerSideBalancer(),
	} {
		t.Run(name, func(t *testing.T) {
			cl, _ := damaged(t)
			before, err := PlanShift(t.Context(), cl, group, topic, 0, 2)
			if err != nil {
				t.Fatal(err)
			}
			member, err := kgo.NewClient(kgo.SeedBrokers(cl.OptValue(kgo.SeedBrokers).([]string)[0]), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), opt)
			if err != nil {
				t.Fatal(err)
			}
			defer member.Close()
			if f := member.PollFetches(within(t, 30*time.Second)); f.NumRecords() == 0 {
				t.Fatal(f.Err())
			}
			if _, err := PlanShift(t.Context(), cl, group, topic, 0, 2); !errors.Is(err, ErrGroupActive) {
				t.Errorf("plan: %v, want %v", err, ErrGroupActive)
			}
			if err := before.Apply(t.Context(), cl); !errors.Is(err, ErrGroupActive) {
				t.Errorf("apply: %v, want %v", err, ErrGroupActive)
			}
			if _, err := PlanShift(t.Context(), cl, group, topic, 0, 0); err != nil {
				t.Errorf("a look: %v", err)
			}
		})
	}
}

// Retention may drop what is still to be read, up to the end of the span and
// beyond: reading ends all the same.
func TestReadEndsWhereRetentionHasDroppedTheRest(t *testing.T) {
	for _, dropped := range []int64{2, 3} {
		cl := client(t, cluster(t, topic).ListenAddrs(), ReadOptions()...)
		p := NewProducer(cl)
		for _, v := range []string{"a", "b", "c"} {
			put(t, p, 0, v)
		}
		spans, err := ListOffsetRanges(t.Context(), cl, topic)
		if err != nil {
			t.Fatal(err)
		}
		var offsets kadm.Offsets
		offsets.AddOffset(topic, 0, dropped, -1)
		if _, err := kadm.NewClient(cl).DeleteRecords(t.Context(), offsets); err != nil {
			t.Fatal(err)
		}
		want := []string{"a", "b", "c"}[dropped:]
		if got, err := read(t, cl, spans); err != nil || !slices.Equal(got[0], want) {
			t.Errorf("%d of 3 dropped: read %v (%v), want %v", dropped, got, err, want)
		}
	}
}

// A read whose brokers go away says so, instead of waiting for them for ever.
func TestReadEndsWhenTheBrokersAreGone(t *testing.T) {
	c := cluster(t, topic)
	cl := client(t, c.ListenAddrs(), append(ReadOptions(), kgo.RetryTimeout(time.Second))...)
	put(t, NewProducer(cl), 0, "a")
	span := OffsetRange{Topic: topic, From: 0, To: 2} // more than there is
	err := Read(within(t, 30*time.Second), cl, []OffsetRange{span}, func(*kgo.Record) error {
		c.Close()
		return nil
	})
	if err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "read map[walk-ins:[0]]") {
		t.Errorf("error %v, want one that names the partition", err)
	}
}
