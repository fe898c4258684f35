package esm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/local/runtime"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// semantics lists the rules of AWS Lambda for event source mappings of Kafka,
// in our words. Each rule has the page of the Lambda developer guide that
// states it and a test of the poller. If the guide leaves a case open, both
// readings have a test.
//
// Features that the mappings of this project do not use have no test: filters,
// a schema registry, S3, SQS and SNS as failure destinations, AT_TIMESTAMP,
// LATEST. The graph's tests check the limits of settings.
var semantics = []struct {
	page, rule string
	check      func(*testing.T)
}{
	{"with-msk", "the event's fields and encodings", eventInFull},
	{"with-msk", "one event may hold several partitions", severalPartitionsUpToTheBatchSize},
	{"with-msk", "the records of a partition come in order, with one batch in flight", oneBatchOfAPartitionInFlightInOrder},
	{"with-msk", "an event holds at most the batch size and 6 MB", sixMegabytesOfJSON},
	{"with-msk", "a batch is delivered after its window or when it is full", windowUnlessFull},
	{"with-msk", "with a window of 0 a record is delivered at once", noWindow},
	{"with-msk", "a new group begins at TRIM_HORIZON, the oldest record", newGroupAtTheStart},
	{"with-msk", "the starting position is ignored if the group has committed offsets", groupWithOffsets},
	{"with-msk", "a poller runs several invocations, each with other partitions", parallelOnDisjointPartitions},
	{"kafka-scaling-modes", "there are never more pollers than partitions: further pollers are idle", moreConcurrencyThanPartitions},
	{"kafka-scaling-modes", "if the minimum of pollers equals the maximum, there is no rebalance", fixedPollers},
	{"kafka-scaling-modes", "another poller takes partitions over, and records in flight are redelivered", secondPoller},
	{"kafka-retry-configurations", "an empty answer, {} and null are a success", successfulAnswers},
	{"kafka-retry-configurations", "a partial answer names failed records by the event's partition and offset", partialAnswer},
	{"kafka-retry-configurations", "an identifier that was not in the event or is malformed retries the whole batch", answersThatFailTheWholeBatch},
	{"kafka-retry-configurations", "open: unreported records behind a reported one are redelivered", unreportedRecordsRedelivered},
	{"kafka-retry-configurations", "open: unreported records behind a reported one are done", unreportedRecordsDone},
	{"kafka-retry-configurations", "open: unreported records are done, with retries used up and with bisect", unreportedRecordsDoneWithRetriesUsedUp},
	{"kafka-retry-configurations", "a function error, a timeout, an exit or a throttle retries the batch", functionErrors},
	{"kafka-retry-configurations", "a batch that failed stops its partition and no other", failingPartitionAlone},
	{"kafka-retry-configurations", "after the retries the records go to the failure destination", exhaustedRecordsGoToTheDeadLetters},
	{"kafka-retry-configurations", "with 0 retries a failed batch goes to the failure destination at once", noRetries},
	{"kafka-retry-configurations", "retries of -1 never end", endlessRetries},
	{"kafka-retry-configurations", "with a record age of -1, no record is too old", oldRecords},
	{"kafka-retry-configurations", "bisect halves a batch that failed as a whole, without using up retries", bisect},
	{"kafka-retry-configurations", "bisect splits at the records that a partial answer names", bisectPartialAnswers},
	{"kafka-on-failure", "a Kafka destination receives each record with its key", exhaustedRecordsGoToTheDeadLetters},
	{"kafka-on-failure", "endless retries are 10 if there is a failure destination", endlessRetriesWithADestination},
}

func TestSemantics(t *testing.T) {
	for _, f := range semantics {
		t.Run(f.page+"/"+f.rule, f.check)
	}
}

func newGroupAtTheStart(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 3)
		h.must(h.cluster.DeleteRecords(topic, 0, 1)) // the oldest is not always the first
		h.start(pipeline.Mapping{}).expect("0:[1-2]").ok()
		h.wantCommitted(0, 3)
	})
}

func groupWithOffsets(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 3)
		f := h.start(pipeline.Mapping{BatchSize: 2})
		f.expect("0:[0-1]").ok()
		h.wantCommitted(0, 2)
		f.stop()
		f = h.start(pipeline.Mapping{})
		f.expect("0:[2-2]").ok()
		f.wantNoInvocation()
	})
}

