//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"footfall/events"
	"footfall/shared/pipeline"
)

// mapping is what one consumer group reads.
type mapping struct{ stage, topic, group string }

func mappings() []mapping {
	var all []mapping
	for _, s := range pipeline.Default().Stages {
		for _, m := range s.Reads {
			all = append(all, mapping{s.Name, m.Topic, pipeline.Group(pipeline.LocalDeployment, s.Name, m.Topic)})
		}
	}
	return all
}

func groupNames() []string {
	var names []string
	for _, m := range mappings() {
		names = append(names, m.group)
	}
	return names
}

func isCRM(m mapping) bool {
	return m.topic == events.CRMEvents || m.topic == events.CRMEventsBackfill
}

func allMappings(mapping) bool { return true }

// position gives the sum of a topic's end offsets and how many records up to
// there its group has not committed.
func position(ctx context.Context, admin *kadm.Client, m mapping) (end, lag int64, err error) {
	// What was committed is asked first: asked last, it could be ahead of the end.
	committed, err := admin.FetchOffsets(ctx, m.group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return 0, 0, fmt.Errorf("offsets of %s: %w", m.group, err)
	}
	ends, err := admin.ListEndOffsets(ctx, m.topic)
	if err = errors.Join(err, ends.Error()); err != nil {
		return 0, 0, fmt.Errorf("end of %s: %w", m.topic, err)
	}
	if len(ends[m.topic]) != partitions {
		return 0, 0, fmt.Errorf("%s has %d partitions, want %d", m.topic, len(ends[m.topic]), partitions)
	}
	for partition, e := range ends[m.topic] {
		end += e.Offset
		lag += e.Offset
		if c, ok := committed.Lookup(m.topic, partition); ok {
			lag -= c.At
		}
	}
	return end, lag, nil
}

// awaitDrained waits until the groups that which names have committed the end of
// their topics, in two looks between which no end has moved: in one look alone
// an early stage could produce after the topic of a later one was looked at.
func awaitDrained(ctx context.Context, admin *kadm.Client, which func(mapping) bool) error {
	before := int64(-1)
	return eventually(ctx, "wait for the functions", func(ctx context.Context) (bool, int64, error) {
		var ends, lags int64
		for _, m := range mappings() {
			if !which(m) {
				continue
			}
			end, lag, err := position(ctx, admin, m)
			if err != nil {
				return false, 0, err
			}
			ends, lags = ends+end, lags+lag
		}
		done := lags == 0 && ends == before
		if before = ends; lags > 0 {
			before = -1
		}
		return done, lags, nil
	})
}

// awaitMembers waits until each group has n members, among which its
// partitions are dealt out.
func (r *rig) awaitMembers(ctx context.Context, n int) error {
	state := "Stable"
	if n == 0 {
		state = "Empty"
	}
	return eventually(ctx, fmt.Sprintf("wait for %d members of every group", n), func(ctx context.Context) (bool, int64, error) {
		if err := r.alive(); err != nil {
			return false, 0, err
		}
		groups, err := r.admin.DescribeGroups(ctx, groupNames()...)
		if err = errors.Join(err, groups.Error()); err != nil {
			return false, 0, err
		}
		there := int64(0)
		for _, g := range groups {
			if g.State == state && len(g.Members) == n {
				there++
			}
		}
		return there == int64(len(groupNames())), there, nil
	})
}

// maxRewind is how many records a partition's committed offset is set back by
// at the most, where commits are lost.
const maxRewind = 300

// rewind sets the committed offsets of every group back, by what far says of
// each. The groups have to be empty. It gives how many offsets that were and by
// how much in all.
func (r *rig) rewind(ctx context.Context, far func(committed int64) int64) (offsets int, records int64, err error) {
	for _, m := range mappings() {
		committed, err := r.admin.FetchOffsets(ctx, m.group)
		if err != nil {
			return 0, 0, fmt.Errorf("offsets of %s: %w", m.group, err)
		}
		back := kadm.Offsets{}
		for _, o := range sorted(committed) {
			by := min(far(o.At), o.At)
			back.AddOffset(o.Topic, o.Partition, o.At-by, -1)
			offsets, records = offsets+1, records+by
		}
		if err := r.admin.CommitAllOffsets(ctx, m.group, back); err != nil {
			return 0, 0, fmt.Errorf("set %s back: %w", m.group, err)
		}
	}
	return offsets, records, nil
}

// sorted gives what a group has committed, in an order that does not change
// from run to run.
func sorted(committed kadm.OffsetResponses) []kadm.Offset {
	var all []kadm.Offset
	committed.Each(func(o kadm.OffsetResponse) { all = append(all, o.Offset) })
	slices.SortFunc(all, func(a, b kadm.Offset) int { return int(a.Partition - b.Partition) })
	return all
}
