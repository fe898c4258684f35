package town

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"footfall/events"
	"footfall/lab/score"
)

// person is somebody who visits a business.
type person struct {
	contact events.ContactID // "" where the CRM knows nothing
	devices []device
	left    time.Time // after the latest visit so far
}

// stay is a visit of a device as it was planned, or a day of one who works there.
type stay struct {
	visit Visit
	phone device
	works bool
}

// plan is what will happen in a town, the street apart: that is drawn day by
// day, for there are too many people in it.
type plan struct {
	config Config
	end    time.Time
	shops  []*shop
	stays  []stay
	crm    []events.CRMEvent
}

// shop is a business in the making of a plan.
type shop struct {
	Business
	index      int
	dice       dice
	regulars   []*person
	guests     []*person // who was here without being a regular, in order of leaving
	neighbours []device
	statics    []device
	employees  []device
	contacts   int // named so far
}

// newPlan draws day after day, so that what happens on one depends on those
// before: who has been here, who logged in, whose contact was merged.
func newPlan(c Config) *plan {
	p := &plan{config: c, end: c.Start.Add(c.Duration)}
	for i, b := range c.Businesses {
		p.shops = append(p.shops, p.open(i, b))
	}
	for midnight := c.Start; midnight.Before(p.end); midnight = midnight.Add(day) {
		for _, s := range p.shops {
			p.visitsOfDay(s, midnight)
			p.shiftsOfDay(s, midnight)
		}
		p.crmOfDay(midnight)
	}
	slices.SortStableFunc(p.stays, compareStays)
	slices.SortStableFunc(p.crm, func(a, b events.CRMEvent) int { return a.At().Compare(b.At()) })
	return p
}

// open furnishes a business: its regulars, who have all logged in within the
// last weeks, and the devices that are always there.
func (p *plan) open(index int, b Business) *shop {
	s := &shop{Business: b, index: index, dice: newDice(p.config.Seed, planStream, uint64(index))}
	for range b.Regulars {
		who := &person{contact: s.newContact()}
		devices := 1
		if s.dice.chance(p.config.People.SecondDevice) {
			devices = 2
		}
		for range devices {
			d := p.visitorDevice(s)
			d.joins = d.randomised || s.dice.chance(p.config.Phones.Joined)
			who.devices = append(who.devices, d)
			p.login(s, who.contact, d, p.config.Start.Add(-s.dice.between(day, 40*day)))
		}
		s.regulars = append(s.regulars, who)
	}
	for range b.Neighbours {
		s.neighbours = append(s.neighbours, newDevice(s.dice, p.config.Key, b.ID, false))
	}
	p.staff(s)
	return s
}

// newContact names a contact after the business, since the CRM of one knows
// nothing of another's.
func (s *shop) newContact() events.ContactID {
	s.contacts++
	return events.ContactID(string(s.ID) + "-contact-" + strconv.Itoa(s.contacts))
}

// visitorDevice is a new device. It keeps its address for good: phones that
// take a new one for every burst of probes are no visitors that anybody could
// find, and the town does not have them inside.
func (p *plan) visitorDevice(s *shop) device {
	return newDevice(s.dice, p.config.Key, s.ID, s.dice.chance(p.config.Phones.Randomised))
}

// login notes a login at the portal.
func (p *plan) login(s *shop, c events.ContactID, d device, at time.Time) {
	p.crm = append(p.crm, events.CRMEvent{Login: &events.PortalLogin{
		Business: s.ID, Device: d.id, Contact: c, At: at, Randomised: d.randomised,
	}})
}

// visitsOfDay draws when somebody enters, and then in that order who it is.
func (p *plan) visitsOfDay(s *shop, midnight time.Time) {
	opens, closes := midnight.Add(s.Open), midnight.Add(s.Close)
	spread := s.Close - s.Open - 2*minStay
	enters := make([]time.Time, s.Visits)
	for i := range enters {
		// The mean of two is more often in the middle of the day than at its ends.
		at := (s.dice.between(0, spread) + s.dice.between(0, spread)) / 2
		enters[i] = opens.Add(at.Truncate(time.Millisecond))
	}
	slices.SortFunc(enters, time.Time.Compare)
	turns := s.dice.Perm(len(s.regulars))
	for _, enter := range enters {
		length := max(minStay, s.dice.around(s.Stay, 0.6))
		leave := enter.Add(min(length, closes.Sub(enter)))
		who, login := p.visitor(s, enter, leave, &turns)
		if leave.Before(p.end) {
			p.visit(s, who, enter, leave, login)
		}
	}
}

// visitor picks who comes, and tells whether to log in for the first time.
// turns are the regulars who have not been asked today.
func (p *plan) visitor(s *shop, enter, leave time.Time, turns *[]int) (who *person, login bool) {
	people := p.config.People
	if s.dice.chance(people.ReturnShare) {
		if who := s.returning(enter); who != nil {
			return who, false
		}
	}
	if s.dice.chance(people.RegularShare) {
		// A regular who left within the hour is passed over for today.
		for len(*turns) > 0 {
			who := s.regulars[(*turns)[0]]
			*turns = (*turns)[1:]
			if enter.Sub(who.left) >= time.Hour {
				return who, false
			}
		}
	}
	// Nobody logs in who is gone in four minutes.
	who = &person{devices: []device{p.visitorDevice(s)}}
	return who, leave.Sub(enter) > 2*minStay && s.dice.chance(people.LoginShare)
}

// returning picks somebody who left between one and eight hours ago.
func (s *shop) returning(enter time.Time) *person {
	var able []*person
	for _, who := range slices.Concat(s.regulars, s.guests) {
		if away := enter.Sub(who.left); away >= time.Hour && away <= 8*time.Hour {
			able = append(able, who)
		}
	}
	if len(able) == 0 {
		return nil
	}
	return able[s.dice.IntN(len(able))]
}

// visit notes a visit of a person, with one device or both.
func (p *plan) visit(s *shop, who *person, enter, leave time.Time, login bool) {
	who.left = leave
	if !slices.Contains(s.regulars, who) {
		s.remember(who, enter)
	}
	brought := who.devices
	if len(brought) > 1 && s.dice.chance(0.5) {
		i := s.dice.IntN(len(brought))
		brought = brought[i : i+1]
	}
	for i := range brought {
		v := Visit{
			Visit:      score.Visit{Business: s.ID, Device: brought[i].id, Enter: enter, Leave: leave},
			Contact:    who.contact,
			Randomised: brought[i].randomised,
			Joined:     brought[i].joins,
			Companion:  i > 0,
		}
		if login { // once at least a minute has gone by, and a minute before leaving
			after := s.dice.around(p.config.People.LoginAfter, 0.5)
			v.LoginAt = enter.Add(min(max(after, time.Minute), leave.Sub(enter)-time.Minute))
			who.contact = s.newContact()
			v.Contact = who.contact
			p.login(s, who.contact, brought[i], v.LoginAt)
		}
		p.stays = append(p.stays, stay{visit: v, phone: brought[i]})
		brought[i].joins = brought[i].joins || login // the next time by itself
	}
}

// remember keeps a guest for a return on the same day.
func (s *shop) remember(who *person, now time.Time) {
	s.guests = slices.DeleteFunc(s.guests, func(g *person) bool { return g == who || now.Sub(g.left) > 8*time.Hour })
	s.guests = append(s.guests, who)
}

// compareStays orders by when, then by who.
func compareStays(a, b stay) int {
	return cmp.Or(a.visit.Enter.Compare(b.visit.Enter), cmp.Compare(a.visit.Business, b.visit.Business),
		cmp.Compare(a.visit.Device, b.visit.Device))
}
