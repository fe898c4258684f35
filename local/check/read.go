package check

import (
	"cmp"
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// readPartition gives every record that a partition holds now, in order.
func readPartition(ctx context.Context, brokers []string, topic string, partition int32, each func(*kgo.Record) error) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return fmt.Errorf("client to read %s/%d: %w", topic, partition, err)
	}
	defer client.Close()
	starts, ends, err := offsets(ctx, client, topic)
	if err != nil {
		return err
	}
	from, _ := starts.Lookup(topic, partition)
	to, ok := ends.Lookup(topic, partition)
	if !ok || from.Offset >= to.Offset {
		return nil
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from.Offset)}})
	for next := from.Offset; next < to.Offset; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("read %s/%d from offset %d: %w", topic, partition, next, err)
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read %s/%d from offset %d: %w", topic, partition, next, e.Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			next = r.Offset + 1
			if r.Offset >= to.Offset {
				break
			}
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func offsets(ctx context.Context, client *kgo.Client, topic string) (starts, ends kadm.ListedOffsets, err error) {
	admin := kadm.NewClient(client)
	if starts, err = admin.ListStartOffsets(ctx, topic); err == nil {
		ends, err = admin.ListEndOffsets(ctx, topic)
	}
	// What is wrong with one partition, or with a topic that is not there, is in
	// the lists. Left there it would read as an empty topic.
	if err = cmp.Or(err, starts.Error(), ends.Error()); err != nil {
		return nil, nil, fmt.Errorf("offsets of %s: %w", topic, err)
	}
	return starts, ends, nil
}

// partitionsOf is how many partitions a topic has.
func partitionsOf(ctx context.Context, brokers []string, topic string) (int32, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return 0, fmt.Errorf("client to look at %s: %w", topic, err)
	}
	defer client.Close()
	_, ends, err := offsets(ctx, client, topic)
	if err != nil {
		return 0, err
	}
	return int32(len(ends[topic])), nil
}

// readAll decodes every record of a topic.
func readAll[T any](ctx context.Context, brokers []string, topic string, decode func(key, value []byte) (T, error), each func(T)) error {
	n, err := partitionsOf(ctx, brokers, topic)
	if err != nil {
		return err
	}
	for p := range n {
		err := readPartition(ctx, brokers, topic, p, func(r *kgo.Record) error {
			v, err := decode(r.Key, r.Value)
			if err != nil {
				return fmt.Errorf("%s/%d offset %d: %w", topic, p, r.Offset, err)
			}
			each(v)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
