package presence_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/shared/presence"
)

// Forget: ann is removed with her bindings up to day 20.
func TestForgetRemovesAContactFromAHistory(t *testing.T) {
	ann, bob := presence.History{}.Bind("ann", day(0), false), presence.History{}.Bind("bob", day(5), true)
	for name, c := range map[string]struct {
		h, want presence.History
	}{
		"a device bound to ann alone has no history afterwards": {
			presence.History{}.Bind("ann", day(0), true).Bind("ann", day(3), true), presence.History{},
		},
		"the history of another contact stays": {bob, bob},
		"the contact before ann does not get the device back": {
			bob.Bind("ann", day(9), true).Bind("ann", day(12), true),
			presence.History{
				Bindings:   []presence.Binding{{Contact: "bob", From: day(5), Until: day(9)}},
				Randomised: true, LastSeen: day(9),
			},
		},
		"the contact after ann keeps the device": {
			ann.Bind("bob", day(5), true),
			presence.History{
				Bindings:   []presence.Binding{{Contact: "bob", From: day(5)}},
				Randomised: true, LastSeen: day(5),
			},
		},
		"a merge that took the device from ann holds by itself": {
			ann.Hand("ann", "bob", day(4)),
			presence.History{Bindings: []presence.Binding{{Contact: "bob", From: day(4)}}, LastSeen: day(0)},
		},
		"a merge from ann that does not hold is removed": {
			presence.History{
				Bindings: []presence.Binding{{Contact: "bob", From: day(3)}, {Contact: "carl", From: day(4), MergedFrom: "ann"}},
			},
			presence.History{Bindings: []presence.Binding{{Contact: "bob", From: day(3)}}},
		},
		"a binding of ann after day 20 stays": {
			ann.Bind("ann", day(30), false),
			presence.History{Bindings: []presence.Binding{{Contact: "ann", From: day(30)}}, LastSeen: day(30)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.h.Forget("ann", day(20))
			if !got.Equal(c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if again := got.Forget("ann", day(20)); !again.Equal(got) {
				t.Errorf("applied again: got %+v, want the same", again)
			}
		})
	}
}

// Whatever the history, Forget removes ann and changes no other contact: each has the
// device at the same moments as before.
func TestForgetLeavesOtherContacts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		contact := rapid.SampledFrom([]string{"ann", "bob", "carl"})
		h, random := presence.History{}, rapid.Bool().Draw(t, "randomised")
		for range rapid.IntRange(1, 10).Draw(t, "events") {
			name, moment := contact.Draw(t, "contact"), day(rapid.IntRange(0, 150).Draw(t, "day"))
			switch rapid.IntRange(0, 3).Draw(t, "event") {
			case 0:
				h = h.Release(name, moment)
			case 1:
				h = h.Hand(name, contact.Draw(t, "into"), moment)
			case 2:
				if _, ok := h.Owner(moment); ok { // enrich calls Seen for attributed walk-ins only
					h, _ = h.Seen(moment)
				}
			default:
				h = h.Bind(name, moment, random)
			}
		}
		after := h.Forget("ann", day(200))
		for _, b := range after.Bindings {
			if b.Contact == "ann" || b.MergedFrom == "ann" {
				t.Fatalf("got ann in %+v, want no binding of hers", after)
			}
		}
		for moment := day(-1); moment.Before(day(260)); moment = moment.Add(12 * time.Hour) {
			before, wasBound := h.Owner(moment)
			got, isBound := after.Owner(moment)
			if other := wasBound && before.Contact != "ann"; other != isBound || other && before.Contact != got.Contact {
				t.Fatalf("%v: got %q (%t), before %q (%t)\nbefore %+v\nafter  %+v", moment, got.Contact, isBound, before.Contact, wasBound, h, after)
			}
		}
	})
}
