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

// RedriveGroup is the consumer group that keeps which dead letters were put
// back. It has no members. In each partition of a dead-letter topic its
// committed offset is the first letter that was not put back, and the commit's
// metadata names those behind it that were: filters leave letters out, and
// these stay open.
const RedriveGroup = "footfall-redrive"

// maxMetadata is Kafka's default for offset.metadata.max.bytes.
const maxMetadata = 4096

// maxCommitTries is how often a commit is tried before its letters are given up
// as put back and not noted.
const maxCommitTries = 5

// redrivePatience is how long letters may wait for their acknowledgement. Without
// it a call waits for ever for brokers that are gone.
const redrivePatience = time.Minute

// ErrConcurrentRedrive is the error of a redrive that finds that another one has put
// letters of the same partition back meanwhile.
var ErrConcurrentRedrive = errors.New("another redrive is at work on the same partition")

// ErrTooManyGaps is the error of a redrive whose filter leaves more gaps than
// can be noted.
var ErrTooManyGaps = errors.New("too many gaps between the letters put back to note them all: put back those in between first")

// Redriver puts dead letters back.
//
// What it promises: no letter is lost, since none is noted as put back before
// all in-sync replicas have its record. A letter that is noted is never put back
// again. A Redriver that ends between the acknowledgement and the note leaves
// the letters of that one call of Redrive open, and the next one puts them back
// again. Records are told apart by ids made of data, so a count does not change
// by that; the header footfall-redriven-from shows it.
type Redriver struct {
	client   *kgo.Client
	out      stage.Producer
	patience time.Duration
	done     map[string]map[int32]*offsetSet // by dead-letter topic and partition
}

// NewRedriver reads what was put back before. The client is one of NewClient and
// stays the caller's.
func NewRedriver(ctx context.Context, client *kgo.Client) (*Redriver, error) {
	r := &Redriver{client: client, out: NewProducer(client), patience: redrivePatience, done: map[string]map[int32]*offsetSet{}}
	committed, err := committedOffsets(ctx, client, RedriveGroup)
	if err != nil {
		return nil, err
	}
	for topic, ps := range committed {
		r.done[topic] = map[int32]*offsetSet{}
		for p, o := range ps {
			set, err := decodeOffsetSet(o.At, o.Metadata)
			if err != nil {
				return nil, fmt.Errorf("kafka: what group %s keeps for %s/%d: %w", RedriveGroup, topic, p, err)
			}
			r.done[topic][p] = &set
		}
	}
	return r, nil
}

// Done says whether a letter was put back.
func (r *Redriver) Done(p Position) bool {
	set := r.done[p.Topic][p.Partition]
	return set != nil && set.has(p.Offset)
}

// Redrive puts letters back that all lie in one span, which is what their
// partition holds now, and notes that it did. It gives how many it put back:
// those that were put back before are left out. One that does not fit its topic
// any more is an error, and then none is put back: see Letter.Fits.
func (r *Redriver) Redrive(ctx context.Context, of OffsetRange, letters []DeadLetter) (int, error) {
	fail := func(err error) (int, error) {
		return 0, fmt.Errorf("redrive %d letters of %s: %w", len(letters), of, err)
	}
	next := offsetSet{}
	if set := r.done[of.Topic][of.Partition]; set != nil {
		next = set.clone()
	}
	next.raise(of.From) // retention has dropped what lay below
	var records []stage.Record
	for i := range letters {
		l := &letters[i]
		switch {
		case l.Topic != of.Topic || l.Partition != of.Partition:
			return fail(fmt.Errorf("%s is none of them", l.Position))
		case l.Origin.Topic == "":
			return fail(fmt.Errorf("%s is no topic for dead letters", l.Topic))
		case !l.Fits():
			// Before anything is written: those that were would not be noted, and
			// each try would write them again.
			return fail(fmt.Errorf("%s: %w", l.Position, ErrTooLarge))
		case !r.Done(l.Position):
			records = append(records, l.RedrivenRecord())
			next.add(l.Offset)
		}
	}
	if len(records) == 0 {
		return 0, nil
	}
	if len(next.encodeRuns()) > maxMetadata {
		return fail(ErrTooManyGaps)
	}
	if err := r.unchanged(ctx, of); err != nil {
		return fail(err)
	}
	waiting, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	if err := r.out.Produce(waiting, records); err != nil {
		return fail(err)
	}
	if err := r.note(ctx, of, next); err != nil {
		return fail(fmt.Errorf("they are back at %s, but that is not noted, and the next redrive puts them back again: %w", records[0].Topic, err))
	}
	return len(records), nil
}

// unchanged looks whether what is noted is what this Redriver knows. Two that
// run at the same time on one partition would put letters back twice, and each
// note would wipe out the other's.
func (r *Redriver) unchanged(ctx context.Context, of OffsetRange) error {
	committed, err := committedOffsets(ctx, r.client, RedriveGroup)
	if err != nil {
		return err
	}
	known := r.done[of.Topic][of.Partition]
	stored, ok := committed.Lookup(of.Topic, of.Partition)
	switch {
	case !ok && known == nil:
		return nil
	case !ok || known == nil || stored.At != known.floor || stored.Metadata != known.encodeRuns():
		return ErrConcurrentRedrive
	}
	return nil
}

// note commits what is done, also when the redrive is interrupted at that
// moment: the records are written.
func (r *Redriver) note(ctx context.Context, of OffsetRange, next offsetSet) error {
	ctx = context.WithoutCancel(ctx)
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: of.Topic, Partition: of.Partition, At: next.floor, LeaderEpoch: -1, Metadata: next.encodeRuns()})
	admin := kadm.NewClient(r.client)
	var err error
	for try := range maxCommitTries {
		if try > 0 {
			time.Sleep(backoff(try))
		}
		if err = admin.CommitAllOffsets(ctx, RedriveGroup, offsets); err == nil {
			if r.done[of.Topic] == nil {
				r.done[of.Topic] = map[int32]*offsetSet{}
			}
			r.done[of.Topic][of.Partition] = &next
			return nil
		}
	}
	return err
}
