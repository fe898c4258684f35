package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrStopPartition from the function given to Read ends the reading of the span that
// its record is of.
var ErrStopPartition = errors.New("enough of this partition")

// readWait is how long a broker may wait where a partition has nothing.
const readWait = 250 * time.Millisecond

// readStall is how long nothing may come before the brokers are asked what the
// partitions hold now. The client waits for ever, where retention has dropped
// the rest of a span and where no broker is left.
const readStall = 2 * time.Second

// ReadOptions are what a client of NewClient needs beside for Read.
func ReadOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.FetchMaxWait(readWait),
		// In a session kfake serves the partitions first that it served last.
		kgo.DisableFetchSessions(),
		// A span may end with the mark of a transaction, which is no record to
		// anybody but has to be seen to know that the end is reached.
		kgo.KeepControlRecords(),
	}
}

// UnreadableError is the error of Read for what a client cannot read, or a broker
// does not give.
type UnreadableError struct {
	Unread OffsetRange // from the offset that could not be read on
	Err    error
}

// Error names the partition and the offset.
func (e *UnreadableError) Error() string {
	return fmt.Sprintf("kafka: read %s from offset %d: %v", e.Unread, e.Unread.From, e.Err)
}

// Unwrap gives the cause.
func (e *UnreadableError) Unwrap() error { return e.Err }

// ReadAround is Read for one span that goes on behind a damaged batch. damaged is
// told what was left out and why.
func ReadAround(ctx context.Context, client *kgo.Client, s OffsetRange, each func(*kgo.Record) error, damaged func(OffsetRange, error)) error {
	for {
		err := Read(ctx, client, []OffsetRange{s}, each)
		unreadable, ok := errors.AsType[*UnreadableError](err)
		if !ok {
			return err
		}
		at := unreadable.Unread
		batches, look := StoredBatches(ctx, client, OffsetRange{at.Topic, at.Partition, at.From, at.From + 1})
		if look != nil || len(batches) == 0 || batches[0].Err == nil || errors.Is(batches[0].Err, errNoBatch) {
			return err // it is something else
		}
		s.From = batches[0].Last + 1
		damaged(OffsetRange{at.Topic, at.Partition, at.From, s.From}, unreadable.Err)
	}
}

// Read gives every record of the spans: those of one partition in their order,
// those of different ones as they come. What retention drops meanwhile is left
// out. The client has ReadOptions, and nobody else consumes with it meanwhile. Its
// error is an *UnreadableError, what each returned, or that the brokers are gone
// for longer than the client tries a request again.
func Read(ctx context.Context, client *kgo.Client, spans []OffsetRange, each func(*kgo.Record) error) error {
	r := reading{client: client, left: map[string]map[int32]*OffsetRange{}, each: each}
	begin := map[string]map[int32]kgo.Offset{}
	for _, s := range spans {
		if s.Len() == 0 {
			continue
		}
		if r.left[s.Topic] == nil {
			r.left[s.Topic], begin[s.Topic] = map[int32]*OffsetRange{}, map[int32]kgo.Offset{}
		}
		r.left[s.Topic][s.Partition] = &s
		begin[s.Topic][s.Partition] = kgo.NewOffset().At(s.From)
	}
	if len(begin) == 0 {
		return ctx.Err()
	}
	client.AddConsumePartitions(begin)
	defer func() { client.RemoveConsumePartitions(r.partitions()) }()
	for len(r.left) > 0 {
		fetches, err := r.poll(ctx)
		if err != nil {
			return fmt.Errorf("kafka: read %v: %w", r.partitions(), err)
		}
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			if err == nil {
				err = r.take(f)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reading is the state of one Read.
type reading struct {
	client *kgo.Client
	left   map[string]map[int32]*OffsetRange // From is the next offset
	each   func(*kgo.Record) error
}

// poll waits for records. It comes back without any where spans have ended by
// what retention did, and where nothing has come for readStall.
func (r *reading) poll(ctx context.Context) (kgo.Fetches, error) {
	waiting, cancel := context.WithTimeout(ctx, readStall)
	defer cancel()
	fetches := r.client.PollFetches(waiting)
	if ctx.Err() != nil || !errors.Is(fetches.Err0(), context.DeadlineExceeded) {
		return fetches, ctx.Err()
	}
	return nil, r.bound(ctx)
}

// bound ends the spans of which nothing is left in the log.
func (r *reading) bound(ctx context.Context) error {
	now, err := ListOffsetRanges(ctx, r.client, slices.Collect(maps.Keys(r.left))...)
	if err != nil {
		return err
	}
	for _, held := range now {
		s := r.left[held.Topic][held.Partition]
		if s != nil && (held.From >= s.To || held.To <= s.From) {
			r.end(s)
		}
	}
	return nil
}

func (r *reading) partitions() map[string][]int32 {
	ps := map[string][]int32{}
	for topic, spans := range r.left {
		for p := range spans {
			ps[topic] = append(ps[topic], p)
		}
		slices.Sort(ps[topic])
	}
	return ps
}

// take goes through what one poll brought of one partition.
func (r *reading) take(f kgo.FetchTopicPartition) error {
	s := r.left[f.Topic][f.Partition]
	if s == nil {
		if f.Topic == "" { // of no partition, such as that the client was closed
			return fmt.Errorf("kafka: read: %w", f.Err)
		}
		return nil // what was fetched ahead of a span that has ended
	}
	for _, record := range f.Records {
		if record.Offset >= s.To {
			s.From = s.To
			break
		}
		s.From = record.Offset + 1
		if record.Attrs.IsControl() {
			continue
		}
		if err := r.each(record); errors.Is(err, ErrStopPartition) {
			s.From = s.To
			break
		} else if err != nil {
			return err
		}
	}
	if s.Len() == 0 {
		r.end(s)
		return nil
	}
	if f.Err != nil {
		return &UnreadableError{*s, f.Err}
	}
	return nil
}

func (r *reading) end(s *OffsetRange) {
	delete(r.left[s.Topic], s.Partition)
	if len(r.left[s.Topic]) == 0 {
		delete(r.left, s.Topic)
	}
	r.client.RemoveConsumePartitions(map[string][]int32{s.Topic: {s.Partition}})
}
