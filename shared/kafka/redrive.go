package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/stage"
)

// RedriveGroup is a consumer group without members, whose commits record which
// dead letters were put back. In each partition of a dead-letter topic, the
// committed offset is the first open dead letter. A filter leaves gaps: dead
// letters behind the committed offset may have been put back too. The metadata of
// the commit lists their offsets, see offsetSet.
const RedriveGroup = "footfall-redrive"

// maxMetadata is Kafka's default for offset.metadata.max.bytes.
const maxMetadata = 4096

// maxCommitTries is the number of attempts at one commit. If all fail, the dead
// letters are put back without a commit.
const maxCommitTries = 5

// redriveTimeout limits the wait for the acknowledgement of the records of one call
// of Redrive. Without this limit the call would wait for ever if no broker is left.
const redriveTimeout = time.Minute

// ErrConcurrentRedrive is the error of a redrive if another redrive has committed
// offsets of the same partition meanwhile.
var ErrConcurrentRedrive = errors.New("another redrive has put back dead letters of this partition meanwhile: run one redrive at a time, and start again")

// ErrTooManyGaps is the error of a redrive if the filter leaves more gaps between
// dead letters than the metadata of a commit can hold.
var ErrTooManyGaps = errors.New("too many gaps between the dead letters put back for one commit to record them: first put back those in between")

// Redriver puts dead letters back: it produces their records to the original
// topics, and then commits their offsets in RedriveGroup.
//
// The promises follow from the order of the two steps:
//
//   - No dead letter is lost. The commit follows the acknowledgement of all
//     in-sync replicas.
//   - A dead letter with a commit is not put back again.
//   - If a Redriver ends between the acknowledgement and the commit, the dead
//     letters of one call of Redrive stay open, and the next redrive puts the same
//     dead letters back again. Counts do not change, because the ids of records are
//     hashes of data. The header HeaderRedrivenFrom shows the repetition.
type Redriver struct {
	client   *kgo.Client
	producer stage.Producer
	timeout  time.Duration
	done     map[string]map[int32]*offsetSet // by dead-letter topic and partition
}

// NewRedriver reads the commits of earlier redrives. The client is one of
// NewClient; the caller keeps it and closes it.
func NewRedriver(ctx context.Context, client *kgo.Client) (*Redriver, error) {
	r := &Redriver{client: client, producer: NewProducer(client), timeout: redriveTimeout, done: map[string]map[int32]*offsetSet{}}
	committed, err := committedOffsets(ctx, client, RedriveGroup)
	if err != nil {
		return nil, err
	}
	for topic, ps := range committed {
		r.done[topic] = map[int32]*offsetSet{}
		for p, o := range ps {
			set, err := decodeOffsetSet(o.At, o.Metadata)
			if err != nil {
				return nil, fmt.Errorf("kafka: decode the commit of group %s in %s/%d: %w", RedriveGroup, topic, p, err)
			}
			r.done[topic][p] = &set
		}
	}
	return r, nil
}

// Done reports whether the dead letter at a position was put back.
func (r *Redriver) Done(p Position) bool {
	set := r.done[p.Topic][p.Partition]
	return set != nil && set.has(p.Offset)
}

// Redrive puts back dead letters of one partition and commits their offsets. held
// is the present range of offsets of the partition. Redrive skips each dead letter
// for which Done is true, and returns the number of the others.
//
// If a dead letter is too large for the original topic (see DeadLetter.Fits),
// Redrive puts none back and returns an error that wraps ErrTooLarge. Other errors
// are ErrTooManyGaps, ErrConcurrentRedrive, and errors of the brokers.
func (r *Redriver) Redrive(ctx context.Context, held OffsetRange, letters []DeadLetter) (int, error) {
	fail := func(err error) (int, error) {
		return 0, fmt.Errorf("redrive %d dead letters of %s: %w", len(letters), held, err)
	}

	// Add the dead letters to a copy of the offsets put back so far. The copy
	// replaces the original after the commit.
	next := offsetSet{}
	if set := r.done[held.Topic][held.Partition]; set != nil {
		next = set.clone()
	}
	next.raise(held.From) // retention has dropped the offsets below
	var records []stage.Record
	for i := range letters {
		l := &letters[i]
		switch {
		case l.Topic != held.Topic || l.Partition != held.Partition:
			return fail(fmt.Errorf("%s is a dead letter of another partition", l.Position))
		case l.Origin.Topic == "":
			return fail(fmt.Errorf("%s is not a dead-letter topic", l.Topic))
		case !l.Fits():
			// Check this before producing. Otherwise the other records would be
			// written and this one rejected, so nothing would be committed, and each
			// later attempt would write the others again.
			return fail(fmt.Errorf("%s: %w", l.Position, ErrTooLarge))
		case !r.Done(l.Position):
			records = append(records, l.RedrivenRecord())
			next.add(l.Offset)
		}
	}
	if len(records) == 0 {
		return 0, nil
	}

	// Check that the commit will be possible, then produce, then commit.
	if len(next.encodeRuns()) > maxMetadata {
		return fail(ErrTooManyGaps)
	}
	if err := r.checkUnchanged(ctx, held); err != nil {
		return fail(err)
	}
	waiting, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	if err := r.producer.Produce(waiting, records); err != nil {
		return fail(err)
	}
	if err := r.commit(ctx, held, next); err != nil {
		return fail(fmt.Errorf("the records are written to %s, but the commit that records it failed, so the next redrive puts them back again: %w", records[0].Topic, err))
	}
	return len(records), nil
}

// checkUnchanged returns ErrConcurrentRedrive if the commit of the partition
// differs from the commit that this Redriver has read or made.
//
// It prevents this sequence: two redrives read the same commit. The first puts
// dead letters back and commits. The second would put the same dead letters back,
// and the second commit would overwrite the first.
func (r *Redriver) checkUnchanged(ctx context.Context, held OffsetRange) error {
	committed, err := committedOffsets(ctx, r.client, RedriveGroup)
	if err != nil {
		return err
	}
	known := r.done[held.Topic][held.Partition]
	stored, ok := committed.Lookup(held.Topic, held.Partition)
	switch {
	case !ok && known == nil:
		return nil
	case !ok || known == nil || stored.At != known.floor || stored.Metadata != known.encodeRuns():
		return ErrConcurrentRedrive
	}
	return nil
}

// commit records in RedriveGroup which dead letters of a partition were put back.
// The cancellation of ctx does not end commit: if an operator interrupts the
// redrive after the brokers have acknowledged the records, the commit must follow.
func (r *Redriver) commit(ctx context.Context, held OffsetRange, next offsetSet) error {
	ctx = context.WithoutCancel(ctx)
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: held.Topic, Partition: held.Partition, At: next.floor, LeaderEpoch: -1, Metadata: next.encodeRuns()})
	admin := kadm.NewClient(r.client)
	var err error
	for try := range maxCommitTries {
		if try > 0 {
			time.Sleep(backoff(try))
		}
		// A commit whose answer was lost is repeated with the same content.
		if err = admin.CommitAllOffsets(ctx, RedriveGroup, offsets); err == nil {
			if r.done[held.Topic] == nil {
				r.done[held.Topic] = map[int32]*offsetSet{}
			}
			r.done[held.Topic][held.Partition] = &next
			return nil
		}
	}
	return err
}
