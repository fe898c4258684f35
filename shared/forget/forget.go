// Package forget removes the stored data of one contact of a business, or of one
// device, from the tables and the compacted topics, and reports the number of
// removed items. Start with Contact (contact.go) and Device (device.go), which state
// the order of the steps.
//
// The stages may run at the same time. Every write is conditional, or a repeatable
// deletion. The records that lead to the rest are removed last: if a run ends at any
// point, the next run finds and removes the rest.
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

// Identities is a stage.Identities from which contacts and devices can be removed.
type Identities interface {
	stage.Identities
	// EachContact calls handle with the record of every contact of a business, in no
	// order, and stops at the first error of handle. Reads MUST be strongly
	// consistent.
	EachContact(ctx context.Context, b events.BusinessID, handle func(events.ContactID, stage.ContactRecord) error) error
	// DeleteDevice MUST delete a device's history only if the stored version equals
	// version, and MUST return stage.ErrConflict otherwise.
	DeleteDevice(ctx context.Context, key stage.IdentityKey, version int64) error
}

// Pending has the calls of a stage.Pending that forgetting needs, and Delete.
type Pending interface {
	OfDevice(ctx context.Context, key stage.IdentityKey, from time.Time) ([]stage.Attribution, error)
	// Delete deletes a walk-in. It MUST return nil if the walk-in is not stored.
	Delete(ctx context.Context, w events.WalkIn) error
}

// Counts has the call of a stage.Counts that forgetting needs, and Delete.
type Counts interface {
	Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error)
	// Delete deletes the base and every month of a contact. It MUST return nil if the
	// contact has none.
	Delete(ctx context.Context, key stage.CountKey) error
}

// Deps are the ports that forgetting uses.
type Deps struct {
	Identities Identities
	Pending    Pending
	Counts     Counts
	Out        stage.Producer
	// Settle waits until the stages have processed every record that was waiting at
	// the time of the call, and returns false if the stages did not get so far. Settle
	// is nil if no stage runs.
	Settle func(context.Context) (settled bool, err error)
}

// job is the common part of forgetting a contact and forgetting a device.
type job struct {
	Deps
	business events.BusinessID
	until    time.Time // bindings from until or before are removed
	remove   bool      // false: only count the items
	report   *Report
}

// deviceKey returns the key of a device's history.
func (j *job) deviceKey(d events.DeviceID) stage.IdentityKey {
	return stage.IdentityKey{Business: j.business, Device: d}
}

// deviceKeys returns the keys of devices' histories, in the order of devices.
func (j *job) deviceKeys(devices []events.DeviceID) []stage.IdentityKey {
	keys := make([]stage.IdentityKey, len(devices))
	for i, d := range devices {
		keys[i] = j.deviceKey(d)
	}
	return keys
}

// settle waits for the stages, and sets Unsettled in the report if the wait was too
// short.
func (j *job) settle(ctx context.Context) error {
	if j.Settle == nil {
		return nil
	}
	settled, err := j.Settle(ctx)
	j.report.Unsettled = !settled
	return err
}

// updateHistory replaces a device's history by the result of f. If a stage changes
// the history between the read and the conditional write, updateHistory reads again
// and calls f again.
//
// An empty history is stored, and deleted later by deleteEmptyHistories. So a stage
// that read the history earlier has a lower version: its conditional write fails, and
// cannot restore the bindings.
func (j *job) updateHistory(ctx context.Context, d events.DeviceID, f func(presence.History) presence.History) error {
	for {
		histories, versions, err := j.Identities.Devices(ctx, []stage.IdentityKey{j.deviceKey(d)})
		if err != nil {
			return err
		}
		h, next := histories[0], f(histories[0])
		changed := !next.Equal(h)
		if changed && j.remove {
			err = j.Identities.PutDevice(ctx, j.deviceKey(d), next, versions[0])
			if errors.Is(err, stage.ErrConflict) {
				continue
			}
		}
		if err != nil {
			return err
		}
		// If the job only counts, count the histories that would be deleted too.
		if changed {
			j.report.Bindings += len(h.Bindings) - len(next.Bindings)
			j.report.addDevice(d)
		}
		if !j.remove && versions[0] > 0 && len(next.Bindings) == 0 {
			j.report.Histories++
		}
		return nil
	}
}

