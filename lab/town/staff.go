package town

import (
	"fmt"
	"time"

	"footfall/events"
	"footfall/lab/score"
	"footfall/shared/business"
)

// Who works in a store comes between early and late before it opens, and leaves
// as long after it closes. Both are within the hour for which a store does not
// pass for closed: such a device has to be learnt.
const early, late = 50 * time.Minute, 20 * time.Minute

// staff furnishes a business with the devices that are no customers'. Their
// chance is their own: with or without them the same people come.
func (p *plan) staff(s *shop) {
	d := newDice(p.config.Seed, staffStream, uint64(s.index))
	for range s.Statics {
		s.statics = append(s.statics, newDevice(d, p.config.Key, s.ID, false))
	}
	for range s.Employees {
		// Who keeps a random address has joined, as with regulars.
		phone := newDevice(d, p.config.Key, s.ID, d.chance(p.config.Phones.Randomised))
		phone.joins = phone.randomised || d.chance(p.config.Phones.Joined)
		s.employees = append(s.employees, phone)
	}
}

// shiftsOfDay lets everybody work who does, Mondays to Fridays.
func (p *plan) shiftsOfDay(s *shop, midnight time.Time) {
	if day := midnight.Weekday(); day == time.Saturday || day == time.Sunday {
		return
	}
	d := newDice(p.config.Seed, staffStream, uint64(s.index), uint64(midnight.Unix()))
	for _, phone := range s.employees {
		p.stays = append(p.stays, stay{works: true, phone: phone, visit: Visit{
			Visit: score.Visit{
				Business: s.ID, Device: phone.id,
				Enter: midnight.Add(max(0, s.Open-d.between(late, early))), Leave: midnight.Add(s.Close + d.between(late, early)),
			},
			Randomised: phone.randomised, Joined: phone.joins,
		}})
	}
}

// Split parts found visits into those of employees and the others.
func (t Town) Split(found []score.FoundVisit) (others, employees []score.FoundVisit) {
	works := map[Resident]bool{}
	for _, e := range t.Employees {
		works[e] = true
	}
	for _, v := range found {
		if works[Resident{v.Business, v.Device}] {
			employees = append(employees, v)
		} else {
			others = append(others, v)
		}
	}
	return others, employees
}

// Settings are those of each business as its merchant would have them: by default
// but for the opening hours.
func (t Town) Settings() map[events.BusinessID]business.Document {
	all := map[events.BusinessID]business.Document{}
	for _, b := range t.Config.Businesses {
		s := business.Defaults()
		s.OpeningHours = []business.OpeningHours{{Days: "mon-sun", Open: clock(b.Open), Close: clock(b.Close)}}
		all[b.ID] = business.Document{Rules: &s}
	}
	return all
}

func clock(sinceMidnight time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(sinceMidnight.Hours()), int(sinceMidnight.Minutes())%60)
}
