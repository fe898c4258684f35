package esm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"footfall/shared/pipeline"
)

func partialAnswer(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 5)
		h.produce(1, 3)
		f := h.start(pipeline.Mapping{Retries: -1, Window: time.Second})
		f.expect("0:[0-4] 1:[0-2]").partial(0, 3, 0, 2, 0, 4) // the lowest counts
		c := f.expect("0:[2-4]")
		h.wantCommitted(0, 2)
		h.wantCommitted(1, 3)
		c.ok()
		h.wantCommitted(0, 5)
		if want := (Stats{Records: 8, Invocations: 2, Errors: 1, Retries: 1}); f.Stats() != want {
			h.Errorf("counted %+v, want %+v", f.Stats(), want)
		}
	})
}

// unreportedRecordsRedelivered: if the function reports one record, the records
// behind it are redelivered too.
func unreportedRecordsRedelivered(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 3)
		f := h.start(pipeline.Mapping{Retries: -1})
		f.expect("0:[0-2]").partial(0, 1)
		f.expect("0:[1-2]").ok()
	})
}

func answersThatFailTheWholeBatch(t *testing.T) {
	for _, c := range []struct{ name, body string }{
		{"not JSON", `<html>`},
		{"not an object", `["topic-0"]`},
		{"text", `"ok"`},
		{"failures are no list", `{"batchItemFailures":{}}`},
		{"identifier is null", `{"batchItemFailures":[{"itemIdentifier":null}]}`},
		{"identifier is text", `{"batchItemFailures":[{"itemIdentifier":"sightings-0:1"}]}`},
		{"no offset", `{"batchItemFailures":[{"itemIdentifier":{"partition":"sightings-0"}}]}`},
		{"no partition", `{"batchItemFailures":[{"itemIdentifier":{"offset":1}}]}`},
		{"partition not in the event", `{"batchItemFailures":[{"itemIdentifier":{"partition":"sightings-3","offset":1}}]}`},
		{"offset not in the event", `{"batchItemFailures":[{"itemIdentifier":{"partition":"sightings-0","offset":3}}]}`},
		{"one of two not in the event", `{"batchItemFailures":[{"itemIdentifier":{"partition":"sightings-0","offset":1}},{"itemIdentifier":{"partition":"sightings-0","offset":-1}}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(h *harness) {
				h.produce(0, 3)
				f := h.start(pipeline.Mapping{Retries: -1})
				f.expect("0:[0-2]").answer(c.body)
				again := f.expect("0:[0-2]")
				h.wantCommitted(0, -1)
				again.ok()
			})
		})
	}
}

func TestFailedBatchIsRedeliveredUnchangedAfterGrowingPauses(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 3)
		f := h.start(pipeline.Mapping{Retries: -1}, func(o *Options) { o.MinBackoff, o.MaxBackoff = time.Second, 5*time.Second })
		c := f.expect("0:[0-2]")
		h.produce(0, 1) // does not join the batch that fails
		for _, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
			failed := time.Now()
			c.fail()
			c = f.expect("0:[0-2]")
			if waited := c.at.Sub(failed).Round(10 * time.Millisecond); waited != pause {
				h.Errorf("redelivered after %v, want %v", waited, pause)
			}
		}
		c.ok()
		f.expect("0:[3-3]").ok()
	})
}

func exhaustedRecordsGoToTheDeadLetters(t *testing.T) {
	bubble(t, func(h *harness) {
		h.must(h.client.ProduceSync(h.Context(),
			&kgo.Record{Topic: topic, Partition: 2, Key: []byte("shop/phone"), Value: []byte("v"),
				Headers: []kgo.RecordHeader{{Key: "own", Value: []byte{0, 255}}}},
			&kgo.Record{Topic: topic, Partition: 2}).FirstErr())
		f := h.start(pipeline.Mapping{Retries: 2})
		for range 3 { // once, and two retries
			f.expect("2:[0-1]").fail()
		}
		f.wantNoInvocation()
		h.wantCommitted(2, 2)
		rs := h.deadLetters(2)
		if string(rs[0].Key) != "shop/phone" || string(rs[0].Value) != "v" || rs[1].Key != nil || rs[1].Value != nil {
			h.Errorf("keys and values are %q=%q and %q=%q", rs[0].Key, rs[0].Value, rs[1].Key, rs[1].Value)
		}
		const own = "footfall-reason=retries-exhausted footfall-error=database down " +
			"footfall-topic=sightings footfall-partition=2 footfall-offset=%d footfall-stage=detect"
		for i, want := range []string{"own=\x00\xff " + fmt.Sprintf(own, 0), fmt.Sprintf(own, 1)} {
			if got := headers(rs[i]); got != want {
				h.Errorf("dead letter %d has the headers %q, want %q", i, got, want)
			}
		}
		h.produce(2, 1)
		f.expect("2:[2-2]").ok()
		h.wantCommitted(2, 3)
		if want := (Stats{Records: 3, Invocations: 4, Errors: 3, Retries: 2, DeadLetters: 2}); f.Stats() != want {
			h.Errorf("counted %+v, want %+v", f.Stats(), want)
		}
	})
}

func headers(r *kgo.Record) string {
	var all []string
	for _, h := range r.Headers {
		all = append(all, h.Key+"="+string(h.Value))
	}
	return strings.Join(all, " ")
}

// TestProgressResetsTheRetries: retries count per batch. After progress, the
// rest is another batch, which has failed once.
func TestProgressResetsTheRetries(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 4)
		f := h.start(pipeline.Mapping{Retries: 1})
		f.expect("0:[0-3]").fail()
		f.expect("0:[0-3]").partial(0, 2)
		f.expect("0:[2-3]").partial(0, 3)
		f.expect("0:[3-3]").fail()
		h.wantCommitted(0, 4)
		h.deadLetters(1)
	})
}

func endlessRetries(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 1)
		f := h.start(pipeline.Mapping{Retries: -1})
		for range 200 {
			f.expect("0:[0-0]").fail()
		}
		h.deadLetters(0)
	})
}

// bisect: record 5 fails in every batch. Halves without it are done, in order,
// and record 5 alone goes to the dead letters after retries of its own.
func bisect(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 8)
		f := h.start(pipeline.Mapping{Retries: 2, Bisect: true}, concurrency(2))
		for _, step := range []struct {
			holds     string
			fails     bool
			committed int64 // afterwards
		}{
			{"0:[0-7]", true, -1},
			{"0:[0-3]", false, 4},
			{"0:[4-7]", true, 4},
			{"0:[4-5]", true, 4},
			{"0:[4-4]", false, 5},
			{"0:[5-5]", true, 5},
			{"0:[5-5]", true, 5},
			{"0:[5-5]", true, 6},
			{"0:[6-7]", false, 8},
		} {
			c := f.expect(step.holds)
			if step.fails {
				c.fail()
			} else {
				c.ok()
			}
			h.wantCommitted(0, step.committed)
		}
		if got := headers(h.deadLetters(1)[0]); !strings.Contains(got, "footfall-offset=5") {
			h.Errorf("dead letter has the headers %s", got)
		}
	})
}

// bisectPartialAnswers: a batch is split at the reported offset. If that is the
// first record, the batch is halved, so that the records behind it do not use
// up their retries together with it.
func bisectPartialAnswers(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 6)
		f := h.start(pipeline.Mapping{Retries: 0, Bisect: true})
		f.expect("0:[0-5]").partial(0, 2)
		f.expect("0:[2-5]").partial(0, 2)
		f.expect("0:[2-3]").partial(0, 2)
		f.expect("0:[2-2]").partial(0, 2) // its only try alone
		f.expect("0:[3-3]").ok()
		f.expect("0:[4-5]").ok()
		h.wantCommitted(0, 6)
		h.deadLetters(1)
	})
}

func TestPartitionsThatFailedTogetherAreRetriedSeparately(t *testing.T) {
	for _, bisect := range []bool{true, false} {
		t.Run(fmt.Sprint("bisect ", bisect), func(t *testing.T) {
			bubble(t, func(h *harness) {
				h.produce(0, 2)
				h.produce(1, 2)
				f := h.start(pipeline.Mapping{Retries: -1, Window: time.Second, Bisect: bisect})
				f.expect("0:[0-1] 1:[0-1]").fail()
				f.expect("0:[0-1]").ok()
				f.expect("1:[0-1]").ok()
			})
		})
	}
}

func failingPartitionAlone(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 1)
		f := h.start(pipeline.Mapping{Retries: -1, Window: time.Minute, BatchSize: 1}, func(o *Options) { o.MaxBackoff = time.Second })
		f.expect("0:[0-0]").fail()
		for i := range 20 {
			h.produce(1, 1)
			c := f.next()
			for c.ranges() == "0:[0-0]" {
				c.fail()
				c = f.next()
			}
			if want := fmt.Sprintf("1:[%d-%d]", i, i); c.ranges() != want {
				h.Fatalf("event holds %s, want %s", c.ranges(), want)
			}
			c.ok()
		}
		h.wantCommitted(0, -1)
		h.wantCommitted(1, 20)
	})
}

// TestDeadLettersAreRetriedUntilWritten: the offset is not committed before the
// dead letters are written.
func TestDeadLettersAreRetriedUntilWritten(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 1)
		f := h.start(pipeline.Mapping{Retries: 0}, func(o *Options) { o.MinBackoff = time.Minute; o.MaxBackoff = time.Minute })
		refused := 0
		h.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			h.cluster.KeepControl()
			if refused == 3 {
				return nil, nil, false
			}
			refused++
			return refuseProduce(req.(*kmsg.ProduceRequest)), nil, true
		})
		f.expect("0:[0-0]").fail()
		time.Sleep(90 * time.Second) // in the second pause
		h.wantCommitted(0, -1)
		time.Sleep(10 * time.Minute)
		h.wantCommitted(0, 1)
		h.deadLetters(1)
		if refused != 3 {
			h.Errorf("%d tries were refused, want 3", refused)
		}
	})
}

func refuseProduce(req *kmsg.ProduceRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, kerr.PolicyViolation.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// TestCommitsAreRetriedUntilTheySucceed: if no record follows, no later commit
// makes up for a commit that failed.
func TestCommitsAreRetriedUntilTheySucceed(t *testing.T) {
	bubble(t, func(h *harness) {
		h.produce(0, 1)
		f := h.start(pipeline.Mapping{})
		refused := 0
		h.cluster.ControlKey(int16(kmsg.OffsetCommit), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
			h.cluster.KeepControl()
			if refused == 3 {
				return nil, nil, false
			}
			refused++
			req := kreq.(*kmsg.OffsetCommitRequest)
			resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
			for _, t := range req.Topics {
				rt := kmsg.NewOffsetCommitResponseTopic()
				rt.Topic, rt.TopicID = t.Topic, t.TopicID
				for _, p := range t.Partitions {
					rp := kmsg.NewOffsetCommitResponseTopicPartition()
					rp.Partition, rp.ErrorCode = p.Partition, kerr.UnknownServerError.Code
					rt.Partitions = append(rt.Partitions, rp)
				}
				resp.Topics = append(resp.Topics, rt)
			}
			return resp, nil, true
		})
		f.expect("0:[0-0]").ok()
		time.Sleep(time.Minute)
		h.wantCommitted(0, 1)
		if refused != 3 {
			h.Errorf("%d commits were refused, want 3", refused)
		}
	})
}
