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

// version returns the version of the record of an attributed walk-in: 1 until the
// visit has ended, and then a number that grows with the dwell time.
//
// The contact is written once, and of several ends the latest is stored. So the
// version of a stored attribution never falls, and two records of a walk-in with
// the same version are equal, without a counter in the table: also after a replay,
// and while two releases are at work.
func (a *Attribution) version() int64 {
	if a.LastSeen.IsZero() {
		return 1
	}
	return 2 + a.dwellMillis()
}

// dwellMillis returns the time from the start of the visit to LastSeen.
func (a *Attribution) dwellMillis() int64 {
	return max(0, a.LastSeen.Sub(a.WalkIn.StartedAt).Milliseconds())
}

// enrichedRecord returns the record of a walk-in that is attributed to a contact,
// with its dwell time if the visit has ended.
func enrichedRecord(a *Attribution) (Record, error) {
	w := &a.WalkIn
	e := events.EnrichedWalkIn{
		ID: w.ID, Business: w.Business, Device: w.Device, Contact: a.Contact,
		StartedAt: w.StartedAt, BoundAt: a.BoundAt, Late: a.BoundAt.After(w.StartedAt),
		Version: a.version(),
	}
	if !a.LastSeen.IsZero() {
		e.Ended, e.DwellMillis = true, a.dwellMillis()
	}
	r, err := EncodeRecord(events.EnrichedWalkIns, events.ContactKey(w.Business, a.Contact), &e)
	if err != nil {
		return Record{}, fmt.Errorf("encode enriched walk-in %s: %w", w.ID, err)
	}
	return r, nil
}

// enrichedRecords returns the records of attributed walk-ins.
func enrichedRecords(all []Attribution) ([]Record, error) {
	records := make([]Record, len(all))
	for i := range all {
		var err error
		if records[i], err = enrichedRecord(&all[i]); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// changedSince reads attributions again whose records were just produced, and
// returns the stored attributions with another version. Their records must be
// produced again, or the last record of a visit could be an older one:
//
//  1. Enrich stores a walk-in with its contact.
//  2. The end of the visit is stored, by another batch, and produced.
//  3. Enrich produces the record of step 1, which does not say that the visit has
//     ended. Enrich reads again, and produces the end.
//
// A writer that fails after step 3 leaves the older record as the last one, unless
// its retry comes; so readers compare versions.
func changedSince(ctx context.Context, p Pending, produced []Attribution) ([]Attribution, error) {
	if len(produced) == 0 {
		return nil, nil
	}
	walkIns := make([]events.WalkIn, len(produced))
	for i := range produced {
		walkIns[i] = produced[i].WalkIn
	}
	stored, err := p.Stored(ctx, walkIns)
	if err != nil {
		return nil, err
	}
	var changed []Attribution
	for i := range stored {
		// A walk-in without a contact is not stored any more: it was forgotten.
		if stored[i].Contact != "" && stored[i].version() != produced[i].version() {
			changed = append(changed, stored[i])
		}
	}
	return changed, nil
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
// keeps the binding of a randomised address from expiring. It returns the stored
// history.
func recordSeen(ctx context.Context, ids Identities, key IdentityKey, seenAt time.Time) (presence.History, error) {
	return updateHistory(ctx, ids, key, func(h presence.History) presence.History {
		next, _ := h.Seen(seenAt)
		return next
	})
}
