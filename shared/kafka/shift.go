package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Shift moves a group in one partition.
type Shift struct {
	Current GroupOffset
	Target  int64 // the offset that the group will go on with
	// Batches hold what is passed over or, on the way back, given again, and the
	// one that the group then goes on with.
	Batches []StoredBatch
}

// lookAhead is how many offsets a shift by 0 looks at.
const lookAhead = 1000

// PlanShift looks at what moving a group by a number of offsets would do. It
// changes nothing. A group that has members, that of the redrives, and a target
// beyond what the partition holds, are errors. By 0, which moves nothing, may be asked of any
// group and gives the batches that lie before it.
func PlanShift(ctx context.Context, client *kgo.Client, group, topic string, partition int32, by int64) (Shift, error) {
	fail := func(err error) (Shift, error) {
		return Shift{}, fmt.Errorf("shift group %s on %s/%d by %d: %w", group, topic, partition, by, err)
	}
	if group == RedriveGroup {
		return fail(errors.New("what was put back of the dead letters is noted there, and would be forgotten"))
	}
	all, err := GroupOffsets(ctx, client, group, topic)
	if err != nil {
		return fail(err)
	}
	if partition < 0 || int(partition) >= len(all) {
		return fail(fmt.Errorf("the topic has the partitions 0 to %d: %w", len(all)-1, kerr.UnknownTopicOrPartition))
	}
	at := all[partition]
	s := Shift{Current: at, Target: at.Next() + by}
	if s.Target < at.From || s.Target > at.To {
		return fail(fmt.Errorf("offset %d is beyond the log, which goes from %d to %d: between %d and %d are possible",
			s.Target, at.From, at.To, at.From-at.Next(), at.To-at.Next()))
	}
	if by != 0 && !at.inactive() {
		return fail(fmt.Errorf("%w, its state is %s: disable what reads for it first", ErrGroupActive, at.State))
	}
	show := at.OffsetRange
	show.From, show.To = min(at.Next(), s.Target), min(max(at.Next(), s.Target)+1, at.To)
	if by == 0 {
		show.To = min(at.Next()+lookAhead, at.To)
	}
	if s.Batches, err = StoredBatches(ctx, client, show); err != nil {
		return fail(err)
	}
	return s, nil
}

// GroupMissing says that the brokers know no such group. Its name may be a mistake.
func (o GroupOffset) GroupMissing() bool { return o.State == stateDead && o.Committed < 0 }

func (o GroupOffset) inactive() bool { return o.State == stateEmpty || o.State == stateDead }

// Apply does what PlanShift planned, unless the group has moved or come to life
// since. The broker refuses it too for a group with members, so one that joins
// between the look and the commit is safe.
func (s Shift) Apply(ctx context.Context, client *kgo.Client) error {
	fail := func(err error) error {
		return fmt.Errorf("shift group %s on %s to offset %d: %w", s.Current.Group, s.Current.OffsetRange, s.Target, err)
	}
	now, err := GroupOffsets(ctx, client, s.Current.Group, s.Current.Topic)
	if err != nil {
		return fail(err)
	}
	at := now[s.Current.Partition]
	switch {
	case !at.inactive():
		return fail(fmt.Errorf("%w, its state is %s", ErrGroupActive, at.State))
	case at.Committed != s.Current.Committed:
		return fail(fmt.Errorf("it has moved from %d to %d meanwhile", s.Current.Committed, at.Committed))
	case s.Target < at.From:
		return fail(errors.New("retention has dropped that offset meanwhile"))
	}
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: s.Current.Topic, Partition: s.Current.Partition, At: s.Target, LeaderEpoch: -1})
	if err := kadm.NewClient(client).CommitAllOffsets(ctx, s.Current.Group, offsets); err != nil {
		return fail(err)
	}
	return nil
}
