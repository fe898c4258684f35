package simtest

import (
	"context"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// firstCome decides when a visit is first heard of whether it is one with
// another, and stays with that.
type firstCome struct {
	*memory.Counts
	totals map[stage.CountKey]map[string]int64
}

func newFirstCome() *firstCome {
	return &firstCome{memory.NewCounts(), map[stage.CountKey]map[string]int64{}}
}

func (c *firstCome) Add(ctx context.Context, key stage.CountKey, month string, facts []presence.Fact) error {
	before, err := c.Counts.Get(ctx, key)
	if err != nil {
		return err
	}
	if err := c.Counts.Add(ctx, key, month, facts); err != nil {
		return err
	}
	after, err := c.Counts.Get(ctx, key)
	if c.totals[key] == nil {
		c.totals[key] = map[string]int64{}
	}
	in := func(all []stage.MonthCount) (known, total int64) {
		for _, m := range all {
			if m.Month == month {
				for _, f := range m.Facts {
					known += min(f.Start, 1)
				}
				total = m.Total
			}
		}
		return known, total
	}
	known, former := in(before)
	if now, total := in(after); now > known {
		c.totals[key][month] += max(0, total-former)
	}
	return err
}

func (c *firstCome) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	all, err := c.Counts.Get(ctx, key)
	for i := range all {
		if all[i].Month != "" {
			all[i].Total = c.totals[key][all[i].Month]
		}
	}
	return all, err
}

// visitsOnly takes the number of visits for the version of a month.
type visitsOnly struct{ *memory.Counts }

func (c visitsOnly) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	all, err := c.Counts.Get(ctx, key)
	for i := range all {
		for _, f := range all[i].Facts {
			if f.Last != 0 {
				all[i].Version--
			}
		}
	}
	return all, err
}

// endless is enrich that does nothing with ends.
type endless struct{ stage.Handler }

func (h endless) Handle(ctx context.Context, b stage.Batch) error {
	if b.Topic != events.VisitsEnded {
		return h.Handler.Handle(ctx, b)
	}
	b.Records = slices.DeleteFunc(slices.Clone(b.Records), func(r stage.Record) bool {
		_, err := events.DecodeVisitEnded(r.Key, r.Value)
		return err == nil
	})
	if len(b.Records) == 0 {
		return nil
	}
	return h.Handler.Handle(ctx, b)
}

func endsIgnored(w *world, e *env) stage.Handler { return endless{w.handlerOf(e)} }

// walkInFirst takes no end of a walk-in that is not stored.
type walkInFirst struct{ *ports }

func (p walkInFirst) End(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	all, err := p.OfDevice(ctx, stage.IdentityKey{Business: a.WalkIn.Business, Device: a.WalkIn.Device}, a.WalkIn.StartedAt)
	if err != nil || !slices.ContainsFunc(all, func(o stage.Attribution) bool { return o.WalkIn.ID == a.WalkIn.ID }) {
		return a, err
	}
	return p.ports.End(ctx, a, expires)
}

func endsAfterWalkInsOnly(_ *world, e *env) stage.Handler {
	p := walkInFirst{e.ports}
	return stage.NewEnrich(stage.EnrichDeps{Identities: p, Pending: p, Out: p})
}

// oneEnd is a table that keeps the first end of each visit, or where last is set
// the one that came last, whatever it says.
type oneEnd struct {
	*memory.Pending
	last bool
	ends map[events.WalkInID]time.Time
}

func oneEndStays(last bool) func(*world) {
	return func(w *world) { w.pending = oneEnd{memory.NewPending(), last, map[events.WalkInID]time.Time{}} }
}

func (p oneEnd) with(a stage.Attribution, err error) (stage.Attribution, error) {
	a.LastSeen = p.ends[a.WalkIn.ID]
	return a, err
}

func (p oneEnd) End(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	if p.last || p.ends[a.WalkIn.ID].IsZero() {
		p.ends[a.WalkIn.ID] = a.LastSeen
	}
	return p.with(p.Pending.End(ctx, a, expires))
}

func (p oneEnd) PutNew(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	return p.with(p.Pending.PutNew(ctx, a, expires))
}

func (p oneEnd) Resolve(ctx context.Context, a stage.Attribution) (stage.Attribution, error) {
	return p.with(p.Pending.Resolve(ctx, a))
}

func (p oneEnd) OfDevice(ctx context.Context, key stage.IdentityKey, from time.Time) ([]stage.Attribution, error) {
	all, err := p.Pending.OfDevice(ctx, key, from)
	for i := range all {
		all[i], _ = p.with(all[i], nil)
	}
	return all, err
}

// endOverlooked tells a late attribution without the end that is stored.
type endOverlooked struct{ *ports }

func (p endOverlooked) Resolve(ctx context.Context, a stage.Attribution) (stage.Attribution, error) {
	stored, err := p.ports.Resolve(ctx, a)
	stored.LastSeen = time.Time{}
	return stored, err
}

func lateWithoutEnd(_ *world, e *env) stage.Handler {
	p := endOverlooked{e.ports}
	return stage.NewIdentify(stage.IdentifyDeps{Identities: p, Pending: p, Out: p})
}
