package detect

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// fixedRules is a Businesses with rules for cafe-1 only. With err set it fails.
type fixedRules struct {
	revisions []stage.RulesSince
	err       error
}

func (f *fixedRules) Rules(_ context.Context, ids []events.BusinessID) ([][]stage.RulesSince, error) {
	all := make([][]stage.RulesSince, len(ids))
	for i, id := range ids {
		if id == "cafe-1" {
			all[i] = f.revisions
		}
	}
	return all, f.err
}

// A business without rules of its own decides by the defaults. A business that
// was not loaded is an error, which names the business.
func TestRulesOfABusinessThatWasNotLoadedAreAnError(t *testing.T) {
	own := presence.DefaultRules()
	own.Entry = -50
	b := rulebook{source: &fixedRules{revisions: []stage.RulesSince{{Since: 10, Rules: own}}}}
	if err := b.loadAll(t.Context(), []events.BusinessID{"cafe-1", "cafe-2"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		business  events.BusinessID
		watermark presence.Instant
		entry     int32
	}{{"cafe-1", 9, -70}, {"cafe-1", 10, -50}, {"cafe-2", 10, -70}} {
		r, err := b.loaded(c.business, c.watermark)
		if err != nil || r.Entry != c.entry {
			t.Errorf("rules of %s at %d: entry threshold %+v, error %v, want %d", c.business, c.watermark, r, err, c.entry)
		}
	}
	if _, err := b.loaded("cafe-3", 10); err == nil || !strings.Contains(err.Error(), `"cafe-3"`) {
		t.Errorf("rules of a business that was not loaded: error %v, want one that names the business", err)
	}
	if _, err := b.changesAt("cafe-3", 10); err == nil {
		t.Error("rule boundary of a business that was not loaded: no error")
	}
}

// When many businesses are known, renew keeps those of the devices only. If the
// source fails meanwhile, no business is taken for one without rules.
func TestRenewKeepsTheBusinessesOfTheDevices(t *testing.T) {
	source := &fixedRules{revisions: []stage.RulesSince{{Rules: presence.DefaultRules()}}}
	devices := map[string]*tracked{"cafe-1/phone": {}}
	b := rulebook{source: source}
	var ids []events.BusinessID
	for i := range spareBusinesses + 1 {
		ids = append(ids, events.BusinessID(fmt.Sprint("cafe-", i+1)))
	}
	if err := b.loadAll(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	source.err = stagetest.ErrInjected
	if err := b.renew(t.Context(), devices); err == nil {
		t.Error("the injected fault was not met")
	}
	if _, err := b.loaded("cafe-1", 0); err == nil {
		t.Error("rules of a business after the source failed: no error")
	}
	source.err, b.known = nil, nil
	if err := b.renew(t.Context(), devices); err != nil {
		t.Fatal(err)
	}
	if len(b.known) != 1 || len(b.known["cafe-1"]) != 1 {
		t.Errorf("%d businesses known, %d revisions of cafe-1, want 1 and 1", len(b.known), len(b.known["cafe-1"]))
	}
}
