package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

var _ stage.Businesses = (*Businesses)(nil)

// Businesses is a stage.Businesses in memory, for tests. It also stores the settings
// that ingest uses. A read includes every write that returned before.
type Businesses struct {
	mu        sync.RWMutex
	histories map[events.BusinessID][]byte // encoded, as in DynamoDB
	doors     map[events.BusinessID]business.Door
}

// NewBusinesses returns an empty store.
func NewBusinesses() *Businesses {
	return &Businesses{histories: map[events.BusinessID][]byte{}, doors: map[events.BusinessID]business.Door{}}
}

// Rules returns the revisions of each business's rules, in the order of ids.
func (b *Businesses) Rules(ctx context.Context, ids []events.BusinessID) ([][]stage.RulesSince, error) {
	all := make([][]stage.RulesSince, len(ids))
	for i, id := range ids {
		s, _, err := b.Read(ctx, id)
		if err == nil {
			all[i], err = s.Revisions.Rules()
		}
		if err != nil {
			return nil, fmt.Errorf("memory: read rules of %s: %w", id, err)
		}
	}
	return all, nil
}

// Entrance returns the settings that ingest uses for a business now. ok is false if
// nothing is stored for the business.
func (b *Businesses) Entrance(ctx context.Context, id events.BusinessID) (e business.Entrance, ok bool, err error) {
	s, ok, err := b.Read(ctx, id)
	if err != nil || !ok {
		return e, false, err
	}
	// Without a revision in force the default rules apply, without a door an empty door.
	inForce := presence.DefaultRules()
	if r, has := s.Revisions.At(time.Now()); has {
		if inForce, err = r.Rules(); err != nil {
			return e, false, err
		}
	}
	if s.Door == nil {
		s.Door = &business.Door{}
	}
	return business.NewEntrance(*s.Door, &inForce), true, nil
}

// PutRules stores a revision of a business's settings. It applies from r.Since on; a
// zero Since replaces all revisions.
func (b *Businesses) PutRules(ctx context.Context, id events.BusinessID, r business.Revision) error {
	// Reject settings that Rules could not turn into rules later.
	_, err := r.Rules()
	if err == nil {
		err = cmp.Or(ctx.Err(), business.ValidID(id))
	}
	if err != nil {
		return fmt.Errorf("memory: put rules of %s: %w", id, err)
	}
	// Add the revision to the stored history, under the lock.
	b.mu.Lock()
	defer b.mu.Unlock()
	var h business.History
	if text, ok := b.histories[id]; ok {
		if h, err = business.DecodeHistory(text); err != nil {
			return fmt.Errorf("memory: put rules of %s: %w", id, err)
		}
	}
	text, err := h.With(r, time.Now()).Encode()
	if err != nil {
		return fmt.Errorf("memory: put rules of %s: %w", id, err)
	}
	b.histories[id] = text
	return nil
}

// PutDoor stores the settings of a business that ingest uses.
func (b *Businesses) PutDoor(ctx context.Context, id events.BusinessID, d business.Door) error {
	if err := cmp.Or(ctx.Err(), business.ValidID(id), d.Validate()); err != nil {
		return fmt.Errorf("memory: put door of %s: %w", id, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doors[id] = copyDoor(d)
	return nil
}

// Read returns everything stored for a business. ok is false if nothing is stored.
func (b *Businesses) Read(ctx context.Context, id events.BusinessID) (s business.Stored, ok bool, err error) {
	if err := ctx.Err(); err != nil {
		return s, false, fmt.Errorf("memory: read %s: %w", id, err)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	text, hasRules := b.histories[id]
	if hasRules {
		if s.Revisions, err = business.DecodeHistory(text); err != nil {
			return s, false, fmt.Errorf("memory: read %s: %w", id, err)
		}
	}
	// A business may have rules without a door, and a door without rules.
	door, hasDoor := b.doors[id]
	if hasDoor {
		door = copyDoor(door)
		s.Door = &door
	}
	return s, hasRules || hasDoor, nil
}

// List returns the ids of all businesses with rules or a door, in ascending order.
func (b *Businesses) List(ctx context.Context) ([]events.BusinessID, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: list businesses: %w", err)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	// A business may be in both maps.
	ids := slices.AppendSeq(slices.Collect(maps.Keys(b.histories)), maps.Keys(b.doors))
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// copyDoor returns a copy of d that shares no memory with d.
func copyDoor(d business.Door) business.Door {
	d.OptOut, d.Senders = slices.Clone(d.OptOut), maps.Clone(d.Senders)
	for kind, s := range d.Senders {
		s.Secrets, s.Routers = slices.Clone(s.Secrets), maps.Clone(s.Routers)
		d.Senders[kind] = s
	}
	return d
}
