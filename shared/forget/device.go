package forget

import (
	"context"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Device removes what is kept of a device, whoever's it was: its history, its
// walk-ins, its place on the lists of contacts. at is now. Where do is false it
// only says what there is.
//
// Counts stay, for they are of contacts, who came whatever they carried: what
// they hold are hashes that tell nothing of the device to anybody without its
// pseudonym.
//
// No marker stays. A login with the device that is told again binds it again.
func Device(ctx context.Context, deps Deps, key stage.IdentityKey, at time.Time, do bool) (*Report, error) {
	f := &forgettingDevice{
		work:   work{Deps: deps, business: key.Business, at: at, report: &Report{Business: key.Business, Device: key.Device}},
		device: key.Device,
	}
	err := f.sweep(ctx)
	if err == nil {
		err = f.unlist(ctx)
	}
	if err == nil && do && f.report.Found() {
		f.do, f.report.Removed, f.report.Devices = true, Removed{}, nil
		err = f.remove(ctx)
	}
	return f.finished("a device", err)
}

// forgettingDevice is the work on one device.
type forgettingDevice struct {
	work
	device events.DeviceID
}

// remove ends with the lists: they, or the history, lead a run that comes after
// one that was ended to what is left.
func (f *forgettingDevice) remove(ctx context.Context) error {
	if err := f.sweep(ctx); err != nil {
		return err
	}
	if err := f.settle(ctx); err != nil {
		return err
	}
	if err := f.sweep(ctx); err != nil {
		return err
	}
	if err := f.drop(ctx, []events.DeviceID{f.device}); err != nil {
		return err
	}
	return f.unlist(ctx)
}

// sweep empties the history, tells that the device is nobody's, and deletes the
// walk-ins.
func (f *forgettingDevice) sweep(ctx context.Context) error {
	err := f.history(ctx, f.device, func(presence.History) presence.History { return presence.History{} })
	if err == nil && f.do {
		err = f.tell(ctx, []events.DeviceID{f.device})
	}
	if err == nil {
		err = f.walkIns(ctx, f.device, func(*stage.Attribution) bool { return true })
	}
	return err
}

// unlist takes the device off the lists of contacts, but for that of who has
// logged in with it since.
func (f *forgettingDevice) unlist(ctx context.Context) error {
	var on []events.ContactID
	err := f.Identities.EachContact(ctx, f.business, func(c events.ContactID, r stage.ContactRecord) error {
		if slices.Contains(r.Devices, f.device) {
			on = append(on, c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range on {
		if f.do {
			if err := f.unlistFrom(ctx, c); err != nil {
				return err
			}
		}
		f.report.Lists++
	}
	return nil
}

func (f *forgettingDevice) unlistFrom(ctx context.Context, c events.ContactID) error {
	var failed error
	err := f.contact(ctx, c, func(r *stage.ContactRecord) bool {
		var back []events.DeviceID
		if back, failed = f.owns(ctx, c, []events.DeviceID{f.device}); failed != nil || len(back) > 0 {
			return false
		}
		r.Devices = slices.DeleteFunc(r.Devices, func(d events.DeviceID) bool { return d == f.device })
		return true
	})
	if err == nil {
		err = failed
	}
	return err
}
