package audit

import (
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/stage"
)

// Two contacts have no counts any more, and the topics still hold their records. If
// the identities hold that one was forgotten, the audit leaves out that one and
// reports the other.
func TestAuditLeavesOutForgottenContacts(t *testing.T) {
	f := healthy(t)
	f.produceSightings()
	ids := memory.NewIdentities()
	for _, c := range []events.ContactID{"ann", "bob"} {
		if err := f.counts.Delete(t.Context(), stage.CountKey{Business: "cafe", Contact: c}); err != nil {
			t.Fatal(err)
		}
		f.put(events.WalkInCounts, "cafe/"+string(c), afterNoon(3*day), []byte(nil))
	}
	if err := ids.PutContact(t.Context(), "cafe", "ann", stage.ContactRecord{ForgottenAt: afterNoon(3 * day)}, 0); err != nil {
		t.Fatal(err)
	}
	if _, diff := f.audit(time.Time{}, time.Time{}); diff == "" {
		t.Error("without identities: no differences, want some")
	}
	r, err := Run(t.Context(), Options{Client: f.client, Rules: f.rules, Counts: f.counts, Identities: ids})
	if err != nil {
		t.Fatal(err)
	}
	if r.Forgotten != 1 || len(r.Differences) != 1 || r.Differences[0].Contact != "bob" || r.Differences[0].Kind != InTable {
		t.Errorf("%d forgotten, differences %+v, want 1 forgotten, and the missing walk-ins of bob alone", r.Forgotten, r.Differences)
	}
	if missing := len(r.Differences[0].Missing); missing == 0 || r.Expected-r.Counted != missing {
		t.Errorf("%d expected, %d counted, %d missing, want expected - counted = missing", r.Expected, r.Counted, missing)
	}
}
