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

// CountDeps are the ports that count uses.
type CountDeps struct {
	Counts Counts
	Out    Producer
}

// NewCount returns the stage that counts the visits of each contact.
//
// The table stores facts about visits, and a count is computed from all facts of a
// contact. So the order in which facts arrive does not matter, and a redelivered
// fact adds nothing. The count is produced even if a batch adds nothing: an earlier
// attempt may have added the facts and failed before it could produce the count.
func NewCount(deps CountDeps) Handler { return &count{deps} }

type count struct{ deps CountDeps }

// contactGroup holds the walk-ins of one contact in one batch. For a new base, only
// the key is set.
type contactGroup struct {
	key    CountKey
	latest events.EnrichedWalkIn      // the walk-in with the latest start
	months map[string][]presence.Fact // facts of the visits, by month
	stored []MonthCount               // the parts of the count when the table was last read
}

// Handle counts a batch of enriched walk-ins.
func (c *count) Handle(ctx context.Context, b Batch) error {
	walkIns, dead, err := decodeBatch(pipeline.Count, b, events.DecodeEnrichedWalkIn)
	if err != nil {
		return err
	}
	if err := c.countAll(ctx, groupByContact(walkIns), dead); err != nil {
		return fmt.Errorf("count %s/%d: %w", b.Topic, b.Partition, err)
	}
	return nil
}

// SetBase sets how many visits of a contact were counted before the first stored
// month, and produces the contact's count. base is 0 or more. SetBase may be
// repeated, and may run while walk-ins are counted; the base set last stays.
func SetBase(ctx context.Context, deps CountDeps, key CountKey, base int64) error {
	if base < 0 {
		return fmt.Errorf("set base count of contact %s/%s: %d is below 0", key.Business, key.Contact, base)
	}
	// Produce the count even if the base is stored already: an earlier attempt may
	// have failed between the two.
	c := &count{deps}
	err := c.setBase(ctx, key, base)
	if err == nil {
		err = c.countAll(ctx, []*contactGroup{{key: key}}, nil)
	}
	if err != nil {
		return fmt.Errorf("set base count of contact %s/%s: %w", key.Business, key.Contact, err)
	}
	return nil
}

// setBase stores a base, unless the same base is stored already. After a conflict,
// setBase reads the stored base again: another caller set a base, or the table
// applied an earlier attempt whose answer was lost.
func (c *count) setBase(ctx context.Context, key CountKey, base int64) error {
	for {
		parts, err := c.deps.Counts.Get(ctx, key)
		if err != nil {
			return err
		}
		var former MonthCount // version 0 if no base is stored
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

// groupByContact groups the walk-ins of a batch by contact. A contact then costs
// one round of calls and one record, whatever the number of its walk-ins.
func groupByContact(walkIns []events.EnrichedWalkIn) []*contactGroup {
	var groups []*contactGroup
	byKey := map[CountKey]*contactGroup{}
	for i := range walkIns {
		w := walkIns[i]
		key := CountKey{w.Business, w.Contact}
		// Groups keep the order in which their contacts first occur in the batch.
		g := byKey[key]
		if g == nil {
			g = &contactGroup{key: key, months: map[string][]presence.Fact{}}
			byKey[key] = g
			groups = append(groups, g)
		}
		if !w.StartedAt.Before(g.latest.StartedAt) {
			g.latest = w
		}
		// A walk-in may be in the batch several times; Counts.Add takes each fact once.
		month := presence.MonthOf(w.StartedAt)
		for _, f := range visitFacts(&w) {
			if !slices.Contains(g.months[month], f) {
				g.months[month] = append(g.months[month], f)
			}
		}
	}
	return groups
}

// visitFacts returns the facts that an enriched walk-in states about its visit.
// The start comes first: if Add stores only the first facts, an end alone counts
// nothing.
func visitFacts(w *events.EnrichedWalkIn) []presence.Fact {
	facts := []presence.Fact{presence.Began(string(w.ID), string(w.Device), w.StartedAt)}
	if w.Ended {
		lastSeen := w.StartedAt.Add(time.Duration(w.DwellMillis) * time.Millisecond)
		facts = append(facts, presence.LastSeen(string(w.ID), lastSeen))
	}
	return facts
}

// countAll stores the facts of the groups, and produces the dead letters of the
// batch with the groups' counts. A count is produced again until the count produced
// last equals the stored count.
//
// Two pollers of one partition may add facts in one order and produce the counts in
// the other order. Compaction keeps the last record, so the last record must hold
// the stored count:
//
//  1. Poller A adds a fact and reads version 1.
//  2. Poller B adds a fact, reads version 2 and produces version 2.
//  3. A produces version 1, which compaction would keep. A reads version 2, and
//     produces version 2.
func (c *count) countAll(ctx context.Context, groups []*contactGroup, dead []Record) error {
	err := concurrently(ctx, len(groups), func(ctx context.Context, i int) error { return c.addFacts(ctx, groups[i]) })
	if err == nil {
		err = c.readCounts(ctx, groups)
	}
	out := dead
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
		// Read the counts again. If a version has changed, another poller may have
		// produced a newer count before the count that was just produced.
		produced := make([]int64, len(groups))
		for i, g := range groups {
			produced[i] = g.version()
		}
		err = c.readCounts(ctx, groups)
		var changed []*contactGroup
		for i, g := range groups {
			if g.version() != produced[i] {
				changed = append(changed, g)
			}
		}
		groups, out = changed, nil
	}
	return err
}

// addFacts stores the facts of a group, month by month.
func (c *count) addFacts(ctx context.Context, g *contactGroup) error {
	for _, month := range slices.Sorted(maps.Keys(g.months)) {
		if err := c.deps.Counts.Add(ctx, g.key, month, g.months[month]); err != nil {
			return err
		}
	}
	return nil
}

// readCounts reads the stored counts of the groups.
func (c *count) readCounts(ctx context.Context, groups []*contactGroup) error {
	return concurrently(ctx, len(groups), func(ctx context.Context, i int) (err error) {
		groups[i].stored, err = c.deps.Counts.Get(ctx, groups[i].key)
		return err
	})
}

// version returns the version of the contact's count when the table was last read:
// the sum of the versions of all parts. The version of a part only grows.
//
// The parts are read one by one, so each of two readers may have a newer state of
// some part than the other reader. But the highest sum belongs to a reader with the
// final state of every part, and the poller with the last change reads all parts
// after its change. So the record with the highest version holds the final count.
func (g *contactGroup) version() int64 {
	sum := int64(0)
	for _, p := range g.stored {
		sum += p.Version
	}
	return sum
}

// record returns the record of the contact's count when the table was last read.
// If the batch holds walk-ins of the contact, the record names the latest walk-in
// and its month.
func (g *contactGroup) record() (Record, error) {
	n := events.WalkInCount{
		Business: g.key.Business, Contact: g.key.Contact, WalkInAt: events.NoWalkIn, Version: g.version(),
	}
	// The latest walk-in, or none if a new base is produced.
	if g.latest.ID != "" {
		start := g.latest.StartedAt
		n.WalkIn, n.WalkInAt, n.Month = g.latest.ID, start.UTC().Truncate(time.Millisecond), presence.MonthOf(start)
	}
	// The total is the sum of the base and of all months.
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
		return Record{}, fmt.Errorf("encode count of contact %s/%s: %w", n.Business, n.Contact, err)
	}
	return r, nil
}
