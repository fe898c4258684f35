package town

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"footfall/events"
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

func TestSplit(t *testing.T) {
	town := Town{Employees: []Resident{{"cafe", "hers"}}}
	visit := func(b events.BusinessID, d events.DeviceID) score.FoundVisit {
		return score.FoundVisit{Business: b, Device: d}
	}
	hers, there, guest := visit("cafe", "hers"), visit("gym", "hers"), visit("cafe", "his")
	others, employees := town.Split([]score.FoundVisit{guest, hers, there})
	if !slices.Equal(others, []score.FoundVisit{guest, there}) || !slices.Equal(employees, []score.FoundVisit{hers}) {
		t.Errorf("others %v, employees %v", others, employees)
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
