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

// faults ends a run at one call, before that is done or after, as kill -9 would.
type faults struct {
	left int // calls until then
	late bool
}

var errFault = errors.New("killed")

func (f *faults) call(do func() error) error {
	f.left--
	if f.left > 0 || f.left == 0 && f.late {
		if err := do(); err != nil || f.left > 0 {
			return err
		}
	}
	return errFault
}

func (f *faults) deps(w *world) forget.Deps {
	return forget.Deps{
		Identities: faultyIdentities{w.identities, f}, Pending: faultyPending{w.pending, f},
		Counts: faultyCounts{w.counts, f}, Out: faultyOut{w, f},
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

func (f faultyPending) Delete(ctx context.Context, w events.WalkIn) error {
	return f.call(func() error { return f.Pending.Delete(ctx, w) })
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

// Ended at any call, a run that comes after it finishes the work, and leaves
// what one run would have.
func TestARunThatIsEndedAnywhereCanBeFinished(t *testing.T) {
	contact := func(deps forget.Deps) error {
		_, err := forget.Contact(t.Context(), deps, stage.CountKey{Business: shop, Contact: "ann"}, at(1000), true)
		return err
	}
	device := func(deps forget.Deps) error {
		_, err := forget.Device(t.Context(), deps, stage.IdentityKey{Business: shop, Device: "phone"}, at(1000), true)
		return err
	}
	for name, c := range map[string]struct {
		open func(tb) *world
		run  func(forget.Deps) error
	}{
		"a contact":              {town, contact},
		"a chain of merges":      {chain, contact},
		"nothing but a base":     {base, contact},
		"a device":               {town, device},
		"a device of one person": {chain, device},
	} {
		t.Run(name, func(t *testing.T) {
			undisturbed := c.open(t)
			if err := c.run(undisturbed.deps()); err != nil {
				t.Fatal(err)
			}
			want := undisturbed.state()
			for _, late := range []bool{false, true} {
				for n, ended := 1, false; !ended; n++ {
					w := c.open(t)
					f := &faults{left: n, late: late}
					err := c.run(f.deps(w))
					if ended = err == nil; !ended && !errors.Is(err, errFault) || n > 1000 {
						t.Fatalf("after %d calls: %v", n, err)
					}
					if err := c.run(w.deps()); err != nil {
						t.Fatal(err)
					}
					if d := differences(want, w.state()); d != "" {
						t.Fatalf("ended at call %d (late %t):\n%s", n, late, d)
					}
				}
			}
		})
	}
}

// chain is one person who was three.
func chain(t tb) *world {
	w := newWorld(t)
	w.login("dora", "phone", 1)
	w.visit("phone", 2)
	w.merge("dora", "carl", 3)
	w.login("carl", "tablet", 4)
	w.merge("carl", "ann", 5)
	return w
}

// base is a contact of which nothing is known but how often it came before.
func base(t tb) *world {
	w := newWorld(t)
	key := stage.CountKey{Business: shop, Contact: "ann"}
	if err := stage.SetBase(context.Background(), stage.CountDeps{Counts: w.counts, Out: w}, key, 7); err != nil {
		t.Fatal(err)
	}
	return w
}

// In any world, forgetting one contact leaves exactly the others, also when
// everything is told again.
func TestForgettingLeavesExactlyTheOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		who, what := rapid.SampledFrom(contacts), rapid.SampledFrom(devices)
		var crm []func()
		for n := range rapid.IntRange(1, 25).Draw(t, "events") {
			c, d := who.Draw(t, "contact"), what.Draw(t, "device")
			hour := n + 25*rapid.IntRange(0, 11).Draw(t, "time") // no two at once
			tell := func() { w.login(c, d, hour) }
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0:
				into := who.Draw(t, "into")
				tell = func() { w.merge(c, into, hour) }
			case 1:
				tell = func() { w.crm(&events.ContactDeleted{Business: shop, Contact: c, At: at(hour)}) }
			case 2, 3, 4:
				w.visit(d, hour)
				continue
			}
			tell()
			crm = append(crm, tell)
		}
		replay := func() {
			for _, tell := range crm {
				tell()
			}
		}
		replay() // a list of devices may grow by what is told again, and only once
		replay()
		before, owners := w.state(), ownersOf(w)
		report := w.forget("ann", true)
		gone := append([]events.ContactID{"ann"}, report.Merged...)
		checkGone(t, w, gone)
		checkOthers(t, before, w.state(), gone)
		checkOwners(t, owners, ownersOf(w), gone)
		if again := w.forget("ann", true); again.Found() {
			t.Fatalf("a second run finds %+v", again)
		}
		left, owners := w.state(), ownersOf(w)
		replay()
		checkGone(t, w, gone)
		maps.DeleteFunc(left, func(name, _ string) bool { // which walk-in a count tells of may be another one
			return strings.HasPrefix(name, "topic "+events.WalkInCounts)
		})
		checkOthers(t, left, w.state(), gone)
		checkOwners(t, owners, ownersOf(w), gone)
	})
}

