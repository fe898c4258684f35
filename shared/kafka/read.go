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

// ErrStopPartition ends the reading of one partition: if the function each of Read
// returns ErrStopPartition for a record, Read skips the rest of the record's range
// and continues with the other ranges.
var ErrStopPartition = errors.New("stop reading this partition")

// readWait is the time for which a broker may hold back an empty response.
const readWait = 250 * time.Millisecond

// readStall is the time without records after which Read asks the brokers for the
// present offsets of the partitions. The client itself waits for ever in two
// cases: if retention has dropped the rest of a range, and if no broker is left.
const readStall = 2 * time.Second

// ReadOptions returns the options of NewClient for a client of Read.
func ReadOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.FetchMaxWait(readWait),
		// Within a fetch session, kfake always serves the same partitions first: those
		// of the request before.
		kgo.DisableFetchSessions(),
		// A range may end with the control record of a transaction. Read passes no
		// control record on, but needs the last one to notice the end of the range.
		kgo.KeepControlRecords(),
	}
}

// UnreadableError is the error of Read if a client cannot decode the bytes of a
// partition, or if a broker returns an error for the partition.
type UnreadableError struct {
	Unread OffsetRange // from the first unread offset to the end of the range
	Err    error
}

// Error returns a text with the partition and the first unread offset.
func (e *UnreadableError) Error() string {
	return fmt.Sprintf("kafka: read %s from offset %d: %v", e.Unread, e.Unread.From, e.Err)
}

// Unwrap returns the cause.
func (e *UnreadableError) Unwrap() error { return e.Err }

// ReadAround reads one range as Read does, and continues after damaged batches. For
// each damaged batch, it calls damaged with the offsets and the error.
func ReadAround(ctx context.Context, client *kgo.Client, r OffsetRange, each func(*kgo.Record) error, damaged func(OffsetRange, error)) error {
	for {
		err := Read(ctx, client, []OffsetRange{r}, each)
		unreadable, ok := errors.AsType[*UnreadableError](err)
		if !ok {
			return err
		}
		// Read has stopped at an offset. Fetch the batch of this offset as raw bytes.
		// If the batch is whole, the error has another cause. If the length of the
		// batch cannot be read, the next batch cannot be found. In both cases stop.
		rest := unreadable.Unread
		batches, fetchErr := StoredBatches(ctx, client, OffsetRange{rest.Topic, rest.Partition, rest.From, rest.From + 1})
		if fetchErr != nil || len(batches) == 0 || batches[0].Err == nil || errors.Is(batches[0].Err, errNoBatch) {
			return err
		}
		r.From = batches[0].Last + 1
		damaged(OffsetRange{rest.Topic, rest.Partition, rest.From, r.From}, unreadable.Err)
	}
}

// Read calls each with every record of the ranges. The records of one partition
// come in order; records of different partitions are interleaved. If retention
// drops records during the reading, Read leaves these out.
//
// The client must have ReadOptions, and nothing else may consume with the client
// meanwhile. The error is an *UnreadableError, an error of each, the error of ctx,
// or the error of a request after all retries of the client, if no broker answers.
func Read(ctx context.Context, client *kgo.Client, ranges []OffsetRange, each func(*kgo.Record) error) error {
	// Start at the first offset of each non-empty range.
	rd := reader{client: client, remaining: map[string]map[int32]*OffsetRange{}, each: each}
	begin := map[string]map[int32]kgo.Offset{}
	for _, r := range ranges {
		if r.Len() == 0 {
			continue
		}
		if rd.remaining[r.Topic] == nil {
			rd.remaining[r.Topic], begin[r.Topic] = map[int32]*OffsetRange{}, map[int32]kgo.Offset{}
		}
		rd.remaining[r.Topic][r.Partition] = &r
		begin[r.Topic][r.Partition] = kgo.NewOffset().At(r.From)
	}
	if len(begin) == 0 {
		return ctx.Err()
	}
	client.AddConsumePartitions(begin)
	defer func() { client.RemoveConsumePartitions(rd.partitions()) }()

	// Poll until every range has been read to its end.
	for len(rd.remaining) > 0 {
		fetches, err := rd.poll(ctx)
		if err != nil {
			return fmt.Errorf("kafka: read %v: %w", rd.partitions(), err)
		}
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			if err == nil {
				err = rd.handle(f)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reader is the state of one call of Read.
type reader struct {
	client    *kgo.Client
	remaining map[string]map[int32]*OffsetRange // From is the next offset to read
	each      func(*kgo.Record) error
}

// poll waits for records. After readStall without a record, poll finishes the
// ranges that retention has emptied, and returns no records.
func (rd *reader) poll(ctx context.Context) (kgo.Fetches, error) {
	waiting, cancel := context.WithTimeout(ctx, readStall)
	defer cancel()
	fetches := rd.client.PollFetches(waiting)
	if ctx.Err() != nil || !errors.Is(fetches.Err0(), context.DeadlineExceeded) {
		return fetches, ctx.Err()
	}
	return nil, rd.finishEmptied(ctx)
}

// finishEmptied finishes the ranges outside the present offsets of their
// partitions. It asks the brokers for the present offsets, so it fails if no broker
// is left, which ends Read.
func (rd *reader) finishEmptied(ctx context.Context) error {
	now, err := ListOffsetRanges(ctx, rd.client, slices.Collect(maps.Keys(rd.remaining))...)
	if err != nil {
		return err
	}
	for _, held := range now {
		r := rd.remaining[held.Topic][held.Partition]
		if r != nil && (held.From >= r.To || held.To <= r.From) {
			rd.finish(r)
		}
	}
	return nil
}

// partitions returns the unfinished partitions by topic.
func (rd *reader) partitions() map[string][]int32 {
	ps := map[string][]int32{}
	for topic, ranges := range rd.remaining {
		for p := range ranges {
			ps[topic] = append(ps[topic], p)
		}
		slices.Sort(ps[topic])
	}
	return ps
}

// handle passes on the records of one partition from one poll.
func (rd *reader) handle(f kgo.FetchTopicPartition) error {
	r := rd.remaining[f.Topic][f.Partition]
	if r == nil {
		if f.Topic == "" { // an error of no partition, for example of a closed client
			return fmt.Errorf("kafka: read: %w", f.Err)
		}
		return nil // the client fetched these records before the range was finished
	}

	// Pass on the records of the range, without the control records.
	for _, record := range f.Records {
		if record.Offset >= r.To {
			r.From = r.To
			break
		}
		r.From = record.Offset + 1
		if record.Attrs.IsControl() {
			continue
		}
		if err := rd.each(record); errors.Is(err, ErrStopPartition) {
			r.From = r.To
			break
		} else if err != nil {
			return err
		}
	}

	// An error matters only if a part of the range is unread: a damaged batch may
	// lie behind the end of the range.
	if r.Len() == 0 {
		rd.finish(r)
		return nil
	}
	if f.Err != nil {
		return &UnreadableError{*r, f.Err}
	}
	return nil
}

// finish stops reading a partition.
func (rd *reader) finish(r *OffsetRange) {
	delete(rd.remaining[r.Topic], r.Partition)
	if len(rd.remaining[r.Topic]) == 0 {
		delete(rd.remaining, r.Topic)
	}
	rd.client.RemoveConsumePartitions(map[string][]int32{r.Topic: {r.Partition}})
}
