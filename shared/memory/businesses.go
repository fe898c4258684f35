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

// Businesses is a stage.Businesses, with what ingest goes by. What is put is seen
// at once.
type Businesses struct {
	mu        sync.RWMutex
	histories map[events.BusinessID][]byte
	doors     map[events.BusinessID]business.Door
}

// NewBusinesses makes a store that knows no business.
func NewBusinesses() *Businesses {
	return &Businesses{histories: map[events.BusinessID][]byte{}, doors: map[events.BusinessID]business.Door{}}
}

// Rules gives the rules of each business, in the order of ids.
func (b *Businesses) Rules(ctx context.Context, ids []events.BusinessID) ([][]stage.RulesSince, error) {
	all := make([][]stage.RulesSince, len(ids))
	for i, id := range ids {
		s, _, err := b.Read(ctx, id)
		if err == nil {
			all[i], err = s.Revisions.Rules()
		}
		if err != nil {
			return nil, fmt.Errorf("memory: rules of %s: %w", id, err)
		}
	}
	return all, nil
}

// Entrance gives what ingest goes by for a business now; ok is false for one that
// nothing is stored of.
func (b *Businesses) Entrance(ctx context.Context, id events.BusinessID) (e business.Entrance, ok bool, err error) {
	s, ok, err := b.Read(ctx, id)
	if err != nil || !ok {
		return e, false, err
	}
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

// PutRules stores settings that hold from a moment on, the zero time for ever.
func (b *Businesses) PutRules(ctx context.Context, id events.BusinessID, r business.Revision) error {
	_, err := r.Rules()
	if err == nil {
		err = cmp.Or(ctx.Err(), business.ValidID(id))
	}
	if err != nil {
		return fmt.Errorf("memory: put rules of %s: %w", id, err)
	}
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

// PutDoor stores what ingest goes by for a business.
func (b *Businesses) PutDoor(ctx context.Context, id events.BusinessID, d business.Door) error {
	if err := cmp.Or(ctx.Err(), business.ValidID(id), d.Validate()); err != nil {
		return fmt.Errorf("memory: put door of %s: %w", id, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doors[id] = copyDoor(d)
	return nil
}

// Read gives all that is stored of a business; ok is false where that is nothing.
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
	door, hasDoor := b.doors[id]
	if hasDoor {
		door = copyDoor(door)
		s.Door = &door
	}
	return s, hasRules || hasDoor, nil
}

// List gives all businesses of which anything is stored, in order.
func (b *Businesses) List(ctx context.Context) ([]events.BusinessID, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: list businesses: %w", err)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	ids := slices.AppendSeq(slices.Collect(maps.Keys(b.histories)), maps.Keys(b.doors))
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// copyDoor gives a door that shares nothing with d.
func copyDoor(d business.Door) business.Door {
	d.OptOut, d.Senders = slices.Clone(d.OptOut), maps.Clone(d.Senders)
	for kind, s := range d.Senders {
		s.Secrets, s.Routers = slices.Clone(s.Secrets), maps.Clone(s.Routers)
		d.Senders[kind] = s
	}
	return d
}
