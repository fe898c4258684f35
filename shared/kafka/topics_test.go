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
	"footfall/shared/invocation"
	"footfall/shared/stage"
)

// mustLookUp returns the TopicInfo of topic.
func mustLookUp(t *testing.T, infos *TopicInfos, maxAge time.Duration) stage.TopicInfo {
	t.Helper()
	got, err := infos.Info(within(t, 30*time.Second), topic, maxAge)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// actualInfo returns the TopicInfo of topic from the memory of the cluster.
func actualInfo(c *kfake.Cluster) stage.TopicInfo {
	i := c.TopicInfo(topic)
	return stage.TopicInfo{ID: hex.EncodeToString(i.TopicID[:]), Partitions: int32(len(c.PartitionInfos(topic)))}
}

// A topic that is deleted and created again has a new id. Info returns the former id
// from the cache only until a request has found the topic deleted.
func TestInfoOfARecreatedTopic(t *testing.T) {
	c := cluster(t, topic)
	infos := NewTopicInfos(client(t, c.ListenAddrs()))
	first := mustLookUp(t, infos, 0)
	if first != actualInfo(c) || first.Partitions != partitions || len(first.ID) != 32 {
		t.Errorf("got %+v, want %+v", first, actualInfo(c))
	}
	if err := c.DeleteTopic(topic); err != nil {
		t.Fatal(err)
	}
	if got := mustLookUp(t, infos, time.Hour); got != first {
		t.Errorf("within maxAge: got %+v, want the cached %+v", got, first)
	}
	if got, err := infos.Info(t.Context(), topic, 0); !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), topic) {
		t.Errorf("a deleted topic: got %+v, error %v, want %v", got, err, kerr.UnknownTopicOrPartition)
	}
	// The request has removed the cached entry.
	if got, err := infos.Info(t.Context(), topic, time.Hour); err == nil {
		t.Errorf("a deleted topic: got %+v from the cache, want an error", got)
	}
	if err := c.CreateTopic(topic, 5, nil); err != nil {
		t.Fatal(err)
	}
	second := mustLookUp(t, infos, time.Hour)
	if second != actualInfo(c) || second.ID == first.ID || second.Partitions != 5 {
		t.Errorf("got %+v after %+v, want %+v", second, first, actualInfo(c))
	}
}

// Info sends a request if the cached entry is as old as maxAge or older, or if the
// age is unknown because the clock was set back.
func TestInfoAsksAgainWhenTheCacheIsTooOld(t *testing.T) {
	c := cluster(t, topic)
	infos := NewTopicInfos(client(t, c.ListenAddrs()))
	mustLookUp(t, infos, 0)
	asked := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topic, Count: -1, Observe: true})
	defer asked.Remove()
	for n, q := range []struct {
		maxAge time.Duration
		asks   int // the number of requests so far
	}{
		{time.Hour, 0}, {time.Hour, 0}, {0, 1}, {0, 2}, {-time.Second, 3}, {time.Nanosecond, 4}, {time.Hour, 4},
	} {
		mustLookUp(t, infos, q.maxAge)
		if asked.Hits() != q.asks {
			t.Errorf("after lookup %d with maxAge %v: %d requests, want %d", n, q.maxAge, asked.Hits(), q.asks)
		}
	}
	// The process was frozen for two hours after the entry was stored.
	infos.cache[topic] = cachedTopic{stage.TopicInfo{ID: "old"}, invocation.WallClock().Add(-2 * time.Hour)}
	if got := mustLookUp(t, infos, time.Hour); got != actualInfo(c) {
		t.Errorf("an entry of two hours ago is used: %+v", got)
	}
	// The clock was set back by two hours after the entry was stored.
	infos.cache[topic] = cachedTopic{stage.TopicInfo{ID: "ahead"}, invocation.WallClock().Add(2 * time.Hour)}
	for range 2 {
		if got := mustLookUp(t, infos, time.Hour); got != actualInfo(c) {
			t.Errorf("an entry of the future is used: %+v", got)
		}
	}
}

func TestInfoEndsWithItsContext(t *testing.T) {
	c := cluster(t, topic)
	infos := NewTopicInfos(client(t, c.ListenAddrs()))
	withholdAnswers(c, kmsg.Metadata)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := infos.Info(ctx, topic, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestInfoUnderConcurrency(t *testing.T) {
	c := cluster(t, topic)
	infos := NewTopicInfos(client(t, c.ListenAddrs()))
	want := actualInfo(c)
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			got, err := infos.Info(within(t, 30*time.Second), topic, time.Duration(n%2)*time.Hour)
			if err != nil || got != want {
				t.Errorf("got %+v (%v), want %+v", got, err, want)
			}
		})
	}
	wg.Wait()
}

func TestCreateTopicsUsesTheDefinitions(t *testing.T) {
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
	c := cluster(t, events.Sightings) // with 8 partitions
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

func TestCreateTopicsNamesTheFailedTopics(t *testing.T) {
	c := cluster(t)
	bad := []events.Topic{{Name: "good", Partitions: 1}, {Name: "empty", Partitions: 0}}
	err := CreateTopics(t.Context(), client(t, c.ListenAddrs()), bad, 0, 1)
	if err == nil || !strings.Contains(err.Error(), "topic empty") || strings.Contains(err.Error(), "topic good:") {
		t.Errorf("error %v, want one that names topic empty alone", err)
	}
	if c.TopicInfo("good") == nil {
		t.Error("topic good does not exist, want it created in spite of the failure of topic empty")
	}
}

// A replay writes records as old as the retention. If a topic rejected old records,
// all of them would become dead letters.
func TestTopicsAcceptRecordsAsOldAsTheirRetention(t *testing.T) {
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
