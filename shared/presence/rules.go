package presence

import (
	"errors"
	"fmt"
	"time"
)

// Instant is a moment in milliseconds since the Unix epoch; 0 means no moment.
type Instant int64

// InstantOf returns t as an Instant, cut to the millisecond.
func InstantOf(t time.Time) Instant { return Instant(t.UnixMilli()) }

// Time returns the moment as a time.Time in UTC.
func (i Instant) Time() time.Time { return time.UnixMilli(int64(i)).UTC() }

// Grid is the length of a step of event time. All rules are defined on steps.
//
// Grid is also the disorder that does not change a decision: a sighting that
// arrives up to one Grid late lies in the step of the newest sighting or in the
// step before, never further back. Grid cannot be set, because state written on
// one grid means nothing on another.
const Grid = 2 * time.Minute

// step is the number of a step of the grid, counted from the Unix epoch.
type step int64

// step returns the step that holds the moment.
func (i Instant) step() step { return step(i / Instant(Grid/time.Millisecond)) }

// start returns the moment at which the step begins.
func (s step) start() Instant { return Instant(s) * Instant(Grid/time.Millisecond) }

// steps returns d in steps, rounded up: 15 minutes are 8 steps. Two moments that lie
// more than steps(d) apart on the grid are more than d apart in time, so a gap is
// never shorter than its setting.
func steps(d time.Duration) step { return step((d + Grid - 1) / Grid) }

// Rules are the settings of one business. The package comment lists the rules
// that the fields belong to.
type Rules struct {
	// Entry is the entry threshold in dBm. A sighting at or above Entry is strong:
	// it opens a candidate and counts for its confirmation.
	Entry int32
	// Hold is the hold threshold in dBm. A sighting at or above Hold extends a
	// visit.
	Hold int32
	// MinStrong is the number of strong steps that a confirmation takes. Steps are
	// counted, not sightings, so a duplicate adds nothing.
	MinStrong int
	// MinSpan is the least time from the first strong sighting to the last, compared to
	// the millisecond. The setting is dwell.
	MinSpan time.Duration
	// MaxGap is the longest time that a candidate may be without a strong sighting.
	// The setting is candidate_gap.
	MaxGap time.Duration
	// Silence is the session gap, after which a visit ends. AssociatedSilence is
	// the session gap of a visit if every sighting of the visit was associated.
	// The settings are gap and associated_gap.
	Silence, AssociatedSilence time.Duration
	// MaxSession bounds how long after an association a session holds the visit open
	// while no router reports that the device left. If MaxSession is 0, sessions hold
	// no visit open.
	MaxSession time.Duration
	// Lateness is the allowed lateness: how far behind the watermark of its
	// partition a sighting may be and still count.
	Lateness time.Duration
	// ResidentHours and ResidentDays decide when a device is learnt as resident. A
	// day speaks for a resident device if the device was inside in more than
	// ResidentHours hours of the day, or while the store was closed. A device with
	// ResidentDays such days among the last 28 is resident. If ResidentDays is 0, no
	// device is learnt.
	ResidentHours, ResidentDays int
	// Closed holds the closed hours: bit h of Closed[d] is set if the store is
	// closed throughout the hour that begins at h o'clock on weekday d. A visit
	// that begins in a closed hour is of a resident device. The caller that fills
	// Closed must leave out the hours around opening and closing in which customers
	// may already, or may still, be at the door: Closed is used unchanged.
	Closed [7]uint32
	// Excluded are the listed resident devices, by id. Sensors are the routers whose
	// sightings count, by id; nil means all routers. The caller leaves out other
	// sightings before it calls Device.Next.
	Excluded, Sensors map[string]struct{}
	// Location is the time zone of the store: it decides when a day begins and
	// which hour of the day it is. nil means UTC.
	Location *time.Location
}

// DefaultRules returns the rules of a business that has no settings of its own.
func DefaultRules() Rules {
	return Rules{
		Entry: -70, Hold: -85,
		MinStrong: 2, MinSpan: 5 * time.Minute, MaxGap: 10 * time.Minute,
		Silence: 30 * time.Minute, AssociatedSilence: 15 * time.Minute,
		MaxSession:    12 * time.Hour,
		Lateness:      15 * time.Minute,
		ResidentHours: 10, ResidentDays: 3,
	}
}

// Validate returns an error that lists every setting outside its range, or nil.
func (r Rules) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(r.Entry >= -127 && r.Entry <= 0, "entry threshold %d dBm is not within [-127, 0]", r.Entry)
	check(r.Hold >= -127 && r.Hold <= r.Entry, "hold threshold %d dBm is not within [-127, entry threshold]", r.Hold)

	// A candidate keeps its strong steps as bits, the latest maskBits steps. So
	// MinStrong strong steps with gaps of MaxGap must fit into the mask.
	check(r.MaxGap >= Grid && steps(r.MaxGap)*step(r.MinStrong-1) < maskBits,
		"candidate gap %v is under %v, or %d strong steps with such gaps do not fit into %d steps of %v", r.MaxGap, Grid, r.MinStrong, maskBits, Grid)
	check(r.MinStrong >= 1, "a candidate needs at least 1 strong step, not %d", r.MinStrong)
	check(r.MinSpan >= 0 && r.MinSpan <= 2*time.Hour, "candidate span (dwell) %v is not within [0, 2h]", r.MinSpan)

	// The session gaps are ordered: candidate gap <= associated <= other. A
	// confirmation, and a sighting that is not associated, then only ever extend
	// the reach of a stay.
	check(r.AssociatedSilence >= r.MaxGap, "associated session gap %v is under the candidate gap %v", r.AssociatedSilence, r.MaxGap)
	check(r.Silence >= r.AssociatedSilence && r.Silence <= 12*time.Hour,
		"session gap %v is not within [associated session gap, 12h]", r.Silence)

	check(r.MaxSession >= 0 && r.MaxSession <= 12*time.Hour, "longest session %v is not within [0, 12h]", r.MaxSession)
	check(r.Lateness >= 2*Grid && r.Lateness <= time.Hour, "allowed lateness %v is not within [%v, 1h]", r.Lateness, 2*Grid)
	check(r.ResidentDays >= 0 && r.ResidentDays <= windowDays, "resident days %d are not within [0, %d]", r.ResidentDays, windowDays)
	check(r.ResidentDays == 0 || r.ResidentHours >= 1 && r.ResidentHours <= 23, "resident hours %d are not within [1, 23]", r.ResidentHours)
	for d, hours := range r.Closed {
		check(hours&^allHours == 0, "closed hours %#x of %v are not among the 24 of a day", hours, time.Weekday(d))
	}
	return errors.Join(errs...)
}

// local returns the local day of step s, counted from the epoch, and the hour of
// that day, both in the time zone of the store.
func (r *Rules) local(s step) (day int32, hour int) {
	seconds := int64(s.start() / 1000)
	if r.Location != nil {
		_, offset := s.start().Time().In(r.Location).Zone()
		seconds += int64(offset)
	}
	const perDay = 24 * 60 * 60
	return int32(seconds / perDay), int(seconds % perDay / (60 * 60))
}

// day returns the local day of a step.
func (r *Rules) day(s step) int32 {
	day, _ := r.local(s)
	return day
}

// closed reports whether the store is closed throughout an hour of a local day.
func (r *Rules) closed(day int32, hour int) bool {
	weekday := (day + int32(time.Thursday)) % 7 // day 0, 1 January 1970, was a Thursday
	return r.Closed[weekday]>>hour&1 != 0
}
