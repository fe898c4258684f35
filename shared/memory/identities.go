package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

var _ stage.Identities = (*Identities)(nil)

// Identities is a stage.Identities in memory, for tests. An item that was never
// written, or was deleted, reads as the zero value with version 0.
type Identities struct {
	mu       sync.RWMutex
	devices  map[stage.IdentityKey]versioned[presence.History]
	contacts map[contactKey]versioned[stage.ContactRecord]
}

type contactKey struct {
	business events.BusinessID
	contact  events.ContactID
}

// versioned is an item with the number of times it was written.
type versioned[T any] struct {
	value   T
	version int64
}

// NewIdentities returns an empty store.
func NewIdentities() *Identities {
	return &Identities{
		devices:  map[stage.IdentityKey]versioned[presence.History]{},
		contacts: map[contactKey]versioned[stage.ContactRecord]{},
	}
}

// Devices returns the histories of the devices and their versions, in the order of
// keys.
func (i *Identities) Devices(ctx context.Context, keys []stage.IdentityKey) ([]presence.History, []int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("memory: read histories of %d devices: %w", len(keys), err)
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	// A key may occur more than once: each occurrence gets a copy of its own.
	histories := make([]presence.History, len(keys))
	versions := make([]int64, len(keys))
	for n, key := range keys {
		item := i.devices[key]
		histories[n], versions[n] = copyHistory(item.value), item.version
	}
	return histories, versions, nil
}

// PutDevice stores a device's history if the stored version equals version.
func (i *Identities) PutDevice(ctx context.Context, key stage.IdentityKey, h presence.History, version int64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := putVersioned(ctx, i.devices, key, copyHistory(h), version); err != nil {
		return fmt.Errorf("memory: put device %s/%s: %w", key.Business, key.Device, err)
	}
	return nil
}

// Contact returns the record of a contact and its version.
func (i *Identities) Contact(ctx context.Context, b events.BusinessID, c events.ContactID) (stage.ContactRecord, int64, error) {
	if err := ctx.Err(); err != nil {
		return stage.ContactRecord{}, 0, fmt.Errorf("memory: read contact %s/%s: %w", b, c, err)
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	item := i.contacts[contactKey{b, c}]
	return copyContact(item.value), item.version, nil
}

// copyContact returns a copy of r with truncated times.
func copyContact(r stage.ContactRecord) stage.ContactRecord {
	r.Devices, r.DeletedAt, r.MergedAt = slices.Clone(r.Devices), millis(r.DeletedAt), millis(r.MergedAt)
	r.ForgottenAt = millis(r.ForgottenAt)
	return r
}

// PutContact stores the record of a contact if the stored version equals version.
func (i *Identities) PutContact(ctx context.Context, b events.BusinessID, c events.ContactID, r stage.ContactRecord, version int64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := putVersioned(ctx, i.contacts, contactKey{b, c}, copyContact(r), version); err != nil {
		return fmt.Errorf("memory: put contact %s/%s: %w", b, c, err)
	}
	return nil
}

// putVersioned is the conditional write. The caller holds the lock from the
// comparison to the write: otherwise two writers could both find their version
// stored.
func putVersioned[K comparable, T any](ctx context.Context, items map[K]versioned[T], key K, value T, version int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if stored := items[key].version; stored != version {
		return fmt.Errorf("version %d, stored %d: %w", version, stored, stage.ErrConflict)
	}
	items[key] = versioned[T]{value, version + 1}
	return nil
}
