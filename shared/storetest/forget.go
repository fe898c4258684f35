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

// ForgettingIdentities is a stage.Identities of which people can be taken out.
type ForgettingIdentities interface {
	stage.Identities
	EachContact(ctx context.Context, b events.BusinessID, each func(events.ContactID, stage.ContactRecord) error) error
	DeleteDevice(ctx context.Context, key stage.IdentityKey, version int64) error
}

// ForgetIdentities tests what s, which is empty, does to forget.
func ForgetIdentities(t *testing.T, s ForgettingIdentities) {
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
	wantConflict(t, s.PutDevice(t.Context(), shopDevice, bound("anna"), 2)) // by a writer who has not heard of it
	wantDevice(t, s, other, bound("bert"), 2)

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
	forgetIdentitiesEnds(t, s)
}

// forgetIdentitiesEnds has a caller, and a context, end every call.
func forgetIdentitiesEnds(t *testing.T, s ForgettingIdentities) {
	t.Helper()
	failure, given := errors.New("enough"), 0
	err := s.EachContact(t.Context(), "shop", func(events.ContactID, stage.ContactRecord) error { given++; return failure })
	if !errors.Is(err, failure) || given != 1 {
		t.Errorf("after %d: %v, want an end with the first error", given, err)
	}
	wantCanceled(t, s.EachContact(canceled(), "shop", func(events.ContactID, stage.ContactRecord) error { return nil }))
	wantCanceled(t, s.DeleteDevice(canceled(), shopDevice, 0))
}

func wantContacts(t *testing.T, s ForgettingIdentities, b events.BusinessID, want stage.ContactRecord, names ...events.ContactID) {
	t.Helper()
	got := map[events.ContactID]bool{}
	noError(t, s.EachContact(t.Context(), b, func(c events.ContactID, r stage.ContactRecord) error {
		got[c] = true
		if !slices.Equal(r.Devices, want.Devices) || r.DeletedAt != want.DeletedAt || r.MergedInto != want.MergedInto ||
			r.MergedAt != want.MergedAt || r.ForgottenAt != want.ForgottenAt {
			t.Errorf("%s/%s is %+v, want %+v", b, c, r, want)
		}
		return nil
	}))
	if all := slices.Sorted(maps.Keys(got)); !slices.Equal(all, names) {
		t.Errorf("contacts of %s are %q, want %q", b, all, names)
	}
}

// ForgettingPending is a stage.Pending of which walk-ins can be taken out.
type ForgettingPending interface {
	stage.Pending
	Delete(ctx context.Context, w events.WalkIn) error
}

// ForgetPending tests what s, which is empty, does to forget.
func ForgetPending(t *testing.T, s ForgettingPending) {
	for n := range 3 {
		putNew(t, s, walkIn(n), walkIn(n))
	}
	resolve(t, s, of(walkIn(1), "anna"), of(walkIn(1), "anna"))
	noError(t, s.Delete(t.Context(), walkIn(1).WalkIn))
	noError(t, s.Delete(t.Context(), walkIn(1).WalkIn))
	noError(t, s.Delete(t.Context(), walkIn(7).WalkIn))
	wantWalkIns(t, s, shopDevice, noon, walkIn(0), walkIn(2))
	if _, err := s.Resolve(t.Context(), of(walkIn(1), "anna")); err == nil {
		t.Error("a walk-in that was deleted has a contact again")
	}
	wantCanceled(t, s.Delete(canceled(), walkIn(0).WalkIn))
	wantWalkIns(t, s, shopDevice, noon, walkIn(0), walkIn(2))
}

// ForgettingCounts is a stage.Counts of which contacts can be taken out.
type ForgettingCounts interface {
	stage.Counts
	Delete(ctx context.Context, key stage.CountKey) error
}

// ForgetCounts tests what s, which is empty, does to forget. It counts as the
// stage does.
func ForgetCounts(t *testing.T, s ForgettingCounts) {
	keys := []stage.CountKey{{Business: "shop", Contact: "anna"}, {Business: "shop", Contact: "anna/2"}, {Business: "shop2", Contact: "anna"}}
	for _, key := range keys {
		noError(t, s.SetBase(t.Context(), key, 40, 0))
		for n := range 3 {
			countOne(t, s, key, n)
		}
	}
	before := get(t, s, keys[1])
	if len(before) != 4 {
		t.Fatalf("%+v is not a base and three months", before)
	}
	noError(t, s.Delete(t.Context(), keys[0]))
	noError(t, s.Delete(t.Context(), keys[0]))
	if got := get(t, s, keys[0]); len(got) != 0 {
		t.Errorf("%+v is left", got)
	}
	wantCanceled(t, s.Delete(canceled(), keys[1]))
	for _, key := range keys[1:] {
		if got := get(t, s, key); len(got) != 4 {
			t.Errorf("%s/%s has %+v left", key.Business, key.Contact, got)
		}
	}
	countOne(t, s, keys[0], 1) // whoever comes back begins anew
	if got := get(t, s, keys[0]); len(got) != 1 || got[0].Total != 1 {
		t.Errorf("counted anew: %+v", got)
	}
}

func get(t *testing.T, s stage.Counts, key stage.CountKey) []stage.MonthCount {
	t.Helper()
	parts, err := s.Get(t.Context(), key)
	noError(t, err)
	return parts
}

// countOne counts the walk-in of the nth month from November on.
func countOne(t *testing.T, s stage.Counts, key stage.CountKey, n int) {
	t.Helper()
	start := noon.AddDate(0, n, 0)
	value, err := events.Encode(nil, &events.EnrichedWalkIn{
		ID: events.NewWalkInID(key.Business, "device", start), Business: key.Business, Device: "device",
		Contact: key.Contact, StartedAt: start, BoundAt: noon,
	})
	noError(t, err)
	noError(t, stage.NewCount(stage.CountDeps{Counts: s, Out: nobody{}}).Handle(t.Context(), stage.Batch{
		Topic:   events.EnrichedWalkIns,
		Records: []stage.Record{{Topic: events.EnrichedWalkIns, Key: events.ContactKey(key.Business, key.Contact), Value: value}},
	}))
}

// nobody reads what is produced.
type nobody struct{}

// Produce drops the records.
func (nobody) Produce(context.Context, []stage.Record) error { return nil }
