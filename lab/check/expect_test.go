package check

import (
	"testing"
	"time"

	"footfall/events"
	"footfall/lab/score"
	"footfall/shared/audit"
	"footfall/shared/memory"
	"footfall/shared/presence"
	"footfall/shared/presence/oracle"
	"footfall/shared/stage"
)

// A visit that was counted by its id alone stays counted beside a visit of another
// device; a visit with facts is a companion.
func TestWalkInCountedByIDOnlyStaysCounted(t *testing.T) {
	ann := stage.CountKey{Business: "cafe", Contact: "ann"}
	for name, c := range map[string]struct {
		facts []presence.Fact
		want  int
	}{
		"by its id alone":                  {[]presence.Fact{{Visit: "second"}}, 2},
		"by its id, its end counted since": {[]presence.Fact{{Visit: "second"}, {Visit: "second", Last: 7}}, 2},
		"with facts":                       {[]presence.Fact{presence.Began("second", "cafe/tablet", noon)}, 1},
		"another one":                      {[]presence.Fact{{Visit: "third"}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			counts := memory.NewCounts()
			if err := counts.Add(t.Context(), ann, "2026-03", c.facts); err != nil {
				t.Fatal(err)
			}
			want := &oracle.Expected{}
			want.AddWalkIn("cafe/ann", oracle.Stay{ID: "first", Device: "cafe/phone", Start: noon, Last: noon.Add(time.Hour)})
			want.AddWalkIn("cafe/ann", oracle.Stay{ID: "second", Device: "cafe/tablet", Start: noon.Add(10 * time.Minute), Last: noon.Add(time.Hour)})
			if err := markIDOnly(t.Context(), counts, want); err != nil {
				t.Fatal(err)
			}
			if got := want.Counts()["cafe/ann"]; got != c.want {
				t.Errorf("ann came %d times, want %d", got, c.want)
			}
		})
	}
}

// Around a change of rules the walk-ins are taken as produced, and nothing else is.
func TestWalkInsAroundAChangeOfRulesAreTakenAsProduced(t *testing.T) {
	told := func(device events.DeviceID, minutes int) score.FoundVisit {
		return score.FoundVisit{Business: "cafe", Device: device, Start: noon.Add(time.Duration(minutes) * time.Minute)}
	}
	found := func(device string, minutes int) audit.Visit {
		return audit.Visit{Device: device, Start: noon.Add(time.Duration(minutes) * time.Minute)}
	}
	about := found("cafe/phone", 0)
	about.Until, about.RulesChanged = noon.Add(time.Hour), true
	r := &Report{
		Visits:    []score.FoundVisit{told("phone", -30), told("phone", 10), told("phone", 70), told("tablet", 10), told("till", 0)},
		residents: map[string][]time.Time{"cafe/till": {noon.Add(121 * time.Minute)}},
	}
	want := &expected{
		crm: &audit.CRM{}, stays: map[string][]oracle.Stay{}, changed: []audit.Visit{about},
		unlearnt: []audit.Visit{found("cafe/till", 0), found("cafe/till", 120)},
	}
	r.adoptEmitted(want)
	if want.WalkIns != 2 || r.Changed != 1 {
		t.Errorf("%d walk-ins are wanted and %d devices were about, want the phone's at 12:10 and the till's at 12:00, and 1", want.WalkIns, r.Changed)
	}
}
