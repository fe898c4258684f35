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
	"footfall/shared/stage"
)

var _ stage.TopicInfos = (*TopicInfos)(nil)

// TopicInfos looks topics up and remembers them. It is safe for concurrent use.
type TopicInfos struct {
	client *kgo.Client
	mu     sync.Mutex
	known  map[string]knownTopic
}

// knownTopic is what was known of a topic at a moment of the wall clock. The
// monotonic clock may not count the time that a process was frozen.
type knownTopic struct {
	info stage.TopicInfo
	at   time.Time
}

// NewTopicInfos uses a client of NewClient, which stays the caller's to close.
func NewTopicInfos(client *kgo.Client) *TopicInfos {
	return &TopicInfos{client: client, known: map[string]knownTopic{}}
}

// Info gives what is known of a topic if that is at most maxAge old, and asks
// the brokers otherwise. The error of a topic that does not exist wraps
// kerr.UnknownTopicOrPartition.
func (t *TopicInfos) Info(ctx context.Context, topic string, maxAge time.Duration) (stage.TopicInfo, error) {
	now := wallClock()
	t.mu.Lock()
	known, ok := t.known[topic]
	t.mu.Unlock()
	// A negative age means that the clock was set back: then nothing is known
	// of the real one.
	if age := now.Sub(known.at); ok && age >= 0 && age < maxAge {
		return known.info, nil
	}
	info, err := t.ask(ctx, topic)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			delete(t.known, topic)
		}
		return stage.TopicInfo{}, fmt.Errorf("kafka: look up topic %s: %w", topic, err)
	}
	// Of two answers that came at once the one asked for later is the better.
	if now.After(t.known[topic].at) || t.known[topic].at.After(wallClock()) {
		t.known[topic] = knownTopic{info, now}
	}
	return info, nil
}

func wallClock() time.Time { return time.Now().Round(0) }

// ask sends a request to a broker. The metadata calls of kadm do not do here:
// they answer from the client's cache where that is young.
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
		return stage.TopicInfo{}, fmt.Errorf("the broker tells of %d topics", len(resp.Topics))
	}
	got := resp.Topics[0]
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		return stage.TopicInfo{}, err
	}
	return stage.TopicInfo{ID: hex.EncodeToString(got.TopicID[:]), Partitions: int32(len(got.Partitions))}, nil
}

// TopicConfigs are the settings that a topic of the pipeline has, by their names
// in Kafka.
func TopicConfigs(t events.Topic) map[string]string {
	// Express brokers refuse records whose timestamp is over a day old unless
	// this is raised, and a replay writes records as old as the retention.
	oldest := t.Retention.Milliseconds()
	configs := map[string]string{
		"cleanup.policy":    "delete",
		"retention.ms":      strconv.FormatInt(t.Retention.Milliseconds(), 10),
		"max.message.bytes": strconv.Itoa(int(t.MaxMessage)),
	}
	if t.Compacted {
		configs["cleanup.policy"] = "compact"
		delete(configs, "retention.ms")
		oldest = math.MaxInt64
	}
	configs["message.timestamp.before.max.ms"] = strconv.FormatInt(oldest, 10)
	return configs
}

// serverlessConfigs are those of TopicConfigs that MSK Serverless lets one set;
// cleanup.policy when a topic is created only (Amazon MSK developer guide,
// "Configuration properties for MSK Serverless clusters"). It does not have
// message.timestamp.before.max.ms, and needs none: message.timestamp.
// difference.max.ms is without bound there, so a replay may write old records.
var serverlessConfigs = []string{"cleanup.policy", "max.message.bytes", "retention.ms"}

// configsFor are the TopicConfigs that the client's cluster accepts.
func configsFor(client *kgo.Client, t events.Topic) map[string]string {
	configs := TopicConfigs(t)
	if serverless(client) {
		maps.DeleteFunc(configs, func(name, _ string) bool { return !slices.Contains(serverlessConfigs, name) })
	}
	return configs
}

// serverless tells an MSK Serverless cluster by the name of its bootstrap
// brokers, boot-<id>.c<n>.kafka-serverless.<region>.amazonaws.com: nothing in
// Kafka's protocol does.
func serverless(client *kgo.Client) bool {
	seeds, _ := client.OptValue(kgo.SeedBrokers).([]string)
	return slices.ContainsFunc(seeds, func(seed string) bool {
		host, _, err := net.SplitHostPort(seed)
		return err == nil && strings.Contains(host, ".kafka-serverless.") && strings.Contains(host, ".amazonaws.com")
	})
}

// createTimeout is how long the brokers may take to place the new topics.
const createTimeout = 30 * time.Second

// CreateTopics creates the topics that do not exist, in one request, and leaves
// the others as they are. partitions replaces the number that each topic
// defines, unless it is 0. replication -1 takes the brokers' default.
func CreateTopics(ctx context.Context, client *kgo.Client, topics []events.Topic, partitions int32, replication int16) error {
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
	var errs []error
	for _, t := range resp.Topics {
		err := kerr.ErrorForCode(t.ErrorCode)
		if err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
			continue
		}
		if t.ErrorMessage != nil {
			err = told(err, *t.ErrorMessage)
		}
		errs = append(errs, of(err, "create", t.Topic))
	}
	return errors.Join(errs...)
}
