package stage

import (
	"context"
	"fmt"
	"time"

	"footfall/events"
	"footfall/shared/presence"
)

// CountDeps is what count works with.
type CountDeps struct {
	Counts Counts
	Out    Producer
}

// NewCount makes the stage that counts how often a contact has come.
//
// The table remembers which walk-ins a month has counted, so one that comes
// again adds nothing; its count is produced all the same, since the try that
// added it may have died before it could.
func NewCount(deps CountDeps) Handler { return &count{deps} }

type count struct{ deps CountDeps }

// group is the walk-ins of one contact in one batch.
type group struct {
	key    CountKey
	latest events.EnrichedWalkIn
	months map[string][]events.WalkInID
}

// Handle counts a batch of enriched walk-ins.
func (c *count) Handle(ctx context.Context, b Batch) error {
	walkIns, out, err := decodeAll(Count, b, events.DecodeEnrichedWalkIn)
	if err != nil {
		return err
	}
	groups := groupByContact(walkIns)
	counted := make([]Record, len(groups))
	err = each(ctx, len(groups), func(ctx context.Context, i int) (err error) {
		counted[i], err = c.count(ctx, groups[i])
		return err
	})
	if err == nil {
		err = produce(ctx, c.deps.Out, append(out, counted...))
	}
	if err != nil {
		return fmt.Errorf("count %s/%d: %w", b.Topic, b.Partition, err)
	}
	return nil
}

// groupByContact folds a batch, so that a contact costs one round of calls and
// one record however often it is in it.
func groupByContact(walkIns []events.EnrichedWalkIn) []*group {
	var groups []*group
	byKey := map[CountKey]*group{}
	once := map[events.WalkInID]bool{}
	for _, w := range walkIns {
		if once[w.ID] {
			continue
		}
		once[w.ID] = true
		key := CountKey{w.Business, w.Contact}
		g := byKey[key]
		if g == nil {
			g = &group{key: key, months: map[string][]events.WalkInID{}}
			byKey[key] = g
			groups = append(groups, g)
		}
		if !w.StartedAt.Before(g.latest.StartedAt) {
			g.latest = w
		}
		month := presence.MonthOf(w.StartedAt)
		g.months[month] = append(g.months[month], w.ID)
	}
	return groups
}

func (c *count) count(ctx context.Context, g *group) (Record, error) {
	for month, ids := range g.months {
		if err := c.deps.Counts.Add(ctx, g.key, month, ids); err != nil {
			return Record{}, err
		}
	}
	months, err := c.deps.Counts.Get(ctx, g.key)
	if err != nil {
		return Record{}, err
	}
	return countRecord(g, months)
}

// countRecord tells a contact's count. Its version is the count itself, which
// only ever grows.
func countRecord(g *group, months []MonthCount) (Record, error) {
	at := g.latest.StartedAt
	n := events.WalkInCount{
		Business: g.key.Business, Contact: g.key.Contact,
		WalkIn: g.latest.ID, WalkInAt: at.UTC().Truncate(time.Millisecond), Month: presence.MonthOf(at),
	}
	for _, m := range months {
		n.Total += m.Total
		if m.Month == n.Month {
			n.MonthTotal = m.Total
		}
	}
	n.Version = n.Total
	r, err := encoded(events.WalkInCounts, events.ContactKey(n.Business, n.Contact), &n)
	if err != nil {
		return Record{}, fmt.Errorf("count of %s/%s: %w", n.Business, n.Contact, err)
	}
	return r, nil
}
