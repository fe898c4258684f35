package forget_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/events"
	"footfall/shared/forget"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// faults ends a run at one call of a port, before the call takes effect or after, as
// kill -9 would.
type faults struct {
	left  int  // calls until the fault, including the failing call
	after bool // the failing call takes effect
}

var errFault = errors.New("killed")

// call makes a call of a port, unless the run has ended.
func (f *faults) call(do func() error) error {
	f.left--
	if f.left > 0 || f.left == 0 && f.after {
		if err := do(); err != nil || f.left > 0 {
			return err
		}
	}
	return errFault
}

// deps returns the ports of s with faults. Settle counts as a call too.
func (f *faults) deps(s *system) forget.Deps {
	return forget.Deps{
		Identities: faultyIdentities{s.identities, f}, Pending: faultyPending{s.pending, f},
		Counts: faultyCounts{s.counts, f}, Out: faultyOut{s, f},
		Settle: func(context.Context) (bool, error) { return true, f.call(func() error { return nil }) },
	}
}

type (
	faultyIdentities struct {
		forget.Identities
		*faults
	}
	faultyPending struct {
		forget.Pending
		*faults
	}
	faultyCounts struct {
		forget.Counts
		*faults
	}
	faultyOut struct {
		stage.Producer
		*faults
	}
)

func (f faultyIdentities) Devices(ctx context.Context, keys []stage.IdentityKey) (h []presence.History, v []int64, err error) {
	err = f.call(func() (err error) { h, v, err = f.Identities.Devices(ctx, keys); return err })
	return h, v, err
}

func (f faultyIdentities) PutDevice(ctx context.Context, key stage.IdentityKey, h presence.History, version int64) error {
	return f.call(func() error { return f.Identities.PutDevice(ctx, key, h, version) })
}

func (f faultyIdentities) DeleteDevice(ctx context.Context, key stage.IdentityKey, version int64) error {
	return f.call(func() error { return f.Identities.DeleteDevice(ctx, key, version) })
}

func (f faultyIdentities) Contact(ctx context.Context, b events.BusinessID, c events.ContactID) (r stage.ContactRecord, v int64, err error) {
	err = f.call(func() (err error) { r, v, err = f.Identities.Contact(ctx, b, c); return err })
	return r, v, err
}

func (f faultyIdentities) PutContact(ctx context.Context, b events.BusinessID, c events.ContactID, r stage.ContactRecord, version int64) error {
	return f.call(func() error { return f.Identities.PutContact(ctx, b, c, r, version) })
}

func (f faultyPending) OfDevice(ctx context.Context, key stage.IdentityKey, from time.Time) (all []stage.Attribution, err error) {
	err = f.call(func() (err error) { all, err = f.Pending.OfDevice(ctx, key, from); return err })
	return all, err
}

func (f faultyPending) Delete(ctx context.Context, walkIn events.WalkIn) error {
	return f.call(func() error { return f.Pending.Delete(ctx, walkIn) })
}

func (f faultyCounts) Get(ctx context.Context, key stage.CountKey) (parts []stage.MonthCount, err error) {
	err = f.call(func() (err error) { parts, err = f.Counts.Get(ctx, key); return err })
	return parts, err
}

func (f faultyCounts) Delete(ctx context.Context, key stage.CountKey) error {
	return f.call(func() error { return f.Counts.Delete(ctx, key) })
}

func (f faultyOut) Produce(ctx context.Context, records []stage.Record) error {
	return f.call(func() error { return f.Producer.Produce(ctx, records) })
}

// A run ends at any call, before or after the call takes effect. The next run then
// leaves exactly the state that one undisturbed run leaves.
func TestASecondRunFinishesAnInterruptedRun(t *testing.T) {
	contact := func(deps forget.Deps) error {
		_, err := forget.Contact(t.Context(), deps, stage.CountKey{Business: shop, Contact: "ann"}, at(1000), true)
		return err
	}
	device := func(deps forget.Deps) error {
		_, err := forget.Device(t.Context(), deps, stage.IdentityKey{Business: shop, Device: "phone"}, at(1000), true)
		return err
	}
	for name, c := range map[string]struct {
		open func(tb) *system
		run  func(forget.Deps) error
	}{
		"a contact":                   {town, contact},
		"a chain of merges":           {chain, contact},
		"only a base count":           {base, contact},
		"a device":                    {town, device},
		"a device of merged contacts": {chain, device},
	} {
		t.Run(name, func(t *testing.T) {
			undisturbed := c.open(t)
			if err := c.run(undisturbed.deps()); err != nil {
				t.Fatal(err)
			}
			want := undisturbed.state()
			// End the run at call 1, 2, … until a run has fewer calls.
			for _, after := range []bool{false, true} {
				for n, ended := 1, false; !ended; n++ {
					s := c.open(t)
					f := &faults{left: n, after: after}
					err := c.run(f.deps(s))
					if ended = err == nil; !ended && !errors.Is(err, errFault) || n > 1000 {
						t.Fatalf("after %d calls: %v", n, err)
					}
					if err := c.run(s.deps()); err != nil {
						t.Fatal(err)
					}
					if d := differences(want, s.state()); d != "" {
						t.Fatalf("ended at call %d (after its effect: %t):\n%s", n, after, d)
					}
				}
			}
		})
	}
}

// chain returns a system in which dora was merged into carl, and carl into ann.
func chain(t tb) *system {
	s := newSystem(t)
	s.login("dora", "phone", 1)
	s.visit("phone", 2)
	s.merge("dora", "carl", 3)
	s.login("carl", "tablet", 4)
	s.merge("carl", "ann", 5)
	return s
}

