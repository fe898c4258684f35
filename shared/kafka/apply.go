package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"footfall/events"
)

// DesiredTopics describes the desired topics of a cluster.
type DesiredTopics struct {
	Topics []events.Topic
	// Partitions replaces the defined number of partitions of every topic. 0 keeps
	// the defined numbers.
	Partitions int32
	// AddPartitions allows Apply to add partitions to existing topics. Keys move
	// to other partitions by that, and a consumer may read a new record of a key
	// before an older, unread record in the former partition. So the topics must
	// be drained first, and no producer may run meanwhile.
	AddPartitions bool
}

// TopicPartitions is the Setting of a TopicChange of the number of partitions.
const TopicPartitions = "partitions"

// TopicChange is one difference between a topic of the cluster and its
// definition.
type TopicChange struct {
	Topic string
	// Setting is TopicPartitions, the name of a config, or "" for a missing topic.
	Setting    string
	Have, Want string
	// SkipReason is the reason why Apply skips the change, or "" if Apply makes the
	// change.
	SkipReason string

	topic events.Topic
}

// TopicPlan holds the changes from existing topics to their definitions.
type TopicPlan struct {
	// Changes are in the order of DesiredTopics.Topics. The list is empty if every
	// topic matches its definition.
	Changes []TopicChange

	client *kgo.Client
}

// The values of TopicChange.SkipReason.
const (
	skipAdding  = "more partitions move keys, and a key loses its order: drain first, then allow added partitions"
	skipRemove  = "Kafka cannot remove partitions"
	skipCleanup = "another cleanup policy deletes records that the present one keeps"
)

// PlanTopics compares the topics of a cluster with their definitions and returns
// the differences. It changes nothing, and ignores other topics of the cluster
// and configs outside TopicConfigs. The client is one of NewClient.
func PlanTopics(ctx context.Context, client *kgo.Client, w DesiredTopics) (*TopicPlan, error) {
	desired := slices.Clone(w.Topics)
	for i := range desired {
		if w.Partitions > 0 {
			desired[i].Partitions = w.Partitions
		}
	}

	// Look up the existing topics and their configs.
	counts, err := countPartitions(ctx, client, desired)
	if err != nil {
		return nil, fmt.Errorf("kafka: look up topics: %w", err)
	}
	configs, err := kadm.NewClient(client).DescribeTopicConfigs(ctx, slices.Sorted(maps.Keys(counts))...)
	if err != nil {
		return nil, fmt.Errorf("kafka: look up the configs of topics: %w", err)
	}

	// Compare topic by topic.
	plan := &TopicPlan{client: client}
	for _, t := range desired {
		have, exists := counts[t.Name]
		if !exists {
			plan.add(TopicChange{Topic: t.Name, Want: strconv.Itoa(int(t.Partitions)) + " partitions", topic: t})
			continue
		}
		plan.comparePartitions(t, have, w.AddPartitions)
		current, err := configs.On(t.Name, nil)
		if err = errors.Join(err, current.Err); err != nil {
			return nil, fmt.Errorf("kafka: look up the configs of topic %s: %w", t.Name, err)
		}
		plan.compareConfigs(t, current)
	}
	return plan, nil
}

func (p *TopicPlan) add(c TopicChange) { p.Changes = append(p.Changes, c) }

// comparePartitions adds a change if the number of partitions differs from the
// definition. Apply makes the change only if partitions are missing and mayAdd is
// set.
func (p *TopicPlan) comparePartitions(t events.Topic, have int32, mayAdd bool) {
	c := TopicChange{
		Topic: t.Name, Setting: TopicPartitions, topic: t,
		Have: strconv.Itoa(int(have)), Want: strconv.Itoa(int(t.Partitions)),
	}
	switch {
	case have == t.Partitions:
		return
	case have > t.Partitions:
		c.SkipReason = skipRemove
	case !mayAdd:
		c.SkipReason = skipAdding
	}
	p.add(c)
}

