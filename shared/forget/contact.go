package forget

import (
	"context"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Contact removes what is kept of a contact and of those that were merged into
// it, for they are the same person, up to at, which is now, or the latest moment
// that the CRM has told of them. Whoever logs in later begins anew. Where do is
// false it only says what there is.
//
// What stays is a marker, the contact's name with at, or a login that is told
// again would bring it all back: a retry, a replay, a backfill. It expires.
//
// In this order:
//
//   - The contact is marked: identify binds nothing to it any more.
//   - Its bindings are taken out of the histories, owners are told anew, its
//     walk-ins are deleted.
//   - What the stages had decided before is waited for, and what that wrote is
//     taken out the same way.
//   - Its count is nulled on walk-in-counts, then deleted, since a count that is
//     gone would not be looked for again.
//   - Empty histories are deleted, and what is known of the contact is reduced
//     to the marker, for its list of devices leads to all the others.
func Contact(ctx context.Context, deps Deps, key stage.CountKey, at time.Time, do bool) (*Report, error) {
	f := &forgetting{
		work:    work{Deps: deps, business: key.Business, at: at, report: &Report{Business: key.Business, Contact: key.Contact}},
		contact: key.Contact,
	}
	err := f.find(ctx)
	if err == nil {
		err = f.ahead(ctx)
	}
	if err == nil {
		err = f.count(ctx)
	}
	if err == nil && do && f.report.Found() {
		f.do, f.report.Removed = true, Removed{}
		err = f.remove(ctx)
	}
	return f.finished("a contact", err)
}

// forgetting is the work on one contact.
type forgetting struct {
	work
	contact events.ContactID
	people  []events.ContactID // that are one person; the contact itself is the last
}

// find finds the people. A merge is kept with the one that it ended, so it takes
// a look at every contact of the business to know who ended in this one.
func (f *forgetting) find(ctx context.Context) error {
	from := map[events.ContactID][]events.ContactID{}
	err := f.Identities.EachContact(ctx, f.business, func(c events.ContactID, r stage.ContactRecord) error {
		if r.MergedInto != "" {
			from[r.MergedInto] = append(from[r.MergedInto], c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.people = []events.ContactID{f.contact}
	for i := 0; i < len(f.people); i++ { // it grows
		for _, c := range from[f.people[i]] {
			if !slices.Contains(f.people, c) {
				f.people = append(f.people, c)
			}
		}
	}
	f.report.Merged = slices.Sorted(slices.Values(f.people[1:]))
	slices.Reverse(f.people)
	return nil
}

// ahead moves the moment to what the CRM has dated later than now: clocks differ.
func (f *forgetting) ahead(ctx context.Context) error {
	later := func(all ...time.Time) {
		for _, t := range all {
			if t.After(f.at) {
				f.at = t
			}
		}
	}
	for _, c := range f.people {
		r, _, err := f.Identities.Contact(ctx, f.business, c)
		if err != nil {
			return err
		}
		later(r.DeletedAt, r.MergedAt)
		keys := make([]stage.IdentityKey, len(r.Devices))
		for i, d := range r.Devices {
			keys[i] = f.key(d)
		}
		histories, _, err := f.Identities.Devices(ctx, keys)
		if err != nil {
			return err
		}
		for _, h := range histories {
			for _, b := range h.Bindings {
				if b.Contact == string(c) || b.Of == string(c) {
					later(b.From)
				}
			}
		}
	}
	return nil
}

// count tallies what there is.
func (f *forgetting) count(ctx context.Context) error {
	for _, c := range f.people {
		r, _, err := f.Identities.Contact(ctx, f.business, c)
		if err != nil {
			return err
		}
		if c == f.contact {
			f.report.ForgottenAt = r.ForgottenAt
			if !slices.Contains(f.people, r.MergedInto) {
				f.report.MergedInto = r.MergedInto
			}
		}
		if known(&r) {
			f.report.Contacts++
		}
	}
	if _, err := f.sweep(ctx); err != nil {
		return err
	}
	return f.counts(ctx)
}

// known says whether anything is known of a contact but that it was forgotten, or
// deleted since.
func known(r *stage.ContactRecord) bool {
	return len(r.Devices) > 0 || r.MergedInto != "" || r.ForgottenAt.IsZero() && !r.DeletedAt.IsZero()
}

// remove does what Contact says, in that order.
func (f *forgetting) remove(ctx context.Context) error {
	// Nobody is marked of whom nothing was found: a mistyped name would stay.
	for _, c := range f.people {
		err := f.work.contact(ctx, c, func(r *stage.ContactRecord) bool {
			marks := f.at.After(r.ForgottenAt)
			r.ForgottenAt = f.at
			return marks
		})
		if err != nil {
			return err
		}
	}
	if _, err := f.sweep(ctx); err != nil {
		return err
	}
	if err := f.settle(ctx); err != nil {
		return err
	}
	devices, err := f.sweep(ctx)
	if err != nil {
		return err
	}
	if err := f.counts(ctx); err != nil {
		return err
	}
	if err := f.drop(ctx, devices); err != nil {
		return err
	}
	return f.reduce(ctx)
}

// sweep takes the people out of the histories and the walk-ins of all devices
// that they ever had, and gives those. Their lists are read anew each time, and
// hold whatever a binding or a walk-in of theirs can be of: identify writes them
// first. Histories come before walk-ins, so that from then on no walk-in is given
// to the people that was not under way.
func (f *forgetting) sweep(ctx context.Context) ([]events.DeviceID, error) {
	var devices []events.DeviceID
	for _, c := range f.people {
		r, _, err := f.Identities.Contact(ctx, f.business, c)
		if err != nil {
			return nil, err
		}
		devices = append(devices, r.Devices...)
	}
	slices.Sort(devices)
	devices = slices.Compact(devices)
	for _, d := range devices {
		err := f.history(ctx, d, func(h presence.History) presence.History {
			for _, c := range f.people {
				h = h.Forget(string(c), f.at)
			}
			return h
		})
		if err != nil {
			return nil, err
		}
	}
	if f.do {
		if err := f.tell(ctx, devices); err != nil {
			return nil, err
		}
	}
	for _, d := range devices {
		err := f.walkIns(ctx, d, func(a *stage.Attribution) bool {
			return slices.Contains(f.people, a.Contact) && !a.BoundAt.After(f.at)
		})
		if err != nil {
			return nil, err
		}
	}
	return devices, nil
}

// counts removes the counts of the people. The null comes first, for a run that
// ends in between finds the count and tells it again; and once more, for a
// walk-in may have been told in between.
func (f *forgetting) counts(ctx context.Context) error {
	for _, c := range f.people {
		key := stage.CountKey{Business: f.business, Contact: c}
		parts, err := f.Counts.Get(ctx, key)
		if err != nil {
			return err
		}
		if f.do {
			if err := f.uncount(ctx, key); err != nil {
				return err
			}
		}
		f.report.Counts += len(parts)
		for _, p := range parts {
			f.report.Counted += p.Total
		}
	}
	return nil
}

func (f *forgetting) uncount(ctx context.Context, key stage.CountKey) error {
	null := []stage.Record{{
		Topic: events.WalkInCounts, Partition: stage.AnyPartition, Key: events.ContactKey(key.Business, key.Contact),
	}}
	if err := f.Out.Produce(ctx, null); err != nil {
		return err
	}
	if err := f.Counts.Delete(ctx, key); err != nil {
		return err
	}
	parts, err := f.Counts.Get(ctx, key)
	if err != nil || len(parts) > 0 { // whoever came back since is counted
		return err
	}
	return f.Out.Produce(ctx, null)
}

// reduce leaves of what is known of the people a marker, and the devices that
// became theirs since.
func (f *forgetting) reduce(ctx context.Context) error {
	for _, c := range f.people {
		var failed error
		reduced := 0
		err := f.work.contact(ctx, c, func(r *stage.ContactRecord) bool {
			if reduced = 0; len(r.Devices) == 0 && r.MergedInto == "" && r.DeletedAt.IsZero() {
				return false
			}
			var back []events.DeviceID
			back, failed = f.owns(ctx, c, r.Devices)
			*r, reduced = stage.ContactRecord{Devices: back, ForgottenAt: r.ForgottenAt}, 1
			return failed == nil
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return err
		}
		f.report.Contacts += reduced
	}
	return nil
}
