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

// mapping is a stage's consumer group on one of its topics.
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

// position returns the sum of a topic's end offsets and the number of records
// before them that the group has not committed.
func position(ctx context.Context, admin *kadm.Client, m mapping) (end, lag int64, err error) {
	// Ask for the committed offsets first: if they were asked for last, they
	// could be ahead of the end offsets.
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

// awaitDrained waits until the groups that include selects have committed the
// end of their topics, in two looks between which no end offset has moved: in a
// single look, an early stage could produce to a later stage's topic after that
// topic was looked at.
func awaitDrained(ctx context.Context, admin *kadm.Client, include func(mapping) bool) error {
	before := int64(-1)
	return eventually(ctx, "wait until the topics are drained", func(ctx context.Context) (bool, int64, error) {
		var ends, lags int64
		for _, m := range mappings() {
			if !include(m) {
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

// awaitMembers waits until each group has n members and has assigned them its
// partitions.
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

// maxRewind bounds how many records a partition's committed offset is set back
// by when a poller is killed.
const maxRewind = 300

// rewind sets the committed offsets of every group back, by what far returns
// for each of them. The groups must be empty. rewind returns the number of
// offsets and the sum of records that they were set back by.
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

// sorted returns the offsets that a group has committed, in the same order in
// every run.
func sorted(committed kadm.OffsetResponses) []kadm.Offset {
	var all []kadm.Offset
	committed.Each(func(o kadm.OffsetResponse) { all = append(all, o.Offset) })
	slices.SortFunc(all, func(a, b kadm.Offset) int { return int(a.Partition - b.Partition) })
	return all
}
