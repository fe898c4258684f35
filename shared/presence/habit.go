package presence

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// Day is a local day on which a device was inside. A day speaks for a resident
// device if the device was inside in more than Rules.ResidentHours hours of the
// day, or in an hour in which the store was closed.
type Day struct {
	Number int32 // days since the epoch, in the time zone of the store
	// Hours has bit h set if the device was inside in the hour that begins at h
	// o'clock. A day that speaks has all bits set: no hour can be added, and a later
	// change of the settings does not change the day.
	Hours uint32
}

// Full is the value of Day.Hours if the day speaks for a resident device.
const Full = allHours

const allHours uint32 = 1<<24 - 1

// Habit holds the days of a device that may still decide whether the device is
// resident, in their order (resident devices).
//
// Days are added to a habit when a visit ends and at no other time. The end of a
// visit is a change of state that detect writes to the changelog. Forgetting a stay
// is not written: each environment forgets by itself. If forgetting added days, two
// environments could add them by different settings. A habit is dropped as a whole,
// when the device has no stay left and forgetAt is reached.
type Habit []Day

const (
	// windowDays is how many days before the day of a visit decide, together with the
	// day itself, whether the device is resident.
	windowDays = 28
	// longHours is how many clock hours a visit must touch to change the habit. Most
	// customers stay for less, and no state is left of their devices.
	longHours = 3
	// stepsPerDay is how many steps of the grid a day has, except for the two days on
	// which clocks are changed.
	stepsPerDay = step(24 * time.Hour / Grid)
)

// fold returns the habit with the hours of a visit added that began in step from
// and was last seen in step until. Hours are only ever added, so a visit that goes
// on after its end and ends again adds no more than its new hours.
func (h Habit) fold(from, until step, r *Rules) Habit {
	if r.ResidentDays == 0 {
		return h
	}

	// A short visit leaves no state. A visit that touches a closed hour is long
	// enough: its day has all hours.
	visited := visitDays(from, until, r)
	hours := 0
	for _, d := range visited {
		hours += bits.OnesCount32(d.Hours)
	}
	if hours < longHours {
		return h
	}

	for _, d := range visited {
		h = h.add(d, r)
	}
	return h.prune(visited[0].Number, r)
}

// visitDays returns the days of a visit with the hours in which the device was
// inside. Days before the window of the last day never decide anything and are
// left out, however long the visit was.
func visitDays(from, until step, r *Rules) (visited Habit) {
	from = max(from, until-(windowDays+1)*stepsPerDay)
	eachHour(from, until, r, func(day int32, hour int) {
		if n := len(visited); n == 0 || visited[n-1].Number != day {
			visited = append(visited, Day{Number: day})
		}
		d := &visited[len(visited)-1]
		d.Hours |= 1 << hour
		if r.closed(day, hour) {
			d.Hours = Full
		}
	})
	return visited
}

// eachHour calls yield with each local hour that the steps between from and until,
// both included, lie in, in order. Clocks are assumed to be changed on the hour.
func eachHour(from, until step, r *Rules, yield func(day int32, hour int)) {
	zone := time.UTC
	if r.Location != nil {
		zone = r.Location
	}
	for x := from; x <= until; {
		day, hour := r.local(x)
		yield(day, hour)
		t := x.start().Time().In(zone)
		sinceFullHour := time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second
		x += steps(time.Hour - sinceFullHour) // to the first step of the next hour
	}
}

// add returns the habit with the hours of a day added. The day becomes Full if it
// has more than ResidentHours hours now.
func (h Habit) add(visited Day, r *Rules) Habit {
	i, found := slices.BinarySearchFunc(h, visited.Number, func(d Day, n int32) int { return cmp.Compare(d.Number, n) })
	if !found {
		h = slices.Insert(h, i, Day{Number: visited.Number})
	}
	d := &h[i]
	d.Hours |= visited.Hours
	if bits.OnesCount32(d.Hours) > r.ResidentHours {
		d.Hours = Full
	}
	return h
}

