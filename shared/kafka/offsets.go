package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// GroupOffset is how far a consumer group is in one partition.
type GroupOffset struct {
	Group       string
	State       string // of the group, as Kafka names it: Empty, Dead, Stable and others
	OffsetRange        // what the partition holds
	Committed   int64  // -1 where the group has committed nothing
}

// Next is the offset that the group goes on with: where it has committed
// nothing, or where retention has dropped what it would read, the start of the
// log.
func (o GroupOffset) Next() int64 { return max(o.Committed, o.From) }

// Lag is how many offsets the group has before it.
func (o GroupOffset) Lag() int64 { return max(o.To-o.Next(), 0) }

// GroupOffsets gives how far a group is in every partition of the topics, in
// their order.
func GroupOffsets(ctx context.Context, client *kgo.Client, group string, topics ...string) ([]GroupOffset, error) {
	spans, err := ListOffsetRanges(ctx, client, topics...)
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
	offsets := make([]GroupOffset, len(spans))
	for i, s := range spans {
		offsets[i] = GroupOffset{Group: group, State: state, OffsetRange: s, Committed: -1}
		if o, ok := committed.Lookup(s.Topic, s.Partition); ok {
			offsets[i].Committed = o.At
		}
	}
	return offsets, nil
}

// committedOffsets gives nothing for a group that does not exist.
func committedOffsets(ctx context.Context, client *kgo.Client, group string) (kadm.OffsetResponses, error) {
	committed, err := kadm.NewClient(client).FetchOffsets(ctx, group)
	if err == nil {
		err = committed.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("kafka: offsets of group %s: %w", group, err)
	}
	return committed, nil
}

// States of a group without members.
const (
	stateEmpty = "Empty"
	stateDead  = "Dead" // it does not exist, or no more
)

// groupState asks for a group of the classic protocol and, since that answers
// Dead for one of the newer protocol, for such a one too.
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
		return "", fmt.Errorf("kafka: state of group %s: %w", group, err)
	}
	if state != stateDead {
		return state, nil
	}
	// Brokers before Kafka 4.0 do not know the request, and no such groups.
	newer, err := admin.DescribeConsumerGroups(ctx, group)
	if g, ok := newer[group]; err == nil && ok && g.Err == nil && g.State != "" {
		return g.State, nil
	}
	return state, nil
}

// ErrGroupActive is the error of a shift for a group that has members: they would
// commit over it, or go on with what they hold.
var ErrGroupActive = errors.New("the group is active")
