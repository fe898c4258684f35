package memory

import (
	"context"
	"fmt"
	"maps"

	"footfall/events"
	"footfall/shared/stage"
)

// EachContact calls handle with the record of every contact of a business, in no
// order. It stops at the first error of handle and returns it.
func (i *Identities) EachContact(ctx context.Context, b events.BusinessID, handle func(events.ContactID, stage.ContactRecord) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: read contacts of %s: %w", b, err)
	}
	// Do not hold the lock during the calls: handle may use the store.
	i.mu.RLock()
	all := maps.Clone(i.contacts)
	i.mu.RUnlock()
	for key, item := range all {
		if key.business != b {
			continue
		}
		if err := handle(key.contact, copyContact(item.value)); err != nil {
			return err
		}
	}
	return nil
}

// DeleteDevice deletes a device's history if the stored version equals version.
func (i *Identities) DeleteDevice(ctx context.Context, key stage.IdentityKey, version int64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	err := ctx.Err()
	if stored := i.devices[key].version; err == nil && stored != version {
		err = fmt.Errorf("version %d, stored %d: %w", version, stored, stage.ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("memory: delete device %s/%s: %w", key.Business, key.Device, err)
	}
	delete(i.devices, key)
	return nil
}

// Delete deletes a walk-in. It is no error if the walk-in is not stored.
func (p *Pending) Delete(ctx context.Context, w events.WalkIn) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: delete walk-in %s: %w", w.ID, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	device, walkIn := itemKeys(w)
	delete(p.devices[device], walkIn)
	delete(p.expires, walkIn)
	return nil
}

// Delete deletes the base and every month of a contact. It is no error if the
// contact has none.
func (c *Counts) Delete(ctx context.Context, key stage.CountKey) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: delete counts of %s/%s: %w", key.Business, key.Contact, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.contacts, key)
	return nil
}
