package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Identities tests an implementation of stage.Identities. open returns an empty
// store.
func Identities(t *testing.T, open func(*testing.T) stage.Identities) {
	for name, test := range map[string]func(*testing.T, stage.Identities){
		"unknown devices and contacts have version 0":            idsUnknown,
		"a history is read exactly as written":                   idsHistory,
		"the devices of a contact are read exactly as written":   idsContact,
		"Devices takes many keys, repeated and unknown keys":     idsManyKeys,
		"Devices returns many MB":                                idsManyBytes,
		"PutDevice needs the stored version":                     idsDeviceVersion,
		"PutContact needs the stored version":                    idsContactVersion,
		"of concurrent Puts of one version exactly one succeeds": idsRace,
		"no update is lost under contention":                     idsContention,
		"devices and contacts with similar names are separate":   idsNames,
		"times are truncated to milliseconds in UTC":             idsTimes,
		"callers and the store share no memory":                  idsCopies,
		"every call fails if the context is done":                idsContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// shopDevice is the device of most cases.
var shopDevice = stage.IdentityKey{Business: "shop", Device: "device"}

// bound returns a history with one binding, to contact from noon on.
func bound(contact string) presence.History {
	return presence.History{Bindings: []presence.Binding{{Contact: contact, From: noon}}}
}

func sameHistory(a, b presence.History) bool {
	return a.Randomised == b.Randomised && a.LastSeen == b.LastSeen && slices.Equal(a.Bindings, b.Bindings)
}

// wantDevice checks the stored history of a device and its version.
func wantDevice(t *testing.T, s stage.Identities, key stage.IdentityKey, want presence.History, version int64) {
	t.Helper()
	h, v, err := s.Devices(t.Context(), []stage.IdentityKey{key})
	noError(t, err)
	if len(h) != 1 || len(v) != 1 || !sameHistory(h[0], want) || v[0] != version {
		t.Errorf("%v: got %+v, versions %v, want %+v, version %d", key, h, v, want, version)
	}
}

// wantContact checks the stored devices of a contact and their version.
func wantContact(t *testing.T, s stage.Identities, b events.BusinessID, c events.ContactID, want []events.DeviceID, version int64) {
	t.Helper()
	got, v, err := s.Contact(t.Context(), b, c)
	noError(t, err)
	if !slices.Equal(got.Devices, want) || v != version {
		t.Errorf("%s/%s: got %q, version %d, want %q, version %d", b, c, got.Devices, v, want, version)
	}
}

func idsUnknown(t *testing.T, s stage.Identities) {
	wantDevice(t, s, shopDevice, presence.History{}, 0)
	wantContact(t, s, "shop", "contact", nil, 0)
	h, v, err := s.Devices(t.Context(), nil)
	if err != nil || len(h) != 0 || len(v) != 0 {
		t.Errorf("without keys: got %v, %v, %v, want nothing", h, v, err)
	}
}

func idsHistory(t *testing.T, s stage.Identities) {
	for n, h := range []presence.History{
		{}, // after the only binding was removed
		{LastSeen: later(5)},
		{Randomised: true},
		{Bindings: []presence.Binding{{Contact: "anna", From: noon, Until: later(3)}}},
		{Bindings: []presence.Binding{{Contact: "anna", From: noon}, {Contact: "bea", From: later(3), MergedFrom: "anna"}}},
		{
			Bindings: []presence.Binding{
				{Contact: "anna", From: later(-60 * 24 * 400), Until: later(-5).Add(time.Millisecond)},
				{Contact: "Žofie 東京/7", From: later(-4)},
				{Contact: "", From: later(1), Until: later(2)},
				{Contact: "anna", From: time.Date(1969, 12, 31, 23, 59, 59, 1e6, time.UTC)},
			},
			Randomised: true,
			LastSeen:   later(9).Add(999 * time.Millisecond),
		},
	} {
		key := stage.IdentityKey{Business: "shop", Device: events.DeviceID(fmt.Sprint("d", n))}
		noError(t, s.PutDevice(t.Context(), key, h, 0))
		wantDevice(t, s, key, h, 1)
	}
}

// Devices keep the order of the Put, and may repeat.
func idsContact(t *testing.T, s stage.Identities) {
	for version, devices := range [][]events.DeviceID{
		{"only"}, {"b", "a", "c"}, {"b", "b"}, {}, {"café", "東京"}, nil,
	} {
		noError(t, s.PutContact(t.Context(), "shop", "contact", stage.ContactRecord{Devices: devices}, int64(version)))
		wantContact(t, s, "shop", "contact", devices, int64(version)+1)
	}
}

// DynamoDB refuses a request with more than a hundred keys or with a repeated key,
// and returns items in any order.
func idsManyKeys(t *testing.T, s stage.Identities) {
	var keys []stage.IdentityKey
	for n := range 230 {
		key := stage.IdentityKey{Business: "shop", Device: events.DeviceID(fmt.Sprint("d", n))}
		if n%2 == 0 {
			noError(t, s.PutDevice(t.Context(), key, bound(fmt.Sprint("c", n)), 0))
		}
		keys = append(keys, key)
	}
	// Repeat keys across requests of 100 and within a request.
	keys = append(keys, keys[100:230]...)
	keys = append(keys, keys[0], keys[0])
	histories, versions, err := s.Devices(t.Context(), keys)
	noError(t, err)
	if len(histories) != len(keys) || len(versions) != len(keys) {
		t.Fatalf("got %d histories and %d versions for %d keys", len(histories), len(versions), len(keys))
	}
	// Only the devices with an even number are stored.
	for n, key := range keys {
		known := int(key.Device[len(key.Device)-1]-'0')%2 == 0
		want, version := presence.History{}, int64(0)
		if known {
			want, version = bound("c"+string(key.Device[1:])), 1
		}
		if !sameHistory(histories[n], want) || versions[n] != version {
			t.Errorf("key %d (%s): got %v, version %d, want %v, version %d",
				n, key.Device, histories[n], versions[n], want, version)
		}
	}
}

// More data than DynamoDB returns per request: it then leaves keys for the next
// request.
func idsManyBytes(t *testing.T, s stage.Identities) {
	var keys []stage.IdentityKey
	var want []presence.History
	for n := range 12 { // 3.6 MB
		key := stage.IdentityKey{Business: "shop", Device: events.DeviceID(fmt.Sprint("d", n))}
		h := bound(strings.Repeat(string(rune('a'+n)), 300<<10))
		noError(t, s.PutDevice(t.Context(), key, h, 0))
		keys, want = append(keys, key), append(want, h)
	}
	histories, versions, err := s.Devices(t.Context(), keys)
	noError(t, err)
	for n := range keys {
		if !sameHistory(histories[n], want[n]) || versions[n] != 1 {
			t.Errorf("history %d differs from the one written", n)
		}
	}
}

// A version below or above the stored version is a conflict, also if the item does
// not exist.
func idsDeviceVersion(t *testing.T, s stage.Identities) {
	put := func(h presence.History, version int64) error {
		return s.PutDevice(t.Context(), shopDevice, h, version)
	}
	for _, version := range []int64{1, 7, -1} {
		wantConflict(t, put(bound("ahead of the store"), version))
	}
	wantDevice(t, s, shopDevice, presence.History{}, 0)
	noError(t, put(bound("first"), 0))
	noError(t, put(bound("second"), 1))
	for _, version := range []int64{0, 1, 3} {
		wantConflict(t, put(bound("stale"), version))
	}
	wantDevice(t, s, shopDevice, bound("second"), 2)
}

func idsContactVersion(t *testing.T, s stage.Identities) {
	put := func(d events.DeviceID, version int64) error {
		return s.PutContact(t.Context(), "shop", "contact", stage.ContactRecord{Devices: []events.DeviceID{d}}, version)
	}
	for _, version := range []int64{1, 7, -1} {
		wantConflict(t, put("ahead of the store", version))
	}
	wantContact(t, s, "shop", "contact", nil, 0)
	noError(t, put("first", 0))
	noError(t, put("second", 1))
	for _, version := range []int64{0, 1, 3} {
		wantConflict(t, put("stale", version))
	}
	wantContact(t, s, "shop", "contact", []events.DeviceID{"second"}, 2)
}

func idsRace(t *testing.T, s stage.Identities) {
	// From version 0, when the item does not exist yet.
	for version := range int64(4) {
		winner := wantOneWinner(t, race(func(w int) error {
			return s.PutDevice(t.Context(), shopDevice, bound(fmt.Sprint(w)), version)
		}))
		wantDevice(t, s, shopDevice, bound(fmt.Sprint(winner)), version+1)
		winner = wantOneWinner(t, race(func(w int) error {
			return s.PutContact(t.Context(), "shop", "contact", stage.ContactRecord{Devices: []events.DeviceID{events.DeviceID(fmt.Sprint(w))}}, version)
		}))
		wantContact(t, s, "shop", "contact", []events.DeviceID{events.DeviceID(fmt.Sprint(winner))}, version+1)
	}
}

// Every writer adds a device of its own to one contact as identify does: read,
// decide, put, and start again after a conflict. No device may be missing.
func idsContention(t *testing.T, s stage.Identities) {
	for _, err := range race(func(w int) error {
		for {
			r, version, err := s.Contact(t.Context(), "shop", "contact")
			if err != nil {
				return err
			}
			r.Devices = append(r.Devices, events.DeviceID(fmt.Sprint("d", w)))
			if err := s.PutContact(t.Context(), "shop", "contact", r, version); !conflicts(err) {
				return err
			}
		}
	}) {
		noError(t, err)
	}
	r, version, err := s.Contact(t.Context(), "shop", "contact")
	noError(t, err)
	slices.Sort(r.Devices)
	if len(slices.Compact(r.Devices)) != writers || version != writers {
		t.Errorf("got devices %q, version %d, want %d of each", r.Devices, version, writers)
	}
}

// All pairs of business and name are different items, also if joining the parts of
// two pairs results in the same text.
func idsNames(t *testing.T, s stage.Identities) {
	// Write all items before reading any.
	names := []string{"x", "x/y", "x#y", "d#x", "X", "\u00e9", "e\u0301"}
	for n, name := range names {
		for _, b := range []events.BusinessID{"shop", "shop2", "d#shop", "店"} {
			key := stage.IdentityKey{Business: b, Device: events.DeviceID(name)}
			noError(t, s.PutDevice(t.Context(), key, bound(fmt.Sprint(b, n)), 0))
			devices := []events.DeviceID{events.DeviceID(fmt.Sprint(b, n))}
			noError(t, s.PutContact(t.Context(), b, events.ContactID(name), stage.ContactRecord{Devices: devices}, 0))
		}
	}
	for n, name := range names {
		for _, b := range []events.BusinessID{"shop", "shop2", "d#shop", "店"} {
			key := stage.IdentityKey{Business: b, Device: events.DeviceID(name)}
			wantDevice(t, s, key, bound(fmt.Sprint(b, n)), 1)
			wantContact(t, s, b, events.ContactID(name), []events.DeviceID{events.DeviceID(fmt.Sprint(b, n))}, 1)
		}
	}
}

// A stage decides by what it reads, so all stores truncate alike. Times are in UTC,
// so that callers can compare them with ==.
func idsTimes(t *testing.T, s stage.Identities) {
	tokyo := time.FixedZone("Tokyo", 9*60*60)
	precise := noon.Add(1999 * time.Microsecond)
	noError(t, s.PutDevice(t.Context(), shopDevice, presence.History{
		Bindings: []presence.Binding{{Contact: "c", From: precise.In(tokyo), Until: precise}},
		LastSeen: precise.In(tokyo),
	}, 0))
	gone := stage.ContactRecord{DeletedAt: precise.In(tokyo), MergedInto: "other", MergedAt: precise.In(tokyo)}
	noError(t, s.PutContact(t.Context(), "shop", "contact", gone, 0))
	cut := noon.Add(time.Millisecond)
	if r, _, err := s.Contact(t.Context(), "shop", "contact"); err != nil || r.DeletedAt != cut || r.MergedInto != "other" || r.MergedAt != cut {
		t.Errorf("got contact %+v, error %v, want it deleted and merged into other at %v", r, err, cut)
	}
	wantDevice(t, s, shopDevice, presence.History{
		Bindings: []presence.Binding{{Contact: "c", From: cut, Until: cut}},
		LastSeen: cut,
	}, 1)
}

func idsCopies(t *testing.T, s stage.Identities) {
	h, devices := bound("anna"), []events.DeviceID{"d1"}
	noError(t, s.PutDevice(t.Context(), shopDevice, h, 0))
	noError(t, s.PutContact(t.Context(), "shop", "contact", stage.ContactRecord{Devices: devices}, 0))
	h.Bindings[0].Contact, devices[0] = "changed", "changed"
	histories, _, err := s.Devices(t.Context(), []stage.IdentityKey{shopDevice, shopDevice})
	noError(t, err)
	histories[0].Bindings[0].Contact = "changed"
	if histories[1].Bindings[0].Contact != "anna" {
		t.Error("two histories of one call share memory")
	}
	got, _, err := s.Contact(t.Context(), "shop", "contact")
	noError(t, err)
	got.Devices[0] = "changed"
	wantDevice(t, s, shopDevice, bound("anna"), 1)
	wantContact(t, s, "shop", "contact", []events.DeviceID{"d1"}, 1)
}

func idsContext(t *testing.T, s stage.Identities) {
	_, _, err := s.Devices(canceled(), []stage.IdentityKey{shopDevice})
	wantCanceled(t, err)
	wantCanceled(t, s.PutDevice(canceled(), shopDevice, bound("anna"), 0))
	_, _, err = s.Contact(canceled(), "shop", "contact")
	wantCanceled(t, err)
	wantCanceled(t, s.PutContact(canceled(), "shop", "contact", stage.ContactRecord{}, 0))
	wantDevice(t, s, shopDevice, presence.History{}, 0)
	wantContact(t, s, "shop", "contact", nil, 0)
}
