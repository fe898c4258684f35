package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"footfall/events"
	"footfall/shared/stage"
)

// info looks topic up and must succeed.
func info(t *testing.T, infos *TopicInfos, maxAge time.Duration) stage.TopicInfo {
	t.Helper()
	got, err := infos.Info(within(t, 30*time.Second), topic, maxAge)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// brokersSay is what the cluster itself knows of topic.
func brokersSay(c *kfake.Cluster) stage.TopicInfo {
	i := c.TopicInfo(topic)
	return stage.TopicInfo{ID: hex.EncodeToString(i.TopicID[:]), Partitions: int32(len(c.PartitionInfos(topic)))}
}

func TestInfoTellsOneLifeOfATopicFromAnother(t *testing.T) {
	c := cluster(t, topic)
	infos := NewTopicInfos(client(t, c.ListenAddrs()))
	first := info(t, infos, 0)
	if first != brokersSay(c) || first.Partitions != partitions || len(first.ID) != 32 {
		t.Errorf("got %+v, want %+v", first, brokersSay(c))
	}
	if err := c.DeleteTopic(topic); err != nil {
		t.Fatal(err)
	}
	if got := info(t, infos, time.Hour); got != first {
		t.Errorf("within maxAge: got %+v, want what was known, %+v", got, first)
	}
	if got, err := infos.Info(t.Context(), topic, 0); !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), topic) {
		t.Errorf("a deleted topic: %+v, %v", got, err)
	}
	// The deletion is known now, so the old life must not come back.
	if got, err := infos.Info(t.Context(), topic, time.Hour); err == nil {
		t.Errorf("a deleted topic is remembered: %+v", got)
	}
	if err := c.CreateTopic(topic, 5, nil); err != nil {
		t.Fatal(err)
	}
	second := info(t, infos, time.Hour)
	if second != brokersSay(c) || second.ID == first.ID || second.Partitions != 5 {
		t.Errorf("got %+v after %+v, want %+v", second, first, brokersSay(c))
	}
}

func TestInfoAsksWhenItsKnowledgeIsTooOld(t *testing.T) {
	c := cluster(t, topic)
	infos := NewTopicInfos(client(t, c.ListenAddrs()))
	info(t, infos, 0)
	asked := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topic, Count: -1, Observe: true})
	defer asked.Remove()
	for n, q := range []struct {
		maxAge time.Duration
		asks   int // how many questions there were in all
	}{
		{time.Hour, 0}, {time.Hour, 0}, {0, 1}, {0, 2}, {-time.Second, 3}, {time.Nanosecond, 4}, {time.Hour, 4},
	} {
		info(t, infos, q.maxAge)
		if asked.Hits() != q.asks {
			t.Errorf("after look-up %d with maxAge %v: %d requests, want %d", n, q.maxAge, asked.Hits(), q.asks)
		}
	}
	// After a long freeze the wall clock is far ahead.
	infos.known[topic] = knownTopic{stage.TopicInfo{ID: "old"}, wallClock().Add(-2 * time.Hour)}
	if got := info(t, infos, time.Hour); got != brokersSay(c) {
		t.Errorf("knowledge of two hours ago is taken: %+v", got)
	}
	// It was set back since: how old the knowledge is cannot be told.
	infos.known[topic] = knownTopic{stage.TopicInfo{ID: "ahead"}, wallClock().Add(2 * time.Hour)}
	for range 2 {
		if got := info(t, infos, time.Hour); got != brokersSay(c) {
			t.Errorf("knowledge from the future is taken: %+v", got)
		}
	}
}

func TestInfoFailsWithItsContext(t *testing.T) {
	c := cluster(t, topic)
	infos := NewTopicInfos(client(t, c.ListenAddrs()))
	answerless(c, kmsg.Metadata)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := infos.Info(ctx, topic, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestInfoFromManyAtOnce(t *testing.T) {
	c := cluster(t, topic)
	infos := NewTopicInfos(client(t, c.ListenAddrs()))
	want := brokersSay(c)
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			got, err := infos.Info(within(t, 30*time.Second), topic, time.Duration(n%2)*time.Hour)
			if err != nil || got != want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	wg.Wait()
}

func TestCreateTopicsAsDefined(t *testing.T) {
	c := cluster(t)
	cl := client(t, c.ListenAddrs())
	for range 2 { // the second time changes nothing
		if err := CreateTopics(t.Context(), cl, events.Topics(), 0, 3); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range events.Topics() {
		got := c.TopicInfo(want.Name)
		if got == nil {
			t.Errorf("%s does not exist", want.Name)
			continue
		}
		if n := len(c.PartitionInfos(want.Name)); n != int(want.Partitions) || got.NumReplicas != 3 {
			t.Errorf("%s has %d partitions and %d replicas, want %d and 3", want.Name, n, got.NumReplicas, want.Partitions)
		}
		for name, value := range TopicConfigs(want) {
			if stored := got.Configs[name]; stored == nil || *stored != value {
				t.Errorf("%s: %s is %v, want %s", want.Name, name, stored, value)
			}
		}
	}
}

func TestCreateTopicsWithFewerPartitions(t *testing.T) {
	c := cluster(t, events.Sightings) // exists, with 8
	cl := client(t, c.ListenAddrs())
	if err := CreateTopics(t.Context(), cl, events.Topics(), 2, -1); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{events.Sightings: partitions, events.WalkIns: 2} {
		if n := len(c.PartitionInfos(name)); n != want {
			t.Errorf("%s has %d partitions, want %d", name, n, want)
		}
	}
}

func TestCreateTopicsNamesWhatFailed(t *testing.T) {
	c := cluster(t)
	bad := []events.Topic{{Name: "good", Partitions: 1}, {Name: "empty", Partitions: 0}}
	err := CreateTopics(t.Context(), client(t, c.ListenAddrs()), bad, 0, 1)
	if err == nil || !strings.Contains(err.Error(), "topic empty") || strings.Contains(err.Error(), "topic good:") {
		t.Errorf("error %v", err)
	}
	if c.TopicInfo("good") == nil {
		t.Error("the good one of a bad list is not created")
	}
}

// A replay writes records as old as the history that is kept; a topic that
// refused them would dead-letter all of it.
func TestTopicsTakeRecordsAsOldAsTheirRetention(t *testing.T) {
	for _, topic := range events.Topics() {
		configs := TopicConfigs(topic)
		oldest, err := strconv.ParseInt(configs["message.timestamp.before.max.ms"], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case topic.Compacted && (oldest != math.MaxInt64 || configs["cleanup.policy"] != "compact" || configs["retention.ms"] != ""):
			t.Errorf("%s, compacted: %v", topic.Name, configs)
		case !topic.Compacted && (time.Duration(oldest)*time.Millisecond < topic.Retention || configs["cleanup.policy"] != "delete"):
			t.Errorf("%s, kept for %v: %v", topic.Name, topic.Retention, configs)
		}
		if configs["max.message.bytes"] != strconv.Itoa(int(topic.MaxMessage)) {
			t.Errorf("%s: max.message.bytes %s", topic.Name, configs["max.message.bytes"])
		}
	}
}
