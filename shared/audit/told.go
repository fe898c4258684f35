package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/kafka"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// toldWalkIn is a walk-in as topic enriched-walk-ins tells it.
type toldWalkIn struct {
	id     events.WalkInID
	key    stage.CountKey
	device events.DeviceID
	start  time.Time
	last   time.Time // when its device was last seen; zero while no end is told
	// after says that it was told after the audit had begun, endAfter its end.
	after, endAfter bool
	used            bool // it is the one that a visit found by the recount is
}

// told is what enriched-walk-ins tells of some months.
type told struct {
	months   months
	byID     map[events.WalkInID]*toldWalkIn
	byDevice map[string][]*toldWalkIn
	// since is from when on all walk-ins are there: the zero time unless retention
	// has dropped the beginning.
	since time.Time
	read  []kafka.OffsetRange
}

// months are those that a range touches.
type months struct{ from, to time.Time }

// touch says whether a start lies in one of the months, or so near that a visit
// of theirs may have been told with it.
func (m months) touch(start time.Time) bool {
	return (m.from.IsZero() || presence.MonthOf(start.Add(margin)) >= presence.MonthOf(m.from)) &&
		(m.to.IsZero() || presence.MonthOf(start.Add(-margin)) <= presence.MonthOf(m.to.Add(-1)))
}

// in says whether a start lies in the range.
func (m months) in(start time.Time) bool {
	return !start.Before(m.from) && (m.to.IsZero() || start.Before(m.to))
}

// readTold reads what the topic holds now.
func readTold(ctx context.Context, in Input, m months) (*told, error) {
	t := &told{months: m, byID: map[events.WalkInID]*toldWalkIn{}, byDevice: map[string][]*toldWalkIn{}}
	spans, err := kafka.ListOffsetRanges(ctx, in.Client, events.EnrichedWalkIns)
	if err != nil {
		return nil, err
	}
	t.read = spans
	for _, s := range spans {
		first := s.From > 0
		err := in.read(ctx, s, func(r *kgo.Record) error {
			// What was dropped lay before, so it was told before, and took place
			// earlier still.
			if first && r.Timestamp.After(t.since) {
				t.since = r.Timestamp
			}
			first = false
			return t.add(in, r, false)
		})
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

// readOn reads what was told since readTold.
func (t *told) readOn(ctx context.Context, in Input) error {
	spans, err := kafka.ListOffsetRanges(ctx, in.Client, events.EnrichedWalkIns)
	if err != nil {
		return err
	}
	for i, s := range spans {
		if i < len(t.read) {
			s.From = max(s.From, t.read[i].To)
		}
		if err := in.read(ctx, s, func(r *kgo.Record) error { return t.add(in, r, true) }); err != nil {
			return err
		}
	}
	return nil
}

func (t *told) add(in Input, r *kgo.Record, after bool) error {
	in.progress(r)
	w, err := events.DecodeEnrichedWalkIn(r.Key, r.Value)
	if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
		return nil // nobody counts it, so it is a dead letter
	}
	if err != nil {
		return fmt.Errorf("%s/%d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	if !t.months.touch(w.StartedAt) {
		return nil
	}
	last := w.StartedAt.Add(time.Duration(w.DwellMillis) * time.Millisecond)
	if one := t.byID[w.ID]; one != nil {
		if w.Ended && last.After(one.last) {
			one.last, one.endAfter = last, after
		}
		return nil
	}
	one := &toldWalkIn{id: w.ID, key: stage.CountKey{Business: w.Business, Contact: w.Contact}, device: w.Device, start: w.StartedAt, after: after}
	if w.Ended {
		one.last = last
	}
	t.byID[w.ID] = one
	device := string(events.DeviceKey(w.Business, w.Device))
	t.byDevice[device] = append(t.byDevice[device], one)
	return nil
}

// find gives the walk-in that a visit was told as: the nearest of its device
// whose start is at most a step off, which is what disorder may do to it.
func (t *told) find(device string, start time.Time) *toldWalkIn {
	var best *toldWalkIn
	for _, one := range t.byDevice[device] {
		off := one.start.Sub(start).Abs()
		if !one.used && off <= presence.Grid && (best == nil || off < best.start.Sub(start).Abs()) {
			best = one
		}
	}
	return best
}

// readResidents reads of visits-ended when visits of residents began, by device.
func readResidents(ctx context.Context, in Input, m months) (map[string][]time.Time, error) {
	spans, err := kafka.ListOffsetRanges(ctx, in.Client, events.VisitsEnded)
	if err != nil {
		return nil, err
	}
	began := map[string][]time.Time{}
	for _, s := range spans {
		err := in.read(ctx, s, func(r *kgo.Record) error {
			in.progress(r)
			v, err := events.DecodeVisitEnded(r.Key, r.Value)
			if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
				return nil // it tells nothing
			}
			if err != nil {
				return fmt.Errorf("%s/%d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
			}
			if v.Resident && m.touch(v.StartedAt) {
				device := string(events.DeviceKey(v.Business, v.Device))
				began[device] = append(began[device], v.StartedAt)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return began, nil
}

// totals are the latest counts on topic walk-in-counts, by contact.
type totals struct {
	latest map[stage.CountKey]events.WalkInCount
	read   []kafka.OffsetRange
}

// readOn takes in what the topic holds now and was not read before.
func (t *totals) readOn(ctx context.Context, in Input) error {
	spans, err := kafka.ListOffsetRanges(ctx, in.Client, events.WalkInCounts)
	if err != nil {
		return err
	}
	if t.latest == nil {
		t.latest = map[stage.CountKey]events.WalkInCount{}
	}
	former := t.read
	t.read = slices.Clone(spans)
	for i, s := range spans {
		if i < len(former) {
			s.From = max(s.From, former[i].To)
		}
		if err := in.read(ctx, s, func(r *kgo.Record) error { return t.add(in, r) }); err != nil {
			return err
		}
	}
	return nil
}

func (t *totals) add(in Input, r *kgo.Record) error {
	in.progress(r)
	if b, c, ok := events.SplitDeviceKey(string(r.Key)); ok && r.Value == nil { // a contact's key has the same form
		delete(t.latest, stage.CountKey{Business: b, Contact: events.ContactID(c)}) // it was forgotten
		return nil
	}
	c, err := events.DecodeWalkInCount(r.Key, r.Value)
	if err != nil {
		return fmt.Errorf("%s/%d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	key := stage.CountKey{Business: c.Business, Contact: c.Contact}
	if former, ok := t.latest[key]; !ok || c.Version >= former.Version {
		t.latest[key] = c
	}
	return nil
}
