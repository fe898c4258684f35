package check

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/kafka"
)

// readAll decodes every record that the topic holds at the call, in order of
// offset in each partition, and passes it to each. An error names topic,
// partition and offset.
func readAll[T any](ctx context.Context, client *kgo.Client, topic string, decode func(key, value []byte) (T, error), each func(T)) error {
	spans, err := kafka.ListOffsetRanges(ctx, client, topic)
	if err != nil {
		return err
	}
	return kafka.Read(ctx, client, spans, func(r *kgo.Record) error {
		v, err := decode(r.Key, r.Value)
		if err != nil {
			return fmt.Errorf("%s/%d offset %d: %w", topic, r.Partition, r.Offset, err)
		}
		each(v)
		return nil
	})
}
