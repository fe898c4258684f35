package oracle

import (
	"time"

	"footfall/shared/presence"
)

// Past is what the days of one device tell of it: for each date the hours in
// which it was inside, and which of them the store was closed in.
type Past map[string]map[int]bool

// window is how many days before a visit still tell what it is.
const window = 28

// Visits reads the rules as the function Visits does, of a device whose earlier
// visits p knows, and adds the visits that it finds to p, which must not be nil.
func (p Past) Visits(sightings []presence.Sighting, r presence.Rules) []Visit {
	visits := stays(sightings, r)
	for i := range visits {
		v := &visits[i]
		begin := local(number(v.Start), &r)
		v.Resident = closed(begin, &r) || p.resident(begin, &r)
		if !v.randomised || v.associated {
			p.add(v)
		}
	}
	return visits
}

func (p Past) resident(at time.Time, r *presence.Rules) bool {
	n := 0
	for back := range window + 1 {
		hours := p[time.Date(at.Year(), at.Month(), at.Day()-back, 12, 0, 0, 0, time.UTC).Format(time.DateOnly)]
		speaks := len(hours) > r.ResidentHours
		for _, closed := range hours {
			speaks = speaks || closed
		}
		if speaks {
			n++
		}
	}
	return r.ResidentDays > 0 && n >= r.ResidentDays
}

// add takes in the hours of a visit that touches three or more, or one in which
// the store was closed.
func (p Past) add(v *Visit) {
	type hour struct {
		date string
		hour int
	}
	touched := map[hour]bool{} // whether the store was closed
	long := false
	for n := number(v.Start); n <= number(v.Last); n++ {
		at := local(n, v.rules)
		shut := closed(at, v.rules)
		touched[hour{at.Format(time.DateOnly), at.Hour()}] = shut
		long = long || shut
	}
	if len(touched) < 3 && !long {
		return
	}
	for h, shut := range touched {
		if p[h.date] == nil {
			p[h.date] = map[int]bool{}
		}
		p[h.date][h.hour] = shut
	}
}

func closed(at time.Time, r *presence.Rules) bool {
	return r.Closed[at.Weekday()]>>at.Hour()&1 != 0
}
