package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"footfall/events"
)

// Drain waits until every event source mapping has processed all records on its
// topic, including those that earlier stages produce meanwhile. No one else may
// produce to the topics. The error names a mapping that is behind when ctx is
// done.
func (s *Stack) Drain(ctx context.Context) error {
	return s.drain(ctx, func(string) bool { return true })
}

// DrainCRM waits until identify has processed all CRM events.
func (s *Stack) DrainCRM(ctx context.Context) error {
	return s.drain(ctx, func(topic string) bool {
		return topic == events.CRMEvents || topic == events.CRMEventsBackfill
	})
}

// errBehind is the error of a mapping that has records left to process.
var errBehind = errors.New("records are left to process")

// Pauses between looks at the broker while the mappings are idle but behind,
// that is until they fetch the records that the broker has.
const (
	minPause = 5 * time.Millisecond
	maxPause = 100 * time.Millisecond
)

// drain waits for the mappings of the topics that include selects. The graph is
// done when all end offsets are committed in two looks and no end offset has
// moved in between: then no mapping had anything to do between the looks. A
// single look is not enough: the look finds a late stage's topic done, an early
// stage then produces to that topic and commits, and the same look finds the
// early stage's topic done too.
func (s *Stack) drain(ctx context.Context, include func(topic string) bool) error {
	lastEnd := int64(-1)
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		// Wait without polling the broker while a mapping is at work.
		if err := s.awaitIdle(ctx, include); err != nil {
			return err
		}
		// If an end offset has moved since the last look, another look is
		// needed.
		end, err := s.committedEnd(ctx, include)
		switch {
		case err == nil && end == lastEnd:
			return nil
		case err == nil:
			lastEnd = end
			continue
		case !errors.Is(err, errBehind):
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

// awaitIdle waits until no selected mapping holds records or has an invocation
// in flight.
func (s *Stack) awaitIdle(ctx context.Context, include func(topic string) bool) error {
	for _, m := range s.mappings {
		if !include(m.Topic()) {
			continue
		}
		select {
		case <-m.WhenIdle():
		case <-s.done:
			return s.err
		case <-ctx.Done():
			return fmt.Errorf("%w: %s works on %s: %w", errBehind, m.stage, m.Topic(), ctx.Err())
		}
	}
	return nil
}

// committedEnd returns the sum of the end offsets of all selected topics. If a
// mapping has not committed up to the end, the error is errBehind.
func (s *Stack) committedEnd(ctx context.Context, include func(topic string) bool) (sum int64, err error) {
	for _, m := range s.mappings {
		if !include(m.Topic()) {
			continue
		}
		end, lag, err := s.position(ctx, m)
		if err != nil {
			return 0, err
		}
		if lag > 0 {
			return 0, fmt.Errorf("%w: %s has %d records left on %s", errBehind, m.stage, lag, m.Topic())
		}
		sum += end
	}
	return sum, nil
}

// position returns the sum of a topic's end offsets, and the number of records
// before them that a mapping has not committed. Records that retention deleted
// do not count: a group that never read them never commits them either.
func (s *Stack) position(ctx context.Context, m mapping) (end, lag int64, err error) {
	// Ask for the end, the start and the committed offsets.
	ends, err := s.admin().ListEndOffsets(ctx, m.Topic())
	if err = errors.Join(err, ends.Error()); err != nil {
		return 0, 0, fmt.Errorf("end offsets of %s: %w", m.Topic(), err)
	}
	starts, err := s.admin().ListStartOffsets(ctx, m.Topic())
	if err = errors.Join(err, starts.Error()); err != nil {
		return 0, 0, fmt.Errorf("start offsets of %s: %w", m.Topic(), err)
	}
	committed, err := s.admin().FetchOffsets(ctx, m.Group())
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // the group has not been joined yet
		return 0, 0, fmt.Errorf("offsets of group %s: %w", m.Group(), err)
	}
	// A partition without a commit is processed from its start.
	for partition, e := range ends[m.Topic()] {
		first, _ := starts.Lookup(m.Topic(), partition)
		done := first.Offset
		if c, ok := committed.Lookup(m.Topic(), partition); ok {
			done = max(done, c.At)
		}
		end += e.Offset
		lag += max(e.Offset-done, 0)
	}
	return end, lag, nil
}