func moreConcurrencyThanPartitions(t *testing.T) {
	bubble(t, func(h *harness) {
		for p := range int32(4) {
			h.produce(p, 3)
		}
		f := h.start(pipeline.Mapping{BatchSize: 1}, concurrency(20))
		var held []*call
		for range 4 {
			held = append(held, f.next())
		}
		f.wantNoInvocation()
		for _, c := range held {
			c.ok()
		}
	})
}

// fixedPollers: the group has one member and one group generation from the
// first record to the last, whatever the load and however long the function
// takes.
func fixedPollers(t *testing.T) {
	bubble(t, func(h *harness) {
		f := h.start(pipeline.Mapping{BatchSize: 10, Window: time.Second}, concurrency(3))
		h.produce(0, 1)
		f.next().ok()
		h.wantCommitted(0, 1)
		before := h.cluster.GroupInfo(f.Group())
		for range 5 {
			for p := range int32(4) {
				h.produce(p, 5)
			}
			c := f.next()
			time.Sleep(time.Minute) // by the bubble's clock: beyond the session's timeout
			c.ok()
		}
		after := h.cluster.GroupInfo(f.Group())
		if after.Epoch != before.Epoch || len(after.Members) != 1 {
			h.Errorf("generation %d with %d members, want %d with 1", after.Epoch, len(after.Members), before.Epoch)
		}
	})
}

func unreportedDone(o *Options) { o.UnreportedDone = true }

// unreportedRecordsDone: records 3 and 5 are done with the first answer. The
// committed offset stays before the reported record until that record is done,
// and then moves beyond them.
func unreportedRecordsDone(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 7)
		f := h.start(pipeline.Mapping{Retries: -1, BatchSize: 6}, unreportedDone)
		f.expect("0:[0-5]").partial(0, 2, 0, 4)
		c := f.expect("0:[2-2]")
		h.wantCommitted(0, 2)
		c.fail()
		f.expect("0:[2-2]").ok()
		c = f.expect("0:[4-4]")
		h.wantCommitted(0, 4)
		c.partial(0, 4)
		f.expect("0:[4-4]").ok()
		f.expect("0:[6-6]").ok()
		h.wantCommitted(0, 7)
		if want := (Stats{Records: 7, Invocations: 6, Errors: 3, Retries: 3}); f.Stats() != want {
			h.Errorf("counted %+v, want %+v", f.Stats(), want)
		}
	})
}

func unreportedRecordsDoneWithRetriesUsedUp(t *testing.T) {
	for _, bisect := range []bool{true, false} {
		t.Run(fmt.Sprint("bisect ", bisect), func(t *testing.T) {
			bubble(t, func(h *harness) {
				h.produce(0, 6)
				f := h.start(pipeline.Mapping{Retries: 1, Bisect: bisect}, unreportedDone)
				f.expect("0:[0-5]").partial(0, 0, 0, 4)
				for range 2 - h.retriesUsedByFirst(bisect) {
					f.expect("0:[0-0]").partial(0, 0)
				}
				f.expect("0:[4-4]").ok()
				f.wantNoInvocation()
				h.wantCommitted(0, 6)
				if got := headerOf(h.deadLetters(1)[0], stage.HeaderOffset); got != "0" {
					h.Errorf("the dead letter is of offset %s, want 0", got)
				}
			})
		})
	}
}

// retriesUsedByFirst returns how many retries the first failure of a batch uses
// up.
func (h *harness) retriesUsedByFirst(bisect bool) int {
	if bisect {
		return 0
	}
	return 1
}

func headerOf(r *kgo.Record, name string) string {
	i := slices.IndexFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == name })
	if i < 0 {
		return ""
	}
	return string(r.Headers[i].Value)
}

func noRetries(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 2)
		f := h.start(pipeline.Mapping{Retries: 0})
		f.expect("0:[0-1]").fail()
		time.Sleep(time.Minute) // the bubble's clock
		f.wantNoInvocation()
		h.wantCommitted(0, 2)
		h.deadLetters(2)
	})
}

