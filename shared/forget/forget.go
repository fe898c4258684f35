// Package forget removes what is kept of one contact of a business, or of one
// device, from the tables and the compacted topics, and says what it removed.
//
// It works while the stages do. Every write is conditional or a deletion that
// can be repeated, and what leads to the rest is removed last: ended anywhere,
// it finishes the work when it is run again.
package forget

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Identities is a stage.Identities of which people can be taken out.
type Identities interface {
	stage.Identities
	// EachContact gives what is known of every contact of a business, in no
	// order, strongly consistent.
	EachContact(ctx context.Context, b events.BusinessID, each func(events.ContactID, stage.ContactRecord) error) error
	// DeleteDevice MUST delete only what still has version, and MUST answer
	// stage.ErrConflict otherwise.
	DeleteDevice(ctx context.Context, key stage.IdentityKey, version int64) error
}

// Pending is what forgetting needs of a stage.Pending.
type Pending interface {
	OfDevice(ctx context.Context, key stage.IdentityKey, from time.Time) ([]stage.Attribution, error)
	// Delete deletes a walk-in, which need not be there.
	Delete(ctx context.Context, w events.WalkIn) error
}

// Counts is what forgetting needs of a stage.Counts.
type Counts interface {
	Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error)
	// Delete deletes the base and every month of a contact, which need not be
	// there.
	Delete(ctx context.Context, key stage.CountKey) error
}

// Deps is what forgetting works with.
type Deps struct {
	Identities Identities
	Pending    Pending
	Counts     Counts
	Out        stage.Producer
	// Settle returns once everything is done that the stages had before them when
	// it was called, or says that it did not come to that. nil where no stage
	// runs.
	Settle func(context.Context) (settled bool, err error)
}

// work is what forgetting a contact and forgetting a device have in common.
type work struct {
	Deps
	business events.BusinessID
	at       time.Time
	do       bool // else only count
	report   *Report
}

func (w *work) key(d events.DeviceID) stage.IdentityKey {
	return stage.IdentityKey{Business: w.business, Device: d}
}

func (w *work) settle(ctx context.Context) error {
	if w.Settle == nil {
		return nil
	}
	settled, err := w.Settle(ctx)
	w.report.Unsettled = !settled
	return err
}

// history replaces a device's history by what f makes of it, and asks f again
// where a stage wrote meanwhile. One with nothing left in it is stored as such,
// and dropped later: whoever still holds what it said meets a higher version.
func (w *work) history(ctx context.Context, d events.DeviceID, f func(presence.History) presence.History) error {
	for {
		histories, versions, err := w.Identities.Devices(ctx, []stage.IdentityKey{w.key(d)})
		if err != nil {
			return err
		}
		h, next := histories[0], f(histories[0])
		changed := !next.Equal(h)
		if changed && w.do {
			err = w.Identities.PutDevice(ctx, w.key(d), next, versions[0])
			if errors.Is(err, stage.ErrConflict) {
				continue
			}
		}
		if err != nil {
			return err
		}
		if changed {
			w.report.Bindings += len(h.Bindings) - len(next.Bindings)
			w.report.addDevice(d)
		}
		if !w.do && versions[0] > 0 && len(next.Bindings) == 0 {
			w.report.Histories++
		}
		return nil
	}
}

// walkIns deletes the walk-ins of a device that are meant, all that are kept of
// it. That takes no condition: a walk-in that has a contact keeps it, and one that
// is put again by a retry, or by a replay, finds nobody to belong to.
func (w *work) walkIns(ctx context.Context, d events.DeviceID, meant func(*stage.Attribution) bool) error {
	all, err := w.Pending.OfDevice(ctx, w.key(d), time.Time{})
	if err != nil {
		return err
	}
	for i := range all {
		if !meant(&all[i]) {
			continue
		}
		if w.do {
			if err := w.Pending.Delete(ctx, all[i].WalkIn); err != nil {
				return err
			}
		}
		w.report.WalkIns++
	}
	return nil
}

// tell tells whose the devices are now, until the last owner told of each is the
// one that is stored: see the same in stage identify.
func (w *work) tell(ctx context.Context, devices []events.DeviceID) error {
	keys := make([]stage.IdentityKey, len(devices))
	for i, d := range devices {
		keys[i] = w.key(d)
	}
	var told [][]byte
	for len(keys) > 0 {
		histories, _, err := w.Identities.Devices(ctx, keys)
		if err != nil {
			return err
		}
		var out []stage.Record
		var left []stage.IdentityKey
		for i := range keys {
			r, err := stage.DeviceContactRecord(keys[i], histories[i])
			if err != nil {
				return err
			}
			if told == nil || !bytes.Equal(told[i], r.Value) {
				out, left = append(out, r), append(left, keys[i])
			}
		}
		if len(out) == 0 {
			return nil
		}
		if err := w.Out.Produce(ctx, out); err != nil {
			return err
		}
		keys, told = left, make([][]byte, len(out))
		for i := range out {
			told[i] = out[i].Value
		}
	}
	return nil
}

// drop deletes the histories that say nothing any more. They were emptied before,
// and who had read them earlier is done, so nobody can bring back what they
// said; one that says something again stays.
func (w *work) drop(ctx context.Context, devices []events.DeviceID) error {
	for _, d := range devices {
		histories, versions, err := w.Identities.Devices(ctx, []stage.IdentityKey{w.key(d)})
		if err != nil {
			return err
		}
		if versions[0] == 0 || len(histories[0].Bindings) > 0 {
			continue
		}
		err = w.Identities.DeleteDevice(ctx, w.key(d), versions[0])
		switch {
		case err == nil:
			w.report.Histories++
		case !errors.Is(err, stage.ErrConflict):
			return err
		}
	}
	return nil
}

// contact changes what is known of a contact; f says whether it changed anything.
func (w *work) contact(ctx context.Context, c events.ContactID, f func(*stage.ContactRecord) bool) error {
	for {
		r, version, err := w.Identities.Contact(ctx, w.business, c)
		if err != nil || !f(&r) {
			return err
		}
		err = w.Identities.PutContact(ctx, w.business, c, r, version)
		if !errors.Is(err, stage.ErrConflict) {
			return err
		}
	}
}

// owns says which of the devices have a binding of a contact: after all bindings
// were taken out, those that a login has made since. A login whose binding comes
// later still finds its device not listed any more, and lists it again.
func (w *work) owns(ctx context.Context, c events.ContactID, devices []events.DeviceID) ([]events.DeviceID, error) {
	keys := make([]stage.IdentityKey, len(devices))
	for i, d := range devices {
		keys[i] = w.key(d)
	}
	histories, _, err := w.Identities.Devices(ctx, keys)
	if err != nil {
		return nil, err
	}
	var owned []events.DeviceID
	for i, h := range histories {
		if slices.ContainsFunc(h.Bindings, func(b presence.Binding) bool { return b.Contact == string(c) }) {
			owned = append(owned, devices[i])
		}
	}
	return owned, nil
}

// finished wraps the error of a run, if there is one.
func (w *work) finished(what string, err error) (*Report, error) {
	if err != nil {
		return w.report, fmt.Errorf("forget %s of %s: %w", what, w.business, err)
	}
	w.report.Done = w.do
	return w.report, nil
}
