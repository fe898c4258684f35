package memory

import (
	"context"
	"fmt"
	"maps"

	"footfall/events"
	"footfall/shared/stage"
)

// EachContact gives what is known of every contact of a business, in no order.
// What each returns ends it.
func (i *Identities) EachContact(ctx context.Context, b events.BusinessID, each func(events.ContactID, stage.ContactRecord) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: contacts of %s: %w", b, err)
	}
	i.mu.RLock()
	all := maps.Clone(i.contacts)
	i.mu.RUnlock()
	for key, item := range all {
		if key.business != b {
			continue
		}
		if err := each(key.contact, copyContact(item.value)); err != nil {
			return err
		}
	}
	return nil
}

// DeleteDevice deletes a history if its version is still version.
func (i *Identities) DeleteDevice(ctx context.Context, key stage.IdentityKey, version int64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	err := ctx.Err()
	if stored := i.devices[key].version; err == nil && stored != version {
		err = fmt.Errorf("version %d is not the stored one: %w", version, stage.ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("memory: delete device %s/%s: %w", key.Business, key.Device, err)
	}
	delete(i.devices, key)
	return nil
}

// Delete deletes a walk-in, which need not be there.
func (p *Pending) Delete(ctx context.Context, w events.WalkIn) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: delete walk-in %s: %w", w.ID, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	device, walkIn := keysOf(w)
	delete(p.devices[device], walkIn)
	delete(p.expires, walkIn)
	return nil
}

// Delete deletes the base and every month of a contact, which need not be there.
func (c *Counts) Delete(ctx context.Context, key stage.CountKey) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: delete counts of %s/%s: %w", key.Business, key.Contact, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.contacts, key)
	return nil
}
