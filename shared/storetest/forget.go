package storetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// ErasableIdentities is a stage.Identities with the calls that shared/forget needs.
type ErasableIdentities interface {
	stage.Identities
	EachContact(ctx context.Context, b events.BusinessID, handle func(events.ContactID, stage.ContactRecord) error) error
	DeleteDevice(ctx context.Context, key stage.IdentityKey, version int64) error
}

// ForgetIdentities tests DeleteDevice and EachContact of s, which is empty.
func ForgetIdentities(t *testing.T, s ErasableIdentities) {
	// DeleteDevice needs the stored version: 0 for a device that is not stored.
	for _, version := range []int64{1, -1} {
		wantConflict(t, s.DeleteDevice(t.Context(), shopDevice, version))
	}
	other := stage.IdentityKey{Business: "shop", Device: "device/2"}
	for _, key := range []stage.IdentityKey{shopDevice, other} {
		noError(t, s.PutDevice(t.Context(), key, bound("anna"), 0))
		noError(t, s.PutDevice(t.Context(), key, bound("bert"), 1))
	}
	for _, version := range []int64{0, 1, 3} {
		wantConflict(t, s.DeleteDevice(t.Context(), shopDevice, version))
	}
	wantDevice(t, s, shopDevice, bound("bert"), 2)
	noError(t, s.DeleteDevice(t.Context(), shopDevice, 2))
	wantDevice(t, s, shopDevice, presence.History{}, 0)
	// A writer that read the device before the deletion has a conflict.
	wantConflict(t, s.PutDevice(t.Context(), shopDevice, bound("anna"), 2))
	wantDevice(t, s, other, bound("bert"), 2)

	// EachContact returns the contacts of one business, with all fields.
	record := stage.ContactRecord{
		Devices: []events.DeviceID{"b", "a"}, DeletedAt: later(1), MergedInto: "other", MergedAt: later(2), ForgottenAt: later(3),
	}
	for _, contact := range []events.ContactID{"anna", "x/y", "d#x"} {
		noError(t, s.PutContact(t.Context(), "shop", contact, record, 0))
	}
	noError(t, s.PutContact(t.Context(), "shop2", "elsewhere", record, 0))
	wantContacts(t, s, "shop", record, "anna", "d#x", "x/y")
	wantContacts(t, s, "shop2", record, "elsewhere")
	wantContacts(t, s, "sho", record)
	forgetIdentitiesStops(t, s)
}

// forgetIdentitiesStops checks that the first error of the callback, and a canceled
// context, end a call.
func forgetIdentitiesStops(t *testing.T, s ErasableIdentities) {
	t.Helper()
	failure, calls := errors.New("enough"), 0
	err := s.EachContact(t.Context(), "shop", func(events.ContactID, stage.ContactRecord) error { calls++; return failure })
	if !errors.Is(err, failure) || calls != 1 {
		t.Errorf("got error %v after %d calls, want %v after 1", err, calls, failure)
	}
	wantCanceled(t, s.EachContact(canceled(), "shop", func(events.ContactID, stage.ContactRecord) error { return nil }))
	wantCanceled(t, s.DeleteDevice(canceled(), shopDevice, 0))
}

func wantContacts(t *testing.T, s ErasableIdentities, b events.BusinessID, want stage.ContactRecord, names ...events.ContactID) {
	t.Helper()
	got := map[events.ContactID]bool{}
	noError(t, s.EachContact(t.Context(), b, func(c events.ContactID, r stage.ContactRecord) error {
		got[c] = true
		if !slices.Equal(r.Devices, want.Devices) || r.DeletedAt != want.DeletedAt || r.MergedInto != want.MergedInto ||
			r.MergedAt != want.MergedAt || r.ForgottenAt != want.ForgottenAt {
			t.Errorf("%s/%s: got %+v, want %+v", b, c, r, want)
		}
		return nil
	}))
	if all := slices.Sorted(maps.Keys(got)); !slices.Equal(all, names) {
		t.Errorf("got contacts %q of %s, want %q", all, b, names)
	}
}

