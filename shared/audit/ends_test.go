package audit

import (
	"strings"
	"testing"
	"time"

	"footfall/events"
)

// endOf produces the end of the visit that a device began at a minute.
func (f *fixture) endOf(device events.DeviceID, minute, dwell int) {
	f.t.Helper()
	f.put(events.VisitsEnded, "cafe/"+string(device), afterNoon(minute+45), &events.VisitEnded{
		ID: events.NewWalkInID("cafe", device, afterNoon(minute)), Business: "cafe", Device: device, StartedAt: afterNoon(minute),
		LastSeenAt: afterNoon(minute + dwell), DwellMillis: (time.Duration(dwell) * time.Minute).Milliseconds(),
	})
}

// A visit on visits-ended has its end in the record of the highest version on
// enriched-walk-ins, in whichever order the records come. The number of visits whose
// last record is an older one is a note.
func TestEndsAreComparedByVersion(t *testing.T) {
	id := string(events.NewWalkInID("cafe", "phone", noon))[:4]
	record := func(version int64, dwell int) *events.EnrichedWalkIn {
		return &events.EnrichedWalkIn{
			ID: events.NewWalkInID("cafe", "phone", noon), Business: "cafe", Device: "phone", Contact: "ann", StartedAt: noon,
			BoundAt: afterNoon(-9000), Ended: dwell > 0, DwellMillis: (time.Duration(dwell) * time.Minute).Milliseconds(), Version: version,
		}
	}
	for _, c := range []struct {
		name    string
		records []*events.EnrichedWalkIn
		ends    []int
		want    string
		note    bool
	}{
		{"the end comes last", []*events.EnrichedWalkIn{record(1, 0), record(2, 10)}, []int{10}, "", false},
		{"the end comes first", []*events.EnrichedWalkIn{record(2, 10), record(1, 0)}, []int{10}, "", true},
		{"the end comes first, without versions", []*events.EnrichedWalkIn{record(0, 10), record(0, 0)}, []int{10}, "", true},
		{"an older end comes last", []*events.EnrichedWalkIn{record(3, 10), record(2, 6)}, []int{6, 10}, "", true},
		{"all redelivered, in order", []*events.EnrichedWalkIn{record(1, 0), record(2, 10), record(1, 0), record(2, 10)}, []int{10}, "", false},
		{"no end", []*events.EnrichedWalkIn{record(1, 0)}, []int{10}, "ann 2026-03 ends 1/0 -" + id + " (its records do not say that the visit has ended; by visits-ended it ended at 2026-03-31T12:10:00Z)", false},
		{"the first end only", []*events.EnrichedWalkIn{record(1, 0), record(2, 6)}, []int{6, 10}, "ann 2026-03 ends 1/0 -" + id + " (its records end the visit at 2026-03-31T12:06:00Z; by visits-ended it ended at 2026-03-31T12:10:00Z)", false},
		{"an end that the highest version does not have", []*events.EnrichedWalkIn{record(2, 10), record(3, 0)}, []int{10}, "ann 2026-03 ends 1/0 -" + id + " (its records do not say that the visit has ended; by visits-ended it ended at 2026-03-31T12:10:00Z)", false},
		{"neither", []*events.EnrichedWalkIn{record(1, 0)}, nil, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.login("phone", "ann", afterNoon(-9000), false)
			f.tick(-2*day, day)
			f.visit("phone", 0)
			f.produceSightings()
			for _, e := range c.records {
				f.put(events.EnrichedWalkIns, "cafe/ann", afterNoon(46), e)
			}
			for _, dwell := range c.ends {
				f.endOf("phone", 0, dwell)
			}
			f.count("ann", 0, record(0, 0).ID)
			for _, to := range []time.Time{{}, afterNoon(5 * 60)} {
				r, diff := f.audit(time.Time{}, to)
				if diff != c.want {
					t.Errorf("up to %v: got %q, want %q", to, diff, c.want)
				}
				notes := strings.Join(r.Notes, "; ")
				if strings.Contains(notes, "the last record of 1 visits") != c.note {
					t.Errorf("up to %v: got notes %q, want one about the last record: %v", to, notes, c.note)
				}
			}
		})
	}
}
