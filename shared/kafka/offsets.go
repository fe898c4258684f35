package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// GroupOffset is the progress of a consumer group in one partition.
type GroupOffset struct {
	Group       string
	State       string // of the group, as Kafka names it: Empty, Dead, Stable and others
	OffsetRange        // the present offsets of the partition
	Committed   int64  // -1 if the group has committed nothing
}

// Next returns the offset at which the group continues: the committed offset, or
// the start of the log if the group has committed nothing or if retention has
// dropped the committed offset.
func (o GroupOffset) Next() int64 { return max(o.Committed, o.From) }

// Lag returns the number of unread offsets.
func (o GroupOffset) Lag() int64 { return max(o.To-o.Next(), 0) }

// GroupMissing reports whether the brokers know no group of this name. The name
// may be mistyped.
func (o GroupOffset) GroupMissing() bool { return o.State == stateDead && o.Committed < 0 }

// hasNoMembers reports whether no consumer of the group is running.
func (o GroupOffset) hasNoMembers() bool { return o.State == stateEmpty || o.State == stateDead }

// GroupOffsets returns the progress of a group in every partition of the topics,
// in the order of ListOffsetRanges. A missing group has the state Dead and no
// committed offsets.
func GroupOffsets(ctx context.Context, client *kgo.Client, group string, topics ...string) ([]GroupOffset, error) {
	// Look up the log of each partition, then the group, then combine the two.
	ranges, err := ListOffsetRanges(ctx, client, topics...)
	if err != nil {
		return nil, err
	}
	state, err := groupState(ctx, client, group)
	if err != nil {
		return nil, err
	}
	committed, err := committedOffsets(ctx, client, group)
	if err != nil {
		return nil, err
	}
	offsets := make([]GroupOffset, len(ranges))
	for i, r := range ranges {
		offsets[i] = GroupOffset{Group: group, State: state, OffsetRange: r, Committed: -1}
		if o, ok := committed.Lookup(r.Topic, r.Partition); ok {
			offsets[i].Committed = o.At
		}
	}
	return offsets, nil
}

// committedOffsets returns the committed offsets of a group in all topics, none if
// the group does not exist.
func committedOffsets(ctx context.Context, client *kgo.Client, group string) (kadm.OffsetResponses, error) {
	committed, err := kadm.NewClient(client).FetchOffsets(ctx, group)
	if err == nil {
		err = committed.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("kafka: fetch the offsets of group %s: %w", group, err)
	}
	return committed, nil
}

// The states of a group without members.
const (
	stateEmpty = "Empty"
	stateDead  = "Dead" // the group does not exist, or does not exist any more
)

// groupState returns the state of a group of either group protocol. For a group of
// the newer protocol, brokers answer Dead to the request of the classic protocol.
// So groupState sends the classic request and, after Dead, the newer one.
func groupState(ctx context.Context, client *kgo.Client, group string) (string, error) {
	admin := kadm.NewClient(client)
	state := stateDead
	classic, err := admin.DescribeGroups(ctx, group)
	if err == nil {
		if g := classic[group]; g.Err == nil {
			state = g.State
		} else if !errors.Is(g.Err, kerr.GroupIDNotFound) {
			err = g.Err
		}
	}
	if err != nil {
		return "", fmt.Errorf("kafka: look up the state of group %s: %w", group, err)
	}
	if state != stateDead {
		return state, nil
	}
	// Brokers before Kafka 4.0 know neither this request nor the newer protocol, so
	// an error leaves the state Dead.
	newer, err := admin.DescribeConsumerGroups(ctx, group)
	if g, ok := newer[group]; err == nil && ok && g.Err == nil && g.State != "" {
		return g.State, nil
	}
	return state, nil
}

// ErrGroupActive is the error of a shift of a group with members. The members would
// overwrite the shifted offset with a commit, or continue with records in memory.
var ErrGroupActive = errors.New("the consumer group has members")
