package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"footfall/events"
	"footfall/shared/stage"
)

// AllCounts is a stage.Counts that can give all that it holds.
type AllCounts interface {
	stage.Counts
	Each(ctx context.Context, each func(key stage.CountKey, month string, total int64, ids []events.WalkInID) error) error
}

// EachCount tests Each of s, which is empty.
func EachCount(t *testing.T, s AllCounts) {
	each := func() string {
		var all []string
		noError(t, s.Each(t.Context(), func(key stage.CountKey, month string, total int64, ids []events.WalkInID) error {
			slices.Sort(ids)
			all = append(all, fmt.Sprintf("%s/%s %s: %d %v", key.Business, key.Contact, month, total, ids))
			return nil
		}))
		slices.Sort(all)
		return strings.Join(all, "\n")
	}
	if got := each(); got != "" {
		t.Errorf("an empty store gives %s", got)
	}
	one, two := events.NewWalkInID("shop", "phone", noon), events.NewWalkInID("shop", "phone", later(60))
	contact := stage.CountKey{Business: "shop", Contact: "with/slash"}
	noError(t, s.Add(t.Context(), contact, "2026-11", []events.WalkInID{one, two}))
	noError(t, s.Add(t.Context(), contact, "2026-12", []events.WalkInID{one}))
	noError(t, s.SetBase(t.Context(), contact, 40, 0))
	ids := []events.WalkInID{one, two}
	slices.Sort(ids)
	want := fmt.Sprintf("shop/with/slash 2026-11: 2 %v\nshop/with/slash 2026-12: 1 [%s]\nshop/with/slash : 40 []", ids, one)
	if got := each(); got != want {
		t.Errorf("all is\n%s\nwant\n%s", got, want)
	}
	failure := errors.New("enough")
	given := 0
	err := s.Each(t.Context(), func(stage.CountKey, string, int64, []events.WalkInID) error { given++; return failure })
	if !errors.Is(err, failure) || given != 1 {
		t.Errorf("after %d: %v, want an end with the first error", given, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Each(ctx, func(stage.CountKey, string, int64, []events.WalkInID) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}