// prune returns the habit without the days that decide nothing any more, after a
// visit that began on day began was folded.
//
// Of the days that speak, the newest ResidentDays are kept, however old they are. A
// visit only asks whether ResidentDays of them lie in its window, and if an older
// day lies in the window, the newest days do as well. With [3] days, a device that is inside for long from Monday to
// Thursday keeps Tuesday to Thursday. The exception is a day that a router with a
// wrong clock put ahead of the visit: it takes the place of an older day.
//
// A day that does not speak is kept while a visit can still add hours to it, until
// a visit is folded that began three days later. Two days are needed because
// visits are not always folded in the order of their start: one may lie up to a
// day ahead by a wrong clock, and another up to an hour behind the watermark. With
// an allowed lateness of 1 h:
//
//   - Monday 20:10 to 22:43 a visit is folded: Monday has the hours 20 to 22.
//   - The watermark is Tuesday 00:20. A router whose clock is a day ahead reports the
//     device from Wednesday 00:01 on, in a closed hour. The next visit by that clock
//     is confirmed, so the first one ends and is folded: began is Wednesday.
//   - Sightings from Monday 23:50 on arrive late and open a visit, which lasts until
//     Tuesday 02:59. When it is folded, it adds the hour 23 to Monday.
//
// A visit that goes on after its end adds hours to its last day and later ones
// only.
func (h Habit) prune(began int32, r *Rules) Habit {
	full := 0
	for i, d := range slices.Backward(h) {
		drop := d.Number < began-2
		if d.Hours == Full {
			full++
			drop = full > r.ResidentDays
		}
		if drop {
			h = slices.Delete(h, i, i+1)
		}
	}
	return h
}

// forgetAt returns the watermark from which on no day of the habit can decide
// anything, or 0 if the habit is empty.
//
// From this watermark on, a visit begins at least 29 days after a day that speaks,
// and at the earliest on the day after one that does not. One day of the two or 30
// makes up for two differences, together less than a day: days are local and the
// watermark is UTC, and a visit may begin up to an hour behind the watermark.
//
// resident checks the window itself, so an environment that forgets later, or that
// reads an older state, decides the same.
func (h Habit) forgetAt() (watermark Instant) {
	const perDay = Instant(24 * time.Hour / time.Millisecond)
	for _, d := range h {
		days := Instant(2)
		if d.Hours == Full {
			days = windowDays + 2
		}
		watermark = max(watermark, (Instant(d.Number)+days)*perDay)
	}
	return watermark
}

// resident reports whether a visit that begins in step x is that of a resident
// device: it begins in a closed hour, or at least ResidentDays days that speak are
// among its own day and the windowDays days before its own day.
func (d *Device) resident(x step, r *Rules) bool {
	day, hour := r.local(x)
	if r.closed(day, hour) {
		return true
	}
	n := 0
	for _, h := range d.Habit {
		if h.Hours == Full && h.Number <= day && h.Number >= day-windowDays {
			n++
		}
	}
	return r.ResidentDays > 0 && n >= r.ResidentDays
}

// mayBeginEarlier reports whether one late sighting could still move the start of
// a candidate over midnight or over the edge of a closed hour, and so change
// whether the device is resident. A walk-in emitted now might then be one too
// many, or a visit decided as resident now might lack its walk-in. So the candidate
// waits until the watermark or a sighting of the device reaches the step after its
// start. Until 12:00 the store is closed. 12:00 an associated sighting opens a
// candidate, which waits. 11:59 arrives late: the visit began in a closed hour and
// is no walk-in.
func (s *Stay) mayBeginEarlier(latest Instant, r *Rules) bool {
	if s.startFinal(latest) {
		return false
	}
	x := s.Start.step()
	day, hour := r.local(x)
	dayBefore, hourBefore := r.local(x - 1)
	return r.ResidentDays > 0 && day != dayBefore || r.closed(day, hour) != r.closed(dayBefore, hourBefore)
}
