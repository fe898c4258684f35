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

// defaultRules decide for a business that has no rules of its own.
var defaultRules = presence.DefaultRules()

// rulebook holds the rules of the businesses of one partition, with the moment
// from which on each revision holds. The watermark selects the revision.
//
// A business is loaded when the first record of it is decided. All known
// businesses are loaded again at each tick. Between two ticks the watermark
// stands still, so no revision begins without being loaded.
//
// The businesses of all devices of a view are loaded: when a device enters the
// view by a sighting, its business has been loaded for the sighting; when a view
// is read from the changelog, settle loads the businesses of all devices; and
// when renew removes businesses, it keeps those of the devices.
type rulebook struct {
	source stage.Businesses
	// known has an entry for each business that was loaded, an empty one if the
	// business has no rules of its own. The map is nil before the first load.
	known map[events.BusinessID][]stage.RulesSince
	// room is twice the number of businesses that had a device when renew last
	// counted them. If known outgrows it by more than spareBusinesses, renew removes
	// the businesses without a device.
	room int
}

// spareBusinesses is how many businesses without a device may be known in any
// case.
const spareBusinesses = 1000

// loadAll loads the businesses that are not known yet, in one call. ids may have
// duplicates; loadAll overwrites it.
func (b *rulebook) loadAll(ctx context.Context, ids []events.BusinessID) error {
	ids = slices.DeleteFunc(ids, func(id events.BusinessID) bool { _, ok := b.known[id]; return ok })
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	return b.ask(ctx, slices.Compact(ids))
}

// ask gets the rules of the businesses from the source, known or not.
func (b *rulebook) ask(ctx context.Context, ids []events.BusinessID) error {
	all, err := b.source.Rules(ctx, ids)
	if err != nil {
		return fmt.Errorf("load the rules of %d businesses, the first of them %s: %w", len(ids), ids[0], err)
	}
	if b.known == nil {
		b.known = make(map[events.BusinessID][]stage.RulesSince, len(ids))
	}
	for i, id := range ids {
		b.known[id] = all[i]
	}
	return nil
}

// renew loads all known businesses again. If none was loaded yet, or if too many
// are known, renew loads the businesses of the devices and forgets the others.
func (b *rulebook) renew(ctx context.Context, devices map[string]*tracked) error {
	ids := maps.Keys(b.known)
	if b.known == nil || len(b.known) > b.room+spareBusinesses {
		withDevices := map[events.BusinessID]struct{}{}
		for key := range devices {
			business, _, _ := events.SplitDeviceKey(key)
			withDevices[business] = struct{}{}
		}
		ids = maps.Keys(withDevices)
		// If the source fails below, the businesses are unknown, not without rules.
		b.known = make(map[events.BusinessID][]stage.RulesSince, len(withDevices))
		b.room = 2 * len(withDevices)
	}
	sorted := slices.Sorted(ids) // so that a simulated run can be repeated
	if len(sorted) == 0 {
		return nil
	}
	return b.ask(ctx, sorted)
}

// load returns the rules of a business that are in force at a watermark. It
// asks the source if the business is not known yet.
func (b *rulebook) load(ctx context.Context, id events.BusinessID, watermark presence.Instant) (*presence.Rules, error) {
	revisions, ok := b.known[id]
	if !ok {
		if err := b.ask(ctx, []events.BusinessID{id}); err != nil {
			return nil, err
		}
		revisions = b.known[id]
	}
	return inForce(revisions, watermark), nil
}

// loaded returns the rules of a business that are in force at a watermark. The
// business must have been loaded.
func (b *rulebook) loaded(id events.BusinessID, watermark presence.Instant) (*presence.Rules, error) {
	revisions, err := b.revisions(id)
	if err != nil {
		return nil, err
	}
	return inForce(revisions, watermark), nil
}

// revisions returns all rules that a business ever had, by ascending moment. It is
// an error if the business was not loaded: without the error, its devices would
// be decided by the defaults instead of its own rules.
func (b *rulebook) revisions(id events.BusinessID) ([]stage.RulesSince, error) {
	revisions, ok := b.known[id]
	if !ok {
		return nil, fmt.Errorf("rules of business %q were not loaded before its devices needed them: a bug in detect, which loaded %d other businesses",
			id, len(b.known))
	}
	return revisions, nil
}

// inForce returns the latest revision that holds at the watermark, or the defaults
// if there is none.
func inForce(revisions []stage.RulesSince, watermark presence.Instant) *presence.Rules {
	for i := len(revisions) - 1; i >= 0; i-- {
		if revisions[i].Since <= watermark {
			return &revisions[i].Rules
		}
	}
	return &defaultRules
}

// boundaries returns the moments after from, up to and including until, at which
// the rules of any business change, in ascending order.
func (b *rulebook) boundaries(from, until presence.Instant) []presence.Instant {
	var all []presence.Instant
	for _, revisions := range b.known {
		for i := range revisions {
			if since := revisions[i].Since; from < since && since <= until {
				all = append(all, since)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// changesAt reports whether a revision of the business begins at the moment. The
// business must have been loaded.
func (b *rulebook) changesAt(id events.BusinessID, moment presence.Instant) (bool, error) {
	revisions, err := b.revisions(id)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(revisions, func(r stage.RulesSince) bool { return r.Since == moment }), nil
}

// businessesOf returns the businesses of the sightings in a batch, from the record
// keys, each once and in no order. If a key is not the key of a device, it is
// skipped: the record is a tick, or goes to the dead letters.
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
