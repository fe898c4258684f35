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

// DesiredTopics says what the topics of a cluster are to be.
type DesiredTopics struct {
	Topics []events.Topic
	// Partitions replaces the number that each topic defines, unless it is 0.
	Partitions int32
	// AddPartitions lets topics that exist grow to their number of partitions.
	// Keys move to other partitions then and lose their order against what is
	// still to be read: the topics must have been drained, with nobody producing.
	AddPartitions bool
}

// TopicPartitions is the What of a TopicChange of the number of partitions.
const TopicPartitions = "partitions"

// TopicChange is one way in which a topic is not what it is to be.
type TopicChange struct {
	Topic string
	// Setting differs: TopicPartitions, the name of a config, or "" for a topic that
	// does not exist.
	Setting    string
	Have, Want string
	// SkipReason says why it is left as it is; "" for what Apply changes.
	SkipReason string

	topic events.Topic
}

// TopicPlan is what it takes to bring topics to what they are to be.
type TopicPlan struct {
	// Changes in the order of Wanted.Topics; none where all is as wanted.
	Changes []TopicChange

	client *kgo.Client
}

// Why a difference is left as it is.
const (
	leftAdding  = "more partitions move keys and lose their order: drain first, then ask for it"
	leftRemove  = "Kafka cannot remove partitions"
	leftCleanup = "another cleanup policy deletes what the present one keeps"
)

// PlanTopics compares the topics of a cluster with what they are to be, and
// changes nothing. Configs that TopicConfigs does not name are nobody's business
// here, and neither are other topics. The client is one of NewClient.
func PlanTopics(ctx context.Context, client *kgo.Client, w DesiredTopics) (*TopicPlan, error) {
	wanted := slices.Clone(w.Topics)
	for i := range wanted {
		if w.Partitions > 0 {
			wanted[i].Partitions = w.Partitions
		}
	}
	counts, err := countPartitions(ctx, client, wanted)
	if err != nil {
		return nil, fmt.Errorf("kafka: look up topics: %w", err)
	}
	configs, err := kadm.NewClient(client).DescribeTopicConfigs(ctx, slices.Sorted(maps.Keys(counts))...)
	if err != nil {
		return nil, fmt.Errorf("kafka: look up the configs of topics: %w", err)
	}
	plan := &TopicPlan{client: client}
	for _, t := range wanted {
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

func (p *TopicPlan) comparePartitions(t events.Topic, have int32, grow bool) {
	c := TopicChange{
		Topic: t.Name, Setting: TopicPartitions, topic: t,
		Have: strconv.Itoa(int(have)), Want: strconv.Itoa(int(t.Partitions)),
	}
	switch {
	case have == t.Partitions:
		return
	case have > t.Partitions:
		c.SkipReason = leftRemove
	case !grow:
		c.SkipReason = leftAdding
	}
	p.add(c)
}

func (p *TopicPlan) compareConfigs(t events.Topic, current kadm.ResourceConfig) {
	have := map[string]string{}
	for _, c := range current.Configs {
		have[c.Key] = c.MaybeValue()
	}
	wanted := configsFor(p.client, t)
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if have[name] == wanted[name] {
			continue
		}
		c := TopicChange{Topic: t.Name, Setting: name, Have: have[name], Want: wanted[name], topic: t}
		// MSK Serverless would refuse it anyway; see serverlessConfigs.
		if name == "cleanup.policy" {
			c.SkipReason = leftCleanup
		}
		p.add(c)
	}
}

// countPartitions asks the brokers for the topics and gives the number of
// partitions of those that exist. The metadata calls of kadm would answer from
// a cache, which may not know yet what was created a moment ago.
func countPartitions(ctx context.Context, client *kgo.Client, topics []events.Topic) (map[string]int32, error) {
	counts := map[string]int32{}
	if len(topics) == 0 {
		return counts, nil
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

// Apply makes the changes of a plan but those that are to be left. It goes on
// after a failure, and its error names every topic that one concerns. What was
// changed stays changed: plan anew and apply that. It deletes nothing.
func (p *TopicPlan) Apply(ctx context.Context) error {
	admin := kadm.NewClient(p.client)
	var missing []events.Topic
	var errs []error
	alter := map[string][]kadm.AlterConfig{}
	for _, c := range p.Changes {
		switch {
		case c.SkipReason != "":
		case c.Setting == "":
			missing = append(missing, c.topic)
		case c.Setting == TopicPartitions:
			errs = append(errs, of(grow(ctx, admin, c.topic), "add partitions to", c.Topic))
		default:
			alter[c.Topic] = append(alter[c.Topic], kadm.AlterConfig{Op: kadm.SetConfig, Name: c.Setting, Value: &c.Want})
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(alter)) {
		errs = append(errs, of(set(ctx, admin, topic, alter[topic]), "alter the configs of", topic))
	}
	if len(missing) > 0 {
		errs = append(errs, CreateTopics(ctx, p.client, missing, 0, -1))
	}
	return errors.Join(errs...)
}

func grow(ctx context.Context, admin *kadm.Client, t events.Topic) error {
	all, err := admin.UpdatePartitions(ctx, int(t.Partitions), t.Name)
	if err != nil {
		return err
	}
	one, err := all.On(t.Name, nil)
	return errors.Join(err, told(one.Err, one.ErrMessage))
}

func set(ctx context.Context, admin *kadm.Client, topic string, configs []kadm.AlterConfig) error {
	all, err := admin.AlterTopicConfigs(ctx, configs, topic)
	if err != nil {
		return err
	}
	one, err := all.On(topic, nil)
	return errors.Join(err, told(one.Err, one.ErrMessage))
}

// of says what was being done with which topic.
func of(err error, doing, topic string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("kafka: %s topic %s: %w", doing, topic, err)
}

// told adds what the broker has to say of an error.
func told(err error, message string) error {
	if err == nil || message == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, message)
}
