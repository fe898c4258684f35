package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
)

// IdentifyDeps is what identify works with.
type IdentifyDeps struct {
	Identities Identities
	Pending    Pending
	Out        Producer
}

// NewIdentify makes the stage that keeps whose a device is.
//
// Every event can come twice and late: bindings are kept by their time, so
// telling one again changes nothing and produces the same records. A login is
// written to the contact's list of devices first, then to the device, so that a
// deletion that follows finds every device there is.
func NewIdentify(deps IdentifyDeps) Handler { return &identify{deps} }

type identify struct{ deps IdentifyDeps }

// maxDevices bounds the devices of a contact, and so its item. What has more is
// no person but a login that is passed around.
const maxDevices = 1000

// portalSensor is the sensor of the sighting that a login makes.
const portalSensor events.SensorID = "portal"

// Handle takes CRM events in their order.
func (h *identify) Handle(ctx context.Context, b Batch) error {
	for i := range b.Records {
		r := &b.Records[i]
		e, err := events.DecodeCRM(r.Key, r.Value)
		var out []Record
		if err == nil {
			out, err = h.apply(ctx, e, b.Topic)
		}
		if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
			out, err = []Record{DeadLetter(pipeline.Identify, r, bad.Reason, bad.Err)}, nil
		}
		if err == nil {
			err = h.tell(ctx, out)
		}
		if err != nil {
			return &Failure{Offset: r.Offset, Err: fmt.Errorf("identify %s/%d: %w", b.Topic, b.Partition, err)}
		}
	}
	return nil
}

// tell produces records, and owners again until the last one told of each
// device is the one that is stored: two CRM topics may write of a device in one
// order and produce in the other, and the last record is what compaction keeps.
func (h *identify) tell(ctx context.Context, out []Record) error {
	for len(out) > 0 {
		if err := h.deps.Out.Produce(ctx, out); err != nil {
			return err
		}
		var told []Record
		var keys []IdentityKey
		for _, r := range out {
			if b, d, ok := events.SplitDeviceKey(string(r.Key)); ok && r.Topic == events.DeviceContacts {
				told, keys = append(told, r), append(keys, IdentityKey{b, d})
			}
		}
		histories, _, err := h.deps.Identities.Devices(ctx, keys)
		if err != nil {
			return err
		}
		out = nil
		for i := range histories {
			r, err := DeviceContactRecord(keys[i], histories[i])
			if err != nil {
				return err
			}
			if !bytes.Equal(r.Value, told[i].Value) {
				out = append(out, r)
			}
		}
	}
	return nil
}

func (h *identify) apply(ctx context.Context, e events.CRMEvent, topic string) ([]Record, error) {
	switch {
	case e.Login != nil:
		return h.login(ctx, e.Login, topic == events.CRMEvents)
	case e.Changed != nil && e.Changed.MergedInto != "":
		return h.merge(ctx, e.Changed)
	case e.Deleted != nil:
		return h.release(ctx, e.Deleted)
	default:
		return nil, nil // details of a contact, which nothing here depends on
	}
}

// login binds a device. A live one is also evidence that the device is in the
// store, which one from a backfill is not any more.
func (h *identify) login(ctx context.Context, l *events.PortalLogin, live bool) ([]Record, error) {
	key := IdentityKey{l.Business, l.Device}
	history, err := h.bind(ctx, key, l.Contact, l.At, func(h presence.History) presence.History {
		return h.Bind(string(l.Contact), l.At, l.Randomised)
	})
	if err != nil {
		return nil, err
	}
	out, err := h.resolve(ctx, key, l.At, history)
	if err != nil {
		return nil, err
	}
	owner, err := DeviceContactRecord(key, history)
	if err != nil {
		return nil, err
	}
	out = append(out, owner)
	if !live {
		return out, nil
	}
	sighting, err := EncodeRecord(events.Sightings, events.DeviceKey(l.Business, l.Device), &events.Sighting{
		Business: l.Business, Sensor: portalSensor, Device: l.Device,
		SeenAt: l.At, Associated: true, Randomised: l.Randomised,
	})
	if err != nil {
		return nil, fmt.Errorf("login of %s/%s as a sighting: %w", l.Business, l.Device, err)
	}
	return append(out, sighting), nil
}

