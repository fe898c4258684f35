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

// The doubles of enrich, identify and count for the ends of visits and for visits
// that overlap.

// decidesOnce decides whether a visit is a companion when the first fact of the
// visit comes, and never changes that.
type decidesOnce struct {
	*memory.Counts
	totals map[stage.CountKey]map[string]int64
}

func newDecidesOnce() *decidesOnce {
	return &decidesOnce{memory.NewCounts(), map[stage.CountKey]map[string]int64{}}
}

// Add raises the total only if a visit is new.
func (c *decidesOnce) Add(ctx context.Context, key stage.CountKey, month string, facts []presence.Fact) error {
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
	// The number of visits in a month that have begun, and the month's total.
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

// Get returns the totals that Add decided.
func (c *decidesOnce) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	all, err := c.Counts.Get(ctx, key)
	for i := range all {
		if all[i].Month != "" {
			all[i].Total = c.totals[key][all[i].Month]
		}
	}
	return all, err
}

// visitsOnly is a table in which the version of a month is its number of visits, so
// an end does not raise the version.
type visitsOnly struct{ *memory.Counts }

// Get takes the ends off the versions.
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

// withoutEnds is enrich that skips the ends of visits.
type withoutEnds struct{ stage.Handler }

// Handle passes on all records but ends.
func (h withoutEnds) Handle(ctx context.Context, b stage.Batch) error {
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

// endsIgnored returns enrich as withoutEnds.
func endsIgnored(w *world, e *env) stage.Handler { return withoutEnds{w.handlerOf(e)} }

// walkInFirst skips an end whose walk-in is not stored yet.
type walkInFirst struct{ *ports }

// End looks for the walk-in first.
func (p walkInFirst) End(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	all, err := p.OfDevice(ctx, stage.IdentityKey{Business: a.WalkIn.Business, Device: a.WalkIn.Device}, a.WalkIn.StartedAt)
	if err != nil || !slices.ContainsFunc(all, func(o stage.Attribution) bool { return o.WalkIn.ID == a.WalkIn.ID }) {
		return a, err
	}
	return p.ports.End(ctx, a, expires)
}

// endsAfterWalkInsOnly returns enrich with walkInFirst.
func endsAfterWalkInsOnly(_ *world, e *env) stage.Handler {
	p := walkInFirst{e.ports}
	return stage.NewEnrich(stage.EnrichDeps{Identities: p, Pending: p, Out: p})
}

// oneEnd is a table that keeps the first end of each visit or, if last is true, the
// end that comes last, also if it is earlier than another.
type oneEnd struct {
	*memory.Pending
	last bool
	ends map[events.WalkInID]time.Time
}

// oneEndStays replaces the table pending by a oneEnd.
func oneEndStays(last bool) func(*world) {
	return func(w *world) { w.pending = oneEnd{memory.NewPending(), last, map[events.WalkInID]time.Time{}} }
}

// with returns the attribution with the end that the table keeps.
func (p oneEnd) with(a stage.Attribution, err error) (stage.Attribution, error) {
	a.LastSeen = p.ends[a.WalkIn.ID]
	return a, err
}

// End keeps the first or the last end.
func (p oneEnd) End(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	if p.last || p.ends[a.WalkIn.ID].IsZero() {
		p.ends[a.WalkIn.ID] = a.LastSeen
	}
	return p.with(p.Pending.End(ctx, a, expires))
}

// PutNew returns the end that the table keeps.
func (p oneEnd) PutNew(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	return p.with(p.Pending.PutNew(ctx, a, expires))
}

// Resolve returns the end that the table keeps.
func (p oneEnd) Resolve(ctx context.Context, a stage.Attribution) (stage.Attribution, error) {
	return p.with(p.Pending.Resolve(ctx, a))
}

// Stored returns the ends that the table keeps.
func (p oneEnd) Stored(ctx context.Context, walkIns []events.WalkIn) ([]stage.Attribution, error) {
	all, err := p.Pending.Stored(ctx, walkIns)
	for i := range all {
		all[i], _ = p.with(all[i], nil)
	}
	return all, err
}

// OfDevice returns the ends that the table keeps.
func (p oneEnd) OfDevice(ctx context.Context, key stage.IdentityKey, from time.Time) ([]stage.Attribution, error) {
	all, err := p.Pending.OfDevice(ctx, key, from)
	for i := range all {
		all[i], _ = p.with(all[i], nil)
	}
	return all, err
}

// withoutStoredEnd hides the end of a visit from a late attribution.
type withoutStoredEnd struct{ *ports }

// Resolve returns the attribution without its end.
func (p withoutStoredEnd) Resolve(ctx context.Context, a stage.Attribution) (stage.Attribution, error) {
	stored, err := p.ports.Resolve(ctx, a)
	stored.LastSeen = time.Time{}
	return stored, err
}

// Stored returns the attributions without their ends.
func (p withoutStoredEnd) Stored(ctx context.Context, walkIns []events.WalkIn) ([]stage.Attribution, error) {
	all, err := p.ports.Stored(ctx, walkIns)
	for i := range all {
		all[i].LastSeen = time.Time{}
	}
	return all, err
}

// lateWithoutEnd returns identify with withoutStoredEnd.
func lateWithoutEnd(_ *world, e *env) stage.Handler {
	p := withoutStoredEnd{e.ports}
	return stage.NewIdentify(stage.IdentifyDeps{Identities: p, Pending: p, Out: p})
}

// looksOnce finds no walk-in that has changed since its record was produced.
type looksOnce struct{ *ports }

// Stored returns zero attributions, as if the walk-ins were forgotten.
func (looksOnce) Stored(_ context.Context, walkIns []events.WalkIn) ([]stage.Attribution, error) {
	return make([]stage.Attribution, len(walkIns)), nil
}

// looksOnceInEnrich returns enrich with looksOnce.
func looksOnceInEnrich(_ *world, e *env) stage.Handler {
	p := looksOnce{e.ports}
	return stage.NewEnrich(stage.EnrichDeps{Identities: p, Pending: p, Out: p})
}

// looksOnceInIdentify returns identify with looksOnce.
func looksOnceInIdentify(_ *world, e *env) stage.Handler {
	p := looksOnce{e.ports}
	return stage.NewIdentify(stage.IdentifyDeps{Identities: p, Pending: p, Out: p})
}

// withOneVersion produces enriched walk-ins with version 1 throughout.
type withOneVersion struct{ *ports }

// Produce replaces the versions.
func (p withOneVersion) Produce(ctx context.Context, records []stage.Record) error {
	all := slices.Clone(records)
	for i, r := range all {
		e, err := events.DecodeEnrichedWalkIn(r.Key, r.Value)
		if err != nil || r.Topic != events.EnrichedWalkIns {
			continue
		}
		e.Version = 1
		if all[i].Value, err = events.Encode(nil, &e); err != nil {
			return err
		}
	}
	return p.ports.Produce(ctx, all)
}

// oneVersion returns enrich with withOneVersion.
func oneVersion(_ *world, e *env) stage.Handler {
	p := withOneVersion{e.ports}
	return stage.NewEnrich(stage.EnrichDeps{Identities: p, Pending: p, Out: p})
}
