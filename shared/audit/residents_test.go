package audit

import (
	"testing"
	"time"

	"footfall/events"
)

// The till's keeper logged in with it. It is here from early to late, so that it
// walks in on three days and on none of the days after that.
func keeper(t *testing.T, ends ...int) *world {
	w := town(t)
	w.login("till", "eve", at(-9*day), false)
	w.tick(-9*day, -2*day)
	for d := -8; d < 2; d++ {
		for m := -4 * 60; m < 9*60; m += 9 {
			w.hear("till", d*day+m)
		}
		if begin := d*day - 4*60; d < -5 {
			w.count("eve", begin, w.tell("till", "eve", begin))
		}
	}
	for _, d := range ends {
		begin := at(d*day - 4*60)
		w.put(events.VisitsEnded, "cafe/till", at(d*day+10*60), &events.VisitEnded{
			ID: events.NewWalkInID("cafe", "till", begin), Business: "cafe", Device: "till", Resident: true,
			StartedAt: begin, LastSeenAt: begin.Add(13 * time.Hour), DwellMillis: (13 * time.Hour).Milliseconds(),
		})
	}
	w.play()
	return w
}

func TestAuditKnowsResidents(t *testing.T) {
	w := keeper(t)
	if r, diff := w.audit(time.Time{}, time.Time{}); diff != "" || r.Expected != 8 {
		t.Errorf("%d expected, want 8; differences\n%s", r.Expected, diff)
	}
}

// Of a range the days before are not read: whether the till's visits are a
// resident's is what visits-ended tells, and of nobody else. The range begins
// where a tick lies right before what has to be read.
func TestAuditOfARangeBelievesWhoWasLearnt(t *testing.T) {
	from, to := at(-day+15), at(day)
	w := keeper(t, -5, -4, -3, -2, -1, 0, 1)
	if _, diff := w.audit(from, to); diff != "" {
		t.Errorf("differences\n%s", diff)
	}
	w = keeper(t, -5, -4, -3, -2, -1, 1) // one is missing
	if _, diff := w.audit(from, to); diff == "" {
		t.Error("a walk-in of which nothing is told is not found")
	}
}
