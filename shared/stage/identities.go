package stage

import (
	"context"
	"time"

	"footfall/events"
	"footfall/shared/presence"
)

// IdentityKey identifies a device of a business.
type IdentityKey struct {
	Business events.BusinessID
	Device   events.DeviceID
}

// ContactRecord is the stored state of a contact. The zero value is a contact
// about which nothing is stored.
type ContactRecord struct {
	// Devices are all devices that the contact ever had. Identify keeps them
	// sorted.
	Devices   []events.DeviceID
	DeletedAt time.Time // latest deletion; zero if the contact was never deleted
	// MergedInto is the contact that this contact was last merged into, or "", and
	// MergedAt is the time of that merge.
	MergedInto events.ContactID
	MergedAt   time.Time
	// ForgottenAt is the time up to which everything stored about the contact was
	// removed, or zero. CRM events from that time or before bind nothing any more.
	ForgottenAt time.Time
}

// ForgottenRetention is how long the record of a forgotten contact is kept as a
// marker. It is longer than a topic can still redeliver CRM events of the contact.
const ForgottenRetention = 100 * 24 * time.Hour

// Expires returns the time at which a store may drop the record: some time after
// the contact was forgotten. It returns the zero time (never) if the contact was
// not forgotten, or if it has devices or a merge again.
func (r *ContactRecord) Expires() time.Time {
	if r.ForgottenAt.IsZero() || len(r.Devices) > 0 || r.MergedInto != "" {
		return time.Time{}
	}
	return r.ForgottenAt.Add(ForgottenRetention)
}

// Identities stores the bindings of devices to contacts: per device its history,
// per contact its devices. Every item has a version, which is 0 if the item does
// not exist. Reads MUST be strongly consistent. A Put MUST store only if the
// stored version equals version, and MUST return ErrConflict otherwise; it
// stores version+1.
type Identities interface {
	// Devices returns the histories and versions of devices, in the order of keys.
	// An unknown device has a zero history. A key may occur more than once.
	Devices(ctx context.Context, keys []IdentityKey) ([]presence.History, []int64, error)
	PutDevice(ctx context.Context, key IdentityKey, h presence.History, version int64) error
	// Contact returns the record and version of a contact, or a zero record if
	// nothing is stored.
	Contact(ctx context.Context, b events.BusinessID, c events.ContactID) (ContactRecord, int64, error)
	PutContact(ctx context.Context, b events.BusinessID, c events.ContactID, r ContactRecord, version int64) error
}
