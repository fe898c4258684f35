package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"footfall/events"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
)

// IdentifyDeps are the ports that identify uses.
type IdentifyDeps struct {
	Identities Identities
	Pending    Pending
	Out        Producer
}

// NewIdentify returns the stage that binds devices to contacts, from logins,
// merges and deletions in the CRM, and attributes pending walk-ins.
//
// Any CRM event may be redelivered, and may arrive after later events. Bindings
// are stored by their time, so a redelivered event changes nothing and produces
// the same records. A login updates the contact's list of devices first and the
// device's history second, so a later deletion finds every device of the contact.
//
// identify_bind.go has the updates of histories and contacts, identify_pending.go
// the attribution of pending walk-ins.
func NewIdentify(deps IdentifyDeps) Handler { return &identify{deps} }

type identify struct{ deps IdentifyDeps }

// portalSensor is the sensor of the sighting that identify makes of a login.
const portalSensor events.SensorID = "portal"

// Handle applies the CRM events of a batch one by one, in the order of offsets.
func (h *identify) Handle(ctx context.Context, b Batch) error {
	for i := range b.Records {
		r := &b.Records[i]
		e, err := events.DecodeCRM(r.Key, r.Value)
		var out outcome
		if err == nil {
			out, err = h.apply(ctx, e, b.Topic)
		}
		// Decoding may find that the record can never succeed, and so may applying: the
		// contact may have too many devices.
		if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
			out, err = outcome{records: []Record{DeadLetter(pipeline.Identify, r, bad.Reason, bad.Err)}}, nil
		}
		if err == nil {
			err = h.produceUntilCurrent(ctx, out)
		}
		if err != nil {
			return &Failure{Offset: r.Offset, Err: fmt.Errorf("identify %s/%d: %w", b.Topic, b.Partition, err)}
		}
	}
	return nil
}

// outcome holds what one CRM event has to produce.
type outcome struct {
	claimed []Attribution // walk-ins whose enriched walk-ins are produced
	records []Record      // all other records
}

// apply writes one CRM event and returns what to produce.
func (h *identify) apply(ctx context.Context, e events.CRMEvent, topic string) (out outcome, err error) {
	switch {
	case e.Login != nil:
		return h.applyLogin(ctx, e.Login, topic == events.CRMEvents)
	case e.Changed != nil && e.Changed.MergedInto != "":
		out.records, err = h.applyMerge(ctx, e.Changed)
	case e.Deleted != nil:
		out.records, err = h.applyDeletion(ctx, e.Deleted)
	default:
		// A change of details, which identify does not use.
	}
	return out, err
}

// applyLogin binds a device to a contact, attributes the pending walk-ins of the
// device, and returns these walk-ins and the record of the device's contact. live is
// false for a login from the backfill. A live login is also evidence of a device in
// the store, so applyLogin returns a sighting too.
func (h *identify) applyLogin(ctx context.Context, l *events.PortalLogin, live bool) (out outcome, err error) {
	// Write the binding, and look for pending walk-ins after the write. Enrich writes
	// a walk-in, and looks for a binding after the write. So at least one of the two
	// stages sees the other's write.
	key := IdentityKey{l.Business, l.Device}
	walkIns, err := h.startsSince(ctx, key, l, live)
	if err != nil {
		return outcome{}, err
	}
	history, err := h.bind(ctx, key, l.Contact, l.At, func(h presence.History) presence.History {
		return h.Bind(string(l.Contact), l.At, l.Randomised, walkIns...)
	})
	if err != nil {
		return outcome{}, err
	}
	if out.claimed, err = h.claimPending(ctx, key, l.At, history); err != nil {
		return outcome{}, err
	}
	deviceContact, err := DeviceContactRecord(key, history)
	if err != nil {
		return outcome{}, err
	}
	out.records = append(out.records, deviceContact)
	// A login from the backfill is old: the device need not be in the store any more.
	if !live {
		return out, nil
	}
	sighting, err := EncodeRecord(events.Sightings, events.DeviceKey(l.Business, l.Device), &events.Sighting{
		Business: l.Business, Sensor: portalSensor, Device: l.Device,
		SeenAt: l.At, Associated: true, Randomised: l.Randomised,
	})
	if err != nil {
		return outcome{}, fmt.Errorf("encode sighting for login of device %s/%s: %w", l.Business, l.Device, err)
	}
	out.records = append(out.records, sighting)
	return out, nil
}

