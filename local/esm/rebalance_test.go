package esm

import (
	cryptorand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"footfall/shared/pipeline"
)

// secondPoller: a first poller has a batch of each partition in flight; a
// second one joins and is assigned half of the partitions; then the first
// poller's answers come. It commits only the partitions that it still has.
func secondPoller(t *testing.T) {
	bubble(t, func(h *harness) {
		for p := range int32(4) {
			h.produce(p, 1)
		}
		first := h.start(pipeline.Mapping{BatchSize: 1}, concurrency(4))
		held := map[int]*call{}
		for range 4 {
			c := first.next()
			held[c.partition()] = c
		}
		second := h.start(pipeline.Mapping{BatchSize: 1}, concurrency(4))
		a, b := second.next(), second.next()
		second.wantNoInvocation()
		for p, c := range held {
			c.ok()
			if p == a.partition() || p == b.partition() {
				h.wantCommitted(int32(p), -1)
			} else {
				h.wantCommitted(int32(p), 1)
			}
		}
		a.ok()
		b.ok()
		for p := range int32(4) {
			h.wantCommitted(p, 1)
		}
		if want := int64(2); second.Stats().Records != want {
			h.Errorf("the second poller did %d records, want %d", second.Stats().Records, want)
		}
	})
}

func (c *call) partition() int {
	for _, rs := range c.event.Records {
		return int(rs[0].Partition)
	}
	return -1
}

// TestALateCommitDoesNotRewindTheNextOwner: the next owner has committed
// further when the former owner's answer comes.
func TestALateCommitDoesNotRewindTheNextOwner(t *testing.T) {
	bubble(t, func(h *harness) {
		for p := range int32(4) {
			h.produce(p, 2)
		}
		first := h.start(pipeline.Mapping{BatchSize: 1}, concurrency(4))
		held := map[int]*call{}
		for range 4 {
			c := first.next()
			held[c.partition()] = c
		}
		second := h.start(pipeline.Mapping{BatchSize: 1}, concurrency(4))
		moved := map[int]bool{}
		for range 4 { // two records of two partitions
			c := second.next()
			moved[c.partition()] = true
			c.ok()
		}
		for p := range moved {
			h.wantCommitted(int32(p), 2)
			held[p].ok()
			h.wantCommitted(int32(p), 2)
		}
	})
}

// TestNothingIsLostWhilePollersComeAndGo: pollers join and leave at random
// under load. All records of each partition are acknowledged, the first time in
// order.
func TestNothingIsLostWhilePollersComeAndGo(t *testing.T) {
	const perPartition = 300
	bubble(t, func(h *harness) {
		var mu sync.Mutex
		done := map[int64]int64{} // by partition: records below it were acknowledged in order
		work := func(f *function) {
			for c := range f.calls {
				time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
				mu.Lock()
				for _, rs := range c.event.Records {
					for _, r := range rs {
						if r.Offset > done[r.Partition] {
							h.Errorf("partition %d: %d came before %d was done", r.Partition, r.Offset, done[r.Partition])
						}
						done[r.Partition] = max(done[r.Partition], r.Offset+1)
					}
				}
				mu.Unlock()
				select {
				case c.reply <- reply{body: "{}"}:
				case <-time.After(time.Minute): // its poller has ended
				}
			}
		}
		start := func() *function {
			f := h.start(pipeline.Mapping{BatchSize: 10}, concurrency(2))
			var workers sync.WaitGroup
			for range 2 {
				workers.Go(func() { work(f) })
			}
			// A worker may hold a call whose poller has just ended. The minute after
			// which it gives up passes only while all goroutines of the bubble wait.
			h.Cleanup(func() { f.stop(); close(f.calls); workers.Wait() })
			return f
		}
		start()
		for range 10 {
			for p := range int32(4) {
				h.produce(p, perPartition/10)
			}
			f := start()
			time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
			f.stop()
		}
		time.Sleep(time.Minute)
		for p := range int32(4) {
			h.wantCommitted(p, perPartition)
		}
	})
}

