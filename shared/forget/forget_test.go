package forget_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"footfall/events"
	"footfall/shared/forget"
	"footfall/shared/stage"
)

// town returns a system with a phone of ann and later of bob, a tablet of carl, who
// was merged into ann, and a laptop of dora.
func town(t tb) *system {
	s := newSystem(t)
	s.visit("phone", 1)
	s.login("ann", "phone", 2)
	s.visit("phone", 20)
	s.login("carl", "tablet", 21)
	s.visit("tablet", 22)
	s.merge("carl", "ann", 30)
	s.visit("tablet", 46)
	s.login("bob", "phone", 50)
	s.visit("phone", 60)
	s.visit("laptop", 61)
	s.login("dora", "laptop", 62)
	return s
}

// A dry run reports what a run removes and changes nothing. The run leaves exactly
// the data of the others and the markers. A second run finds nothing.
func TestAContactIsForgotten(t *testing.T) {
	s := town(t)
	before := s.state()
	r := s.forget("ann", false)
	want := forget.Removed{Contacts: 2, Bindings: 3, Histories: 1, WalkIns: 4, Counts: 3, Counted: 4}
	if r.Removed != want || r.Done || !slices.Equal(r.Merged, []events.ContactID{"carl"}) ||
		!slices.Equal(r.Devices, []events.DeviceID{"phone", "tablet"}) {
		t.Errorf("got report %+v of a dry run, want %+v", r, want)
	}
	wantSame(t, "a dry run changed the state", before, s.state())

	if r := s.forget("ann", true); r.Removed != want || !r.Done {
		t.Errorf("got report %+v, want %+v", r, want)
	}
	// The others: all that does not mention ann or carl, the phone's history without
	// ann, and two markers.
	left := s.state()
	others := maps.Clone(before)
	maps.DeleteFunc(others, func(name, value string) bool {
		return strings.Contains(name+value, "ann") || strings.Contains(name+value, "carl")
	})
	others["history phone"] = strings.Replace(before["history phone"], "{Contact:ann From:2026-03-31 14:00:00 +0000 UTC Until:0001-01-01 00:00:00 +0000 UTC MergedFrom:} ", "", 1)
	marker := fmt.Sprintf("%+v", stage.ContactRecord{ForgottenAt: at(1000)})
	others["contact ann"], others["contact carl"] = marker, marker
	wantSame(t, "the run left something else than the others", others, left)

	r = s.forget("ann", true)
	if r.Found() || r.ForgottenAt != at(1000) {
		t.Errorf("got report %+v of a second run, want nothing found", r)
	}
	wantSame(t, "a second run changed the state", left, s.state())
}

// If the contact was merged into another contact, the other contact stays, with the
// devices that the merge handed over.
func TestAMergedContactIsForgottenAlone(t *testing.T) {
	s := town(t)
	r := s.forget("carl", true)
	if r.MergedInto != "ann" || len(r.Merged) > 0 {
		t.Errorf("got report %+v, want it to name the contact that stays", r)
	}
	for name, value := range s.state() {
		if strings.Contains(name+value, "carl") && name != "contact carl" {
			t.Errorf("carl is still in %s: %s", name, value)
		}
	}
	if b, _ := s.history("tablet").Owner(at(41)); b.Contact != "ann" {
		t.Errorf("the tablet is bound to %q after the merge, want ann", b.Contact)
	}
}