// compareConfigs adds a change for each config of TopicConfigs with another value
// on the cluster.
func (p *TopicPlan) compareConfigs(t events.Topic, current kadm.ResourceConfig) {
	have := map[string]string{}
	for _, c := range current.Configs {
		have[c.Key] = c.MaybeValue()
	}
	want := configsFor(p.client, t)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if have[name] == want[name] {
			continue
		}
		c := TopicChange{Topic: t.Name, Setting: name, Have: have[name], Want: want[name], topic: t}
		// MSK Serverless would not accept this change either; see serverlessConfigs.
		if name == "cleanup.policy" {
			c.SkipReason = skipCleanup
		}
		p.add(c)
	}
}

// countPartitions returns the number of partitions of each existing topic, as a
// broker reports it. The metadata calls of kadm may answer from a cache, in which
// a topic created a moment ago may be missing.
func countPartitions(ctx context.Context, client *kgo.Client, topics []events.Topic) (map[string]int32, error) {
	counts := map[string]int32{}
	if len(topics) == 0 {
		return counts, nil // a request without topics would ask for all topics
	}
	req := kmsg.NewPtrMetadataRequest()
	for _, t := range topics {
		one := kmsg.NewMetadataRequestTopic()
		one.Topic = &t.Name
		req.Topics = append(req.Topics, one)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	// A missing topic is left out; any other error fails the call.
	for _, t := range resp.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
		case err != nil:
			return nil, fmt.Errorf("topic %s: %w", *t.Topic, err)
		default:
			counts[*t.Topic] = int32(len(t.Partitions))
		}
	}
	return counts, nil
}

// Apply makes the changes without a SkipReason and deletes nothing. After a
// failure it continues with the other topics; the error names every topic with a
// failure. Successful changes stay. To try again, make and apply a new plan.
func (p *TopicPlan) Apply(ctx context.Context) error {
	admin := kadm.NewClient(p.client)
	var missing []events.Topic
	var errs []error
	alter := map[string][]kadm.AlterConfig{}

	// Add partitions at once; collect the new topics and, by topic, the configs.
	for _, c := range p.Changes {
		switch {
		case c.SkipReason != "":
		case c.Setting == "":
			missing = append(missing, c.topic)
		case c.Setting == TopicPartitions:
			errs = append(errs, wrapf(addPartitions(ctx, admin, c.topic), "add partitions to topic %s", c.Topic))
		default:
			alter[c.Topic] = append(alter[c.Topic], kadm.AlterConfig{Op: kadm.SetConfig, Name: c.Setting, Value: &c.Want})
		}
	}

	// One request per topic sets the configs; one request creates all new topics.
	for _, topic := range slices.Sorted(maps.Keys(alter)) {
		errs = append(errs, wrapf(setConfigs(ctx, admin, topic, alter[topic]), "alter the configs of topic %s", topic))
	}
	if len(missing) > 0 {
		errs = append(errs, CreateTopics(ctx, p.client, missing, 0, -1))
	}
	return errors.Join(errs...)
}

// addPartitions brings a topic to the number of partitions of its definition.
func addPartitions(ctx context.Context, admin *kadm.Client, t events.Topic) error {
	all, err := admin.UpdatePartitions(ctx, int(t.Partitions), t.Name)
	if err != nil {
		return err
	}
	one, err := all.On(t.Name, nil)
	return errors.Join(err, withBrokerMessage(one.Err, one.ErrMessage))
}

func setConfigs(ctx context.Context, admin *kadm.Client, topic string, configs []kadm.AlterConfig) error {
	all, err := admin.AlterTopicConfigs(ctx, configs, topic)
	if err != nil {
		return err
	}
	one, err := all.On(topic, nil)
	return errors.Join(err, withBrokerMessage(one.Err, one.ErrMessage))
}

// wrapf puts "kafka: " and a formatted text before an error. If err is nil, wrapf
// returns nil.
func wrapf(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("kafka: %s: %w", fmt.Sprintf(format, args...), err)
}

// withBrokerMessage appends the message of the broker to the error of an error
// code.
func withBrokerMessage(err error, message string) error {
	if err == nil || message == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, message)
}
