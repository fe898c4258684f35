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

// Pending tests an implementation of stage.Pending. open gives an empty one.
func Pending(t *testing.T, open func(*testing.T) stage.Pending) {
	for name, test := range map[string]func(*testing.T, stage.Pending){
		"a device without walk-ins":                  pendingNone,
		"an attribution comes back exactly":          pendingRoundTrip,
		"the first put stays":                        pendingPutTwice,
		"the first contact stays":                    pendingResolveTwice,
		"a contact given with the put stays":         pendingPutResolved,
		"only a stored walk-in can be resolved":      pendingResolveUnknown,
		"a resolve needs a contact":                  pendingResolveNobody,
		"walk-ins of a device by start":              pendingOfDevice,
		"two walk-ins with one start":                pendingSameStart,
		"a device's walk-ins of more than 1 MB":      pendingPaging,
		"devices do not mix":                         pendingNames,
		"times are kept to the millisecond":          pendingTimes,
		"the end of a walk-in is kept with it":       pendingEnd,
		"an end may come before its walk-in":         pendingEndFirst,
		"the latest end stays":                       pendingEndTwice,
		"of an end and a contact one sees the other": pendingRaceEnd,
		"racing puts agree":                          pendingRacePut,
		"racing resolves agree":                      pendingRaceResolve,
		"an expired walk-in is still there for days": pendingExpired,
		"a context that is done stops every call":    pendingContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// walkIn is the nth walk-in of shopDevice; it starts n minutes after noon.
func walkIn(n int) stage.Attribution {
	return stage.Attribution{WalkIn: events.WalkIn{
		ID: walkInID(n), Business: shopDevice.Business, Device: shopDevice.Device,
		StartedAt: later(n), ConfirmedAt: later(n + 5),
	}}
}

// of gives a with a contact.
func of(a stage.Attribution, contact events.ContactID) stage.Attribution {
	a.Contact, a.BoundAt = contact, a.WalkIn.StartedAt.Add(time.Hour)
	return a
}

func putNew(t *testing.T, s stage.Pending, a, want stage.Attribution) {
	t.Helper()
	got, err := s.PutNew(t.Context(), a, later(60*24))
	noError(t, err)
	if got != want {
		t.Errorf("PutNew gives\n%+v, want\n%+v", got, want)
	}
}

func resolve(t *testing.T, s stage.Pending, a, want stage.Attribution) {
	t.Helper()
	got, err := s.Resolve(t.Context(), a)
	noError(t, err)
	if got != want {
		t.Errorf("Resolve gives\n%+v, want\n%+v", got, want)
	}
}

func wantWalkIns(t *testing.T, s stage.Pending, key stage.IdentityKey, from time.Time, want ...stage.Attribution) {
	t.Helper()
	got, err := s.OfDevice(t.Context(), key, from)
	noError(t, err)
	if len(got) != len(want) {
		t.Fatalf("from %v: %d walk-ins, want %d: %+v", from, len(got), len(want), got)
	}
	for n := range got {
		if got[n] != want[n] {
			t.Errorf("from %v: walk-in %d is\n%+v, want\n%+v", from, n, got[n], want[n])
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
	unbound := of(walkIn(4), "東京/Ž#1")
	unbound.BoundAt = time.Time{}
	all := []stage.Attribution{walkIn(0), anonymous, unconfirmed, of(walkIn(3), "anna"), unbound}
	for _, a := range all {
		putNew(t, s, a, a)
	}
	wantWalkIns(t, s, shopDevice, noon, all...)
}

// A walk-in that is delivered again, perhaps by a version that decides otherwise,
// finds the first decision.
func pendingPutTwice(t *testing.T, s stage.Pending) {
	first := walkIn(0)
	putNew(t, s, first, first)
	again := of(first, "anna") // a retry that knows more
	again.WalkIn.ConfirmedAt = later(9)
	putNew(t, s, again, first)
	resolve(t, s, of(first, "ben"), of(first, "ben"))
	putNew(t, s, again, of(first, "ben"))
	wantWalkIns(t, s, shopDevice, noon, of(first, "ben"))
}

// Two logins during one visit, or the retry of the first one with another time:
// what was decided first was emitted, and must stay.
func pendingResolveTwice(t *testing.T, s stage.Pending) {
	a := walkIn(0)
	putNew(t, s, a, a)
	putNew(t, s, walkIn(1), walkIn(1))
	resolve(t, s, of(a, "anna"), of(a, "anna"))
	resolve(t, s, of(a, "ben"), of(a, "anna"))
	earlier := of(a, "anna")
	earlier.BoundAt = later(-7)
	resolve(t, s, earlier, of(a, "anna"))
	wantWalkIns(t, s, shopDevice, noon, of(a, "anna"), walkIn(1))
}

// Enrich knows the contact at once in most cases; a login afterwards is for the
// next visit.
func pendingPutResolved(t *testing.T, s stage.Pending) {
	a := of(walkIn(0), "anna")
	putNew(t, s, a, a)
	resolve(t, s, of(walkIn(0), "ben"), a)
	wantWalkIns(t, s, shopDevice, noon, a)
}

// An update that makes what it does not find would leave a contact without a
// walk-in.
func pendingResolveUnknown(t *testing.T, s stage.Pending) {
	putNew(t, s, walkIn(1), walkIn(1))
	if got, err := s.Resolve(t.Context(), of(walkIn(0), "anna")); err == nil || conflicts(err) {
		t.Errorf("Resolve gives %+v, %v, want an error that is no conflict", got, err)
	}
	wantWalkIns(t, s, shopDevice, noon, walkIn(1))
}

func pendingResolveNobody(t *testing.T, s stage.Pending) {
	putNew(t, s, walkIn(0), walkIn(0))
	if got, err := s.Resolve(t.Context(), walkIn(0)); err == nil {
		t.Errorf("Resolve gives %+v", got)
	}
	resolve(t, s, of(walkIn(0), "anna"), of(walkIn(0), "anna"))
}

// A login asks for the walk-ins since some moment, and that moment is often the
// very start of one.
func pendingOfDevice(t *testing.T, s stage.Pending) {
	for _, n := range []int{10, 2, 0, 100, 9, -3} { // neither in order nor as text
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
	resolve(t, s, of(b, "anna"), of(b, "anna"))
	wantWalkIns(t, s, shopDevice, noon, a, of(b, "anna"))
}

func pendingPaging(t *testing.T, s stage.Pending) {
	var all []stage.Attribution
	for n := range 10 { // 3 MB
		a := of(walkIn(n), events.ContactID(strings.Repeat(fmt.Sprint(n), 300<<10)))
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
	precise := of(walkIn(0), "anna")
	precise.WalkIn.StartedAt = noon.Add(1999 * time.Microsecond).In(time.FixedZone("", 60*60))
	precise.WalkIn.ConfirmedAt, precise.BoundAt = precise.WalkIn.StartedAt, precise.WalkIn.StartedAt
	cut := precise
	cut.WalkIn.StartedAt = noon.Add(time.Millisecond)
	cut.WalkIn.ConfirmedAt, cut.BoundAt = cut.WalkIn.StartedAt, cut.WalkIn.StartedAt
	putNew(t, s, precise, cut)
	resolve(t, s, precise, cut)
	// What starts within a millisecond is found from there on.
	wantWalkIns(t, s, shopDevice, precise.WalkIn.StartedAt, cut)
}

// ended gives a with an end, n minutes after noon.
func ended(a stage.Attribution, n int) stage.Attribution {
	a.LastSeen = later(n)
	return a
}

func end(t *testing.T, s stage.Pending, a, want stage.Attribution) {
	t.Helper()
	got, err := s.End(t.Context(), a, later(60*24))
	noError(t, err)
	if got != want {
		t.Errorf("End gives\n%+v, want\n%+v", got, want)
	}
}

func pendingEnd(t *testing.T, s stage.Pending) {
	putNew(t, s, walkIn(0), walkIn(0))
	bare := walkIn(0)
	bare.WalkIn.ConfirmedAt = time.Time{} // an end does not know of it
	end(t, s, ended(bare, 40), ended(walkIn(0), 40))
	resolve(t, s, of(walkIn(0), "anna"), ended(of(walkIn(0), "anna"), 40))
	putNew(t, s, walkIn(0), ended(of(walkIn(0), "anna"), 40))
	putNew(t, s, of(walkIn(1), "ben"), of(walkIn(1), "ben"))
	end(t, s, ended(of(walkIn(1), "carl"), 50), ended(of(walkIn(1), "ben"), 50)) // whose it is an end does not say
	wantWalkIns(t, s, shopDevice, noon, ended(of(walkIn(0), "anna"), 40), ended(of(walkIn(1), "ben"), 50))
}

// Ends and walk-ins are on two topics. What the end made is a walk-in that has no
// contact, which a login may give it.
func pendingEndFirst(t *testing.T, s stage.Pending) {
	bare := walkIn(0)
	bare.WalkIn.ConfirmedAt = time.Time{}
	end(t, s, ended(of(bare, "carl"), 40), ended(bare, 40))
	wantWalkIns(t, s, shopDevice, noon, ended(bare, 40))
	putNew(t, s, of(walkIn(0), "anna"), ended(bare, 40))
	resolve(t, s, of(walkIn(0), "anna"), ended(of(bare, "anna"), 40))
	if got, err := s.End(canceled(), ended(walkIn(3), 9), later(60)); err == nil {
		t.Errorf("an end whose context is done gives %+v", got)
	}
	wantWalkIns(t, s, shopDevice, noon, ended(of(bare, "anna"), 40))
}

func pendingEndTwice(t *testing.T, s stage.Pending) {
	putNew(t, s, walkIn(0), walkIn(0))
	for _, c := range [][2]int{{40, 40}, {40, 40}, {30, 40}, {52, 52}, {40, 52}} {
		end(t, s, ended(walkIn(0), c[0]), ended(walkIn(0), c[1]))
	}
}

// Enrich stores an end while identify finds the contact: whoever is second has
// both, and tells them.
func pendingRaceEnd(t *testing.T, s stage.Pending) {
	for n := range 10 {
		got := make([]stage.Attribution, writers)
		for _, err := range race(func(w int) (err error) {
			a := ended(of(walkIn(n), "anna"), n+40)
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
			t.Errorf("nobody saw both: %+v", got)
		}
	}
}

// Two deliveries of one walk-in, of which one already knows the contact.
func pendingRacePut(t *testing.T, s stage.Pending) {
	got := make([]stage.Attribution, writers)
	for _, err := range race(func(w int) (err error) {
		a := walkIn(0)
		if w > 0 { // one of them puts it as pending
			a = of(a, events.ContactID(fmt.Sprint(w)))
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

// Enrich and identify both find the contact at the same time: both must emit the
// same one.
func pendingRaceResolve(t *testing.T, s stage.Pending) {
	putNew(t, s, walkIn(0), walkIn(0))
	got := make([]stage.Attribution, writers)
	for _, err := range race(func(w int) (err error) {
		got[w], err = s.Resolve(t.Context(), of(walkIn(0), events.ContactID(fmt.Sprint(w))))
		return err
	}) {
		noError(t, err)
	}
	for _, a := range got {
		if a.Contact == "" {
			t.Error("a resolve gives a walk-in without contact")
		}
		wantWalkIns(t, s, shopDevice, noon, a)
	}
}

func pendingExpired(t *testing.T, s stage.Pending) {
	_, err := s.PutNew(t.Context(), walkIn(0), later(-60))
	noError(t, err)
	putNew(t, s, of(walkIn(0), "anna"), walkIn(0))
	wantWalkIns(t, s, shopDevice, noon, walkIn(0))
}

func pendingContext(t *testing.T, s stage.Pending) {
	_, err := s.PutNew(canceled(), walkIn(0), later(60))
	wantCanceled(t, err)
	_, err = s.OfDevice(canceled(), shopDevice, noon)
	wantCanceled(t, err)
	putNew(t, s, walkIn(1), walkIn(1))
	_, err = s.Resolve(canceled(), of(walkIn(1), "anna"))
	wantCanceled(t, err)
	wantWalkIns(t, s, shopDevice, noon, walkIn(1))
}
