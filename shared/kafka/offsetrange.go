package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// OffsetRange is a range of offsets of one partition.
type OffsetRange struct {
	Topic     string
	Partition int32
	From, To  int64 // the first offset, and the offset after the last
}

// Len returns the number of offsets in the range. The number of records may be
// smaller, since compaction removes records.
func (r OffsetRange) Len() int64 { return max(r.To-r.From, 0) }

// String returns the partition without the offsets: "topic/0".
func (r OffsetRange) String() string { return fmt.Sprintf("%s/%d", r.Topic, r.Partition) }

// ListOffsetRanges returns the present offsets of each partition of the topics, in
// the order of topics and within a topic by partition. If a topic does not exist,
// ListOffsetRanges returns an error.
func ListOffsetRanges(ctx context.Context, client *kgo.Client, topics ...string) ([]OffsetRange, error) {
	if len(topics) == 0 {
		return nil, nil // kadm would list all topics
	}
	starts, ends, err := listBounds(ctx, client, topics)
	if err != nil {
		return nil, err
	}
	var ranges []OffsetRange
	for _, topic := range topics {
		for p := range int32(len(ends[topic])) {
			from, _ := starts.Lookup(topic, p)
			to, ok := ends.Lookup(topic, p)
			if !ok {
				return nil, fmt.Errorf("kafka: list the offsets of topic %s: the broker sent none for partition %d of %d", topic, p, len(ends[topic]))
			}
			ranges = append(ranges, OffsetRange{topic, p, from.Offset, to.Offset})
		}
	}
	return ranges, nil
}

// listBounds returns the start and end offsets of topics. kadm hides the error of
// one partition, or of a missing topic, inside the lists. listBounds returns such
// an error; if overlooked, the topic would seem empty.
func listBounds(ctx context.Context, client *kgo.Client, topics []string) (starts, ends kadm.ListedOffsets, err error) {
	admin := kadm.NewClient(client)
	if starts, err = admin.ListStartOffsets(ctx, topics...); err == nil {
		ends, err = admin.ListEndOffsets(ctx, topics...)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("kafka: list the offsets of topics %v: %w", topics, err)
	}

	// Look for errors inside the lists.
	for _, listed := range []kadm.ListedOffsets{starts, ends} {
		for _, topic := range topics {
			for p, o := range listed[topic] {
				if o.Err != nil && p < 0 { // the entry of kadm for a missing topic
					return nil, nil, fmt.Errorf("kafka: list the offsets of topic %s: %w", topic, o.Err)
				}
				if o.Err != nil {
					return nil, nil, fmt.Errorf("kafka: list the offsets of %s/%d: %w", topic, p, o.Err)
				}
			}
			if len(listed[topic]) == 0 {
				return nil, nil, fmt.Errorf("kafka: list the offsets of topic %s: the brokers sent no partition", topic)
			}
		}
	}
	return starts, ends, nil
}
