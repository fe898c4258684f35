package forget

import (
	"context"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Contact removes the stored data of a contact, and of the contacts that were merged
// into the contact, since all of them are the same person. Data up to now is removed,
// or up to the latest time of a CRM event of the contact if that is later; a login
// after that time starts from nothing. If remove is false, Contact only reports the
// number of items.
//
// A marker stays until it expires: the contact's id with the time up to which the
// contact was forgotten. Without the marker, an older login would bring the data back
// when the login is redelivered, replayed or backfilled.
//
// The steps, in this order:
//
//  1. Mark the contact: identify binds nothing to a marked contact.
//  2. Remove the contact's bindings from the histories, produce the devices'
//     contacts, delete the contact's walk-ins.
//  3. Wait for the stages to process the records that were waiting, and repeat step 2
//     for the bindings and walk-ins that the stages wrote in the meantime.
//  4. Produce a null on walk-in-counts, then delete the count. If the run ends in
//     between, the next run finds the count and produces the null again.
//  5. Delete empty histories. Then reduce the contact's record to the marker. The
//     record comes last because its list of devices leads to everything else: if the
//     run ends before this step, the next run finds the rest by the list.
func Contact(ctx context.Context, deps Deps, key stage.CountKey, now time.Time, remove bool) (*Report, error) {
	j := &contactJob{
		job:     job{Deps: deps, business: key.Business, until: now, report: &Report{Business: key.Business, Contact: key.Contact}},
		contact: key.Contact,
	}
	// Count first, with remove still false.
	err := j.findMerged(ctx)
	if err == nil {
		err = j.raiseUntil(ctx)
	}
	if err == nil {
		err = j.tally(ctx)
	}
	// Nothing is marked if nothing was found: the marker of a mistyped id would stay.
	if err == nil && remove && j.report.Found() {
		j.remove, j.report.Removed = true, Removed{}
		err = j.removeAll(ctx)
	}
	return j.finish("contact "+string(key.Contact), err)
}

// contactJob forgets one contact.
type contactJob struct {
	job
	contact events.ContactID
	// contacts holds every contact that was merged into the contact, directly or by way
	// of others, and last the contact itself.
	contacts []events.ContactID
}

// findMerged sets contacts. A merge is stored in the record of the contact that it
// ended. So finding the contacts that were merged into a contact takes a read of all
// contacts of the business.
func (j *contactJob) findMerged(ctx context.Context) error {
	mergedInto := map[events.ContactID][]events.ContactID{}
	err := j.Identities.EachContact(ctx, j.business, func(c events.ContactID, r stage.ContactRecord) error {
		if r.MergedInto != "" {
			mergedInto[r.MergedInto] = append(mergedInto[r.MergedInto], c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Follow merges from the contact on; contacts grows in the loop. The CRM may merge
	// in a circle.
	j.contacts = []events.ContactID{j.contact}
	for i := 0; i < len(j.contacts); i++ {
		for _, c := range mergedInto[j.contacts[i]] {
			if !slices.Contains(j.contacts, c) {
				j.contacts = append(j.contacts, c)
			}
		}
	}
	j.report.Merged = slices.Sorted(slices.Values(j.contacts[1:]))
	slices.Reverse(j.contacts)
	return nil
}

// raiseUntil raises until to the latest time of a CRM event of the contacts. The
// clock of the CRM may be ahead of ours.
func (j *contactJob) raiseUntil(ctx context.Context) error {
	raise := func(times ...time.Time) {
		for _, t := range times {
			if t.After(j.until) {
				j.until = t
			}
		}
	}
	for _, c := range j.contacts {
		// Deletions and merges.
		r, _, err := j.Identities.Contact(ctx, j.business, c)
		if err != nil {
			return err
		}
		raise(r.DeletedAt, r.MergedAt)
		// Bindings, including those that a merge took from the contact.
		histories, _, err := j.Identities.Devices(ctx, j.deviceKeys(r.Devices))
		if err != nil {
			return err
		}
		for _, h := range histories {
			for _, b := range h.Bindings {
				if b.Contact == string(c) || b.MergedFrom == string(c) {
					raise(b.From)
				}
			}
		}
	}
	return nil
}

// tally counts the items to remove, in the report.
func (j *contactJob) tally(ctx context.Context) error {
	for _, c := range j.contacts {
		r, _, err := j.Identities.Contact(ctx, j.business, c)
		if err != nil {
			return err
		}
		if c == j.contact {
			j.report.ForgottenAt = r.ForgottenAt
			// In a circle of merges, the contact was merged into a contact that is
			// forgotten too.
			if !slices.Contains(j.contacts, r.MergedInto) {
				j.report.MergedInto = r.MergedInto
			}
		}
		if hasState(&r) {
			j.report.Contacts++
		}
	}
	// While remove is false, both calls only count.
	if _, err := j.sweep(ctx); err != nil {
		return err
	}
	return j.removeCounts(ctx)
}

// hasState reports whether a record holds more than a marker. A deletion after the
// contact was forgotten does not count.
func hasState(r *stage.ContactRecord) bool {
	return len(r.Devices) > 0 || r.MergedInto != "" || r.ForgottenAt.IsZero() && !r.DeletedAt.IsZero()
}

// removeAll takes the steps that Contact lists.
func (j *contactJob) removeAll(ctx context.Context) error {
	// 1. Mark.
	for _, c := range j.contacts {
		err := j.updateContact(ctx, c, func(r *stage.ContactRecord) bool {
			changed := j.until.After(r.ForgottenAt)
			r.ForgottenAt = j.until
			return changed
		})
		if err != nil {
			return err
		}
	}
	// 2. Remove bindings and walk-ins.
	if _, err := j.sweep(ctx); err != nil {
		return err
	}
	// 3. Wait for the stages, and remove what they wrote in the meantime.
	if err := j.settle(ctx); err != nil {
		return err
	}
	devices, err := j.sweep(ctx)
	if err != nil {
		return err
	}
	// 4. Counts.
	if err := j.removeCounts(ctx); err != nil {
		return err
	}
	// 5. Histories, then contacts.
	if err := j.deleteEmptyHistories(ctx, devices); err != nil {
		return err
	}
	return j.reduceToMarkers(ctx)
}

// sweep removes the contacts from the histories and the walk-ins of all devices that
// they ever had, and returns the devices.
//
// The contacts' lists of devices are read on each call. A list includes the device of
// every binding and every walk-in, since identify writes the list first. Histories
// are changed before walk-ins: after the change, only a stage that read the history
// earlier can still attribute a walk-in to the contacts.
func (j *contactJob) sweep(ctx context.Context) ([]events.DeviceID, error) {
	var devices []events.DeviceID
	for _, c := range j.contacts {
		r, _, err := j.Identities.Contact(ctx, j.business, c)
		if err != nil {
			return nil, err
		}
		devices = append(devices, r.Devices...)
	}
	slices.Sort(devices)
	devices = slices.Compact(devices)
	// Histories.
	for _, d := range devices {
		err := j.updateHistory(ctx, d, func(h presence.History) presence.History {
			for _, c := range j.contacts {
				h = h.Forget(string(c), j.until)
			}
			return h
		})
		if err != nil {
			return nil, err
		}
	}
	if j.remove {
		if err := j.produceContacts(ctx, devices); err != nil {
			return nil, err
		}
	}
	// Walk-ins, except those of bindings after until.
	for _, d := range devices {
		err := j.deleteWalkIns(ctx, d, func(a *stage.Attribution) bool {
			return slices.Contains(j.contacts, a.Contact) && !a.BoundAt.After(j.until)
		})
		if err != nil {
			return nil, err
		}
	}
	return devices, nil
}

// removeCounts removes the counts of the contacts and adds them to the report.
func (j *contactJob) removeCounts(ctx context.Context) error {
	for _, c := range j.contacts {
		key := stage.CountKey{Business: j.business, Contact: c}
		parts, err := j.Counts.Get(ctx, key)
		if err != nil {
			return err
		}
		if j.remove {
			if err := j.removeCount(ctx, key); err != nil {
				return err
			}
		}
		j.report.Counts += len(parts)
		for _, p := range parts {
			j.report.Counted += p.Total
		}
	}
	return nil
}

// removeCount produces a null for a contact's count, deletes the count, and produces
// the null again.
//
// The first null comes before the deletion: if the run ends between the two, the
// next run finds the count and produces the null again. The second null is for a
// count that stage count produced between the first null and the deletion.
func (j *contactJob) removeCount(ctx context.Context, key stage.CountKey) error {
	null := []stage.Record{{
		Topic: events.WalkInCounts, Partition: stage.AnyPartition, Key: events.ContactKey(key.Business, key.Contact),
	}}
	if err := j.Out.Produce(ctx, null); err != nil {
		return err
	}
	if err := j.Counts.Delete(ctx, key); err != nil {
		return err
	}
	// If a count exists again, the contact has come back: leave the new count.
	parts, err := j.Counts.Get(ctx, key)
	if err != nil || len(parts) > 0 {
		return err
	}
	return j.Out.Produce(ctx, null)
}

// reduceToMarkers reduces the contacts' records to the marker and the devices of
// logins since.
func (j *contactJob) reduceToMarkers(ctx context.Context) error {
	for _, c := range j.contacts {
		var readErr error
		reduced := 0
		err := j.updateContact(ctx, c, func(r *stage.ContactRecord) bool {
			// The function runs again after a conflict, so it starts from 0.
			if reduced = 0; len(r.Devices) == 0 && r.MergedInto == "" && r.DeletedAt.IsZero() {
				return false
			}
			var devices []events.DeviceID
			devices, readErr = j.boundDevices(ctx, c, r.Devices)
			*r, reduced = stage.ContactRecord{Devices: devices, ForgottenAt: r.ForgottenAt}, 1
			return readErr == nil
		})
		if err == nil {
			err = readErr
		}
		if err != nil {
			return err
		}
		j.report.Contacts += reduced
	}
	return nil
}
