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

// AllCounts is a stage.Counts that can give all that it holds.
type AllCounts interface {
	stage.Counts
	Each(ctx context.Context, each func(key stage.CountKey, parts []stage.MonthCount) error) error
}

// EachCount tests Each of s, which is empty.
func EachCount(t *testing.T, s AllCounts) {
	each := func() string {
		var all []string
		noError(t, s.Each(t.Context(), func(key stage.CountKey, parts []stage.MonthCount) error {
			line := []string{fmt.Sprintf("%s/%s", key.Business, key.Contact)}
			for _, p := range parts {
				var told []string
				for _, f := range p.Facts {
					told = append(told, fmt.Sprint(f))
				}
				slices.Sort(told)
				line = append(line, fmt.Sprintf("%s: %d, v%d %v", p.Month, p.Total, p.Version, told))
			}
			all = append(all, strings.Join(line, " "))
			return nil
		}))
		slices.Sort(all)
		return strings.Join(all, "\n")
	}
	if got := each(); got != "" {
		t.Errorf("an empty store gives %s", got)
	}
	one, two := began(1), presence.LastSeen(string(walkInID(1)), noon)
	contact, other := stage.CountKey{Business: "shop", Contact: "with/slash"}, stage.CountKey{Business: "shop", Contact: "x"}
	noError(t, s.Add(t.Context(), contact, "2026-11", []presence.Fact{one, two}))
	noError(t, s.Add(t.Context(), contact, "2026-12", []presence.Fact{began(2)}))
	noError(t, s.SetBase(t.Context(), contact, 40, 0))
	noError(t, s.Add(t.Context(), other, "2026-12", []presence.Fact{one}))
	both := []string{fmt.Sprint(one), fmt.Sprint(two)}
	slices.Sort(both)
	want := fmt.Sprintf("shop/with/slash : 40, v1 [] 2026-11: 1, v2 %v 2026-12: 1, v1 [%v]\nshop/x 2026-12: 1, v1 [%v]", both, began(2), one)
	if got := each(); got != want {
		t.Errorf("all is\n%s\nwant\n%s", got, want)
	}
	failure := errors.New("enough")
	given := 0
	err := s.Each(t.Context(), func(stage.CountKey, []stage.MonthCount) error { given++; return failure })
	if !errors.Is(err, failure) || given != 1 {
		t.Errorf("after %d: %v, want an end with the first error", given, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Each(ctx, func(stage.CountKey, []stage.MonthCount) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}
