// Package presence holds the decisions of Footfall: who is in the store, whose
// visit it is, how often they came. Everything here is a pure function of its
// arguments: no clock, no I/O, no log.
package presence

import (
	"errors"
	"fmt"
	"time"
)

// Instant is a moment in milliseconds since the Unix epoch; 0 stands for none.
type Instant int64

// InstantOf gives the Instant of t, cut to the millisecond.
func InstantOf(t time.Time) Instant { return Instant(t.UnixMilli()) }

// Time gives the moment as a time in UTC.
func (i Instant) Time() time.Time { return time.UnixMilli(int64(i)).UTC() }

// Grid is the step of event time that every rule is defined on. It is also the
// disorder that arrival may have without changing what is decided: a sighting
// that comes up to one Grid late lands in the step of the newest one or in the
// step before it, never further back. It cannot be set, for state written on
// one grid means nothing on another.
const Grid = 2 * time.Minute

// step numbers the steps of the grid from the epoch.
type step int64

func (i Instant) step() step { return step(i / Instant(Grid/time.Millisecond)) }

func (s step) start() Instant { return Instant(s) * Instant(Grid/time.Millisecond) }

// steps is the greatest number of steps that d has room for.
func steps(d time.Duration) step { return step(d / Grid) }

// Rules are the settings of one business.
type Rules struct {
	// Entry is the RSSI in dBm from which on a sighting is strong: it opens a
	// candidate and speaks for a visit.
	Entry int32
	// Hold is the RSSI in dBm from which on a sighting prolongs a visit.
	Hold int32
	// MinStrong is in how many steps of the grid a candidate must be seen
	// strongly. Steps are counted, not sightings, so a duplicate adds nothing.
	MinStrong int
	// MinSpan is how far apart the first and the last of them must be: the setting
	// dwell.
	MinSpan time.Duration
	// MaxGap is how long a candidate may go without a strong sighting: the setting
	// candidate_gap.
	MaxGap time.Duration
	// Silence ends a visit, AssociatedSilence one of which every sighting was
	// associated: the settings gap and associated_gap.
	Silence, AssociatedSilence time.Duration
	// Lateness is how far behind the partition's clock a sighting still counts.
	Lateness time.Duration
	// ResidentDays is on how many of the last days a device must have been inside
	// in more than ResidentHours hours of the day, or while the store was closed,
	// to be taken for no customer's (rule 5). With ResidentDays 0 nobody ever is.
	ResidentHours, ResidentDays int
	// Closed says when the store is closed: bit h of Closed[d] is set where it is
	// throughout the hour that begins at h o'clock on weekday d. A visit that begins
	// then is no customer's. It is taken as it is: whoever fills it leaves out the
	// hours in which people may still be, or already are, at the door.
	Closed [7]uint32
	// Excluded are devices that are no customers', by their id.
	Excluded map[string]struct{}
	// Sensors are the routers that count, by their id; nil lets all of them.
	Sensors map[string]struct{}
	// Location says when a day begins and what o'clock it is; nil is UTC.
	Location *time.Location
}

// DefaultRules are the settings of a business that has none of its own.
func DefaultRules() Rules {
	return Rules{
		Entry: -70, Hold: -85,
		MinStrong: 2, MinSpan: 5 * time.Minute, MaxGap: 10 * time.Minute,
		Silence: 30 * time.Minute, AssociatedSilence: 15 * time.Minute,
		Lateness:      15 * time.Minute,
		ResidentHours: 10, ResidentDays: 3,
	}
}

// Validate reports every setting that is out of its range.
func (r Rules) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(r.Entry >= -127 && r.Entry <= 0, "entry threshold %d dBm is not within [-127, 0]", r.Entry)
	check(r.Hold >= -127 && r.Hold <= r.Entry, "hold threshold %d dBm is not within [-127, entry threshold]", r.Hold)
	// Strong steps are kept as bits, the latest maskBits of them.
	check(r.MaxGap >= Grid && steps(r.MaxGap)*step(r.MinStrong) <= maskBits,
		"candidate gap %v is not within [%v, %d steps of %v over MinStrong]", r.MaxGap, Grid, maskBits, Grid)
	check(r.MinStrong >= 1, "a candidate needs at least 1 strong step, not %d", r.MinStrong)
	check(r.MinSpan >= 0 && r.MinSpan <= 2*time.Hour, "candidate span %v is not within [0, 2h]", r.MinSpan)
	check(r.AssociatedSilence >= r.MaxGap, "associated silence %v is under the candidate gap %v", r.AssociatedSilence, r.MaxGap)
	check(r.Silence >= r.AssociatedSilence && r.Silence <= 12*time.Hour,
		"silence %v is not within [associated silence, 12h]", r.Silence)
	check(r.Lateness >= 2*Grid && r.Lateness <= time.Hour, "lateness %v is not within [%v, 1h]", r.Lateness, 2*Grid)
	check(r.ResidentDays >= 0 && r.ResidentDays <= windowDays, "resident days %d are not within [0, %d]", r.ResidentDays, windowDays)
	check(r.ResidentDays == 0 || r.ResidentHours >= 1 && r.ResidentHours <= 23, "resident hours %d are not within [1, 23]", r.ResidentHours)
	for d, hours := range r.Closed {
		check(hours&^allHours == 0, "closed hours %#x of %v are not among the 24 of a day", hours, time.Weekday(d))
	}
	return errors.Join(errs...)
}

// minSpan rounds up: a span of 5 minutes takes 3 steps of 2.
func (r *Rules) minSpan() step { return steps(r.MinSpan + Grid - 1) }

// local gives the day of a step, counted from the epoch by the store's time zone,
// and the hour of that day.
func (r *Rules) local(s step) (day int32, hour int) {
	seconds := int64(s.start() / 1000)
	if r.Location != nil {
		_, offset := s.start().Time().In(r.Location).Zone()
		seconds += int64(offset)
	}
	const perDay = 24 * 60 * 60
	return int32(seconds / perDay), int(seconds % perDay / (60 * 60))
}

// day gives the local day of a step.
func (r *Rules) day(s step) int32 {
	day, _ := r.local(s)
	return day
}

// closed says whether the store is closed throughout an hour.
func (r *Rules) closed(day int32, hour int) bool {
	weekday := (day + int32(time.Thursday)) % 7 // the epoch was one
	return r.Closed[weekday]>>hour&1 != 0
}