// bind has f bind a device to a contact from at on, by a login or a merge, which
// may be told after a deletion or a merge that came after it. Those may also be told
// meanwhile, on the other CRM topic, and have found the device without the
// binding: so the contact is read again when the binding is written.
func (h *identify) bind(ctx context.Context, key IdentityKey, contact events.ContactID, at time.Time,
	f func(presence.History) presence.History,
) (presence.History, error) {
	fates, err := h.fates(ctx, key, contact, at)
	for err == nil {
		var history presence.History
		history, err = change(ctx, h.deps.Identities, key, func(h presence.History) presence.History {
			h = f(h)
			for _, fate := range fates {
				h = fate.apply(h)
			}
			return h
		})
		if err != nil {
			break
		}
		before := fates
		if fates, err = h.fates(ctx, key, contact, at); err == nil && slices.Equal(fates, before) {
			return history, nil
		}
	}
	return presence.History{}, err
}

// fate is what became of a contact.
type fate struct {
	contact     events.ContactID
	deletedAt   time.Time
	mergedInto  events.ContactID
	mergedAt    time.Time
	forgottenAt time.Time
}

func (f fate) apply(h presence.History) presence.History {
	h = h.Forget(string(f.contact), f.forgottenAt)
	h = h.Release(string(f.contact), f.deletedAt)
	if f.mergedInto != "" {
		h = h.Hand(string(f.contact), string(f.mergedInto), f.mergedAt)
	}
	return h
}

// maxMerges bounds how many merges are followed, in case they lead in a circle.
const maxMerges = 8

// fates puts a device on the list of a contact and of those that it was merged
// into, and gives what became of each.
func (h *identify) fates(ctx context.Context, key IdentityKey, contact events.ContactID, at time.Time) ([]fate, error) {
	var all []fate
	for contact != "" && len(all) < maxMerges {
		r, err := h.list(ctx, key.Business, contact, key.Device, at)
		if err != nil {
			return nil, err
		}
		all = append(all, fate{contact, r.DeletedAt, r.MergedInto, r.MergedAt, r.ForgottenAt})
		contact, at = r.MergedInto, r.MergedAt
	}
	return all, nil
}

