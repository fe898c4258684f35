package audit

import (
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/stage"
)

// Of who was forgotten the topics still tell. That is no difference where the
// identities say so, and it hides nobody else's.
func TestAuditLeavesOutWhoWasForgotten(t *testing.T) {
	w := town(t)
	w.play()
	ids := memory.NewIdentities()
	for _, c := range []events.ContactID{"ann", "bob"} {
		if err := w.counts.Delete(t.Context(), stage.CountKey{Business: "cafe", Contact: c}); err != nil {
			t.Fatal(err)
		}
		w.put(events.WalkInCounts, "cafe/"+string(c), at(3*day), []byte(nil))
	}
	if err := ids.PutContact(t.Context(), "cafe", "ann", stage.ContactRecord{ForgottenAt: at(3 * day)}, 0); err != nil {
		t.Fatal(err)
	}
	if _, diff := w.audit(time.Time{}, time.Time{}); diff == "" {
		t.Error("without identities nothing is missing")
	}
	r, err := Run(t.Context(), Options{Client: w.client, Rules: w.rules, Counts: w.counts, Identities: ids})
	if err != nil {
		t.Fatal(err)
	}
	if r.Forgotten != 1 || len(r.Differences) != 1 || r.Differences[0].Contact != "bob" || r.Differences[0].Kind != InTable {
		t.Errorf("%d forgotten, differences %+v, want bob's missing walk-in alone", r.Forgotten, r.Differences)
	}
	if missing := len(r.Differences[0].Missing); missing == 0 || r.Expected-r.Counted != missing {
		t.Errorf("%d expected, %d counted, and %d missing", r.Expected, r.Counted, missing)
	}
}
