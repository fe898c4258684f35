package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Shift is a planned move of the committed offset of a group in one partition. A
// shift gets a group past a batch that no consumer can read.
type Shift struct {
	Current GroupOffset
	Target  int64 // the offset at which the group will continue
	// Batches are the batches between the two offsets, which the group will pass
	// over or, if the shift goes back, read again, and the batch at the later offset.
	Batches []StoredBatch
}

// lookAhead is the number of offsets of which a shift by 0 returns the batches.
const lookAhead = 1000

// PlanShift plans to move a group in one partition by a number of offsets, which
// may be negative. It changes nothing.
//
// A shift by 0 moves nothing, lists the batches from the group's offset on, and is
// allowed for a group with members. Any other shift of a group with members fails
// with an error that wraps ErrGroupActive. A shift of RedriveGroup fails, and so
// does a shift to a target outside the log of the partition.
func PlanShift(ctx context.Context, client *kgo.Client, group, topic string, partition int32, by int64) (Shift, error) {
	fail := func(err error) (Shift, error) {
		return Shift{}, fmt.Errorf("shift group %s on %s/%d by %d: %w", group, topic, partition, by, err)
	}
	if group == RedriveGroup {
		return fail(errors.New("the offsets of this group record which dead letters were put back, and a shift would delete that record"))
	}

	// Look up the group and check the target.
	all, err := GroupOffsets(ctx, client, group, topic)
	if err != nil {
		return fail(err)
	}
	if partition < 0 || int(partition) >= len(all) {
		return fail(fmt.Errorf("the topic has the partitions 0 to %d: %w", len(all)-1, kerr.UnknownTopicOrPartition))
	}
	current := all[partition]
	s := Shift{Current: current, Target: current.Next() + by}
	if s.Target < current.From || s.Target > current.To {
		return fail(fmt.Errorf("offset %d is outside the log, which goes from %d to %d: shift by a number between %d and %d",
			s.Target, current.From, current.To, current.From-current.Next(), current.To-current.Next()))
	}
	if by != 0 && !current.hasNoMembers() {
		return fail(fmt.Errorf("%w (state %s): stop its consumers first, on AWS by disabling the event source mapping", ErrGroupActive, current.State))
	}

	// Fetch the batches between the two offsets and the batch at the later one.
	shown := current.OffsetRange
	shown.From, shown.To = min(current.Next(), s.Target), min(max(current.Next(), s.Target)+1, current.To)
	if by == 0 {
		shown.To = min(current.Next()+lookAhead, current.To)
	}
	if s.Batches, err = StoredBatches(ctx, client, shown); err != nil {
		return fail(err)
	}
	return s, nil
}

// Apply commits the target of the shift. It fails if the group has got members or
// has moved since PlanShift, or if retention has dropped the target.
//
// If a consumer joins between this check and the commit, the broker rejects the
// commit, since a commit from outside is accepted only for a group without members.
func (s Shift) Apply(ctx context.Context, client *kgo.Client) error {
	fail := func(err error) error {
		return fmt.Errorf("shift group %s on %s to offset %d: %w", s.Current.Group, s.Current.OffsetRange, s.Target, err)
	}
	now, err := GroupOffsets(ctx, client, s.Current.Group, s.Current.Topic)
	if err != nil {
		return fail(err)
	}
	latest := now[s.Current.Partition]
	switch {
	case !latest.hasNoMembers():
		return fail(fmt.Errorf("%w (state %s): stop its consumers and plan the shift again", ErrGroupActive, latest.State))
	case latest.Committed != s.Current.Committed:
		return fail(fmt.Errorf("the group has moved from offset %d to %d meanwhile: plan the shift again", s.Current.Committed, latest.Committed))
	case s.Target < latest.From:
		return fail(fmt.Errorf("retention has dropped that offset meanwhile, the log begins at %d: plan the shift again", latest.From))
	}
	// A leader epoch of -1 stands for none.
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: s.Current.Topic, Partition: s.Current.Partition, At: s.Target, LeaderEpoch: -1})
	if err := kadm.NewClient(client).CommitAllOffsets(ctx, s.Current.Group, offsets); err != nil {
		return fail(err)
	}
	return nil
}