// The device disappears from all tables and topics; everything else stays, except
// contacts' lists of devices.
func TestADeviceIsForgotten(t *testing.T) {
	s := town(t)
	before := s.state()
	want := forget.Removed{Lists: 2, Bindings: 2, Histories: 1, WalkIns: 3}
	if r := s.forgetDevice("phone", false); r.Removed != want {
		t.Errorf("got %+v of a dry run, want %+v", r.Removed, want)
	}
	wantSame(t, "a dry run changed the state", before, s.state())
	if r := s.forgetDevice("phone", true); r.Removed != want || !r.Done {
		t.Errorf("got report %+v, want %+v", r, want)
	}
	for name, value := range s.state() {
		switch {
		case strings.Contains(name+value, "phone"):
			t.Errorf("the phone is still in %s: %s", name, value)
		case !strings.HasPrefix(name, "contact") && value != before[name]:
			t.Errorf("%s changed to %s", name, value)
		}
	}
	if r := s.forgetDevice("phone", true); r.Found() {
		t.Errorf("got report %+v of a second run, want nothing found", r)
	}
	// A later login and walk-in are stored like those of any device.
	s.login("ann", "phone", 1001)
	s.visit("phone", 1002)
	if r := s.forgetDevice("phone", false); r.WalkIns != 1 || r.Lists != 1 {
		t.Errorf("got report %+v after a new login, want a walk-in and a list", r)
	}
}

// An unknown contact and an unknown device are not found, and nothing is stored: no
// marker either.
func TestAnUnknownIDIsNotFound(t *testing.T) {
	s := town(t)
	before := s.state()
	if r := s.forget("eve", true); r.Found() {
		t.Errorf("got report %+v of an unknown contact", r)
	}
	if r := s.forgetDevice("watch", true); r.Found() {
		t.Errorf("got report %+v of an unknown device", r)
	}
	wantSame(t, "an unknown id changed the state", before, s.state())
}

// A contact with only a base count is found. After forgetting, a new login and
// walk-in of the contact count from zero.
func TestAContactComesBack(t *testing.T) {
	s := town(t)
	eve := stage.CountKey{Business: shop, Contact: "eve"}
	if err := s.counts.SetBase(t.Context(), eve, 7, 0); err != nil {
		t.Fatal(err)
	}
	if r := s.forget("eve", true); r.Counts != 1 || r.Counted != 7 {
		t.Errorf("got report %+v of a base alone, want one count of 7", r)
	}
	s.login("eve", "laptop", 1001)
	s.visit("laptop", 1002)
	if parts, err := s.counts.Get(t.Context(), eve); err != nil || len(parts) != 1 || parts[0].Total != 1 {
		t.Errorf("got %+v, error %v, after a new walk-in, want a total of 1", parts, err)
	}
}

// CRM events with a time ahead of our clock are forgotten too, and a redelivery of
// them binds nothing.
func TestEventsAheadOfTheClockAreForgotten(t *testing.T) {
	s := town(t)
	s.login("dora", "tablet", 2000)
	s.visit("tablet", 2001)
	s.forget("dora", true)
	s.login("dora", "tablet", 2000)
	checkGone(t, s, []events.ContactID{"dora"})
	if r := s.forget("dora", true); r.Found() || r.ForgottenAt != at(2000) {
		t.Errorf("got report %+v of a second run, want a marker of hour 2000 alone", r)
	}
}

// After a replay or a backfill of CRM events and walk-ins from before the contact was
// forgotten, there is only the marker.
func TestAForgottenContactStaysForgotten(t *testing.T) {
	// In one system the last login is processed in time, in the other after forgetting.
	// That login ends dora's binding of the laptop in both.
	inTime, s := town(t), town(t)
	inTime.login("ann", "laptop", 999)
	inTime.forget("ann", true)
	s.forget("ann", true)
	s.login("ann", "phone", 2)
	s.login("carl", "tablet", 21)
	s.merge("carl", "ann", 30)
	s.login("ann", "laptop", 999)
	s.crm(&events.ContactDeleted{Business: shop, Contact: "ann", At: at(999)})
	wantSame(t, "late and redelivered CRM events left something else than events in time", inTime.state(), s.state())
	s.visit("phone", 20)
	s.visit("tablet", 22)
	for name := range s.state() {
		if strings.HasSuffix(name, "of ann") || strings.HasPrefix(name, "count ann") || strings.HasSuffix(name, "of carl") {
			t.Errorf("a replay brought back %s", name)
		}
	}
	if r := s.forget("ann", true); r.Found() {
		t.Errorf("got %+v after a replay, want nothing found", r.Removed)
	}
}