// ErasablePending is a stage.Pending with the call that shared/forget needs.
type ErasablePending interface {
	stage.Pending
	Delete(ctx context.Context, w events.WalkIn) error
}

// ForgetPending tests Delete of s, which is empty.
func ForgetPending(t *testing.T, s ErasablePending) {
	for n := range 3 {
		putNew(t, s, walkIn(n), walkIn(n))
	}
	resolve(t, s, attributed(walkIn(1), "anna"), attributed(walkIn(1), "anna"))
	// A second Delete, and one of an unknown walk-in, are no errors.
	noError(t, s.Delete(t.Context(), walkIn(1).WalkIn))
	noError(t, s.Delete(t.Context(), walkIn(1).WalkIn))
	noError(t, s.Delete(t.Context(), walkIn(7).WalkIn))
	wantWalkIns(t, s, shopDevice, noon, walkIn(0), walkIn(2))
	if _, err := s.Resolve(t.Context(), attributed(walkIn(1), "anna")); err == nil {
		t.Error("Resolve accepts a deleted walk-in")
	}
	wantCanceled(t, s.Delete(canceled(), walkIn(0).WalkIn))
	wantWalkIns(t, s, shopDevice, noon, walkIn(0), walkIn(2))
}

// ErasableCounts is a stage.Counts with the call that shared/forget needs.
type ErasableCounts interface {
	stage.Counts
	Delete(ctx context.Context, key stage.CountKey) error
}

// ForgetCounts tests Delete of s, which is empty. It adds facts with the stage
// count.
func ForgetCounts(t *testing.T, s ErasableCounts) {
	// Three contacts with similar names, each with a base and three months.
	keys := []stage.CountKey{{Business: "shop", Contact: "anna"}, {Business: "shop", Contact: "anna/2"}, {Business: "shop2", Contact: "anna"}}
	for _, key := range keys {
		noError(t, s.SetBase(t.Context(), key, 40, 0))
		for n := range 3 {
			countOne(t, s, key, n)
		}
	}
	before := get(t, s, keys[1])
	if len(before) != 4 {
		t.Fatalf("got %+v, want a base and three months", before)
	}
	// Delete removes all parts of one contact, and may be repeated.
	noError(t, s.Delete(t.Context(), keys[0]))
	noError(t, s.Delete(t.Context(), keys[0]))
	if got := get(t, s, keys[0]); len(got) != 0 {
		t.Errorf("got %+v after Delete, want no parts", got)
	}
	wantCanceled(t, s.Delete(canceled(), keys[1]))
	for _, key := range keys[1:] {
		if got := get(t, s, key); len(got) != 4 {
			t.Errorf("%s/%s: got %+v, want all four parts", key.Business, key.Contact, got)
		}
	}
	// After Delete, counting starts again from zero.
	countOne(t, s, keys[0], 1)
	if got := get(t, s, keys[0]); len(got) != 1 || got[0].Total != 1 {
		t.Errorf("got %+v after a new walk-in, want one month with total 1", got)
	}
}

func get(t *testing.T, s stage.Counts, key stage.CountKey) []stage.MonthCount {
	t.Helper()
	parts, err := s.Get(t.Context(), key)
	noError(t, err)
	return parts
}

// countOne counts one walk-in n months after noon.
func countOne(t *testing.T, s stage.Counts, key stage.CountKey, n int) {
	t.Helper()
	start := noon.AddDate(0, n, 0)
	value, err := events.Encode(nil, &events.EnrichedWalkIn{
		ID: events.NewWalkInID(key.Business, "device", start), Business: key.Business, Device: "device",
		Contact: key.Contact, StartedAt: start, BoundAt: noon,
	})
	noError(t, err)
	noError(t, stage.NewCount(stage.CountDeps{Counts: s, Out: discard{}}).Handle(t.Context(), stage.Batch{
		Topic:   events.EnrichedWalkIns,
		Records: []stage.Record{{Topic: events.EnrichedWalkIns, Key: events.ContactKey(key.Business, key.Contact), Value: value}},
	}))
}

// discard is a Producer that drops the records.
type discard struct{}

// Produce drops the records.
func (discard) Produce(context.Context, []stage.Record) error { return nil }
