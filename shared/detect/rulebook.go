package detect

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// usual are the rules of a business without any of its own.
var usual = presence.DefaultRules()

// rulebook is what the businesses of one partition decide by. A business is
// asked for when it is first met, and all of them again at each tick: between
// two ticks the clock stands still, and no rules begin that did not hold before.
type rulebook struct {
	source stage.Businesses
	known  map[events.BusinessID][]stage.RulesSince
	room   int // how many businesses there may be, and some, before those without devices go
}

// spareBusinesses is how many more that is.
const spareBusinesses = 1000

// learn asks for the businesses that are not known yet, in one call.
func (b *rulebook) learn(ctx context.Context, ids []events.BusinessID) error {
	ids = slices.DeleteFunc(ids, func(id events.BusinessID) bool { _, ok := b.known[id]; return ok })
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	return b.ask(ctx, slices.Compact(ids))
}

func (b *rulebook) ask(ctx context.Context, ids []events.BusinessID) error {
	all, err := b.source.Rules(ctx, ids)
	if err != nil {
		return fmt.Errorf("rules of %d businesses, %s the first: %w", len(ids), ids[0], err)
	}
	if b.known == nil {
		b.known = make(map[events.BusinessID][]stage.RulesSince, len(ids))
	}
	for i, id := range ids {
		b.known[id] = all[i]
	}
	return nil
}

// renew asks for all businesses anew. Where many are known, and where none is, it
// goes by those of the devices.
func (b *rulebook) renew(ctx context.Context, devices map[string]*tracked) error {
	if b.known == nil || len(b.known) > b.room+spareBusinesses {
		b.known = map[events.BusinessID][]stage.RulesSince{}
		for key := range devices {
			business, _, _ := events.SplitDeviceKey(key)
			b.known[business] = nil
		}
		b.room = 2 * len(b.known)
	}
	if len(b.known) == 0 {
		return nil
	}
	return b.ask(ctx, slices.Sorted(maps.Keys(b.known))) // sorted, so that a run can be repeated
}

// of gives the rules of a business that are in force at a clock.
func (b *rulebook) of(ctx context.Context, id events.BusinessID, clock presence.Instant) (*presence.Rules, error) {
	revisions, ok := b.known[id]
	if !ok {
		if err := b.ask(ctx, []events.BusinessID{id}); err != nil {
			return nil, err
		}
		revisions = b.known[id]
	}
	return inForce(revisions, clock), nil
}

// at is of for a business that is known.
func (b *rulebook) at(id events.BusinessID, clock presence.Instant) *presence.Rules {
	return inForce(b.known[id], clock)
}

func inForce(revisions []stage.RulesSince, clock presence.Instant) *presence.Rules {
	for i := len(revisions) - 1; i >= 0; i-- {
		if revisions[i].Since <= clock {
			return &revisions[i].Rules
		}
	}
	return &usual
}

// boundaries lists the moments later than from and not later than to at which
// the rules of any business change, in their order.
func (b *rulebook) boundaries(from, to presence.Instant) []presence.Instant {
	var all []presence.Instant
	for _, revisions := range b.known {
		for i := range revisions {
			if since := revisions[i].Since; from < since && since <= to {
				all = append(all, since)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// changesAt says whether other rules of the business begin at a moment.
func (b *rulebook) changesAt(id events.BusinessID, since presence.Instant) bool {
	return slices.ContainsFunc(b.known[id], func(r stage.RulesSince) bool { return r.Since == since })
}

// businessesOf lists whose sightings are in a batch, by its keys. A key that is
// none of a device has its record put aside, and is not asked for.
func businessesOf(records []stage.Record) []events.BusinessID {
	seen := map[events.BusinessID]bool{}
	for i := range records {
		id, _, ok := bytes.Cut(records[i].Key, []byte("/"))
		if ok && len(id) > 0 && len(id) <= events.MaxIDBytes && !seen[events.BusinessID(id)] && utf8.Valid(id) {
			seen[events.BusinessID(id)] = true
		}
	}
	return slices.Collect(maps.Keys(seen))
}
