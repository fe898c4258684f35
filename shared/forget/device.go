package forget

import (
	"context"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Device removes the stored data of a device, for all contacts: its history, its
// walk-ins, and its place on contacts' lists of devices. If remove is false, Device
// only reports the number of items.
//
// Counts stay, since they belong to contacts. A count holds a hash of the device's
// pseudonym, which identifies the device only to a reader with the pseudonym.
//
// No marker stays: an old login of the device binds the device again when the login
// is redelivered.
//
// The steps, in this order:
//
//  1. Empty the history, produce a null for the device's contact, delete the
//     walk-ins.
//  2. Wait for the stages to process the records that were waiting, and repeat step 1
//     for the bindings and walk-ins that the stages wrote in the meantime.
//  3. Delete the empty history, and last remove the device from contacts' lists. If
//     the run ends before, the next run finds the history or the lists.
func Device(ctx context.Context, deps Deps, key stage.IdentityKey, now time.Time, remove bool) (*Report, error) {
	j := &deviceJob{
		job:    job{Deps: deps, business: key.Business, until: now, report: &Report{Business: key.Business, Device: key.Device}},
		device: key.Device,
	}
	// Count first, with remove still false.
	err := j.sweep(ctx)
	if err == nil {
		err = j.removeFromLists(ctx)
	}
	if err == nil && remove && j.report.Found() {
		j.remove, j.report.Removed, j.report.Devices = true, Removed{}, nil
		err = j.removeAll(ctx)
	}
	return j.finish("device "+string(key.Device), err)
}

// deviceJob forgets one device.
type deviceJob struct {
	job
	device events.DeviceID
}

// removeAll takes the steps that Device lists.
func (j *deviceJob) removeAll(ctx context.Context) error {
	if err := j.sweep(ctx); err != nil {
		return err
	}
	if err := j.settle(ctx); err != nil {
		return err
	}
	if err := j.sweep(ctx); err != nil {
		return err
	}
	if err := j.deleteEmptyHistories(ctx, []events.DeviceID{j.device}); err != nil {
		return err
	}
	return j.removeFromLists(ctx)
}

// sweep empties the device's history, produces the device's contact, and deletes the
// walk-ins.
func (j *deviceJob) sweep(ctx context.Context) error {
	err := j.updateHistory(ctx, j.device, func(presence.History) presence.History { return presence.History{} })
	if err == nil && j.remove {
		err = j.produceContacts(ctx, []events.DeviceID{j.device})
	}
	if err == nil {
		err = j.deleteWalkIns(ctx, j.device, func(*stage.Attribution) bool { return true })
	}
	return err
}

// removeFromLists removes the device from the device lists of all contacts, except
// contacts that have logged in with the device since.
func (j *deviceJob) removeFromLists(ctx context.Context) error {
	var listed []events.ContactID
	err := j.Identities.EachContact(ctx, j.business, func(c events.ContactID, r stage.ContactRecord) error {
		if slices.Contains(r.Devices, j.device) {
			listed = append(listed, c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Change the contacts after the read of all contacts is complete.
	for _, c := range listed {
		if j.remove {
			if err := j.removeFromList(ctx, c); err != nil {
				return err
			}
		}
		j.report.Lists++
	}
	return nil
}

// removeFromList removes the device from the device list of one contact, unless the
// device has a binding to the contact again.
func (j *deviceJob) removeFromList(ctx context.Context, c events.ContactID) error {
	var readErr error
	err := j.updateContact(ctx, c, func(r *stage.ContactRecord) bool {
		var bound []events.DeviceID
		if bound, readErr = j.boundDevices(ctx, c, []events.DeviceID{j.device}); readErr != nil || len(bound) > 0 {
			return false
		}
		r.Devices = slices.DeleteFunc(r.Devices, func(d events.DeviceID) bool { return d == j.device })
		return true
	})
	if err == nil {
		err = readErr
	}
	return err
}
