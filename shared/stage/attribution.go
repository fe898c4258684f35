package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"footfall/events"
	"footfall/shared/presence"
)

// attributionRetention is how long an attribution is kept: longer than the history
// that can be replayed, so a replay finds every decision.
const attributionRetention = 100 * 24 * time.Hour

// attributionExpiry returns the time at which a store may drop the attributions
// that a batch wrote. b must not be empty.
func attributionExpiry(b Batch) time.Time {
	return b.Records[len(b.Records)-1].Timestamp.Add(attributionRetention)
}

// enrichedRecord returns the record of a walk-in that is attributed to a contact,
// with its dwell time if the visit has ended.
func enrichedRecord(a *Attribution) (Record, error) {
	w := &a.WalkIn
	e := events.EnrichedWalkIn{
		ID: w.ID, Business: w.Business, Device: w.Device, Contact: a.Contact,
		StartedAt: w.StartedAt, BoundAt: a.BoundAt, Late: a.BoundAt.After(w.StartedAt),
	}
	if !a.LastSeen.IsZero() {
		e.Ended, e.DwellMillis = true, max(0, a.LastSeen.Sub(w.StartedAt).Milliseconds())
	}
	r, err := EncodeRecord(events.EnrichedWalkIns, events.ContactKey(w.Business, a.Contact), &e)
	if err != nil {
		return Record{}, fmt.Errorf("encode enriched walk-in %s: %w", w.ID, err)
	}
	return r, nil
}

// DeviceContactRecord returns the record of topic device-contacts for a device
// with history h: the contact of the latest binding, or a null if the latest binding
// has ended or the device has no binding.
func DeviceContactRecord(key IdentityKey, h presence.History) (Record, error) {
	r := Record{Topic: events.DeviceContacts, Partition: AnyPartition, Key: events.DeviceKey(key.Business, key.Device)}
	// A null if there is no binding, or a deletion has ended the latest binding.
	held := h.Held()
	if len(held) == 0 || !held[len(held)-1].Until.IsZero() {
		return r, nil
	}
	b := held[len(held)-1]
	r, err := EncodeRecord(events.DeviceContacts, r.Key, &events.DeviceContact{
		Business: key.Business, Device: key.Device, Contact: events.ContactID(b.Contact), BoundAt: b.From,
	})
	if err != nil {
		return Record{}, fmt.Errorf("encode contact of device %s/%s: %w", key.Business, key.Device, err)
	}
	return r, nil
}

// updateHistory replaces a device's history by the result of f, and returns the
// history stored after the call. If another writer changes the history between the
// read and the conditional write, updateHistory reads again and calls f again.
func updateHistory(ctx context.Context, ids Identities, key IdentityKey, f func(presence.History) presence.History) (presence.History, error) {
	for {
		histories, versions, err := ids.Devices(ctx, []IdentityKey{key})
		if err != nil {
			return presence.History{}, err
		}
		// Without a change, such as for a redelivered event, nothing is written.
		next := f(histories[0])
		if next.Equal(histories[0]) {
			return next, nil
		}
		err = ids.PutDevice(ctx, key, next, versions[0])
		if !errors.Is(err, ErrConflict) {
			return next, err
		}
	}
}

// recordSeen stores in a device's history that a walk-in started at seenAt, which
// keeps the binding of a randomised address from expiring.
func recordSeen(ctx context.Context, ids Identities, key IdentityKey, seenAt time.Time) error {
	_, err := updateHistory(ctx, ids, key, func(h presence.History) presence.History {
		next, _ := h.Seen(seenAt)
		return next
	})
	return err
}
