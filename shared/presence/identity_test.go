package presence_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
)

// newYear is day 0 of the histories here: 1 January, 9:00.
var newYear = time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)

// day returns the moment n days after newYear.
func day(n int) time.Time { return newYear.AddDate(0, 0, n) }

// Bind, first sequence in its comment: a binding on a randomised address that was
// not seen for 45 days has expired, and a later login does not revive it.
func TestLoginDoesNotReviveAnExpiredBinding(t *testing.T) {
	h := presence.History{}.Bind("ann", day(0), true)
	h, _ = h.Seen(day(10))
	h = h.Bind("bob", day(60), true).Bind("bob", day(60), true)
	cases := map[string]struct {
		start time.Time
		want  string
	}{
		"bound to ann":                    {day(40), "ann"},
		"45 days after the last sighting": {day(55), "ann"},
		"a millisecond later":             {day(55).Add(time.Millisecond), ""},
		"ten minutes before the login":    {day(60).Add(-10 * time.Minute), "bob"},
		"a day after the login":           {day(61), "bob"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if b, _ := h.Attribute(c.start); b.Contact != c.want {
				t.Errorf("attributed to %q, want %q: %+v", b.Contact, c.want, h)
			}
		})
	}
}

// A deletion after the expiry does not bring the binding back for the time before
// it, when a login arrives after the deletion.
func TestDeletionDoesNotReviveAnExpiredBinding(t *testing.T) {
	walkIn := day(120)
	h := presence.History{}.Bind("ann", day(0), true).Release("ann", walkIn.Add(20*time.Minute)).Bind("bob", walkIn.Add(10*time.Minute), true)
	if b, _ := h.Attribute(walkIn); b.Contact != "bob" {
		t.Errorf("attributed to %q, want bob, who logs in soon after: %+v", b.Contact, h)
	}
	// A deletion before the expiry stays the end of the binding.
	h = presence.History{}.Bind("ann", day(0), true).Release("ann", day(5)).Bind("bob", walkIn, true)
	if b, _ := h.Attribute(day(5)); b.Contact != "" {
		t.Errorf("attributed to %q after the deletion, want no contact: %+v", b.Contact, h)
	}
}

// Bind, last sequence in its comment: if a login arrives late and the device was
// seen since, the binding before it is left as it is.
func TestLateLoginLeavesABindingThatMayHaveBeenSeen(t *testing.T) {
	h := presence.History{}.Bind("ann", day(0), true)
	for n := range 101 {
		h, _ = h.Seen(day(n))
	}
	h = h.Bind("bob", day(60), true)
	if until := h.Bindings[0].Until; !until.IsZero() {
		t.Errorf("got the binding of ann until %v, want no end", until)
	}
	if b, _ := h.Attribute(day(60).Add(-10 * time.Minute)); b.Contact != "ann" {
		t.Errorf("attributed to %q, want ann", b.Contact)
	}
}

// Held, sequence in its comment: a login of another contact from before a merge
// arrives after the merge, which does not hold any more.
func TestMergeDoesNotHoldAfterALateLogin(t *testing.T) {
	h := presence.History{}.Bind("ann", day(1), false).Hand("ann", "bob", day(4))
	if b, _ := h.Owner(day(5)); b.Contact != "bob" {
		t.Errorf("before the login: bound to %q, want bob", b.Contact)
	}
	h = h.Bind("carl", day(3), false)
	if b, _ := h.Owner(day(5)); b.Contact != "carl" {
		t.Errorf("after the login: bound to %q, want carl", b.Contact)
	}
}

// Whatever the order of logins, and however often each is bound, a walk-in at any
// moment is attributed to the same contact.
func TestOwnersDoNotDependOnTheOrderOfLogins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		days := rapid.SliceOfNDistinct(rapid.IntRange(0, 200), 1, 6, rapid.ID).Draw(t, "days")
		isRandomised := rapid.Bool().Draw(t, "randomised")
		bind := func(order []int) (h presence.History) {
			for _, d := range order {
				h = h.Bind([]string{"ann", "bob", "carl"}[d%3], day(d), isRandomised)
			}
			return h
		}
		a, b := bind(days), bind(append(rapid.Permutation(days).Draw(t, "other"), days...))
		for start := day(-1); start.Before(day(260)); start = start.AddDate(0, 0, 1) {
			x, _ := a.Attribute(start)
			y, _ := b.Attribute(start)
			if x.Contact != y.Contact {
				t.Fatalf("%v: attributed to %q in one order, to %q in the other\n%+v\n%+v", start, x.Contact, y.Contact, a, b)
			}
		}
	})
}

