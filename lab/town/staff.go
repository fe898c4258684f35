package town

import (
	"fmt"
	"time"

	"footfall/events"
	"footfall/lab/score"
	"footfall/shared/business"
)

// An employee comes between early and late before opening, and leaves as long
// after closing. Both are within the hour around the opening hours that does
// not count as closed: such a device has to be learnt.
const early, late = 50 * time.Minute, 20 * time.Minute

// staff draws the resident devices of a business. They have dice of their own:
// the visitors are the same with or without them.
func (p *plan) staff(s *shop) {
	d := newDice(p.config.Seed, staffStream, uint64(s.index))
	for range s.Statics {
		s.statics = append(s.statics, newDevice(d, p.config.Key, s.ID, false))
	}
	for range s.Employees {
		// A randomised address that is kept has joined the network, as with regulars.
		phone := newDevice(d, p.config.Key, s.ID, d.chance(p.config.Phones.Randomised))
		phone.joins = phone.randomised || d.chance(p.config.Phones.Joined)
		s.employees = append(s.employees, phone)
	}
}

// shiftsOfDay adds the working day of every employee, Mondays to Fridays.
func (p *plan) shiftsOfDay(s *shop, midnight time.Time) {
	if day := midnight.Weekday(); day == time.Saturday || day == time.Sunday {
		return
	}
	d := newDice(p.config.Seed, staffStream, uint64(s.index), uint64(midnight.Unix()))
	for _, phone := range s.employees {
		p.stays = append(p.stays, stay{employee: true, phone: phone, visit: Visit{
			Visit: score.Visit{
				Business: s.ID, Device: phone.id,
				Enter: midnight.Add(max(0, s.Open-d.between(late, early))), Leave: midnight.Add(s.Close + d.between(late, early)),
			},
			Randomised: phone.randomised, Joined: phone.joins, Employee: true,
		}})
	}
}

// Settings returns the settings of each business as its merchant would choose
// them: the defaults and the opening hours.
func (t Town) Settings() map[events.BusinessID]business.Document {
	all := map[events.BusinessID]business.Document{}
	for _, b := range t.Config.Businesses {
		s := business.Defaults()
		s.OpeningHours = []business.OpeningHours{{Days: "mon-sun", Open: clock(b.Open), Close: clock(b.Close)}}
		all[b.ID] = business.Document{Rules: &s}
	}
	return all
}

// clock formats a time of day as hh:mm.
func clock(sinceMidnight time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(sinceMidnight.Hours()), int(sinceMidnight.Minutes())%60)
}