// startsSince returns the starts of the walk-ins of a device since a login that may
// have renewed its binding. Only the binding of a randomised address expires, and only
// a login from the backfill is old enough that walk-ins lie between it and a later
// login.
func (h *identify) startsSince(ctx context.Context, key IdentityKey, l *events.PortalLogin, live bool) ([]time.Time, error) {
	if live || !l.Randomised {
		return nil, nil
	}
	walkIns, err := h.deps.Pending.OfDevice(ctx, key, l.At)
	if err != nil {
		return nil, err
	}
	starts := make([]time.Time, len(walkIns))
	for i := range walkIns {
		starts[i] = walkIns[i].WalkIn.StartedAt
	}
	return starts, nil
}

// applyMerge hands the devices of a contact over to the contact that survives the
// merge. The merge is written to the contact first; applyDeletion states why.
func (h *identify) applyMerge(ctx context.Context, e *events.ContactChanged) ([]Record, error) {
	_, err := h.updateContact(ctx, e.Business, e.Contact, func(r *ContactRecord) bool {
		// The stored merge may be later than a redelivered one.
		later := e.At.After(r.MergedAt) && e.At.After(r.ForgottenAt)
		if later {
			r.MergedInto, r.MergedAt = e.MergedInto, e.At
		}
		return later
	})
	if err != nil {
		return nil, err
	}
	return h.updateDevices(ctx, e.Business, e.Contact, func(device events.DeviceID) (presence.History, error) {
		return h.bind(ctx, IdentityKey{e.Business, device}, e.MergedInto, e.At, func(h presence.History) presence.History {
			return h.Hand(string(e.Contact), string(e.MergedInto), e.At)
		})
	})
}

// applyDeletion ends the bindings of a deleted contact. The deletion is written to
// the contact first, and the contact's devices are read second. The other CRM topic
// may deliver a login of the contact at the same time: either applyDeletion finds
// the login's device on the list, or the login finds the deletion.
func (h *identify) applyDeletion(ctx context.Context, e *events.ContactDeleted) ([]Record, error) {
	_, err := h.updateContact(ctx, e.Business, e.Contact, func(r *ContactRecord) bool {
		// The stored deletion may be later than a redelivered one.
		later := e.At.After(r.DeletedAt) && e.At.After(r.ForgottenAt)
		if later {
			r.DeletedAt = e.At
		}
		return later
	})
	if err != nil {
		return nil, err
	}
	return h.updateDevices(ctx, e.Business, e.Contact, func(device events.DeviceID) (presence.History, error) {
		return updateHistory(ctx, h.deps.Identities, IdentityKey{e.Business, device}, func(h presence.History) presence.History {
			return h.Release(string(e.Contact), e.At)
		})
	})
}

// produceUntilCurrent produces an outcome, and then the contact of each device and
// each enriched walk-in again until the record produced last equals the stored
// state. changedSince states why for the walk-ins.
//
// Two batches, one per CRM topic, may write the history of a device in one order
// and produce the device's contact in the other order. Compaction keeps the last
// record, so the last record must hold the stored state.
func (h *identify) produceUntilCurrent(ctx context.Context, out outcome) error {
	for len(out.claimed)+len(out.records) > 0 {
		records, err := enrichedRecords(out.claimed)
		if err != nil {
			return err
		}
		if err := h.deps.Out.Produce(ctx, append(records, out.records...)); err != nil {
			return err
		}
		claimed, err := changedSince(ctx, h.deps.Pending, out.claimed)
		if err != nil {
			return err
		}
		// Read the histories of the devices whose contacts were just produced.
		var produced []Record
		var keys []IdentityKey
		for _, r := range out.records {
			if b, d, ok := events.SplitDeviceKey(string(r.Key)); ok && r.Topic == events.DeviceContacts {
				produced, keys = append(produced, r), append(keys, IdentityKey{b, d})
			}
		}
		histories, _, err := h.deps.Identities.Devices(ctx, keys)
		if err != nil {
			return err
		}
		// If another batch has changed a history since, produce the contact again.
		out = outcome{claimed: claimed}
		for i := range histories {
			r, err := DeviceContactRecord(keys[i], histories[i])
			if err != nil {
				return err
			}
			if !bytes.Equal(r.Value, produced[i].Value) {
				out.records = append(out.records, r)
			}
		}
	}
	return nil
}
