package oracle

import (
	"time"

	"footfall/shared/presence"
)

// Past holds the hours in which one device was inside, by date: Past[date][hour]
// exists if the device was inside in the hour, and is true if the store was closed
// in that hour. Visits under an anonymous address are not in it.
type Past map[string]map[int]bool

// window is how many days before the day of a visit decide whether the device is
// resident.
const window = 28

// Visits returns the visits of a device whose earlier visits are in p, as the
// function Visits does, and adds the visits to p, which must not be nil.
func (p Past) Visits(sightings []presence.Sighting, r presence.Rules) []Visit {
	visits := stays(sightings, r)
	for i := range visits {
		v := &visits[i]
		begin := localTime(stepOf(v.Start), &r)
		v.Resident = closed(begin, &r) || p.resident(begin, &r)
		if !v.randomised || v.associated {
			p.add(v)
		}
	}
	return visits
}

// resident reports whether enough days of the window before a visit that begins
// at begin speak for a resident device.
func (p Past) resident(begin time.Time, r *presence.Rules) bool {
	n := 0
	for back := range window + 1 {
		hours := p[time.Date(begin.Year(), begin.Month(), begin.Day()-back, 12, 0, 0, 0, time.UTC).Format(time.DateOnly)]
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

// add adds the hours of a visit that touches three hours or more, or a closed
// hour.
func (p Past) add(v *Visit) {
	// Collect the local hours that the steps of the visit lie in.
	type hour struct {
		date string
		hour int
	}
	touched := map[hour]bool{} // whether the store was closed in the hour
	touchesClosed := false
	for step := stepOf(v.Start); step <= stepOf(v.Last); step++ {
		t := localTime(step, v.rules)
		isClosed := closed(t, v.rules)
		touched[hour{t.Format(time.DateOnly), t.Hour()}] = isClosed
		touchesClosed = touchesClosed || isClosed
	}
	if len(touched) < 3 && !touchesClosed {
		return
	}

	for h, isClosed := range touched {
		if p[h.date] == nil {
			p[h.date] = map[int]bool{}
		}
		p[h.date][h.hour] = isClosed
	}
}

// closed reports whether the store is closed throughout the hour of t.
func closed(t time.Time, r *presence.Rules) bool {
	return r.Closed[t.Weekday()]>>t.Hour()&1 != 0
}
