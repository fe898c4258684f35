package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"footfall/events"
	"footfall/shared/invocation"
	"footfall/shared/stage"
)

var _ stage.TopicInfos = (*TopicInfos)(nil)

// TopicInfos looks up topics and caches the results. It is safe for concurrent
// use.
type TopicInfos struct {
	client *kgo.Client
	mu     sync.Mutex
	cache  map[string]cachedTopic
}

// cachedTopic is a topic as a broker described it at a time of the wall clock.
// The wall clock is used because the monotonic clock may not count the time for
// which a process was frozen.
type cachedTopic struct {
	info    stage.TopicInfo
	askedAt time.Time
}

// NewTopicInfos returns a TopicInfos that asks through a client of NewClient. The
// caller keeps the client and closes it.
func NewTopicInfos(client *kgo.Client) *TopicInfos {
	return &TopicInfos{client: client, cache: map[string]cachedTopic{}}
}

// Info returns the id and the number of partitions of a topic: from the cache if
// the entry is younger than maxAge, otherwise from a broker. If the topic does not
// exist, the error wraps kerr.UnknownTopicOrPartition.
func (t *TopicInfos) Info(ctx context.Context, topic string, maxAge time.Duration) (stage.TopicInfo, error) {
	now := invocation.WallClock()
	t.mu.Lock()
	cached, ok := t.cache[topic]
	t.mu.Unlock()
	// A negative age means that the wall clock was set back after the entry was
	// stored: the entry's true age is unknown.
	if age := now.Sub(cached.askedAt); ok && age >= 0 && age < maxAge {
		return cached.info, nil
	}

	// The request runs without the lock, so lookups of other topics do not wait.
	info, err := t.ask(ctx, topic)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			delete(t.cache, topic)
		}
		return stage.TopicInfo{}, fmt.Errorf("kafka: look up topic %s: %w", topic, err)
	}
	// Two calls asked at the same time: keep the answer to the later request. An
	// entry from the future is replaced too, since the clock was set back.
	if now.After(t.cache[topic].askedAt) || t.cache[topic].askedAt.After(invocation.WallClock()) {
		t.cache[topic] = cachedTopic{info, now}
	}
	return info, nil
}

// ask requests the metadata of one topic from a broker. The metadata calls of
// kadm cannot be used: they answer from the client's cache while it is young.
func (t *TopicInfos) ask(ctx context.Context, topic string) (stage.TopicInfo, error) {
	req := kmsg.NewPtrMetadataRequest()
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = &topic
	req.Topics = append(req.Topics, one)
	resp, err := req.RequestWith(ctx, t.client)
	if err != nil {
		return stage.TopicInfo{}, err
	}
	if len(resp.Topics) != 1 {
		return stage.TopicInfo{}, fmt.Errorf("the broker described %d topics instead of 1", len(resp.Topics))
	}
	got := resp.Topics[0]
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		return stage.TopicInfo{}, err
	}
	return stage.TopicInfo{ID: hex.EncodeToString(got.TopicID[:]), Partitions: int32(len(got.Partitions))}, nil
}

// TopicConfigs returns the configs of a topic of the pipeline, by their names in
// Kafka.
func TopicConfigs(t events.Topic) map[string]string {
	// By default, Express brokers reject records with a timestamp of more than a
	// day ago. A replay writes records as old as the retention.
	oldest := t.Retention.Milliseconds()
	configs := map[string]string{
		"cleanup.policy":    "delete",
		"retention.ms":      strconv.FormatInt(t.Retention.Milliseconds(), 10),
		"max.message.bytes": strconv.Itoa(int(t.MaxMessage)),
	}
	// A compacted topic keeps records for any time, so it accepts any timestamp.
	if t.Compacted {
		configs["cleanup.policy"] = "compact"
		delete(configs, "retention.ms")
		oldest = math.MaxInt64
	}
	configs["message.timestamp.before.max.ms"] = strconv.FormatInt(oldest, 10)
	return configs
}

// serverlessConfigs lists the configs that MSK Serverless allows a client to set,
// cleanup.policy only when a topic is created (Amazon MSK developer guide,
// "Configuration properties for MSK Serverless clusters"). MSK Serverless has no
// message.timestamp.before.max.ms and needs none: its message.timestamp.
// difference.max.ms is unbounded, so a replay may write old records.
var serverlessConfigs = []string{"cleanup.policy", "max.message.bytes", "retention.ms"}

// configsFor returns the TopicConfigs without those that the client's cluster
// rejects.
func configsFor(client *kgo.Client, t events.Topic) map[string]string {
	configs := TopicConfigs(t)
	if isServerless(client) {
		maps.DeleteFunc(configs, func(name, _ string) bool { return !slices.Contains(serverlessConfigs, name) })
	}
	return configs
}

// isServerless reports whether the client's cluster is MSK Serverless. The only
// sign is the name of the bootstrap brokers,
// boot-<id>.c<n>.kafka-serverless.<region>.amazonaws.com; Kafka's protocol has
// none.
func isServerless(client *kgo.Client) bool {
	seeds, _ := client.OptValue(kgo.SeedBrokers).([]string)
	return slices.ContainsFunc(seeds, func(seed string) bool {
		host, _, err := net.SplitHostPort(seed)
		return err == nil && strings.Contains(host, ".kafka-serverless.") && strings.Contains(host, ".amazonaws.com")
	})
}

// createTimeout limits the time in which the brokers place new topics.
const createTimeout = 30 * time.Second

// CreateTopics creates the missing topics in one request and does not change
// existing topics. partitions replaces the defined number of partitions of every
// topic, unless partitions is 0. A replication of -1 is the default of the brokers.
// The error names every topic that could not be created.
func CreateTopics(ctx context.Context, client *kgo.Client, topics []events.Topic, partitions int32, replication int16) error {
	// Build one request for all topics.
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(createTimeout.Milliseconds())
	for _, t := range topics {
		one := kmsg.NewCreateTopicsRequestTopic()
		one.Topic, one.NumPartitions, one.ReplicationFactor = t.Name, t.Partitions, replication
		if partitions > 0 {
			one.NumPartitions = partitions
		}
		for name, value := range configsFor(client, t) {
			config := kmsg.NewCreateTopicsRequestTopicConfig()
			config.Name, config.Value = name, &value
			one.Configs = append(one.Configs, config)
		}
		req.Topics = append(req.Topics, one)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("kafka: create topics: %w", err)
	}

	// The response has a result for each topic. An existing topic is no error.
	var errs []error
	for _, t := range resp.Topics {
		err := kerr.ErrorForCode(t.ErrorCode)
		if err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
			continue
		}
		if t.ErrorMessage != nil {
			err = withBrokerMessage(err, *t.ErrorMessage)
		}
		errs = append(errs, wrapf(err, "create topic %s", t.Topic))
	}
	return errors.Join(errs...)
}