// fate holds when a contact was deleted, merged into another, or both.
type fate struct {
	deleted, merged time.Time // zero if never
	into            string
}

// identified applies CRM events to the history of a device as identify does, in any
// order: whenever the device is bound to a contact, the deletion and the merge of
// that contact that arrived before are applied again.
type identified struct {
	history presence.History
	listed  map[string]bool // contacts that the device was ever bound to
	fates   map[string]fate // by contact, of the events that arrived
}

func (d *identified) login(contact string, at time.Time) {
	d.history = d.history.Bind(contact, at, false)
	d.follow(contact)
}

// ended applies a deletion or a merge.
func (d *identified) ended(e oracle.CRM) {
	f := d.fates[e.Contact]
	if e.Into == "" {
		f.deleted = e.At
	} else {
		f.merged, f.into = e.At, e.Into
	}
	d.fates[e.Contact] = f
	if d.listed[e.Contact] {
		d.follow(e.Contact)
	}
}

// follow applies the fate of a contact, and of the contacts it was merged into.
func (d *identified) follow(contact string) {
	for contact != "" {
		d.listed[contact] = true
		f := d.fates[contact]
		d.history = d.history.Release(contact, f.deleted)
		if f.into != "" {
			d.history = d.history.Hand(contact, f.into, f.merged)
		}
		contact = f.into
	}
}

// Whatever the order in which logins, merges and deletions arrive, the device is at
// any moment bound to the contact that the events give in the order of their time.
// A login from before a merge that arrives after it may leave the merge without
// effect.
func TestOwnersDoNotDependOnTheOrderOfEvents(t *testing.T) {
	contacts := []string{"ann", "bob", "carl", "dora"}
	rapid.Check(t, func(t *rapid.T) {
		days := rapid.SliceOfNDistinct(rapid.IntRange(0, 40), 4, 8, rapid.ID).Draw(t, "days")

		// Draw an event for each day. A contact has at most one deletion and one merge.
		crm := make([]oracle.CRM, len(days))
		done := map[string]bool{}
		for i, n := range days {
			c := rapid.IntRange(0, len(contacts)-1).Draw(t, "contact")
			crm[i] = oracle.CRM{At: day(n), Contact: contacts[c], Device: "phone"}
			kind := rapid.SampledFrom([]string{"login", "login", "deletion", "merge"}).Draw(t, "kind")
			if kind == "login" || done[kind+contacts[c]] || kind == "merge" && c+1 == len(contacts) {
				continue
			}
			crm[i].Device, done[kind+contacts[c]] = "", true
			if kind == "merge" { // into a later contact, so merges form no circle
				crm[i].Into = rapid.SampledFrom(contacts[c+1:]).Draw(t, "into")
			}
		}

		// Apply them in another order, and compare with the oracle in the order of time.
		d := identified{listed: map[string]bool{}, fates: map[string]fate{}}
		for _, e := range rapid.Permutation(crm).Draw(t, "order") {
			if e.Device != "" {
				d.login(e.Contact, e.At)
			} else {
				d.ended(e)
			}
		}
		slices.SortFunc(crm, func(a, b oracle.CRM) int { return a.At.Compare(b.At) })
		for moment := day(0); moment.Before(day(45)); moment = moment.Add(12 * time.Hour) {
			got, ok := d.history.Owner(moment)
			if !ok {
				got.Contact = ""
			}
			if want, late := oracle.AttributedContact("phone", moment, crm); !late && got.Contact != want {
				t.Fatalf("%v: bound to %q, want %q\n%+v\nafter %+v", moment, got.Contact, want, d.history.Bindings, crm)
			}
		}
	})
}
