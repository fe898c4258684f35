package town

import (
	"testing"
	"time"

	"footfall/events"
	"footfall/lab/recording"
)

// owners follows the CRM events up to a moment.
type owners map[events.DeviceID]events.ContactID

func (o owners) apply(e *events.CRMEvent) {
	for d, c := range o {
		switch {
		case e.Changed != nil && c == e.Changed.Contact:
			o[d] = e.Changed.MergedInto
		case e.Deleted != nil && c == e.Deleted.Contact:
			delete(o, d)
		}
	}
	if e.Login != nil {
		o[e.Login.Device] = e.Login.Contact
	}
}

func crmEvents(items []recording.Item) (out []*events.CRMEvent) {
	for _, it := range items {
		if it.CRM != nil {
			out = append(out, it.CRM)
		}
	}
	return out
}

// week is long enough for regulars to come again after merges and deletions.
func week() Config {
	c := Defaults()
	c.Duration = 7*day - 6*time.Hour
	c.CRM.Merges, c.CRM.Deletions = 5, 5
	for i := range c.Businesses {
		c.Businesses[i].PassersBy = 0
		c.Businesses[i].Neighbours = 0
	}
	return c
}

func TestContactsOfVisitsFollowFromTheCRM(t *testing.T) {
	town, items := generate(t, week())
	crm := crmEvents(items)
	o := owners{}
	for _, v := range town.Visits {
		for len(crm) > 0 && !crm[0].At().After(v.Enter) {
			o.apply(crm[0])
			crm = crm[1:]
		}
		want := o[v.Device]
		if v.LoginAt.IsZero() && v.Contact != want {
			t.Errorf("visit at %v is %q's, by the CRM %q's", v.Enter, v.Contact, want)
		}
		if !v.LoginAt.IsZero() {
			checkLogin(t, v, want, crm)
		}
	}
}

// checkLogin looks for the login of a visit among the events after entering.
func checkLogin(t *testing.T, v Visit, before events.ContactID, crm []*events.CRMEvent) {
	t.Helper()
	if before != "" || v.LoginAt.Before(v.Enter) || v.LoginAt.After(v.Leave) {
		t.Errorf("visit from %v to %v of %q has its first login at %v", v.Enter, v.Leave, before, v.LoginAt)
	}
	for _, e := range crm {
		if e.Login != nil && e.Login.Device == v.Device {
			if e.Login.At != v.LoginAt || e.Login.Contact != v.Contact || e.Login.Randomised != v.Randomised {
				t.Errorf("visit %+v has the login %+v", v, e.Login)
			}
			return
		}
	}
	t.Errorf("visit %+v has no login", v)
}

func TestContactsChangeInQuietTimes(t *testing.T) {
	c := week()
	town, items := generate(t, c)
	merges, deletions := 0, 0
	for _, e := range crmEvents(items) {
		var who events.ContactID
		switch {
		case e.Changed != nil:
			merges++
			who = e.Changed.Contact
		case e.Deleted != nil:
			deletions++
			who = e.Deleted.Contact
		default:
			continue
		}
		for _, v := range town.Visits {
			quiet := v.Leave.Add(c.CRM.Quiet).Before(e.At()) || v.Enter.After(e.At().Add(c.CRM.Quiet))
			if v.Contact == who && !quiet {
				t.Errorf("%s changes at %v, a visit ends at %v", who, e.At(), v.Leave)
			}
		}
	}
	if merges < 20 || deletions < 20 {
		t.Errorf("%d merges and %d deletions in a week, want about 30 each", merges, deletions)
	}
}

func TestVisitsArePossible(t *testing.T) {
	c := week()
	town, _ := generate(t, c)
	left := map[events.DeviceID]Visit{}
	days := map[events.ContactID]map[int]bool{}
	joined := 0
	for i, v := range town.Visits {
		if i > 0 && v.Enter.Before(town.Visits[i-1].Enter) {
			t.Errorf("visit %d is out of order", i)
		}
		b := businessOf(c, v.Business)
		midnight := v.Enter.Truncate(day)
		if v.Enter.Before(midnight.Add(b.Open)) || v.Leave.After(midnight.Add(b.Close)) || v.Leave.Sub(v.Enter) < minStay {
			t.Errorf("%s is open from %v to %v, visited from %v to %v", b.ID, b.Open, b.Close, v.Enter, v.Leave)
		}
		if before, ok := left[v.Device]; ok && v.Enter.Sub(before.Leave) < time.Hour {
			t.Errorf("a device is back at %v, having left at %v", v.Enter, before.Leave)
		}
		left[v.Device] = v
		if v.Contact != "" {
			if days[v.Contact] == nil {
				days[v.Contact] = map[int]bool{}
			}
			days[v.Contact][v.Enter.YearDay()] = true
		}
		if v.Joined {
			joined++
		}
	}
	often := 0
	for _, d := range days {
		if len(d) >= 2 {
			often++
		}
	}
	if often < 100 || joined < len(town.Visits)/10 {
		t.Errorf("%d contacts came on several days, %d of %d visits joined the network", often, joined, len(town.Visits))
	}
	if last := town.Visits[len(town.Visits)-1].Leave; !last.Before(c.Start.Add(c.Duration)) {
		t.Errorf("a visit ends at %v, after the town", last)
	}
}

func businessOf(c Config, id events.BusinessID) Business {
	for _, b := range c.Businesses {
		if b.ID == id {
			return b
		}
	}
	return Business{}
}

// A device that was known by a random address must be associated: under any
// other address the device could not be attributed.
func TestKnownRandomAddressesHaveJoined(t *testing.T) {
	town, _ := generate(t, week())
	for _, v := range town.Visits {
		if v.Contact != "" && v.Randomised && !v.Joined && v.LoginAt.IsZero() {
			t.Errorf("visit at %v: %s is known by a random address that never joined", v.Enter, v.Contact)
		}
	}
}

func TestBackfillComesFirst(t *testing.T) {
	c := Defaults()
	_, items := defaultTown(t, c.Seed)
	regulars := 0
	for _, b := range c.Businesses {
		regulars += b.Regulars
	}
	for i, it := range items[:regulars] {
		if it.CRM == nil || it.CRM.Login == nil || it.ArrivedAt != c.Start || it.CRM.At().Before(c.Start.Add(-40*day)) || !it.CRM.At().Before(c.Start) {
			t.Fatalf("item %d is %+v, want the login of a regular within the 40 days before", i, it)
		}
	}
}

func TestZeroInAConfigMeansNoneOfTheThing(t *testing.T) {
	c := small()
	c.Businesses[0].Visits, c.Businesses[0].Regulars, c.Businesses[0].PassersBy = 0, 0, 0
	if town, items := generate(t, c); len(items) != 0 || len(town.Visits) != 0 {
		t.Errorf("an empty town has %d items and %d visits", len(items), len(town.Visits))
	}
	c = small()
	c.People = People{}
	town, items := generate(t, c)
	if n := len(crmEvents(items)); n != c.Businesses[0].Regulars || len(town.Visits) != 40 {
		t.Errorf("%d CRM events and %d visits, want the backfill of %d and 40", n, len(town.Visits), c.Businesses[0].Regulars)
	}
	for _, v := range town.Visits {
		if v.Contact != "" || !v.LoginAt.IsZero() || v.Companion {
			t.Errorf("visit %+v, want strangers only", v)
		}
	}
}
