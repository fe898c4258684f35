package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// OffsetRange is a run of offsets of one partition.
type OffsetRange struct {
	Topic     string
	Partition int32
	From, To  int64 // the first offset, and the one behind the last
}

// Len is how many offsets a span has; compaction may have left fewer records.
func (s OffsetRange) Len() int64 { return max(s.To-s.From, 0) }

// String names the partition, "topic/0".
func (s OffsetRange) String() string { return fmt.Sprintf("%s/%d", s.Topic, s.Partition) }

// ListOffsetRanges gives what topics hold now, in their order and that of their
// partitions. A topic that does not exist is an error.
func ListOffsetRanges(ctx context.Context, client *kgo.Client, topics ...string) ([]OffsetRange, error) {
	if len(topics) == 0 {
		return nil, nil // kadm would take it for all topics
	}
	starts, ends, err := bounds(ctx, client, topics)
	if err != nil {
		return nil, err
	}
	var spans []OffsetRange
	for _, topic := range topics {
		for p := range int32(len(ends[topic])) {
			from, _ := starts.Lookup(topic, p)
			to, ok := ends.Lookup(topic, p)
			if !ok {
				return nil, fmt.Errorf("kafka: offsets of %s: partition %d is not among its %d", topic, p, len(ends[topic]))
			}
			spans = append(spans, OffsetRange{topic, p, from.Offset, to.Offset})
		}
	}
	return spans, nil
}

// bounds lists where topics begin and end. What is wrong with one partition, or
// with a topic that is not there, is in the lists: left there it would read as
// an empty topic.
func bounds(ctx context.Context, client *kgo.Client, topics []string) (starts, ends kadm.ListedOffsets, err error) {
	admin := kadm.NewClient(client)
	if starts, err = admin.ListStartOffsets(ctx, topics...); err == nil {
		ends, err = admin.ListEndOffsets(ctx, topics...)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("kafka: offsets of %v: %w", topics, err)
	}
	for _, listed := range []kadm.ListedOffsets{starts, ends} {
		for _, topic := range topics {
			for p, o := range listed[topic] {
				if o.Err != nil && p < 0 { // of a topic that is not there
					return nil, nil, fmt.Errorf("kafka: offsets of %s: %w", topic, o.Err)
				}
				if o.Err != nil {
					return nil, nil, fmt.Errorf("kafka: offsets of %s/%d: %w", topic, p, o.Err)
				}
			}
			if len(listed[topic]) == 0 {
				return nil, nil, fmt.Errorf("kafka: offsets of %s: the brokers name no partition", topic)
			}
		}
	}
	return starts, ends, nil
}
