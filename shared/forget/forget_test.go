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

// town has a phone that went from ann to bob, a tablet that came to ann from
// carl by a merge, and a laptop of dora's.
func town(t tb) *world {
	w := newWorld(t)
	w.visit("phone", 1)
	w.login("ann", "phone", 2)
	w.visit("phone", 20)
	w.login("carl", "tablet", 21)
	w.visit("tablet", 22)
	w.merge("carl", "ann", 30)
	w.visit("tablet", 46)
	w.login("bob", "phone", 50)
	w.visit("phone", 60)
	w.visit("laptop", 61)
	w.login("dora", "laptop", 62)
	return w
}

func TestAContactIsForgotten(t *testing.T) {
	w := town(t)
	before := w.state()
	r := w.forget("ann", false)
	want := forget.Removed{Contacts: 2, Bindings: 3, Histories: 1, WalkIns: 4, Counts: 3, Counted: 4}
	if r.Removed != want || r.Done || !slices.Equal(r.Merged, []events.ContactID{"carl"}) ||
		!slices.Equal(r.Devices, []events.DeviceID{"phone", "tablet"}) {
		t.Errorf("a dry run tells %+v", r)
	}
	same(t, "a dry run changes", before, w.state())

	if r := w.forget("ann", true); r.Removed != want || !r.Done {
		t.Errorf("removed %+v, want %+v", r, want)
	}
	left := w.state()
	others := maps.Clone(before)
	maps.DeleteFunc(others, func(name, value string) bool {
		return strings.Contains(name+value, "ann") || strings.Contains(name+value, "carl")
	})
	others["history phone"] = strings.Replace(before["history phone"], "{Contact:ann From:2026-03-31 14:00:00 +0000 UTC Until:0001-01-01 00:00:00 +0000 UTC Of:} ", "", 1)
	marker := fmt.Sprintf("%+v", stage.ContactRecord{ForgottenAt: at(1000)})
	others["contact ann"], others["contact carl"] = marker, marker
	same(t, "what is left is not exactly the others", others, left)

	r = w.forget("ann", true)
	if r.Found() || r.ForgottenAt != at(1000) {
		t.Errorf("a second run finds %+v", r)
	}
	same(t, "a second run changes", left, w.state())
}

func TestAContactThatWasMergedIsForgottenAlone(t *testing.T) {
	w := town(t)
	r := w.forget("carl", true)
	if r.MergedInto != "ann" || len(r.Merged) > 0 {
		t.Errorf("the report does not name who lives on: %+v", r)
	}
	for name, value := range w.state() {
		if strings.Contains(name+value, "carl") && name != "contact carl" {
			t.Errorf("%s: %s", name, value)
		}
	}
	if b, _ := w.history("tablet").Owner(at(41)); b.Contact != "ann" {
		t.Errorf("the tablet that was merged to ann is %q's", b.Contact)
	}
}

func TestADeviceIsForgotten(t *testing.T) {
	w := town(t)
	before := w.state()
	want := forget.Removed{Lists: 2, Bindings: 2, Histories: 1, WalkIns: 3}
	if r := w.forgetDevice("phone", false); r.Removed != want {
		t.Errorf("a dry run tells %+v, want %+v", r.Removed, want)
	}
	same(t, "a dry run changes", before, w.state())
	if r := w.forgetDevice("phone", true); r.Removed != want || !r.Done {
		t.Errorf("removed %+v, want %+v", r, want)
	}
	for name, value := range w.state() {
		switch {
		case strings.Contains(name+value, "phone"):
			t.Errorf("%s: %s", name, value)
		case !strings.HasPrefix(name, "contact") && value != before[name]:
			t.Errorf("%s changed to %s", name, value)
		}
	}
	if r := w.forgetDevice("phone", true); r.Found() {
		t.Errorf("a second run finds %+v", r)
	}
	w.login("ann", "phone", 1001) // it is an ordinary device again
	w.visit("phone", 1002)
	if r := w.forgetDevice("phone", false); r.WalkIns != 1 || r.Lists != 1 {
		t.Errorf("after it came back: %+v", r)
	}
}

func TestNobodyIsFound(t *testing.T) {
	w := town(t)
	before := w.state()
	if r := w.forget("eve", true); r.Found() {
		t.Errorf("%+v", r)
	}
	if r := w.forgetDevice("watch", true); r.Found() {
		t.Errorf("%+v", r)
	}
	same(t, "looking for nobody changes", before, w.state())
}

// A contact with a count alone is forgotten too, and one that comes back begins
// anew.
func TestAContactComesBack(t *testing.T) {
	w := town(t)
	eve := stage.CountKey{Business: shop, Contact: "eve"}
	if err := w.counts.SetBase(t.Context(), eve, 7, 0); err != nil {
		t.Fatal(err)
	}
	if r := w.forget("eve", true); r.Counts != 1 || r.Counted != 7 {
		t.Errorf("of a base alone: %+v", r)
	}
	w.login("eve", "laptop", 1001)
	w.visit("laptop", 1002)
	if parts, err := w.counts.Get(t.Context(), eve); err != nil || len(parts) != 1 || parts[0].Total != 1 {
		t.Errorf("counted %+v (%v) after coming back", parts, err)
	}
}

// What the CRM has dated ahead of our clock is forgotten, and kept away, as well.
func TestAContactOfAClockThatIsAhead(t *testing.T) {
	w := town(t)
	w.login("dora", "tablet", 2000)
	w.visit("tablet", 2001)
	w.forget("dora", true)
	w.login("dora", "tablet", 2000)
	checkGone(t, w, []events.ContactID{"dora"})
	if r := w.forget("dora", true); r.Found() || r.ForgottenAt != at(2000) {
		t.Errorf("a second run finds %+v", r)
	}
}

// Everything that was told of a contact before comes again: a replay, a backfill.
func TestAForgottenContactStaysForgotten(t *testing.T) {
	known, w := town(t), town(t)
	known.login("ann", "laptop", 999) // which ends that it is dora's
	known.forget("ann", true)
	w.forget("ann", true)
	w.login("ann", "phone", 2)
	w.login("carl", "tablet", 21)
	w.merge("carl", "ann", 30)
	w.login("ann", "laptop", 999)
	w.crm(&events.ContactDeleted{Business: shop, Contact: "ann", At: at(999)})
	same(t, "told late, or again, the CRM's events leave something else than told in time", known.state(), w.state())
	w.visit("phone", 20)
	w.visit("tablet", 22)
	for name := range w.state() {
		if strings.HasSuffix(name, "of ann") || strings.HasPrefix(name, "count ann") || strings.HasSuffix(name, "of carl") {
			t.Errorf("there is again: %s", name)
		}
	}
	if r := w.forget("ann", true); r.Found() {
		t.Errorf("%+v is found", r.Removed)
	}
}
