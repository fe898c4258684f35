package presence

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// Day is a local day in which a device was inside. It speaks for a resident once
// the device was inside in more than Rules.ResidentHours hours of it, or in one
// in which the store was closed.
type Day struct {
	Number int32 // of days since the epoch, by the store's time zone
	// Hours has bit h set where the device was inside in the hour that begins at h
	// o'clock. A day that speaks has them all: nothing can be added to it, and
	// settings that change later do not change what it says.
	Hours uint32
}

// Full are the Hours of a day that speaks for a resident.
const Full = allHours

const allHours uint32 = 1<<24 - 1

// Habit is what is remembered of the days of a device, in their order (rule 5).
//
// It is folded when a visit ends and at no other time, for that is a change of
// state which whoever decides on the partition writes down. Were it folded when
// a stay is forgotten, an environment that reads the state and forgets by the
// same clock would have to fold as well, by settings of another time.
type Habit []Day

const (
	// windowDays is how many days before a visit still tell what it is.
	windowDays = 28
	// longHours is how many clock hours a visit must touch to leave anything behind.
	// Most customers stay for less and are forgotten whole.
	longHours = 3
	// stepsPerDay is how many steps of the grid a day has, but for the two on which
	// clocks are changed.
	stepsPerDay = step(24 * time.Hour / Grid)
)

// fold adds what a visit tells that lasted from a step until another. Hours are
// only added, so a visit that goes on after its end and ends again is folded
// again, and adds no more than the hours that are new.
func (h Habit) fold(from, until step, r *Rules) Habit {
	if r.ResidentDays == 0 {
		return h
	}
	own := daysOf(from, until, r)
	hours := 0
	for _, d := range own {
		hours += bits.OnesCount32(d.Hours)
	}
	if hours < longHours {
		return h
	}
	for _, d := range own {
		h = h.add(d, r)
	}
	return h.prune(own[0].Number, r)
}

// daysOf gives the days of a visit. Those before the window of its last one never
// matter again, however long it was.
func daysOf(from, until step, r *Rules) (own Habit) {
	from = max(from, until-(windowDays+1)*stepsPerDay)
	eachHour(from, until, r, func(day int32, hour int) {
		if n := len(own); n == 0 || own[n-1].Number != day {
			own = append(own, Day{Number: day})
		}
		d := &own[len(own)-1]
		d.Hours |= 1 << hour
		if r.closed(day, hour) {
			d.Hours = Full
		}
	})
	return own
}

// eachHour gives the local hours in which the steps lie. Clocks are taken to be
// changed on the hour.
func eachHour(from, until step, r *Rules, each func(day int32, hour int)) {
	zone := time.UTC
	if r.Location != nil {
		zone = r.Location
	}
	for x := from; x <= until; {
		day, hour := r.local(x)
		each(day, hour)
		t := x.start().Time().In(zone)
		hasPassed := time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second
		x += steps(time.Hour - hasPassed + Grid - 1) // to the first step of the next hour
	}
}

func (h Habit) add(own Day, r *Rules) Habit {
	i, found := slices.BinarySearchFunc(h, own.Number, func(d Day, n int32) int { return cmp.Compare(d.Number, n) })
	if !found {
		h = slices.Insert(h, i, Day{Number: own.Number})
	}
	d := &h[i]
	d.Hours |= own.Hours
	if bits.OnesCount32(d.Hours) > r.ResidentHours {
		d.Hours = Full
	}
	return h
}

// prune drops the days that decide nothing more, after a visit that began on a
// day was folded.
//
// Of those that speak the newest ResidentDays are enough: a visit asks whether so
// many lie in its window, and where an older one does, so do they. (A day that a
// router's wrong clock put ahead of that visit is the exception: it takes the
// place of an older one.) Of the others, those stay which hours can still be added
// to. A visit that is folded after this one may have begun before it: this one may
// lie up to a day ahead, by a wrong clock, and that one up to an hour back. So it
// begins two days earlier at the most. A visit that goes on after its end adds to
// its last day and later ones.
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

// forgetAt is the clock from which on no day can matter, 0 where there is none.
// Days are local and this is UTC, which is less than a day apart; a visit that
// begins then is up to an hour behind the clock. So it begins at least 29 days
// after a day that speaks, and after one that does not no earlier than on the
// next day. resident looks at the window itself: who forgets later, or reads
// an older state, decides the same.
func (h Habit) forgetAt() (at Instant) {
	const perDay = Instant(24 * time.Hour / time.Millisecond)
	for _, d := range h {
		days := Instant(2)
		if d.Hours == Full {
			days = windowDays + 2
		}
		at = max(at, (Instant(d.Number)+days)*perDay)
	}
	return at
}

// resident says whether a visit that begins in step x is no customer's (rule 5).
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

// mayBeginEarlier says that one late sighting could still move the start of a
// candidate over midnight or over the edge of a closed hour, and with it what
// rule 5 says. Then a walk-in told now may be one too many, so it waits for the
// next step.
func (s *Stay) mayBeginEarlier(now Instant, r *Rules) bool {
	if s.firm(now) {
		return false
	}
	x := s.Start.step()
	day, hour := r.local(x)
	before, hourBefore := r.local(x - 1)
	return r.ResidentDays > 0 && day != before || r.closed(day, hour) != r.closed(before, hourBefore)
}