// base returns a system in which ann has a base count and nothing else.
func base(t tb) *system {
	s := newSystem(t)
	key := stage.CountKey{Business: shop, Contact: "ann"}
	if err := stage.SetBase(context.Background(), stage.CountDeps{Counts: s.counts, Out: s}, key, 7); err != nil {
		t.Fatal(err)
	}
	return s
}

// After any events, forgetting a contact removes everything about it and leaves
// everything about the other contacts, also after all CRM events are redelivered.
func TestForgettingLeavesExactlyTheOtherContacts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSystem(t)
		anyContact, anyDevice := rapid.SampledFrom(contacts), rapid.SampledFrom(devices)
		var crm []func() // the CRM events, to be processed in this order
		for n := range rapid.IntRange(1, 25).Draw(t, "events") {
			c, d := anyContact.Draw(t, "contact"), anyDevice.Draw(t, "device")
			hour := n + 25*rapid.IntRange(0, 11).Draw(t, "time") // different for each event
			event := func() { s.login(c, d, hour) }
			switch rapid.IntRange(0, 6).Draw(t, "kind") {
			case 0:
				into := anyContact.Draw(t, "into")
				event = func() { s.merge(c, into, hour) }
			case 1:
				event = func() { s.crm(&events.ContactDeleted{Business: shop, Contact: c, At: at(hour)}) }
			case 2, 3, 4:
				s.visit(d, hour)
				continue
			}
			event()
			crm = append(crm, event)
		}
		replay := func() {
			for _, event := range crm {
				event()
			}
		}
		// A replay may add devices to a contact's list, a second replay adds nothing.
		replay()
		replay()
		before, bindings := s.state(), contactsByHour(s)
		report := s.forget("ann", true)
		gone := append([]events.ContactID{"ann"}, report.Merged...)
		checkGone(t, s, gone)
		checkOthers(t, before, s.state(), gone)
		checkBindings(t, bindings, contactsByHour(s), gone)
		if again := s.forget("ann", true); again.Found() {
			t.Fatalf("a second run finds %+v", again)
		}
		// After another replay all is the same, except the walk-in that a count names.
		left, bindings := s.state(), contactsByHour(s)
		replay()
		checkGone(t, s, gone)
		maps.DeleteFunc(left, func(name, _ string) bool {
			return strings.HasPrefix(name, "topic "+events.WalkInCounts)
		})
		checkOthers(t, left, s.state(), gone)
		checkBindings(t, bindings, contactsByHour(s), gone)
	})
}

// mentions reports whether text contains the id of a forgotten contact.
func mentions(text string, gone []events.ContactID) bool {
	for _, c := range gone {
		if strings.Contains(text, string(c)) {
			return true
		}
	}
	return false
}

// checkGone checks that nothing but the markers mentions the forgotten contacts.
func checkGone(t tb, s *system, gone []events.ContactID) {
	t.Helper()
	for name, value := range s.state() {
		if mentions(name, gone) && !strings.HasPrefix(name, "contact ") || mentions(value, gone) {
			t.Fatalf("forgotten %v, but got %s: %s", gone, name, value)
		}
		if strings.HasPrefix(name, "contact ") && mentions(name, gone) && !strings.Contains(value, "Devices:[] DeletedAt:0001") {
			t.Fatalf("forgotten %v, but got more than a marker: %s", gone, value)
		}
	}
}

// checkOthers checks that everything that does not mention the forgotten contacts is
// unchanged. Histories are left out: a device may have had several contacts.
func checkOthers(t tb, before, after map[string]string, gone []events.ContactID) {
	t.Helper()
	for name, value := range before {
		if mentions(name+value, gone) || strings.HasPrefix(name, "history ") {
			continue
		}
		if after[name] != value {
			t.Fatalf("%s: got %q, want %q, after forgetting %v", name, after[name], value, gone)
		}
	}
}

// contactsByHour returns the contact that each device is bound to, hour by hour.
func contactsByHour(s *system) map[string]string {
	all := map[string]string{}
	for _, d := range devices {
		h := s.history(d)
		for hour := -1; hour < 320; hour++ {
			if b, ok := h.Owner(at(hour)); ok {
				all[fmt.Sprint(d, " ", hour)] = b.Contact
			}
		}
	}
	return all
}

// checkBindings checks that the bindings to the other contacts are unchanged.
func checkBindings(t tb, before, after map[string]string, gone []events.ContactID) {
	t.Helper()
	for name, c := range before {
		if mentions(c, gone) {
			delete(before, name)
		}
	}
	if d := differences(before, after); d != "" {
		t.Fatalf("bindings to other contacts changed:\n%s", d)
	}
}

// Logins and walk-ins that are processed while a contact is forgotten bring nothing
// back. Settle waits for them, and the steps after it remove what they wrote.
func TestConcurrentStagesBringNothingBack(t *testing.T) {
	for round := range 50 {
		s := town(t)
		var stages sync.WaitGroup
		for n := range 4 {
			stages.Go(func() { s.login("ann", devices[(round+n)%len(devices)], 70+n) })
			stages.Go(func() { s.visit("phone", 70+n) })
		}
		deps := s.deps()
		deps.Settle = func(context.Context) (bool, error) { stages.Wait(); return true, nil }
		key := stage.CountKey{Business: shop, Contact: "ann"}
		if _, err := forget.Contact(t.Context(), deps, key, at(1000), true); err != nil {
			t.Fatal(err)
		}
		s.count()
		checkGone(t, s, []events.ContactID{"ann", "carl"})
	}
}
