package presence_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/shared/presence"
)

func TestForget(t *testing.T) {
	ann, bob := presence.History{}.Bind("ann", day(0), false), presence.History{}.Bind("bob", day(5), true)
	for name, c := range map[string]struct {
		h, want presence.History
	}{
		"nothing is left of a device of hers alone": {
			presence.History{}.Bind("ann", day(0), true).Bind("ann", day(3), true), presence.History{},
		},
		"somebody else's history stays": {bob, bob},
		"who had the device before does not get it back": {
			bob.Bind("ann", day(9), true).Bind("ann", day(12), true),
			presence.History{
				Bindings:   []presence.Binding{{Contact: "bob", From: day(5), Until: day(9)}},
				Randomised: true, LastSeen: day(9),
			},
		},
		"who got it afterwards keeps it": {
			ann.Bind("bob", day(5), true),
			presence.History{
				Bindings:   []presence.Binding{{Contact: "bob", From: day(5)}},
				Randomised: true, LastSeen: day(5),
			},
		},
		"a merge that took it from her holds by itself": {
			ann.Hand("ann", "bob", day(4)),
			presence.History{Bindings: []presence.Binding{{Contact: "bob", From: day(4)}}, LastSeen: day(0)},
		},
		"a merge that would have is gone": {
			presence.History{
				Bindings: []presence.Binding{{Contact: "bob", From: day(3)}, {Contact: "carl", From: day(4), MergedFrom: "ann"}},
			},
			presence.History{Bindings: []presence.Binding{{Contact: "bob", From: day(3)}}},
		},
		"she came back since": {
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
				t.Errorf("a second time gives %+v", again)
			}
		})
	}
}

// Whatever was told of a device, nobody else's part of it changes.
func TestForgetLeavesTheOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		who := rapid.SampledFrom([]string{"ann", "bob", "carl"})
		h, random := presence.History{}, rapid.Bool().Draw(t, "randomised")
		for range rapid.IntRange(1, 10).Draw(t, "events") {
			one, at := who.Draw(t, "who"), day(rapid.IntRange(0, 150).Draw(t, "day"))
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				h = h.Release(one, at)
			case 1:
				h = h.Hand(one, who.Draw(t, "to"), at)
			case 2:
				if _, ok := h.Owner(at); ok { // as enrich asks before
					h, _ = h.Seen(at)
				}
			default:
				h = h.Bind(one, at, random)
			}
		}
		after := h.Forget("ann", day(200))
		for _, b := range after.Bindings {
			if b.Contact == "ann" || b.MergedFrom == "ann" {
				t.Fatalf("she is still in %+v", after)
			}
		}
		for at := day(-1); at.Before(day(260)); at = at.Add(12 * time.Hour) {
			was, owned := h.Owner(at)
			is, owns := after.Owner(at)
			if mine := owned && was.Contact != "ann"; mine != owns || mine && was.Contact != is.Contact {
				t.Fatalf("%v: %q (%t), was %q (%t)\nbefore %+v\nafter  %+v", at, is.Contact, owns, was.Contact, owned, h, after)
			}
		}
	})
}
