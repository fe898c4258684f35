package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/stage"
)

// Pending tests an implementation of stage.Pending. open returns an empty store.
func Pending(t *testing.T, open func(*testing.T) stage.Pending) {
	for name, test := range map[string]func(*testing.T, stage.Pending){
		"an unknown device has no walk-ins":                          pendingNone,
		"an attribution is read exactly as written":                  pendingRoundTrip,
		"a second PutNew changes nothing":                            pendingPutTwice,
		"a second Resolve changes nothing":                           pendingResolveTwice,
		"Resolve does not change the contact of PutNew":              pendingPutResolved,
		"Resolve fails if the walk-in is not stored":                 pendingResolveUnknown,
		"Resolve fails without a contact":                            pendingResolveNoContact,
		"OfDevice returns walk-ins from a start on, in order":        pendingOfDevice,
		"two walk-ins of a device may have the same start":           pendingSameStart,
		"OfDevice returns more than 1 MB":                            pendingPaging,
		"devices with similar names are separate":                    pendingNames,
		"times are truncated to milliseconds":                        pendingTimes,
		"End is stored with the walk-in and leaves its contact":      pendingEnd,
		"End stores a walk-in that is not stored":                    pendingEndFirst,
		"the latest End stays":                                       pendingEndTwice,
		"of a concurrent End and Resolve the later one returns both": pendingRaceEnd,
		"concurrent PutNews return the same attribution":             pendingRacePut,
		"concurrent Resolves return the same attribution":            pendingRaceResolve,
		"an expired walk-in is read until the store drops it":        pendingExpired,
		"Stored takes many walk-ins, repeated and unknown ones":      pendingStored,
		"every call fails if the context is done":                    pendingContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// walkIn returns the nth walk-in of shopDevice, pending. It starts n minutes after
// noon.
func walkIn(n int) stage.Attribution {
	return stage.Attribution{WalkIn: events.WalkIn{
		ID: walkInID(n), Business: shopDevice.Business, Device: shopDevice.Device,
		StartedAt: later(n), ConfirmedAt: later(n + 5),
	}}
}

// attributed returns a with a contact.
func attributed(a stage.Attribution, contact events.ContactID) stage.Attribution {
	a.Contact, a.BoundAt = contact, a.WalkIn.StartedAt.Add(time.Hour)
	return a
}

// putNew calls PutNew and checks the attribution that it returns.
func putNew(t *testing.T, s stage.Pending, a, want stage.Attribution) {
	t.Helper()
	got, err := s.PutNew(t.Context(), a, later(60*24))
	noError(t, err)
	if got != want {
		t.Errorf("PutNew: got\n%+v, want\n%+v", got, want)
	}
}

// resolve calls Resolve and checks the attribution that it returns.
func resolve(t *testing.T, s stage.Pending, a, want stage.Attribution) {
	t.Helper()
	got, err := s.Resolve(t.Context(), a)
	noError(t, err)
	if got != want {
		t.Errorf("Resolve: got\n%+v, want\n%+v", got, want)
	}
}

// wantWalkIns checks the walk-ins of a device that started at from or later.
func wantWalkIns(t *testing.T, s stage.Pending, key stage.IdentityKey, from time.Time, want ...stage.Attribution) {
	t.Helper()
	got, err := s.OfDevice(t.Context(), key, from)
	noError(t, err)
	if len(got) != len(want) {
		t.Fatalf("from %v: got %d walk-ins, want %d: %+v", from, len(got), len(want), got)
	}
	for n := range got {
		if got[n] != want[n] {
			t.Errorf("from %v: walk-in %d: got\n%+v, want\n%+v", from, n, got[n], want[n])
		}
	}
}

func pendingNone(t *testing.T, s stage.Pending) {
	wantWalkIns(t, s, shopDevice, time.Time{})
}

func pendingRoundTrip(t *testing.T, s stage.Pending) {
	anonymous := walkIn(1)
	anonymous.WalkIn.Anonymous = true
	unconfirmed := walkIn(2)
	unconfirmed.WalkIn.ConfirmedAt = time.Time{}
	unbound := attributed(walkIn(4), "東京/Ž#1")
	unbound.BoundAt = time.Time{}
	all := []stage.Attribution{walkIn(0), anonymous, unconfirmed, attributed(walkIn(3), "anna"), unbound}
	for _, a := range all {
		putNew(t, s, a, a)
	}
	wantWalkIns(t, s, shopDevice, noon, all...)
}

// A redelivered walk-in finds the first decision, even if the stage would decide
// differently by now.
func pendingPutTwice(t *testing.T, s stage.Pending) {
	first := walkIn(0)
	putNew(t, s, first, first)
	again := attributed(first, "anna") // a retry after a login
	again.WalkIn.ConfirmedAt = later(9)
	putNew(t, s, again, first)
	resolve(t, s, attributed(first, "ben"), attributed(first, "ben"))
	putNew(t, s, again, attributed(first, "ben"))
	wantWalkIns(t, s, shopDevice, noon, attributed(first, "ben"))
}

// The first decision was emitted and must stay: there may be a second login during
// the visit, or a retry of the first login with another time.
func pendingResolveTwice(t *testing.T, s stage.Pending) {
	a := walkIn(0)
	putNew(t, s, a, a)
	putNew(t, s, walkIn(1), walkIn(1))
	resolve(t, s, attributed(a, "anna"), attributed(a, "anna"))
	resolve(t, s, attributed(a, "ben"), attributed(a, "anna"))
	earlier := attributed(a, "anna")
	earlier.BoundAt = later(-7)
	resolve(t, s, earlier, attributed(a, "anna"))
	wantWalkIns(t, s, shopDevice, noon, attributed(a, "anna"), walkIn(1))
}

// In most cases enrich stores a walk-in with its contact. A later login applies to
// the next visit.
func pendingPutResolved(t *testing.T, s stage.Pending) {
	a := attributed(walkIn(0), "anna")
	putNew(t, s, a, a)
	resolve(t, s, attributed(walkIn(0), "ben"), a)
	wantWalkIns(t, s, shopDevice, noon, a)
}

// An update that creates missing items would store a contact without a walk-in.
func pendingResolveUnknown(t *testing.T, s stage.Pending) {
	putNew(t, s, walkIn(1), walkIn(1))
	if got, err := s.Resolve(t.Context(), attributed(walkIn(0), "anna")); err == nil || conflicts(err) {
		t.Errorf("Resolve: got %+v, error %v, want an error other than a conflict", got, err)
	}
	wantWalkIns(t, s, shopDevice, noon, walkIn(1))
}

func pendingResolveNoContact(t *testing.T, s stage.Pending) {
	putNew(t, s, walkIn(0), walkIn(0))
	if got, err := s.Resolve(t.Context(), walkIn(0)); err == nil {
		t.Errorf("Resolve: got %+v, want an error", got)
	}
	resolve(t, s, attributed(walkIn(0), "anna"), attributed(walkIn(0), "anna"))
}

// Identify reads the walk-ins from some time on, which may be exactly the start of a
// walk-in.
func pendingOfDevice(t *testing.T, s stage.Pending) {
	// Neither in numeric order nor in the order of text.
	for _, n := range []int{10, 2, 0, 100, 9, -3} {
		putNew(t, s, walkIn(n+3), walkIn(n+3))
	}
	all := []stage.Attribution{walkIn(0), walkIn(3), walkIn(5), walkIn(12), walkIn(13), walkIn(103)}
	for _, c := range []struct {
		name string
		from time.Time
		want []stage.Attribution
	}{
		{"long before", time.Time{}, all},
		{"at the first start", noon, all},
		{"a moment later", noon.Add(time.Millisecond), all[1:]},
		{"within the millisecond of a start", later(5).Add(999 * time.Microsecond), all[2:]},
		{"between two", later(6), all[3:]},
		{"in another zone", later(13).In(time.FixedZone("", -8*60*60)), all[4:]},
		{"after the last", later(104), nil},
	} {
		t.Run(c.name, func(t *testing.T) { wantWalkIns(t, s, shopDevice, c.from, c.want...) })
	}
}

func pendingSameStart(t *testing.T, s stage.Pending) {
	a, b := walkIn(0), walkIn(0)
	b.WalkIn.ID = walkInID(7)
	putNew(t, s, b, b)
	putNew(t, s, a, a)
	resolve(t, s, attributed(b, "anna"), attributed(b, "anna"))
	wantWalkIns(t, s, shopDevice, noon, a, attributed(b, "anna"))
}

func pendingPaging(t *testing.T, s stage.Pending) {
	var all []stage.Attribution
	for n := range 10 { // 3 MB
		a := attributed(walkIn(n), events.ContactID(strings.Repeat(fmt.Sprint(n), 300<<10)))
		putNew(t, s, a, a)
		all = append(all, a)
	}
	wantWalkIns(t, s, shopDevice, noon, all...)
}

func pendingNames(t *testing.T, s stage.Pending) {
	keys := []stage.IdentityKey{
		{Business: "shop", Device: "d"}, {Business: "shop", Device: "d/e"}, {Business: "shop", Device: "de"},
		{Business: "sho", Device: "d"}, {Business: "店", Device: "caf\u00e9"}, {Business: "店", Device: "cafe\u0301"},
	}
	var all []stage.Attribution
	for n, key := range keys {
		a := walkIn(n)
		a.WalkIn.Business, a.WalkIn.Device = key.Business, key.Device
		putNew(t, s, a, a)
		all = append(all, a)
	}
	for n, key := range keys {
		wantWalkIns(t, s, key, time.Time{}, all[n])
	}
}

func pendingTimes(t *testing.T, s stage.Pending) {
	precise := attributed(walkIn(0), "anna")
	precise.WalkIn.StartedAt = noon.Add(1999 * time.Microsecond).In(time.FixedZone("", 60*60))
	precise.WalkIn.ConfirmedAt, precise.BoundAt = precise.WalkIn.StartedAt, precise.WalkIn.StartedAt
	cut := precise
	cut.WalkIn.StartedAt = noon.Add(time.Millisecond)
	cut.WalkIn.ConfirmedAt, cut.BoundAt = cut.WalkIn.StartedAt, cut.WalkIn.StartedAt
	putNew(t, s, precise, cut)
	resolve(t, s, precise, cut)
	// from is truncated too: a walk-in that starts within its millisecond is found.
	wantWalkIns(t, s, shopDevice, precise.WalkIn.StartedAt, cut)
}

// ended returns a with an end n minutes after noon.
func ended(a stage.Attribution, n int) stage.Attribution {
	a.LastSeen = later(n)
	return a
}

// end calls End and checks the attribution that it returns.
func end(t *testing.T, s stage.Pending, a, want stage.Attribution) {
	t.Helper()
	got, err := s.End(t.Context(), a, later(60*24))
	noError(t, err)
	if got != want {
		t.Errorf("End: got\n%+v, want\n%+v", got, want)
	}
}

func pendingEnd(t *testing.T, s stage.Pending) {
	putNew(t, s, walkIn(0), walkIn(0))
	bare := walkIn(0)
	bare.WalkIn.ConfirmedAt = time.Time{} // the end of a visit does not contain it
	end(t, s, ended(bare, 40), ended(walkIn(0), 40))
	resolve(t, s, attributed(walkIn(0), "anna"), ended(attributed(walkIn(0), "anna"), 40))
	putNew(t, s, walkIn(0), ended(attributed(walkIn(0), "anna"), 40))
	putNew(t, s, attributed(walkIn(1), "ben"), attributed(walkIn(1), "ben"))
	// End ignores the contact of its argument.
	end(t, s, ended(attributed(walkIn(1), "carl"), 50), ended(attributed(walkIn(1), "ben"), 50))
	wantWalkIns(t, s, shopDevice, noon, ended(attributed(walkIn(0), "anna"), 40), ended(attributed(walkIn(1), "ben"), 50))
}

// Ends and walk-ins are on two topics. The walk-in that End stores is pending, and
// can be resolved like any other.
func pendingEndFirst(t *testing.T, s stage.Pending) {
	bare := walkIn(0)
	bare.WalkIn.ConfirmedAt = time.Time{}
	end(t, s, ended(attributed(bare, "carl"), 40), ended(bare, 40))
	wantWalkIns(t, s, shopDevice, noon, ended(bare, 40))
	putNew(t, s, attributed(walkIn(0), "anna"), ended(bare, 40))
	resolve(t, s, attributed(walkIn(0), "anna"), ended(attributed(bare, "anna"), 40))
	if got, err := s.End(canceled(), ended(walkIn(3), 9), later(60)); err == nil {
		t.Errorf("End with a canceled context: got %+v, want an error", got)
	}
	wantWalkIns(t, s, shopDevice, noon, ended(attributed(bare, "anna"), 40))
}

func pendingEndTwice(t *testing.T, s stage.Pending) {
	putNew(t, s, walkIn(0), walkIn(0))
	for _, c := range [][2]int{{40, 40}, {40, 40}, {30, 40}, {52, 52}, {40, 52}} {
		end(t, s, ended(walkIn(0), c[0]), ended(walkIn(0), c[1]))
	}
}

// Enrich stores an end while identify stores the contact. The later write returns
// both, so its stage emits both.
func pendingRaceEnd(t *testing.T, s stage.Pending) {
	for n := range 10 {
		got := make([]stage.Attribution, writers)
		for _, err := range race(func(w int) (err error) {
			// Every other writer stores the end, the others the contact.
			a := ended(attributed(walkIn(n), "anna"), n+40)
			switch w % 2 {
			case 0:
				got[w], err = s.End(t.Context(), a, later(60*24))
			default:
				if _, err = s.PutNew(t.Context(), walkIn(n), later(60*24)); err == nil {
					got[w], err = s.Resolve(t.Context(), a)
				}
			}
			return err
		}) {
			noError(t, err)
		}
		if !slices.ContainsFunc(got, func(a stage.Attribution) bool { return a.Contact == "anna" && a.LastSeen.Equal(later(n+40)) }) {
			t.Errorf("no call returned both the end and the contact: %+v", got)
		}
	}
}

// A walk-in is delivered several times at once. Only the first delivery finds no
// contact.
func pendingRacePut(t *testing.T, s stage.Pending) {
	got := make([]stage.Attribution, writers)
	for _, err := range race(func(w int) (err error) {
		a := walkIn(0)
		if w > 0 { // the first writer stores it as pending
			a = attributed(a, events.ContactID(fmt.Sprint(w)))
		}
		got[w], err = s.PutNew(t.Context(), a, later(60))
		return err
	}) {
		noError(t, err)
	}
	for _, a := range got {
		wantWalkIns(t, s, shopDevice, noon, a)
	}
}

// Enrich and identify store a contact at the same time. Both must emit the same
// contact.
func pendingRaceResolve(t *testing.T, s stage.Pending) {
	putNew(t, s, walkIn(0), walkIn(0))
	got := make([]stage.Attribution, writers)
	for _, err := range race(func(w int) (err error) {
		got[w], err = s.Resolve(t.Context(), attributed(walkIn(0), events.ContactID(fmt.Sprint(w))))
		return err
	}) {
		noError(t, err)
	}
	for _, a := range got {
		if a.Contact == "" {
			t.Error("Resolve returned a walk-in without a contact")
		}
		wantWalkIns(t, s, shopDevice, noon, a)
	}
}

func pendingExpired(t *testing.T, s stage.Pending) {
	_, err := s.PutNew(t.Context(), walkIn(0), later(-60))
	noError(t, err)
	putNew(t, s, attributed(walkIn(0), "anna"), walkIn(0))
	wantWalkIns(t, s, shopDevice, noon, walkIn(0))
}

// A stage reads again all walk-ins of a batch, of several devices, that it has
// produced. Walk-ins of one start, and of one id at two starts, are different items.
func pendingStored(t *testing.T, s stage.Pending) {
	none, err := s.Stored(t.Context(), nil)
	noError(t, err)
	if len(none) != 0 {
		t.Errorf("got %+v for no walk-ins, want none", none)
	}
	// Store two of three walk-ins; the third is unknown.
	var ask []events.WalkIn
	var want []stage.Attribution
	for n := range 150 {
		a := walkIn(n % 7)
		a.WalkIn.Device, a.WalkIn.ID = events.DeviceID(fmt.Sprint("device/", n%3)), walkInID(n)
		if n%3 != 2 {
			putNew(t, s, a, a)
		}
		ask, want = append(ask, a.WalkIn), append(want, a)
	}
	resolve(t, s, attributed(want[1], "anna"), attributed(want[1], "anna"))
	end(t, s, ended(want[1], 50), ended(attributed(want[1], "anna"), 50))
	want[1] = ended(attributed(want[1], "anna"), 50)
	for n := 2; n < len(want); n += 3 {
		want[n] = stage.Attribution{}
	}
	// Ask for some twice, and with fields that are not part of the key.
	ask, want = append(ask, ask[:40]...), append(want, want[:40]...)
	ask[0].ConfirmedAt, ask[0].Anonymous = time.Time{}, true
	got, err := s.Stored(t.Context(), ask)
	noError(t, err)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
}

func pendingContext(t *testing.T, s stage.Pending) {
	_, err := s.PutNew(canceled(), walkIn(0), later(60))
	wantCanceled(t, err)
	_, err = s.OfDevice(canceled(), shopDevice, noon)
	wantCanceled(t, err)
	_, err = s.Stored(canceled(), []events.WalkIn{walkIn(0).WalkIn})
	wantCanceled(t, err)
	putNew(t, s, walkIn(1), walkIn(1))
	_, err = s.Resolve(canceled(), attributed(walkIn(1), "anna"))
	wantCanceled(t, err)
	wantWalkIns(t, s, shopDevice, noon, walkIn(1))
}
