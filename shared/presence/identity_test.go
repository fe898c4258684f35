package presence_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
)

var newYear = time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)

func day(n int) time.Time { return newYear.AddDate(0, 0, n) }

// A randomised address that was not seen for 45 days is nobody's, and stays
// nobody's for that time whoever logs in with it afterwards.
func TestALoginDoesNotBringBackWhatHadExpired(t *testing.T) {
	h := presence.History{}.Bind("ann", day(0), true)
	h, _ = h.Seen(day(10))
	h = h.Bind("bob", day(60), true).Bind("bob", day(60), true)
	cases := map[string]struct {
		start time.Time
		want  string
	}{
		"while it was hers":               {day(40), "ann"},
		"45 days after it was seen":       {day(55), "ann"},
		"just after that":                 {day(55).Add(time.Millisecond), ""},
		"ten minutes before the next one": {day(60).Add(-10 * time.Minute), "bob"},
		"after it":                        {day(61), "bob"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if b, _ := h.Attribute(c.start); b.Contact != c.want {
				t.Errorf("it is %q's, want %q's: %+v", b.Contact, c.want, h)
			}
		})
	}
}

// Whatever the order of logins, and however often each is told, the device is
// the same contact's at any moment.
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
		for at := day(-1); at.Before(day(260)); at = at.AddDate(0, 0, 1) {
			x, _ := a.Attribute(at)
			y, _ := b.Attribute(at)
			if x.Contact != y.Contact {
				t.Fatalf("%v: %q in one order, %q in the other\n%+v\n%+v", at, x.Contact, y.Contact, a, b)
			}
		}
	})
}

// fate is what became of a contact: deleted, merged into another, or both.
type fate struct {
	deleted, merged time.Time // zero for never
	into            string
}

// told is what identify does to a device's history with each event it is told,
// in whatever order: what is known to have become of a contact is done again to
// every binding to it.
type told struct {
	history presence.History
	listed  map[string]bool // contacts that the device was ever bound to
	fates   map[string]fate // known by now
}

func (d *told) login(contact string, at time.Time) {
	d.history = d.history.Bind(contact, at, false)
	d.follow(contact)
}

func (d *told) ended(e oracle.CRM) {
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

func (d *told) follow(contact string) {
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

// Whatever the order in which logins, merges and deletions are told, the device
// is at any moment whose they say in the order of their time. A login told after
// a merge, from before it, may leave the merge with nothing to hand on.
func TestOwnersDoNotDependOnTheOrderOfEvents(t *testing.T) {
	contacts := []string{"ann", "bob", "carl", "dora"}
	rapid.Check(t, func(t *rapid.T) {
		days := rapid.SliceOfNDistinct(rapid.IntRange(0, 40), 4, 8, rapid.ID).Draw(t, "days")
		crm := make([]oracle.CRM, len(days))
		done := map[string]bool{} // at most one of a kind for a contact
		for i, n := range days {
			c := rapid.IntRange(0, len(contacts)-1).Draw(t, "contact")
			crm[i] = oracle.CRM{At: day(n), Contact: contacts[c], Device: "phone"}
			kind := rapid.SampledFrom([]string{"login", "login", "deletion", "merge"}).Draw(t, "kind")
			if kind == "login" || done[kind+contacts[c]] || kind == "merge" && c+1 == len(contacts) {
				continue
			}
			crm[i].Device, done[kind+contacts[c]] = "", true
			if kind == "merge" { // upwards, so never in a circle
				crm[i].Into = rapid.SampledFrom(contacts[c+1:]).Draw(t, "into")
			}
		}
		d := told{listed: map[string]bool{}, fates: map[string]fate{}}
		for _, e := range rapid.Permutation(crm).Draw(t, "told") {
			if e.Device != "" {
				d.login(e.Contact, e.At)
			} else {
				d.ended(e)
			}
		}
		slices.SortFunc(crm, func(a, b oracle.CRM) int { return a.At.Compare(b.At) })
		for at := day(0); at.Before(day(45)); at = at.Add(12 * time.Hour) {
			got, ok := d.history.Owner(at)
			if !ok {
				got.Contact = ""
			}
			if want, late := oracle.AttributedContact("phone", at, crm); !late && got.Contact != want {
				t.Fatalf("%v: %q's, want %q's\n%+v\nafter %+v", at, got.Contact, want, d.history.Bindings, crm)
			}
		}
	})
}
