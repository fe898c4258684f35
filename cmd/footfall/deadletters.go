package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/kafka"
)

// deadLettersCmd lists, shows and redrives records that could not be processed.
type deadLettersCmd struct {
	List    deadLetterListCmd    `cmd:"" help:"List dead letters, and count them by reason."`
	Show    deadLetterShowCmd    `cmd:"" help:"Show one dead letter in full."`
	Redrive deadLetterRedriveCmd `cmd:"" help:"Put dead letters back into their topics."`
}

// deadLetterFlags select dead letters.
type deadLetterFlags struct {
	Topic     []string        `placeholder:"NAME" help:"Only of this topic, with or without -dead-letters; by default of all topics."`
	Reason    []events.Reason `placeholder:"REASON" help:"Only with this reason, such as undecodable."`
	Stage     []string        `placeholder:"NAME" help:"Only those that this stage gave up."`
	Partition []int32         `placeholder:"N" help:"Only in this partition of the dead-letter topic."`
	Key       *string         `placeholder:"KEY" help:"Only of records with this key."`
	Since     momentFlag      `placeholder:"TIME" help:"Only of records from this time: 2026-11-21, 2026-11-21T18:00:00Z, or 36h for 36 hours ago."`
	Until     momentFlag      `placeholder:"TIME" help:"Only of records before this time."`
}

// topics returns the selected dead-letter topics.
func (f *deadLetterFlags) topics() ([]string, error) {
	all := kafka.DeadLetterTopics()
	if len(f.Topic) == 0 {
		return all, nil
	}
	var chosen []string
	for _, name := range f.Topic {
		// A topic stands for its dead-letter topic.
		if t, ok := events.TopicByName(name); ok && t.DeadLetters != "" {
			name = t.DeadLetters
		}
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("--topic %s: the topics are %s", name, strings.Join(all, ", "))
		}
		chosen = append(chosen, name)
	}
	return chosen, nil
}

// Validate returns an error if a topic is no dead-letter topic.
func (f *deadLetterFlags) Validate() error {
	_, err := f.topics()
	return err
}

func (f *deadLetterFlags) filter() kafka.DeadLetterFilter {
	filter := kafka.DeadLetterFilter{
		Reasons: f.Reason, Stages: f.Stage, Partitions: f.Partition,
		Since: f.Since.Time, Until: f.Until.Time,
	}
	if f.Key != nil {
		filter.Key = []byte(*f.Key)
	}
	return filter
}

// deadLetterSource reads the selected dead letters of a cluster.
type deadLetterSource struct {
	client   *kgo.Client
	redriver *kafka.Redriver     // knows which dead letters were put back
	ranges   []kafka.OffsetRange // the selected partitions that are not empty
	filter   kafka.DeadLetterFilter
	seen     int // dead letters read so far, selected or not
}

// open returns the source of the selected dead letters. The client must have
// kafka.ReadOptions.
func (f *deadLetterFlags) open(ctx context.Context, client *kgo.Client) (*deadLetterSource, error) {
	topics, err := f.topics()
	if err != nil {
		return nil, err
	}
	redriver, err := kafka.NewRedriver(ctx, client)
	if err != nil {
		return nil, err
	}
	// Leave out partitions that are empty or not selected.
	spans, err := kafka.ListOffsetRanges(ctx, client, topics...)
	if err != nil {
		return nil, err
	}
	spans = slices.DeleteFunc(spans, func(s kafka.OffsetRange) bool {
		return s.Len() == 0 || len(f.Partition) > 0 && !slices.Contains(f.Partition, s.Partition)
	})
	return &deadLetterSource{client: client, redriver: redriver, ranges: spans, filter: f.filter()}, nil
}

// read calls do for each selected dead letter of a range, and prints on w the
// offsets that cannot be read.
func (b *deadLetterSource) read(ctx context.Context, w io.Writer, s kafka.OffsetRange, do func(*kafka.DeadLetter) error) error {
	return kafka.ReadAround(ctx, b.client, s, func(r *kgo.Record) error {
		b.seen++
		l := kafka.ParseDeadLetter(r)
		if !b.filter.Match(&l) {
			return nil
		}
		return do(&l)
	}, func(left kafka.OffsetRange, err error) {
		fmt.Fprintf(w, "note: %s: offsets %d to %d cannot be read: %v\n", left, left.From, left.To-1, err)
	})
}
