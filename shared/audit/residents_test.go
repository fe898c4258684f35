package audit

import (
	"testing"
	"time"

	"footfall/events"
)

// withTill returns a healthy fixture with a till, with which eve has logged in. The
// till is heard from morning to evening on ten days. It has walk-ins on the first
// three days, and is a resident device from then on. ends are the days whose visits
// of the till are on visits-ended.
func withTill(t *testing.T, ends ...int) *fixture {
	f := healthy(t)
	f.login("till", "eve", afterNoon(-9*day), false)
	f.tick(-9*day, -2*day)
	for d := -8; d < 2; d++ {
		for m := -4 * 60; m < 9*60; m += 9 {
			f.hear("till", d*day+m)
		}
		if begin := d*day - 4*60; d < -5 {
			f.count("eve", begin, f.produce("till", "eve", begin))
		}
	}
	for _, d := range ends {
		begin := afterNoon(d*day - 4*60)
		f.put(events.VisitsEnded, "cafe/till", afterNoon(d*day+10*60), &events.VisitEnded{
			ID: events.NewWalkInID("cafe", "till", begin), Business: "cafe", Device: "till", Resident: true,
			StartedAt: begin, LastSeenAt: begin.Add(13 * time.Hour), DwellMillis: (13 * time.Hour).Milliseconds(),
		})
	}
	f.produceSightings()
	return f
}

// An audit of everything learns that the till is a resident device, as the stage
// does.
func TestAuditLearnsResidentDevices(t *testing.T) {
	f := withTill(t)
	if r, diff := f.audit(time.Time{}, time.Time{}); diff != "" || r.Expected != 8 {
		t.Errorf("%d expected, want 8; differences\n%s", r.Expected, diff)
	}
}

// An audit of a range does not read the days before. It takes from visits-ended that
// a visit is that of a resident device, and only for the visits that visits-ended
// has. The range begins where a tick is right before the beginning of the reading.
func TestAuditOfARangeTakesResidentsFromVisitsEnded(t *testing.T) {
	from, to := afterNoon(-2*day-30+36*60+19), afterNoon(day) // a lead-in is 36 h 19 min
	f := withTill(t, -5, -4, -3, -2, -1, 0, 1)
	if _, diff := f.audit(from, to); diff != "" {
		t.Errorf("differences\n%s", diff)
	}
	f = withTill(t, -5, -4, -3, -2, -1, 1) // the visit of day 0 is missing
	if _, diff := f.audit(from, to); diff == "" {
		t.Error("no difference, want the walk-in whose visit is missing on visits-ended")
	}
}
