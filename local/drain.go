package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"footfall/events"
	"footfall/shared/pipeline"
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

// drain waits for the mappings of the topics that include selects. If a stage of
// these mappings writes to one of the topics, the graph is done when all end
// offsets are committed in two looks and no end offset has moved in between:
// then no mapping had anything to do between the looks. A single look is not
// enough: the look finds a late stage's topic done, an early stage then produces
// to that topic and commits, and the same look finds the early stage's topic
// done too.
func (s *Stack) drain(ctx context.Context, include func(topic string) bool) error {
	var mappings []mapping
	for _, m := range s.mappings {
		if include(m.Topic()) {
			mappings = append(mappings, m)
			defer m.Rush()() // all records are produced, except those of the stages
		}
	}
	lastEnd, once := int64(-1), !feedsItself(pipeline.Default(), include)
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		// Wait without polling the broker while a mapping is at work.
		if err := s.awaitIdle(ctx, mappings); err != nil {
			return err
		}
		// If an end offset has moved since the last look, another look is
		// needed.
		end, err := s.committedEnd(ctx, mappings)
		switch {
		case err == nil && (once || end == lastEnd):
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

// feedsItself reports whether a stage that reads one of the included topics
// writes to one of them.
func feedsItself(g pipeline.Graph, include func(topic string) bool) bool {
	return slices.ContainsFunc(g.Stages, func(spec pipeline.Stage) bool {
		return slices.ContainsFunc(spec.Reads, func(m pipeline.Mapping) bool { return include(m.Topic) }) &&
			slices.ContainsFunc(spec.Writes, include)
	})
}

// awaitIdle waits until no mapping holds records or has an invocation in flight.
func (s *Stack) awaitIdle(ctx context.Context, mappings []mapping) error {
	for _, m := range mappings {
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

// committedEnd returns the sum of the end offsets of the mappings' topics. If a
// mapping has not committed up to the end, the error is errBehind.
func (s *Stack) committedEnd(ctx context.Context, mappings []mapping) (sum int64, err error) {
	positions, err := s.positions(ctx, mappings)
	if err != nil {
		return 0, err
	}
	for i, p := range positions {
		if p.lag > 0 {
			return 0, fmt.Errorf("%w: %s has %d records left on %s", errBehind, mappings[i].stage, p.lag, mappings[i].Topic())
		}
		sum += p.end
	}
	return sum, nil
}

// position is how far a mapping has got.
type position struct {
	end int64 // sum of the end offsets of the topic
	lag int64 // records before the end that the mapping has not committed
}

// positions returns the position of each mapping. Records that retention deleted
// do not count as lag: a group that never read them never commits them either.
func (s *Stack) positions(ctx context.Context, mappings []mapping) ([]position, error) {
	topics := make([]string, len(mappings))
	for i, m := range mappings {
		topics[i] = m.Topic()
	}
	// Ask for the end and the start offsets of all topics.
	ends, err := s.admin().ListEndOffsets(ctx, topics...)
	if err = errors.Join(err, ends.Error()); err != nil {
		return nil, fmt.Errorf("end offsets of %v: %w", topics, err)
	}
	starts, err := s.admin().ListStartOffsets(ctx, topics...)
	if err = errors.Join(err, starts.Error()); err != nil {
		return nil, fmt.Errorf("start offsets of %v: %w", topics, err)
	}
	// A partition without a commit is processed from its start.
	all := make([]position, len(mappings))
	for i, m := range mappings {
		committed, err := s.admin().FetchOffsets(ctx, m.Group())
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // the group has not been joined yet
			return nil, fmt.Errorf("offsets of group %s: %w", m.Group(), err)
		}
		for partition, e := range ends[m.Topic()] {
			first, _ := starts.Lookup(m.Topic(), partition)
			done := first.Offset
			if c, ok := committed.Lookup(m.Topic(), partition); ok {
				done = max(done, c.At)
			}
			all[i].end += e.Offset
			all[i].lag += max(e.Offset-done, 0)
		}
	}
	return all, nil
}