// TestMemoryIsBoundedUnderLag: the function does not answer, and the topic has
// far more records than the poller may hold.
func TestMemoryIsBoundedUnderLag(t *testing.T) {
	bubble(t, func(h *harness) {
		for p := range int32(4) {
			for range 10 { // 20 MB a partition
				var rs []*kgo.Record
				for range 200 {
					value := make([]byte, 10_000)
					cryptorand.Read(value) // random: a compressed fetch would hold more bytes than its size
					rs = append(rs, &kgo.Record{Topic: topic, Partition: p, Value: value})
				}
				h.must(h.client.ProduceSync(h.Context(), rs...).FirstErr())
			}
		}
		f := h.start(pipeline.Mapping{BatchSize: 10, Retries: -1}, concurrency(4), func(o *Options) {
			o.MinBackoff, o.MaxBackoff = time.Hour, time.Hour
		})
		held := map[int]*call{}
		for range 4 {
			c := f.next()
			held[c.partition()] = c
		}
		time.Sleep(time.Minute)
		const bound = totalBytes + maxPoll*(10_000+recordOverhead) // one poll beyond it
		f.wantHeld(bound)
		for p := range 3 {
			held[p].fail()
		}
		// Three partitions wait for an hour. The fourth gets through all of its
		// records meanwhile.
		c := held[3]
		for i := 0; ; i += 10 {
			if want := fmt.Sprintf("3:[%d-%d]", i, i+9); c.ranges() != want {
				h.Fatalf("event holds %s, want %s", c.ranges(), want)
			}
			c.ok()
			if i == 1990 {
				break
			}
			c = f.next()
		}
		h.wantCommitted(3, 2000)
		f.wantHeld(bound)
		for range 3 {
			f.next().ok()
		}
	})
}

// wantHeld wants the poller to hold at most limit bytes in records.
func (f *function) wantHeld(limit int) {
	f.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	total := 0
	for _, p := range f.partitions {
		held := 0
		for _, r := range p.records {
			held += memoryBytes(r)
		}
		if held != p.bytes {
			f.Errorf("partition %d holds %d bytes and counts %d", p.id, held, p.bytes)
		}
		total += held
	}
	f.Logf("holds %d MB", total>>20)
	if total > limit {
		f.Errorf("holds %d bytes, want at most %d", total, limit)
	}
}

// TestRecreatedTopicIsReadFromItsStart: the topic is deleted and created while
// the poller runs.
func TestRecreatedTopicIsReadFromItsStart(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 5)
		f := h.start(pipeline.Mapping{Retries: -1})
		f.expect("0:[0-4]").ok()
		h.wantCommitted(0, 5)
		h.must(h.cluster.DeleteTopic(topic))
		h.must(h.cluster.CreateTopic(topic, 4, nil))
		h.connect() // the former client has cached the former topic's id
		h.produce(0, 2)
		f.expect("0:[0-1]").ok()
		h.wantCommitted(0, 2)
	})
}

// TestTruncatedLogIsReadFromItsNewEnd: a new leader lacks records that the
// former leader served. Later records must not be placed behind those held, or
// the offsets in one event would go backwards.
func TestTruncatedLogIsReadFromItsNewEnd(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 6)
		f := h.start(pipeline.Mapping{BatchSize: 4, Retries: -1, Window: time.Minute})
		f.expect("0:[0-3]") // in flight; 4 and 5 are held
		h.cluster.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
			h.cluster.KeepControl()
			resp := kreq.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
			rt, rp := kmsg.NewOffsetForLeaderEpochResponseTopic(), kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			rt.Topic, rp.LeaderEpoch, rp.EndOffset = topic, 0, 2
			rt.Partitions = append(rt.Partitions, rp)
			resp.Topics = append(resp.Topics, rt)
			return resp, nil, true
		})
		h.must(h.cluster.MoveTopicPartition(topic, 0, 0)) // a new epoch of the same broker
		f.expect("0:[0-3]").ok()                          // by a session of its own, from the committed offset
		f.expect("0:[4-5]").ok()
		h.wantCommitted(0, 6)
	})
}

// TestPartitionIsReadAfterAnOffsetFetchError: after such an error the client
// leaves the partition out until the group rebalances, which may never happen.
func TestPartitionIsReadAfterAnOffsetFetchError(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 1)
		refused := h.cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.OffsetFetch}, Topic: topic, Partitions: []int32{0}, Err: kerr.TopicAuthorizationFailed,
		})
		h.start(pipeline.Mapping{Retries: -1}).expect("0:[0-0]").ok()
		h.wantCommitted(0, 1)
		if refused.Hits() != 1 {
			h.Errorf("%d offsets were refused, want 1", refused.Hits())
		}
	})
}