// resolve attributes the walk-ins that waited for a login at at, and tells those
// again that this login may have attributed: the try that did may have died
// before it could. Which those are is told by what is stored alone, for the
// history may have changed since. A walk-in from before the login may have gone
// by any binding, a later one by the login's or by one after it, such as that of
// a merge, which nobody else tells of.
func (h *identify) resolve(ctx context.Context, key IdentityKey, at time.Time, history presence.History) ([]Record, error) {
	waiting, err := h.deps.Pending.OfDevice(ctx, key, at.Add(-presence.LoginWindow))
	if err != nil {
		return nil, err
	}
	var out []Record
	for _, a := range waiting {
		if a.Contact != "" && a.BoundAt.Before(at) && !a.WalkIn.StartedAt.Before(at) {
			continue
		}
		if a.Contact == "" {
			binding, ok := history.Attribute(a.WalkIn.StartedAt)
			if !ok {
				continue
			}
			a.Contact, a.BoundAt = events.ContactID(binding.Contact), binding.From
			if a, err = h.deps.Pending.Resolve(ctx, a); err != nil {
				return nil, err
			}
		}
		r, err := enriched(&a)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// merge hands the devices of a contact to the one it was merged into. As in
// release, the merge is written first.
func (h *identify) merge(ctx context.Context, e *events.ContactChanged) ([]Record, error) {
	_, err := h.changeContact(ctx, e.Business, e.Contact, func(r *ContactRecord) bool {
		later := e.At.After(r.MergedAt) && e.At.After(r.ForgottenAt)
		if later {
			r.MergedInto, r.MergedAt = e.MergedInto, e.At
		}
		return later
	})
	if err != nil {
		return nil, err
	}
	return h.eachDevice(ctx, e.Business, e.Contact, func(device events.DeviceID) (presence.History, error) {
		return h.bind(ctx, IdentityKey{e.Business, device}, e.MergedInto, e.At, func(h presence.History) presence.History {
			return h.Hand(string(e.Contact), string(e.MergedInto), e.At)
		})
	})
}

// release ends the bindings of a contact that was deleted. The deletion is
// written first: a login that is told meanwhile either is on the list that is
// read then, or knows of it.
func (h *identify) release(ctx context.Context, e *events.ContactDeleted) ([]Record, error) {
	_, err := h.changeContact(ctx, e.Business, e.Contact, func(r *ContactRecord) bool {
		later := e.At.After(r.DeletedAt) && e.At.After(r.ForgottenAt)
		if later {
			r.DeletedAt = e.At
		}
		return later
	})
	if err != nil {
		return nil, err
	}
	return h.eachDevice(ctx, e.Business, e.Contact, func(device events.DeviceID) (presence.History, error) {
		return change(ctx, h.deps.Identities, IdentityKey{e.Business, device}, func(h presence.History) presence.History {
			return h.Release(string(e.Contact), e.At)
		})
	})
}

// eachDevice changes every device a contact ever had and tells whose they are
// then.
func (h *identify) eachDevice(ctx context.Context, b events.BusinessID, c events.ContactID,
	change func(events.DeviceID) (presence.History, error),
) ([]Record, error) {
	contact, _, err := h.deps.Identities.Contact(ctx, b, c)
	if err != nil {
		return nil, err
	}
	var out []Record
	for _, device := range contact.Devices {
		history, err := change(device)
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

// list puts a device that became a contact's at a moment on the contact's list,
// unless the contact was forgotten since, and gives what is known of it then.
func (h *identify) list(ctx context.Context, b events.BusinessID, c events.ContactID, device events.DeviceID, at time.Time) (ContactRecord, error) {
	full := false
	r, err := h.changeContact(ctx, b, c, func(r *ContactRecord) bool {
		if !at.After(r.ForgottenAt) {
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
		return r, events.Bad(events.TooManyDevices, "%s/%s has %d devices already", b, c, maxDevices)
	}
	return r, err
}

// changeContact is change for a contact; f tells whether it changed anything.
func (h *identify) changeContact(ctx context.Context, b events.BusinessID, c events.ContactID, f func(*ContactRecord) bool) (ContactRecord, error) {
	for {
		r, version, err := h.deps.Identities.Contact(ctx, b, c)
		if err != nil || !f(&r) {
			return r, err
		}
		err = h.deps.Identities.PutContact(ctx, b, c, r, version)
		if !errors.Is(err, ErrConflict) {
			return r, err
		}
	}
}

// DeviceContactRecord tells whose a device is after its latest binding, or that it is
// nobody's.
func DeviceContactRecord(key IdentityKey, h presence.History) (Record, error) {
	r := Record{Topic: events.DeviceContacts, Partition: AnyPartition, Key: events.DeviceKey(key.Business, key.Device)}
	held := h.Held()
	if len(held) == 0 || !held[len(held)-1].Until.IsZero() {
		return r, nil
	}
	b := held[len(held)-1]
	r, err := EncodeRecord(events.DeviceContacts, r.Key, &events.DeviceContact{
		Business: key.Business, Device: key.Device, Contact: events.ContactID(b.Contact), BoundAt: b.From,
	})
	if err != nil {
		return Record{}, fmt.Errorf("owner of %s/%s: %w", key.Business, key.Device, err)
	}
	return r, nil
}

// change replaces a device's history by what f makes of it, on condition that
// nobody else did meanwhile, in which case f is asked again. It gives the
// history that is stored then.
func change(ctx context.Context, ids Identities, key IdentityKey, f func(presence.History) presence.History) (presence.History, error) {
	for {
		histories, versions, err := ids.Devices(ctx, []IdentityKey{key})
		if err != nil {
			return presence.History{}, err
		}
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

// seen notes a walk-in of a bound device.
func seen(ctx context.Context, ids Identities, key IdentityKey, at time.Time) error {
	_, err := change(ctx, ids, key, func(h presence.History) presence.History {
		next, _ := h.Seen(at)
		return next
	})
	return err
}
