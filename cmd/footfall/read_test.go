package main

import (
	"cmp"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/local"
	"footfall/shared/stage"
)

// deadLetter holds the parts of a dead letter that tests compare.
type deadLetter struct {
	headers map[string]string
	value   []byte
}

// readDead returns the dead letters of a topic in the order of their offsets there.
func readDead(t *testing.T, stack *local.Stack, topic string) []deadLetter {
	t.Helper()
	of, _ := events.TopicByName(topic)
	var all []deadLetter
	for _, r := range readTopic(t, stack, of.DeadLetters) {
		d := deadLetter{headers: map[string]string{}, value: r.Value}
		for _, h := range r.Headers {
			d.headers[h.Key] = string(h.Value)
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b deadLetter) int {
		return cmp.Or(cmp.Compare(len(a.headers[stage.HeaderOffset]), len(b.headers[stage.HeaderOffset])),
			cmp.Compare(a.headers[stage.HeaderOffset], b.headers[stage.HeaderOffset]))
	})
	return all
}

func countWalkIns(t *testing.T, stack *local.Stack) int {
	t.Helper()
	ids := map[events.WalkInID]bool{}
	for _, r := range readTopic(t, stack, events.WalkIns) {
		w, err := events.DecodeWalkIn(r.Key, r.Value)
		if err != nil {
			t.Fatal(err)
		}
		ids[w.ID] = true
	}
	return len(ids)
}

// firstRecords waits for the first record of each of n partitions.
func firstRecords(t *testing.T, stack *local.Stack, topic string, n int) map[int32]*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(stack.Brokers()...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	first := map[int32]*kgo.Record{}
	for len(first) < n {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			if first[r.Partition] == nil {
				first[r.Partition] = r
			}
		}
	}
	return first
}

// readTopic reads all records of a topic.
func readTopic(t *testing.T, stack *local.Stack, topic string) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(stack.Brokers()...), kgo.ConsumeTopics(topic), kgo.FetchMaxBytes(8<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	ends.Each(func(o kadm.ListedOffset) { want += o.Offset })
	var all []*kgo.Record
	for int64(len(all)) < want {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}