// deleteWalkIns deletes the walk-ins of a device for which matches returns true. The
// deletion needs no condition: the contact of a walk-in never changes. If a retry or
// a replay stores the walk-in again, there is no binding, and the walk-in stays
// unattributed.
func (j *job) deleteWalkIns(ctx context.Context, d events.DeviceID, matches func(*stage.Attribution) bool) error {
	all, err := j.Pending.OfDevice(ctx, j.deviceKey(d), time.Time{})
	if err != nil {
		return err
	}
	for i := range all {
		if !matches(&all[i]) {
			continue
		}
		if j.remove {
			if err := j.Pending.Delete(ctx, all[i].WalkIn); err != nil {
				return err
			}
		}
		j.report.WalkIns++
	}
	return nil
}

// produceContacts produces the contacts of devices on topic device-contacts, until
// the contact produced last for each device equals the stored contact. Identify may
// change a history between the read and the produce, and compaction keeps the last
// record; see produceUntilCurrent of stage identify.
func (j *job) produceContacts(ctx context.Context, devices []events.DeviceID) error {
	keys := j.deviceKeys(devices)
	var produced [][]byte // the values produced last, in the order of keys
	for len(keys) > 0 {
		histories, _, err := j.Identities.Devices(ctx, keys)
		if err != nil {
			return err
		}
		// The first round produces all contacts, later rounds the changed contacts.
		var out []stage.Record
		var changed []stage.IdentityKey
		for i := range keys {
			r, err := stage.DeviceContactRecord(keys[i], histories[i])
			if err != nil {
				return err
			}
			if produced == nil || !bytes.Equal(produced[i], r.Value) {
				out, changed = append(out, r), append(changed, keys[i])
			}
		}
		if len(out) == 0 {
			return nil
		}
		if err := j.Out.Produce(ctx, out); err != nil {
			return err
		}
		keys, produced = changed, make([][]byte, len(out))
		for i := range out {
			produced[i] = out[i].Value
		}
	}
	return nil
}

// deleteEmptyHistories deletes the histories without bindings. The job has emptied
// the histories before, and the stages have settled since, so no stage can restore
// the bindings. A history with new bindings stays.
func (j *job) deleteEmptyHistories(ctx context.Context, devices []events.DeviceID) error {
	for _, d := range devices {
		histories, versions, err := j.Identities.Devices(ctx, []stage.IdentityKey{j.deviceKey(d)})
		if err != nil {
			return err
		}
		if versions[0] == 0 || len(histories[0].Bindings) > 0 {
			continue
		}
		// A conflict means that a login wrote a binding in between: the history stays.
		err = j.Identities.DeleteDevice(ctx, j.deviceKey(d), versions[0])
		switch {
		case err == nil:
			j.report.Histories++
		case !errors.Is(err, stage.ErrConflict):
			return err
		}
	}
	return nil
}

// updateContact changes the record of a contact with f, which reports whether it
// changed the record. If a stage changes the record between the read and the
// conditional write, updateContact reads again and calls f again.
func (j *job) updateContact(ctx context.Context, c events.ContactID, f func(*stage.ContactRecord) bool) error {
	for {
		r, version, err := j.Identities.Contact(ctx, j.business, c)
		if err != nil || !f(&r) {
			return err
		}
		err = j.Identities.PutContact(ctx, j.business, c, r, version)
		if !errors.Is(err, stage.ErrConflict) {
			return err
		}
	}
}

// boundDevices returns the devices with a binding to a contact. When all earlier
// bindings are removed, the result is the devices of later logins. A login that writes
// its binding after this read notices that the device is not on the contact's list,
// and lists the device again.
func (j *job) boundDevices(ctx context.Context, c events.ContactID, devices []events.DeviceID) ([]events.DeviceID, error) {
	histories, _, err := j.Identities.Devices(ctx, j.deviceKeys(devices))
	if err != nil {
		return nil, err
	}
	var bound []events.DeviceID
	for i, h := range histories {
		if slices.ContainsFunc(h.Bindings, func(b presence.Binding) bool { return b.Contact == string(c) }) {
			bound = append(bound, devices[i])
		}
	}
	return bound, nil
}

// finish returns the report of a run, and its error with the name of the subject.
func (j *job) finish(subject string, err error) (*Report, error) {
	if err != nil {
		return j.report, fmt.Errorf("forget %s of business %s: %w", subject, j.business, err)
	}
	j.report.Done = j.remove
	return j.report, nil
}