func mentions(text string, gone []events.ContactID) bool {
	for _, c := range gone {
		if strings.Contains(text, string(c)) {
			return true
		}
	}
	return false
}

// checkGone looks for those who are forgotten in all that is kept.
func checkGone(t tb, w *world, gone []events.ContactID) {
	t.Helper()
	for name, value := range w.state() {
		if mentions(name, gone) && !strings.HasPrefix(name, "contact ") || mentions(value, gone) {
			t.Fatalf("of %v there is %s: %s", gone, name, value)
		}
		if strings.HasPrefix(name, "contact ") && mentions(name, gone) && !strings.Contains(value, "Devices:[] DeletedAt:0001") {
			t.Fatalf("more than a marker of %v: %s", gone, value)
		}
	}
}

// checkOthers holds what is kept of the others to what was; histories, and what
// is told of them, may have changed where they were shared.
func checkOthers(t tb, before, after map[string]string, gone []events.ContactID) {
	t.Helper()
	for name, value := range before {
		if mentions(name+value, gone) || strings.HasPrefix(name, "history ") {
			continue
		}
		if after[name] != value {
			t.Fatalf("%s is %q, was %q, without %v", name, after[name], value, gone)
		}
	}
}

// ownersOf tells whose each device is, hour by hour.
func ownersOf(w *world) map[string]string {
	all := map[string]string{}
	for _, d := range devices {
		h := w.history(d)
		for hour := -1; hour < 320; hour++ {
			if b, ok := h.Owner(at(hour)); ok {
				all[fmt.Sprint(d, " ", hour)] = b.Contact
			}
		}
	}
	return all
}

func checkOwners(t tb, before, after map[string]string, gone []events.ContactID) {
	t.Helper()
	for name, c := range before {
		if mentions(c, gone) {
			delete(before, name)
		}
	}
	if d := differences(before, after); d != "" {
		t.Fatalf("whose devices are changed:\n%s", d)
	}
}

// Logins and walk-ins that are processed at the same time bring nothing back:
// whatever they decided on, before or after, is gone once they are done.
func TestWhatIsUnderWayBringsNothingBack(t *testing.T) {
	for round := range 50 {
		w := town(t)
		var stages sync.WaitGroup
		for n := range 4 {
			stages.Go(func() { w.login("ann", devices[(round+n)%len(devices)], 70+n) })
			stages.Go(func() { w.visit("phone", 70+n) })
		}
		deps := w.deps()
		deps.Settle = func(context.Context) (bool, error) { stages.Wait(); return true, nil }
		key := stage.CountKey{Business: shop, Contact: "ann"}
		if _, err := forget.Contact(t.Context(), deps, key, at(1000), true); err != nil {
			t.Fatal(err)
		}
		w.count()
		checkGone(t, w, []events.ContactID{"ann", "carl"})
	}
}
