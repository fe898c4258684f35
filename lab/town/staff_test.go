package town

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"footfall/lab/score"
)

// An employee is heard from before it opens until after it closes, on
// working days, never in an hour that passes for closed, and is no visitor.
func TestEmployeesAreThereAllDay(t *testing.T) {
	c := calm()
	c.Start, c.Duration, c.Posts.Outages = c.Start.Add(4*day), 3*day, 0 // Friday to Sunday
	town, items := generate(t, c)
	settings := town.Settings()
	spans := map[Resident][2]time.Time{}
	for _, it := range items {
		at := it.Sighting.SeenAt
		who := Resident{it.Sighting.Business, it.Sighting.Device}
		if it.CRM != nil || !slices.Contains(town.Employees, who) {
			continue
		}
		rules, err := settings[who.Business].Rules.Rules()
		if err != nil {
			t.Fatal(err)
		}
		if closed := rules.Closed[at.Weekday()]>>at.Hour()&1 != 0; closed || at.Weekday() != time.Friday {
			t.Fatalf("%+v is heard at %v", who, at)
		}
		if _, ok := spans[who]; !ok {
			spans[who] = [2]time.Time{at, at}
		}
		spans[who] = [2]time.Time{spans[who][0], at}
	}
	if len(town.Employees) != 6+2+2+1+1 || len(spans) != len(town.Employees) {
		t.Errorf("%d employees are listed and %d heard, want 12", len(town.Employees), len(spans))
	}
	for who, s := range spans {
		b := businessOf(c, who.Business)
		if opens, closes := c.Start.Add(b.Open), c.Start.Add(b.Close); !s[0].Before(opens) || s[1].Before(closes) {
			t.Errorf("%+v is heard from %v to %v, the store is open from %v to %v", who, s[0], s[1], opens, closes)
		}
	}
	for _, v := range town.Visits {
		if slices.Contains(town.Employees, Resident{v.Business, v.Device}) {
			t.Errorf("%+v is by an employee", v)
		}
	}
}

// Figures of two towns can be compared: the same people come to both.
func TestStaffChangesNoVisit(t *testing.T) {
	with, _ := generate(t, calm())
	c := calm()
	for i := range c.Businesses {
		c.Businesses[i].Statics, c.Businesses[i].Employees = 0, 0
	}
	without, _ := generate(t, c)
	if len(with.Visits) == 0 || !reflect.DeepEqual(with.Visits, without.Visits) {
		t.Errorf("%d visits with staff, %d without are not the same", len(with.Visits), len(without.Visits))
	}
}

// The truth names the employees, apart from visits, and a comparison with it counts
// their walk-ins as neither right nor wrong.
func TestTruthNamesEmployees(t *testing.T) {
	town, _ := generate(t, calm())
	var b bytes.Buffer
	if err := WriteTruth(&b, town.Truth()); err != nil {
		t.Fatal(err)
	}
	all, err := ReadTruth(&b, "truth")
	if err != nil || !reflect.DeepEqual(all, town.Truth()) {
		t.Fatalf("read %d stays of %d, %v", len(all), len(town.Truth()), err)
	}
	k := Reference(all)
	if !reflect.DeepEqual(k.Truth, town.ScoreTruth()) || len(town.Shifts) == 0 {
		t.Errorf("%d true visits and %d working days, want %d visits", len(k.Truth), len(town.Shifts), len(town.ScoreTruth()))
	}
	hers, guest := town.Shifts[0], town.Visits[0]
	found := func(v Visit) score.FoundVisit {
		return score.FoundVisit{Business: v.Business, Device: v.Device, Start: v.Enter, End: v.Leave}
	}
	f := score.Measure([]score.FoundVisit{found(hers), found(guest)}, k, score.EqualDwell(0))
	if f.WalkIns != 2 || *f.Employees != 1 || f.Visits.Found != 1 || f.Visits.False != 0 {
		t.Errorf("%+v with %d of employees, and visits %+v: want 2 walk-ins, 1 of an employee, 1 found", f, *f.Employees, *f.Visits)
	}
}

func TestSettingsAreThoseOfTheShops(t *testing.T) {
	c := small()
	c.Businesses[0].Open, c.Businesses[0].Close = 9*time.Hour+30*time.Minute, day
	town, _ := generate(t, c)
	d := town.Settings()["kiosk"]
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	if h := d.Rules.OpeningHours; len(h) != 1 || h[0].Open != "09:30" || h[0].Close != "24:00" {
		t.Errorf("opening hours %+v", h)
	}
}
