package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"footfall/events"
	"footfall/shared/stage"
)

var _ stage.Pending = (*Pending)(nil)

// Pending is a stage.Pending. It drops a walk-in only where Expire is called.
type Pending struct {
	mu      sync.RWMutex
	devices map[stage.IdentityKey]map[walkInKey]stage.Attribution
	expires map[walkInKey]time.Time
}

// walkInKey finds a walk-in of one device. The start is part of it because a
// table sorted by start finds it by both.
type walkInKey struct {
	start int64 // milliseconds since 1970
	id    events.WalkInID
}

// NewPending makes a store without walk-ins.
func NewPending() *Pending {
	return &Pending{
		devices: map[stage.IdentityKey]map[walkInKey]stage.Attribution{},
		expires: map[walkInKey]time.Time{},
	}
}

func keysOf(w events.WalkIn) (stage.IdentityKey, walkInKey) {
	return stage.IdentityKey{Business: w.Business, Device: w.Device}, walkInKey{w.StartedAt.UnixMilli(), w.ID}
}

// PutNew stores a unless its walk-in is there, and gives what is stored then.
func (p *Pending) PutNew(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	if err := ctx.Err(); err != nil {
		return stage.Attribution{}, fmt.Errorf("memory: put walk-in %s: %w", a.WalkIn.ID, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	device, walkIn := keysOf(a.WalkIn)
	if stored, ok := p.devices[device][walkIn]; ok {
		return stored, nil
	}
	if p.devices[device] == nil {
		p.devices[device] = map[walkInKey]stage.Attribution{}
	}
	a = cutTimes(a)
	p.devices[device][walkIn] = a
	p.expires[walkIn] = expires
	return a, nil
}

// End notes when the visit's device was last seen, where nothing later is noted,
// and gives what is stored then. It stores a walk-in that was not.
func (p *Pending) End(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	if err := ctx.Err(); err != nil {
		return stage.Attribution{}, fmt.Errorf("memory: end of walk-in %s: %w", a.WalkIn.ID, err)
	}
	last := millis(a.LastSeen)
	w := a.WalkIn
	a = stage.Attribution{WalkIn: events.WalkIn{ID: w.ID, Business: w.Business, Device: w.Device, StartedAt: w.StartedAt}}
	if _, err := p.PutNew(ctx, a, expires); err != nil {
		return stage.Attribution{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	device, walkIn := keysOf(a.WalkIn)
	stored := p.devices[device][walkIn] // somebody may have resolved it meanwhile
	if last.After(stored.LastSeen) {
		stored.LastSeen = last
		p.devices[device][walkIn] = stored
		p.expires[walkIn] = expires
	}
	return stored, nil
}

// Expire drops the walk-ins whose expiry is before now.
func (p *Pending) Expire(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, walkIns := range p.devices {
		maps.DeleteFunc(walkIns, func(k walkInKey, _ stage.Attribution) bool { return p.expires[k].Before(now) })
	}
}

// Resolve sets the contact of a walk-in that has none, and gives what is
// stored then. It fails for a walk-in that is not stored, and for an a without
// a contact.
func (p *Pending) Resolve(ctx context.Context, a stage.Attribution) (stage.Attribution, error) {
	stored, err := p.resolve(ctx, cutTimes(a))
	if err != nil {
		return stage.Attribution{}, fmt.Errorf("memory: resolve walk-in %s: %w", a.WalkIn.ID, err)
	}
	return stored, nil
}

func (p *Pending) resolve(ctx context.Context, a stage.Attribution) (stage.Attribution, error) {
	if err := ctx.Err(); err != nil {
		return stage.Attribution{}, err
	}
	if a.Contact == "" {
		return stage.Attribution{}, errors.New("no contact given")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	device, walkIn := keysOf(a.WalkIn)
	stored, ok := p.devices[device][walkIn]
	if !ok {
		return stage.Attribution{}, errors.New("it is not stored")
	}
	if stored.Contact == "" {
		stored.Contact, stored.BoundAt = a.Contact, a.BoundAt
		p.devices[device][walkIn] = stored
	}
	return stored, nil
}

// OfDevice gives the walk-ins of a device that started at from or later, in
// the order of their start, those of one start in the order of their ids.
func (p *Pending) OfDevice(ctx context.Context, key stage.IdentityKey, from time.Time) ([]stage.Attribution, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: walk-ins of %s/%s: %w", key.Business, key.Device, err)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	var found []stage.Attribution
	for k, a := range p.devices[key] {
		if k.start >= from.UnixMilli() {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b stage.Attribution) int {
		return cmp.Or(a.WalkIn.StartedAt.Compare(b.WalkIn.StartedAt), cmp.Compare(a.WalkIn.ID, b.WalkIn.ID))
	})
	return found, nil
}

func cutTimes(a stage.Attribution) stage.Attribution {
	a.WalkIn.StartedAt = millis(a.WalkIn.StartedAt)
	a.WalkIn.ConfirmedAt = millis(a.WalkIn.ConfirmedAt)
	a.BoundAt = millis(a.BoundAt)
	a.LastSeen = millis(a.LastSeen)
	return a
}
