package presence_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/shared/presence"
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
