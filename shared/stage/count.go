package stage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
)

// CountDeps is what count works with.
type CountDeps struct {
	Counts Counts
	Out    Producer
}

// NewCount makes the stage that counts how often a contact has come.
//
// The table keeps facts of visits, and what they come to is read off them all:
// so it does not matter in which order they are learnt, and one that comes again
// adds nothing. The count is produced all the same, since the try that added it
// may have died before it could.
func NewCount(deps CountDeps) Handler { return &count{deps} }

type count struct{ deps CountDeps }

// group is the walk-ins of one contact in one batch; none where a base was set.
type group struct {
	key    CountKey
	latest events.EnrichedWalkIn
	months map[string][]presence.Fact
	stored []MonthCount // what the table had when it was last read
}

// Handle counts a batch of enriched walk-ins.
func (c *count) Handle(ctx context.Context, b Batch) error {
	walkIns, out, err := decodeAll(pipeline.Count, b, events.DecodeEnrichedWalkIn)
	if err != nil {
		return err
	}
	if err := c.countAll(ctx, groupByContact(walkIns), out); err != nil {
		return fmt.Errorf("count %s/%d: %w", b.Topic, b.Partition, err)
	}
	return nil
}

// SetBase sets what a contact had been counted before the first month that the
// table keeps, and tells the count that follows. It may be called again, and
// while walk-ins are counted: the last base stays. base is 0 or more.
func SetBase(ctx context.Context, deps CountDeps, key CountKey, base int64) error {
	if base < 0 {
		return fmt.Errorf("base count of %s/%s: %d is below 0", key.Business, key.Contact, base)
	}
	c := &count{deps}
	err := c.setBase(ctx, key, base)
	if err == nil {
		err = c.countAll(ctx, []*group{{key: key}}, nil)
	}
	if err != nil {
		return fmt.Errorf("base count of %s/%s: %w", key.Business, key.Contact, err)
	}
	return nil
}

// setBase reads again where somebody else, or an earlier try of ours, was first.
func (c *count) setBase(ctx context.Context, key CountKey, base int64) error {
	for {
		parts, err := c.deps.Counts.Get(ctx, key)
		if err != nil {
			return err
		}
		var former MonthCount
		if len(parts) > 0 && parts[0].Month == "" {
			former = parts[0]
		}
		if former.Version > 0 && former.Total == base {
			return nil
		}
		err = c.deps.Counts.SetBase(ctx, key, base, former.Version)
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// groupByContact folds a batch, so that a contact costs one round of calls and
// one record however often it is in it.
func groupByContact(walkIns []events.EnrichedWalkIn) []*group {
	var groups []*group
	byKey := map[CountKey]*group{}
	for i := range walkIns {
		w := walkIns[i]
		key := CountKey{w.Business, w.Contact}
		g := byKey[key]
		if g == nil {
			g = &group{key: key, months: map[string][]presence.Fact{}}
			byKey[key] = g
			groups = append(groups, g)
		}
		if !w.StartedAt.Before(g.latest.StartedAt) {
			g.latest = w
		}
		month := presence.MonthOf(w.StartedAt)
		for _, f := range factsOf(&w) {
			if !slices.Contains(g.months[month], f) {
				g.months[month] = append(g.months[month], f)
			}
		}
	}
	return groups
}

// factsOf is what an enriched walk-in tells of its visit. That it began comes
// first, for an end alone counts nothing.
func factsOf(w *events.EnrichedWalkIn) []presence.Fact {
	facts := []presence.Fact{presence.Began(string(w.ID), string(w.Device), w.StartedAt)}
	if w.Ended {
		last := w.StartedAt.Add(time.Duration(w.DwellMillis) * time.Millisecond)
		facts = append(facts, presence.LastSeen(string(w.ID), last))
	}
	return facts
}

// countAll counts what is new in the groups and tells their counts, with out
// before them. A count is told again until the last one told is the one stored:
// two pollers may add in one order and produce in the other, and the last record
// is what compaction keeps.
func (c *count) countAll(ctx context.Context, groups []*group, out []Record) error {
	err := each(ctx, len(groups), func(ctx context.Context, i int) error { return c.add(ctx, groups[i]) })
	if err == nil {
		err = c.read(ctx, groups)
	}
	for err == nil && len(groups)+len(out) > 0 {
		for _, g := range groups {
			r, err := g.record()
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		if err := c.deps.Out.Produce(ctx, out); err != nil {
			return err
		}
		told := make([]int64, len(groups))
		for i, g := range groups {
			told[i] = g.version()
		}
		err = c.read(ctx, groups)
		var changed []*group
		for i, g := range groups {
			if g.version() != told[i] {
				changed = append(changed, g)
			}
		}
		groups, out = changed, nil
	}
	return err
}

func (c *count) add(ctx context.Context, g *group) error {
	for _, month := range slices.Sorted(maps.Keys(g.months)) {
		if err := c.deps.Counts.Add(ctx, g.key, month, g.months[month]); err != nil {
			return err
		}
	}
	return nil
}

// read takes in what the table has of the groups.
func (c *count) read(ctx context.Context, groups []*group) error {
	return each(ctx, len(groups), func(ctx context.Context, i int) (err error) {
		groups[i].stored, err = c.deps.Counts.Get(ctx, groups[i].key)
		return err
	})
}

// version grows with every change of the counts, since that of each part does.
// What is stored was read part by part, so other parts may be older in it than
// in what somebody else has read; but only who has read all of them as they are
// in the end has the highest version, and who changed one last reads after it.
func (g *group) version() int64 {
	sum := int64(0)
	for _, p := range g.stored {
		sum += p.Version
	}
	return sum
}

// record tells a contact's count.
func (g *group) record() (Record, error) {
	n := events.WalkInCount{
		Business: g.key.Business, Contact: g.key.Contact, WalkInAt: events.NoWalkIn, Version: g.version(),
	}
	if g.latest.ID != "" {
		at := g.latest.StartedAt
		n.WalkIn, n.WalkInAt, n.Month = g.latest.ID, at.UTC().Truncate(time.Millisecond), presence.MonthOf(at)
	}
	for _, p := range g.stored {
		n.Total += p.Total
		switch p.Month {
		case "":
			n.Base = p.Total
		case n.Month:
			n.MonthTotal = p.Total
		}
	}
	r, err := EncodeRecord(events.WalkInCounts, events.ContactKey(n.Business, n.Contact), &n)
	if err != nil {
		return Record{}, fmt.Errorf("count of %s/%s: %w", n.Business, n.Contact, err)
	}
	return r, nil
}
