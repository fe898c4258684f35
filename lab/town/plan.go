package town

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"footfall/events"
	"footfall/lab/score"
)

// person is a visitor of a business.
type person struct {
	contact events.ContactID // "" if the person has no contact in the CRM
	devices []device
	left    time.Time // end of the latest visit so far
}

// stay is the planned visit of a device, or one working day of an employee.
type stay struct {
	visit    Visit
	phone    device
	employee bool
}

// plan holds the events of a town, except for the passers-by: these are drawn
// day by day, since they are too many.
type plan struct {
	config Config
	end    time.Time
	shops  []*shop
	stays  []stay
	crm    []events.CRMEvent
}

// shop is a business while its plan is made.
type shop struct {
	Business
	index      int
	dice       dice
	regulars   []*person
	guests     []*person // recent visitors that are not regulars, in order of leaving
	neighbours []device
	statics    []device
	employees  []device
	contacts   int // number of contacts created so far
}

// newPlan draws day after day, since a day depends on the days before: who has
// been in the store, who logged in, which contacts were merged.
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
		p.changeContacts(midnight)
	}
	slices.SortStableFunc(p.stays, compareStays)
	slices.SortStableFunc(p.crm, func(a, b events.CRMEvent) int { return a.At().Compare(b.At()) })
	return p
}

// open sets up a business: its regulars, who have all logged in within the last
// weeks, and the devices that are always on.
func (p *plan) open(index int, b Business) *shop {
	s := &shop{Business: b, index: index, dice: newDice(p.config.Seed, planStream, uint64(index))}
	for range b.Regulars {
		// A regular has one device or two, each with a login in the past.
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
	// Devices that are always on.
	for range b.Neighbours {
		s.neighbours = append(s.neighbours, newDevice(s.dice, p.config.Key, b.ID, false))
	}
	p.staff(s)
	return s
}

// newContact returns a new contact named after the business, since each
// business has a CRM of its own.
func (s *shop) newContact() events.ContactID {
	s.contacts++
	return events.ContactID(string(s.ID) + "-contact-" + strconv.Itoa(s.contacts))
}

// visitorDevice draws a new device, which keeps its address for good. Phones
// that change the address with every burst of probes cannot be detected as
// visitors, so the town has none of them inside.
func (p *plan) visitorDevice(s *shop) device {
	return newDevice(s.dice, p.config.Key, s.ID, s.dice.chance(p.config.Phones.Randomised))
}

// login adds a login at the portal.
func (p *plan) login(s *shop, c events.ContactID, d device, at time.Time) {
	p.crm = append(p.crm, events.CRMEvent{Login: &events.PortalLogin{
		Business: s.ID, Device: d.id, Contact: c, At: at, Randomised: d.randomised,
	}})
}

// visitsOfDay draws the times of entering, then, in their order, the visitor of
// each.
func (p *plan) visitsOfDay(s *shop, midnight time.Time) {
	opens, closes := midnight.Add(s.Open), midnight.Add(s.Close)
	spread := s.Close - s.Open - 2*minStay
	// Times of entering within the opening hours. The mean of two draws is more
	// often in the middle of the day than at its ends.
	enters := make([]time.Time, s.Visits)
	for i := range enters {
		at := (s.dice.between(0, spread) + s.dice.between(0, spread)) / 2
		enters[i] = opens.Add(at.Truncate(time.Millisecond))
	}
	slices.SortFunc(enters, time.Time.Compare)
	// A visitor and a length for each. A visit that would end after the town's
	// end is not part of the town.
	turns := s.dice.Perm(len(s.regulars))
	for _, enter := range enters {
		length := max(minStay, s.dice.around(s.Stay, 0.6))
		leave := enter.Add(min(length, closes.Sub(enter)))
		visitor, login := p.visitor(s, enter, leave, &turns)
		if leave.Before(p.end) {
			p.visit(s, visitor, enter, leave, login)
		}
	}
}

// visitor draws the person for a visit, and reports whether the person logs in
// for the first time. turns holds the regulars that have not come today.
func (p *plan) visitor(s *shop, enter, leave time.Time, turns *[]int) (who *person, login bool) {
	people := p.config.People
	// A person that was here earlier today, a regular, or else a new person.
	if s.dice.chance(people.ReturnShare) {
		if who := s.returning(enter); who != nil {
			return who, false
		}
	}
	if s.dice.chance(people.RegularShare) {
		// A regular that left within the hour does not come again today.
		for len(*turns) > 0 {
			who := s.regulars[(*turns)[0]]
			*turns = (*turns)[1:]
			if enter.Sub(who.left) >= time.Hour {
				return who, false
			}
		}
	}
	// A new person logs in only if the visit is longer than four minutes.
	who = &person{devices: []device{p.visitorDevice(s)}}
	return who, leave.Sub(enter) > 2*minStay && s.dice.chance(people.LoginShare)
}

// returning returns a random person that left between one and eight hours ago,
// or nil if there is none.
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

// visit adds a visit of a person, with one device or with both.
func (p *plan) visit(s *shop, who *person, enter, leave time.Time, login bool) {
	who.left = leave
	if !slices.Contains(s.regulars, who) {
		s.remember(who, enter)
	}
	// Half of the visits with two devices are with a random one of them.
	brought := who.devices
	if len(brought) > 1 && s.dice.chance(0.5) {
		i := s.dice.IntN(len(brought))
		brought = brought[i : i+1]
	}
	// One stay per device; the second is a companion.
	for i := range brought {
		v := Visit{
			Visit:      score.Visit{Business: s.ID, Device: brought[i].id, Enter: enter, Leave: leave},
			Contact:    who.contact,
			Randomised: brought[i].randomised,
			Joined:     brought[i].joins,
			Companion:  i > 0,
		}
		if login { // at least a minute after entering and before leaving
			after := s.dice.around(p.config.People.LoginAfter, 0.5)
			v.LoginAt = enter.Add(min(max(after, time.Minute), leave.Sub(enter)-time.Minute))
			who.contact = s.newContact()
			v.Contact = who.contact
			p.login(s, who.contact, brought[i], v.LoginAt)
		}
		p.stays = append(p.stays, stay{visit: v, phone: brought[i]})
		brought[i].joins = brought[i].joins || login // joins by itself from the next visit on
	}
}

// remember keeps a guest for a return on the same day.
func (s *shop) remember(who *person, now time.Time) {
	s.guests = slices.DeleteFunc(s.guests, func(g *person) bool { return g == who || now.Sub(g.left) > 8*time.Hour })
	s.guests = append(s.guests, who)
}

// compareStays orders by time of entering, then by business and device.
func compareStays(a, b stay) int {
	return cmp.Or(a.visit.Enter.Compare(b.visit.Enter), cmp.Compare(a.visit.Business, b.visit.Business),
		cmp.Compare(a.visit.Device, b.visit.Device))
}
