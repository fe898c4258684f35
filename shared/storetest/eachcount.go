package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"footfall/shared/presence"
	"footfall/shared/stage"
)

// AllCounts is a stage.Counts that can read the counts of all contacts.
type AllCounts interface {
	stage.Counts
	Each(ctx context.Context, handle func(key stage.CountKey, parts []stage.MonthCount) error) error
}

// EachCount tests Each of s, which is empty: it reads the same parts as Get for
// every contact, and stops at the first error.
func EachCount(t *testing.T, s AllCounts) {
	// readAll returns a sorted line per contact.
	readAll := func() string {
		var all []string
		noError(t, s.Each(t.Context(), func(key stage.CountKey, parts []stage.MonthCount) error {
			line := []string{fmt.Sprintf("%s/%s", key.Business, key.Contact)}
			for _, p := range parts {
				var facts []string
				for _, f := range p.Facts {
					facts = append(facts, fmt.Sprint(f))
				}
				slices.Sort(facts)
				line = append(line, fmt.Sprintf("%s: %d, v%d %v", p.Month, p.Total, p.Version, facts))
			}
			all = append(all, strings.Join(line, " "))
			return nil
		}))
		slices.Sort(all)
		return strings.Join(all, "\n")
	}
	if got := readAll(); got != "" {
		t.Errorf("got %s from an empty store, want no contacts", got)
	}
	// One contact with a base and two months, one with a month.
	one, two := began(1), presence.LastSeen(string(walkInID(1)), noon)
	contact, other := stage.CountKey{Business: "shop", Contact: "with/slash"}, stage.CountKey{Business: "shop", Contact: "x"}
	noError(t, s.Add(t.Context(), contact, "2026-11", []presence.Fact{one, two}))
	noError(t, s.Add(t.Context(), contact, "2026-12", []presence.Fact{began(2)}))
	noError(t, s.SetBase(t.Context(), contact, 40, 0))
	noError(t, s.Add(t.Context(), other, "2026-12", []presence.Fact{one}))
	both := []string{fmt.Sprint(one), fmt.Sprint(two)}
	slices.Sort(both)
	want := fmt.Sprintf("shop/with/slash : 40, v1 [] 2026-11: 1, v2 %v 2026-12: 1, v1 [%v]\nshop/x 2026-12: 1, v1 [%v]", both, began(2), one)
	if got := readAll(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// The first error of the callback, and a canceled context, end the call.
	failure := errors.New("enough")
	calls := 0
	err := s.Each(t.Context(), func(stage.CountKey, []stage.MonthCount) error { calls++; return failure })
	if !errors.Is(err, failure) || calls != 1 {
		t.Errorf("got error %v after %d calls, want %v after 1", err, calls, failure)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Each(ctx, func(stage.CountKey, []stage.MonthCount) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}