func endlessRetriesWithADestination(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 1)
		f := h.start(pipeline.Mapping{Retries: -1}, func(o *Options) { o.DeadLetters = deadLetterTopic })
		for range 1 + 10 {
			f.expect("0:[0-0]").fail()
		}
		f.wantNoInvocation()
		h.wantCommitted(0, 1)
		h.deadLetters(1)
	})
}

// oldRecords: records as old as in a replay of the whole history that is kept.
func oldRecords(t *testing.T) {
	bubble(t, func(h *harness) {
		h.must(h.client.ProduceSync(h.Context(), &kgo.Record{
			Topic: topic, Partition: 0, Timestamp: time.Now().Add(-90 * 24 * time.Hour),
		}).FirstErr())
		f := h.start(pipeline.Mapping{Retries: 5})
		for range 5 {
			f.expect("0:[0-0]").fail()
		}
		f.expect("0:[0-0]").ok()
		h.wantCommitted(0, 1)
		h.deadLetters(0)
	})
}

// functionErrors has real processes fail in each way that Lambda documents. The
// batch is redelivered unchanged, and its offset is not committed before it
// succeeds.
func functionErrors(t *testing.T) {
	path := buildEcho(t)
	for _, c := range []struct {
		name, event, kind string
	}{
		{"an error", `{"Do":"error","Text":"no"}`, "errorString"},
		{"a panic", `{"Do":"panic","Text":"no"}`, "string"},
		{"an exit, as of a process out of memory", `{"Do":"exit","Size":137}`, runtime.TypeExit},
		{"a timeout", `{"Do":"sleep"}`, runtime.TypeTimeout},
		{"an answer too large", `{"Do":"big","Size":` + strconv.Itoa(runtime.MaxResponse+1) + `}`, runtime.TypeResponseTooLarge},
		{"a throttle", "", "TooManyRequestsException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			timeout := time.Minute // the other ends must not come too late on a busy machine
			if c.kind == runtime.TypeTimeout {
				timeout = 300 * time.Millisecond
			}
			r, err := runtime.Start(t.Context(), runtime.Options{
				Functions: []runtime.Function{{Name: "echo", Path: path, Timeout: timeout}},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var payloads []string
			var failures []error
			p := runToIdle(t, 3, func(ctx context.Context, payload []byte) ([]byte, error) {
				payloads = append(payloads, string(payload))
				if len(payloads) > 2 {
					return r.Invoke(ctx, "echo", payload)
				}
				if c.event == "" {
					return nil, &runtime.FunctionError{Function: "echo", Type: c.kind}
				}
				answer, err := r.Invoke(ctx, "echo", []byte(c.event))
				failures = append(failures, err)
				return answer, err
			})
			if want := (Stats{Records: 3, Invocations: 3, Errors: 2, Retries: 2}); p.Stats() != want {
				t.Errorf("counted %+v, want %+v", p.Stats(), want)
			}
			if payloads[0] != payloads[1] || payloads[1] != payloads[2] {
				t.Errorf("the batch came as %s, then %s, then %s", payloads[0], payloads[1], payloads[2])
			}
			for _, err := range failures {
				if f := new(runtime.FunctionError); !errors.As(err, &f) || f.Type != c.kind {
					t.Errorf("the function failed with %v, want %s", err, c.kind)
				}
			}
		})
	}
}

// runToIdle delivers n records of one partition to invoke over the real network
// until all are done. It returns the poller, which has ended.
func runToIdle(t *testing.T, n int, invoke func(context.Context, []byte) ([]byte, error)) *Poller {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range n {
		client.Produce(t.Context(), &kgo.Record{Topic: topic, Value: strconv.AppendInt(nil, int64(i), 10)}, nil)
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	p, err := New(Options{
		Brokers: cluster.ListenAddrs(), Stage: "detect", MinBackoff: time.Millisecond,
		Mapping: pipeline.Mapping{Topic: topic, BatchSize: n, Retries: -1, Window: time.Minute},
		Invoke: func(ctx context.Context, payload []byte) ([]byte, error) {
			begin()
			return invoke(ctx, payload)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	<-begun
	<-p.WhenIdle()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return p
}
