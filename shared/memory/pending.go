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

// Pending is a stage.Pending in memory, for tests. It drops expired walk-ins only
// when Expire is called.
type Pending struct {
	mu      sync.RWMutex
	devices map[stage.IdentityKey]map[walkInKey]stage.Attribution
	expires map[walkInKey]time.Time
}

// walkInKey identifies a walk-in of one device. The start is part of the key, as in
// the table of DynamoDB, which is sorted by start.
type walkInKey struct {
	start int64 // milliseconds since 1970
	id    events.WalkInID
}

// NewPending returns an empty store.
func NewPending() *Pending {
	return &Pending{
		devices: map[stage.IdentityKey]map[walkInKey]stage.Attribution{},
		expires: map[walkInKey]time.Time{},
	}
}

// itemKeys returns the two keys of a walk-in: its device, and the walk-in of the
// device.
func itemKeys(w events.WalkIn) (stage.IdentityKey, walkInKey) {
	return stage.IdentityKey{Business: w.Business, Device: w.Device}, walkInKey{w.StartedAt.UnixMilli(), w.ID}
}

// PutNew stores a unless its walk-in is stored already. It returns the attribution
// stored after the call.
func (p *Pending) PutNew(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	if err := ctx.Err(); err != nil {
		return stage.Attribution{}, fmt.Errorf("memory: put walk-in %s: %w", a.WalkIn.ID, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// A redelivered walk-in finds the earlier decision.
	device, walkIn := itemKeys(a.WalkIn)
	if stored, ok := p.devices[device][walkIn]; ok {
		return stored, nil
	}
	// Return the truncated times, as a later read does.
	if p.devices[device] == nil {
		p.devices[device] = map[walkInKey]stage.Attribution{}
	}
	a = truncateTimes(a)
	p.devices[device][walkIn] = a
	p.expires[walkIn] = expires
	return a, nil
}

// End sets when the visit's device was last seen, unless a later time is stored. It
// returns the attribution stored after the call. If the walk-in is not stored, End
// stores its id, business, device and start.
func (p *Pending) End(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	if err := ctx.Err(); err != nil {
		return stage.Attribution{}, fmt.Errorf("memory: end of walk-in %s: %w", a.WalkIn.ID, err)
	}
	// The end may be read before the walk-in. Store a walk-in without a contact then.
	lastSeen := millis(a.LastSeen)
	w := a.WalkIn
	a = stage.Attribution{WalkIn: events.WalkIn{ID: w.ID, Business: w.Business, Device: w.Device, StartedAt: w.StartedAt}}
	if _, err := p.PutNew(ctx, a, expires); err != nil {
		return stage.Attribution{}, err
	}
	// Read again under the lock: another caller may have stored a contact since PutNew.
	p.mu.Lock()
	defer p.mu.Unlock()
	device, walkIn := itemKeys(a.WalkIn)
	stored := p.devices[device][walkIn]
	if lastSeen.After(stored.LastSeen) {
		stored.LastSeen = lastSeen
		p.devices[device][walkIn] = stored
		p.expires[walkIn] = expires
	}
	return stored, nil
}

// Expire drops the walk-ins with an expiry before now, as DynamoDB's TTL does.
func (p *Pending) Expire(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, walkIns := range p.devices {
		maps.DeleteFunc(walkIns, func(k walkInKey, _ stage.Attribution) bool { return p.expires[k].Before(now) })
	}
}

// Resolve sets the contact of a walk-in that has none. It returns the attribution
// stored after the call. It fails if the walk-in is not stored, or if a has no
// contact.
func (p *Pending) Resolve(ctx context.Context, a stage.Attribution) (stage.Attribution, error) {
	stored, err := p.resolve(ctx, truncateTimes(a))
	if err != nil {
		return stage.Attribution{}, fmt.Errorf("memory: resolve walk-in %s: %w", a.WalkIn.ID, err)
	}
	return stored, nil
}

// resolve is Resolve without the name of the walk-in in errors.
func (p *Pending) resolve(ctx context.Context, a stage.Attribution) (stage.Attribution, error) {
	if err := ctx.Err(); err != nil {
		return stage.Attribution{}, err
	}
	if a.Contact == "" {
		return stage.Attribution{}, errors.New("no contact given")
	}
	// The first contact stays, so that every caller emits the same one.
	p.mu.Lock()
	defer p.mu.Unlock()
	device, walkIn := itemKeys(a.WalkIn)
	stored, ok := p.devices[device][walkIn]
	if !ok {
		return stage.Attribution{}, errors.New("the walk-in is not stored")
	}
	if stored.Contact == "" {
		stored.Contact, stored.BoundAt = a.Contact, a.BoundAt
		p.devices[device][walkIn] = stored
	}
	return stored, nil
}

// Stored returns the attributions of walk-ins, in the order of walkIns, with a
// zero Attribution for a walk-in that is not stored.
func (p *Pending) Stored(ctx context.Context, walkIns []events.WalkIn) ([]stage.Attribution, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: read %d walk-ins: %w", len(walkIns), err)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	all := make([]stage.Attribution, len(walkIns))
	for i := range walkIns {
		device, walkIn := itemKeys(walkIns[i])
		all[i] = p.devices[device][walkIn]
	}
	return all, nil
}

// OfDevice returns the walk-ins of a device that started at from or later, in
// ascending order of start and then of id.
func (p *Pending) OfDevice(ctx context.Context, key stage.IdentityKey, from time.Time) ([]stage.Attribution, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: read walk-ins of %s/%s: %w", key.Business, key.Device, err)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	// from is truncated like the stored starts: a walk-in at from is found.
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

// truncateTimes returns a with all times truncated to milliseconds.
func truncateTimes(a stage.Attribution) stage.Attribution {
	a.WalkIn.StartedAt = millis(a.WalkIn.StartedAt)
	a.WalkIn.ConfirmedAt = millis(a.WalkIn.ConfirmedAt)
	a.BoundAt = millis(a.BoundAt)
	a.LastSeen = millis(a.LastSeen)
	return a
}
