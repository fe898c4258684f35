package stage

import (
	"context"
	"errors"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/presence"
)

// maxDevices bounds the devices of a contact, and so the size of its item. More
// devices do not belong to one person: the login is passed around.
const maxDevices = 1000

// maxMerges bounds the number of merges that are followed from a contact. The CRM
// may merge contacts in a circle.
const maxMerges = 8

// bind updates a device's history with update, which binds the device to contact
// from bindingAt on, and returns the stored history. The binding comes from a
// login or a merge, which may be processed after a later deletion or merge of the
// contact: bind applies those to the history too.
//
// A deletion may also be processed at the same time, on the other CRM topic:
//
//  1. bind puts the device on the contact's list and finds no deletion.
//  2. The deletion is stored, and the device's history is released: it has no
//     binding yet, so nothing changes.
//  3. bind writes the binding, which would stay for ever.
//
// So bind reads the contacts again after the write of the binding, and repeats the
// update if a contact has changed. The same can happen with a merge.
func (h *identify) bind(ctx context.Context, key IdentityKey, contact events.ContactID, bindingAt time.Time,
	update func(presence.History) presence.History,
) (presence.History, error) {
	changes, err := h.listDevice(ctx, key, contact, bindingAt)
	for err == nil {
		// Write the binding, and what became of the contact after it.
		var history presence.History
		history, err = updateHistory(ctx, h.deps.Identities, key, func(h presence.History) presence.History {
			h = update(h)
			for _, c := range changes {
				h = c.apply(h)
			}
			return h
		})
		if err != nil {
			break
		}
		// If a contact has changed since the read (step 2 above), repeat the update.
		before := changes
		if changes, err = h.listDevice(ctx, key, contact, bindingAt); err == nil && slices.Equal(changes, before) {
			return history, nil
		}
	}
	return presence.History{}, err
}

// contactChanges are the changes of one contact that affect bindings to it.
// Times are zero, and mergedInto is "", if there was no such change.
type contactChanges struct {
	contact     events.ContactID
	deletedAt   time.Time
	mergedInto  events.ContactID
	mergedAt    time.Time
	forgottenAt time.Time
}

// apply returns the history of a device after the changes.
func (c contactChanges) apply(h presence.History) presence.History {
	h = h.Forget(string(c.contact), c.forgottenAt)
	h = h.Release(string(c.contact), c.deletedAt)
	if c.mergedInto != "" {
		h = h.Hand(string(c.contact), string(c.mergedInto), c.mergedAt)
	}
	return h
}

// listDevice puts a device on the device list of a contact, then of the contact
// that survived its merge, and so on. It returns the changes of each of these
// contacts, in the same order.
func (h *identify) listDevice(ctx context.Context, key IdentityKey, contact events.ContactID, bindingAt time.Time) ([]contactChanges, error) {
	var all []contactChanges
	for contact != "" && len(all) < maxMerges {
		r, err := h.addDevice(ctx, key.Business, contact, key.Device, bindingAt)
		if err != nil {
			return nil, err
		}
		all = append(all, contactChanges{contact, r.DeletedAt, r.MergedInto, r.MergedAt, r.ForgottenAt})
		contact, bindingAt = r.MergedInto, r.MergedAt
	}
	return all, nil
}

// addDevice puts a device on a contact's device list, unless the contact was
// forgotten at bindingAt or later, and returns the stored record. If the list is
// full, the error is a BadRecord with reason TooManyDevices: the event can never
// succeed.
func (h *identify) addDevice(ctx context.Context, b events.BusinessID, c events.ContactID, device events.DeviceID, bindingAt time.Time) (ContactRecord, error) {
	full := false
	r, err := h.updateContact(ctx, b, c, func(r *ContactRecord) bool {
		// A CRM event from before the contact was forgotten binds nothing.
		if !bindingAt.After(r.ForgottenAt) {
			return false
		}
		i, found := slices.BinarySearch(r.Devices, device)
		if full = !found && len(r.Devices) >= maxDevices; found || full {
			return false
		}
		r.Devices = slices.Insert(r.Devices, i, device)
		return true
	})
	if full {
		return r, events.Bad(events.TooManyDevices, "contact %s/%s has %d devices already", b, c, maxDevices)
	}
	return r, err
}

// updateDevices calls update for every device that a contact ever had, and returns
// the record of each device's contact afterwards. update returns the device's
// stored history.
func (h *identify) updateDevices(ctx context.Context, b events.BusinessID, c events.ContactID,
	update func(events.DeviceID) (presence.History, error),
) ([]Record, error) {
	contact, _, err := h.deps.Identities.Contact(ctx, b, c)
	if err != nil {
		return nil, err
	}
	// The list is complete: a login lists the device before it binds the device.
	var out []Record
	for _, device := range contact.Devices {
		history, err := update(device)
		if err != nil {
			return nil, err
		}
		r, err := DeviceContactRecord(IdentityKey{b, device}, history)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// updateContact changes the record of a contact with f and returns the stored
// record. f reports whether it changed the record. If another writer changes the
// record between the read and the conditional write, updateContact reads again and
// calls f again.
func (h *identify) updateContact(ctx context.Context, b events.BusinessID, c events.ContactID, f func(*ContactRecord) bool) (ContactRecord, error) {
	for {
		r, version, err := h.deps.Identities.Contact(ctx, b, c)
		// Without a change, such as for a redelivered event, nothing is written.
		if err != nil || !f(&r) {
			return r, err
		}
		err = h.deps.Identities.PutContact(ctx, b, c, r, version)
		if !errors.Is(err, ErrConflict) {
			return r, err
		}
	}
}
