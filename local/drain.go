package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"footfall/events"
)

// Drain waits until every mapping has processed everything on its topic,
// what later stages produce meanwhile included. Nobody else may be producing.
func (s *Stack) Drain(ctx context.Context) error {
	return s.drain(ctx, func(string) bool { return true })
}

// DrainCRM waits until identify has processed every CRM event there is.
func (s *Stack) DrainCRM(ctx context.Context) error {
	return s.drain(ctx, func(topic string) bool {
		return topic == events.CRMEvents || topic == events.CRMEventsBackfill
	})
}

// errBehind says that a mapping has something left to do.
var errBehind = errors.New("not everything is processed")

// Pauses between looks at the broker while the mappings are idle and behind,
// that is until they fetch what is there.
const (
	minPause = 5 * time.Millisecond
	maxPause = 100 * time.Millisecond
)

// drain waits for the mappings that which names. The graph is done when all end
// offsets are committed in two looks and none has moved from one to the other:
// at the moment between the looks nobody had anything to do. In one look alone
// an early stage could produce after the later one's topic was looked at.
func (s *Stack) drain(ctx context.Context, which func(topic string) bool) error {
	before := int64(-1)
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		if err := s.awaitIdle(ctx, which); err != nil {
			return err
		}
		end, err := s.committedEnd(ctx, which)
		switch {
		case err == nil && end == before:
			return nil
		case err == nil:
			before = end
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

// awaitIdle waits until no mapping holds records or has an invocation in
// flight.
func (s *Stack) awaitIdle(ctx context.Context, which func(topic string) bool) error {
	for _, m := range s.mappings {
		if !which(m.Topic()) {
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

// committedEnd gives the sum of all end offsets if all of them are committed.
func (s *Stack) committedEnd(ctx context.Context, which func(topic string) bool) (sum int64, err error) {
	for _, m := range s.mappings {
		if !which(m.Topic()) {
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

// position gives the sum of a topic's end offsets, and how many records up to
// there a mapping has not committed. Records that retention has dropped do not
// count, although a group that never saw them never commits them either.
func (s *Stack) position(ctx context.Context, m mapping) (end, lag int64, err error) {
	ends, err := s.admin().ListEndOffsets(ctx, m.Topic())
	if err = errors.Join(err, ends.Error()); err != nil {
		return 0, 0, fmt.Errorf("end offsets of %s: %w", m.Topic(), err)
	}
	starts, err := s.admin().ListStartOffsets(ctx, m.Topic())
	if err = errors.Join(err, starts.Error()); err != nil {
		return 0, 0, fmt.Errorf("start offsets of %s: %w", m.Topic(), err)
	}
	committed, err := s.admin().FetchOffsets(ctx, m.Group())
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // it has not joined yet
		return 0, 0, fmt.Errorf("offsets of group %s: %w", m.Group(), err)
	}
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
