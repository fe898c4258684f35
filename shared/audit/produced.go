package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/kafka"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// producedWalkIn is a walk-in as topic enriched-walk-ins holds it.
type producedWalkIn struct {
	id      events.WalkInID
	contact stage.CountKey
	device  events.DeviceID
	start   time.Time
	last    time.Time // when the device was last seen; zero if no end was produced
	// newest is the record of the highest version so far, and overtaken is set if the
	// last record read is an older one.
	newest    events.EnrichedWalkIn
	overtaken bool
	// meanwhile is set if the walk-in was produced while the audit was reading, and
	// endMeanwhile if its end was.
	meanwhile, endMeanwhile bool
	used                    bool // the walk-in belongs to an expected visit
}

// producedWalkIns holds the walk-ins on enriched-walk-ins of some months.
type producedWalkIns struct {
	limits   timeRange
	byID     map[events.WalkInID]*producedWalkIn
	byDevice map[string][]*producedWalkIn
	// since is the time from which on the topic holds all walk-ins, or the zero time
	// if retention has dropped no record.
	since time.Time
	read  []kafka.OffsetRange
}

// timeRange is a range of starts: at or after from, before to. A zero time is no
// limit.
type timeRange struct{ from, to time.Time }

// touches reports whether a start lies in one of the months of the range, widened by
// margin, since the produced start may differ from the recounted start.
func (r timeRange) touches(start time.Time) bool {
	return (r.from.IsZero() || presence.MonthOf(start.Add(margin)) >= presence.MonthOf(r.from)) &&
		(r.to.IsZero() || presence.MonthOf(start.Add(-margin)) <= presence.MonthOf(r.to.Add(-1)))
}

// contains reports whether a start lies in the range.
func (r timeRange) contains(start time.Time) bool {
	return !start.Before(r.from) && (r.to.IsZero() || start.Before(r.to))
}

// readProduced reads the present records of enriched-walk-ins.
func readProduced(ctx context.Context, in Input, limits timeRange) (*producedWalkIns, error) {
	p := &producedWalkIns{limits: limits, byID: map[events.WalkInID]*producedWalkIn{}, byDevice: map[string][]*producedWalkIn{}}
	ranges, err := kafka.ListOffsetRanges(ctx, in.Client, events.EnrichedWalkIns)
	if err != nil {
		return nil, err
	}
	p.read = ranges
	for _, held := range ranges {
		first := held.From > 0
		err := in.read(ctx, held, func(r *kgo.Record) error {
			// Retention has dropped the records before this one. The dropped records were
			// produced before this timestamp, and their walk-ins began earlier still. So
			// the partition is complete from this timestamp on, and the topic is complete
			// from the latest such timestamp of all partitions on.
			if first && r.Timestamp.After(p.since) {
				p.since = r.Timestamp
			}
			first = false
			return p.add(in, r, false)
		})
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// readOn reads the records produced since readProduced.
func (p *producedWalkIns) readOn(ctx context.Context, in Input) error {
	ranges, err := kafka.ListOffsetRanges(ctx, in.Client, events.EnrichedWalkIns)
	if err != nil {
		return err
	}
	for i, held := range ranges {
		if i < len(p.read) {
			held.From = max(held.From, p.read[i].To)
		}
		if err := in.read(ctx, held, func(r *kgo.Record) error { return p.add(in, r, true) }); err != nil {
			return err
		}
	}
	return nil
}

// add adds the walk-in of one record. Several records may have the same walk-in:
// records are redelivered, and the end of a visit comes in a record of its own.
func (p *producedWalkIns) add(in Input, r *kgo.Record, meanwhile bool) error {
	in.progress(r)
	w, err := events.DecodeEnrichedWalkIn(r.Key, r.Value)
	if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
		return nil // count sends such a record to the dead letters
	}
	if err != nil {
		return fmt.Errorf("decode %s/%d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	if !p.limits.touches(w.StartedAt) {
		return nil
	}

	// A known walk-in can get a later end. A record that is older than one before it
	// changes nothing.
	var end time.Time
	if w.Ended {
		end = w.StartedAt.Add(time.Duration(w.DwellMillis) * time.Millisecond)
	}
	if one := p.byID[w.ID]; one != nil {
		one.overtaken = one.newest.Newer(&w)
		if w.Newer(&one.newest) {
			one.newest, one.last, one.endMeanwhile = w, end, one.endMeanwhile || meanwhile
		}
		return nil
	}
	one := &producedWalkIn{
		id: w.ID, contact: stage.CountKey{Business: w.Business, Contact: w.Contact},
		device: w.Device, start: w.StartedAt, last: end, newest: w, meanwhile: meanwhile,
	}
	p.byID[w.ID] = one
	device := string(events.DeviceKey(w.Business, w.Device))
	p.byDevice[device] = append(p.byDevice[device], one)
	return nil
}

// find returns the produced walk-in of a recounted visit, or nil: the walk-in of the
// device with the nearest start, at most one step off. Input out of order can shift
// the start by one step.
func (p *producedWalkIns) find(device string, start time.Time) *producedWalkIn {
	var best *producedWalkIn
	for _, one := range p.byDevice[device] {
		off := one.start.Sub(start).Abs()
		if !one.used && off <= presence.Grid && (best == nil || off < best.start.Sub(start).Abs()) {
			best = one
		}
	}
	return best
}

// visitEnds holds the content of visits-ended for some months.
type visitEnds struct {
	residents map[string][]time.Time        // starts of the visits of resident devices, by device
	last      map[events.WalkInID]time.Time // when the device was last seen, of the other visits
}

// readEnds reads visits-ended.
func readEnds(ctx context.Context, in Input, limits timeRange) (*visitEnds, error) {
	ranges, err := kafka.ListOffsetRanges(ctx, in.Client, events.VisitsEnded)
	if err != nil {
		return nil, err
	}
	ends := &visitEnds{residents: map[string][]time.Time{}, last: map[events.WalkInID]time.Time{}}
	for _, held := range ranges {
		err := in.read(ctx, held, func(r *kgo.Record) error {
			in.progress(r)
			v, err := events.DecodeVisitEnded(r.Key, r.Value)
			if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
				return nil // an undecodable record names no device
			}
			if err != nil {
				return fmt.Errorf("decode %s/%d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
			}
			// A visit may end several times; the latest end counts.
			switch {
			case !limits.touches(v.StartedAt):
			case v.Resident:
				device := string(events.DeviceKey(v.Business, v.Device))
				ends.residents[device] = append(ends.residents[device], v.StartedAt)
			case v.LastSeenAt.After(ends.last[v.ID]):
				ends.last[v.ID] = v.LastSeenAt
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return ends, nil
}
