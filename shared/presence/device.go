package presence

import "slices"

// Sighting is what the rules need of a sighting. The signal strength is in dBm.
type Sighting struct {
	SeenAt     Instant
	RSSI       int32
	Associated bool
	Randomised bool
}

// Event is what a decision tells: that a visit was confirmed or, where Ended is
// set, that it is over. A visit that was confirmed is a walk-in unless it is a
// resident's.
type Event struct {
	Ended       bool
	Start       Instant // start of the visit; with business and device it makes the id
	ConfirmedAt Instant // where not Ended: the sighting or the clock that confirmed it
	Last        Instant // of an end: the latest sighting
	Anonymous   bool
	Resident    bool // no customer's: the visit has no walk-in (rule 5)
}

// Verdict says what a sighting was.
type Verdict struct {
	Late     bool // further behind the clock than Lateness
	PasserBy bool // too weak, and the device is not inside
	Changed  bool // the device's state is another one now
}

// Device is what is remembered of one device at one business: its stays in the
// order of their start, almost always one, and of few devices the days on which
// they were inside for long. The zero Device is unknown.
//
// More than one stay is kept because a later sighting may tell that two are
// one: the gap between them closes when the sighting in the middle arrives
// last. All methods take the clock of the device's partition, which is its
// latest tick, 0 before the first.
type Device struct {
	Stays []Stay
	Habit Habit
}

// Known says whether anything is remembered.
func (d *Device) Known() bool { return len(d.Stays) > 0 || len(d.Habit) > 0 }

// Next decides on one sighting. Events are appended to out.
func (d *Device) Next(in Sighting, clock Instant, r *Rules, out []Event) (Verdict, []Event) {
	var v Verdict
	v.Late = clock != 0 && in.SeenAt < clock-Instant(r.Lateness.Milliseconds())
	if v.Late && d.openAround(in.SeenAt.step(), r) == nil {
		return v, out
	}
	d.forget(clock, r)
	// What waited for this sighting's time is confirmed first: as a visit it
	// reaches further.
	waited, out := d.settle(max(in.SeenAt, clock), r, out)
	var changed bool
	switch {
	case in.RSSI >= r.Entry:
		changed = d.strong(in, r)
	case in.RSSI >= r.Hold:
		changed, v.PasserBy = d.weak(in, r)
	default:
		v.PasserBy = d.openAround(in.SeenAt.step(), r) == nil
	}
	if changed {
		_, out = d.settle(max(in.SeenAt, clock), r, out)
	}
	v.Changed = waited || changed
	return v, out
}

// Tick tells the device that the clock has moved. changed is true where the
// state is another one now, forgetting apart.
//
// Of three stays the first may reach the third, with a visit in between that came
// to be told before it: once that is forgotten, the two are one. So nothing is
// forgotten here or by Next without settling what is left. Left to the next clock,
// who had forgotten it and who reads it from the log would decide otherwise.
func (d *Device) Tick(clock Instant, r *Rules, out []Event) (changed bool, events []Event) {
	for again := true; again; {
		var settled bool
		settled, out = d.settle(clock, r, out)
		changed = changed || settled
		for i := range d.Stays {
			if s := &d.Stays[i]; s.over(clock, r) {
				out = d.end(s, r, out)
				changed = true
			}
		}
		before := len(d.Stays)
		d.forget(clock, r)
		again = len(d.Stays) < before
	}
	return changed, out
}

// Forget drops what no sighting can belong to any more, and decides nothing: what
// a device that is read from a log has missed of a clock at which its rules
// changed. r are the rules before that.
func (d *Device) Forget(clock Instant, r *Rules) { d.forget(clock, r) }

// Due is the earliest clock at which Tick can do anything, 0 for never.
func (d *Device) Due(r *Rules) Instant {
	if len(d.Stays) == 0 {
		return d.Habit.forgetAt()
	}
	var due Instant
	for i := range d.Stays {
		s := &d.Stays[i]
		at := s.forgetAt(r)
		switch {
		case s.Confirmed && !s.Ended:
			at = (s.Last.step() + s.reach(r) + 2).start()
		case s.ripe(r):
			at = (s.Start.step() + 1).start()
		}
		if due == 0 || at < due {
			due = at
		}
	}
	return due
}

// openAround finds the visit that is open and has room for step x.
func (d *Device) openAround(x step, r *Rules) *Stay {
	for i := len(d.Stays) - 1; i >= 0; i-- {
		s := &d.Stays[i]
		if s.Confirmed && !s.Ended && x >= s.Start.step() && (x <= s.Last.step() || s.follows(x, r)) {
			return s
		}
	}
	return nil
}

// strong puts a sighting at or above the entry threshold into the stay it
// belongs to, or opens a candidate (rule 1).
func (d *Device) strong(in Sighting, r *Rules) (changed bool) {
	for i := len(d.Stays) - 1; i >= 0; i-- {
		if s := &d.Stays[i]; s.takes(in, r) {
			before := *s
			s.add(in, r)
			return *s != before
		}
	}
	s := Stay{Start: in.SeenAt, Last: in.SeenAt, Strong: 1}
	s.note(in)
	d.insert(s)
	return true
}

func (d *Device) insert(s Stay) {
	i := len(d.Stays)
	for i > 0 && d.Stays[i-1].Start > s.Start {
		i--
	}
	d.Stays = append(d.Stays, Stay{})
	copy(d.Stays[i+1:], d.Stays[i:])
	d.Stays[i] = s
}

// weak decides on a sighting between the thresholds: it prolongs a visit (rule
// 3) and never begins one. In the first step of a stay and the one after it, it
// counts for nothing: there it may come before the sighting that opens the
// stay, and nothing is stored of a passer-by.
func (d *Device) weak(in Sighting, r *Rules) (changed, passerBy bool) {
	x := in.SeenAt.step()
	i := d.newestBefore(x)
	if i > 0 && x < d.Stays[i].Start.step()+2 && !d.Stays[i].Confirmed {
		i-- // the candidate may turn out to be a part of the stay before
	}
	if i < 0 {
		return false, true
	}
	s := &d.Stays[i]
	before := *s
	within := x <= s.Last.step()
	switch {
	case x < s.Start.step()+2:
	case s.Confirmed && (within || s.follows(x, r)):
		s.moveLast(in.SeenAt)
		// A weak association is not noted. It may come before or after the sighting
		// that confirms the visit, and of a candidate it is not kept.
		s.Plain = s.Plain || !in.Associated
		s.absorbWeak(r)
	case s.mayReach(x, r):
		s.keepWeak(in)
	}
	inside := s.Confirmed && (within || s.Last == in.SeenAt || s.follows(x, r))
	return *s != before, !inside
}

// newestBefore finds the latest stay that begins in step x or before it, -1 if
// there is none.
func (d *Device) newestBefore(x step) int {
	for i, s := range slices.Backward(d.Stays) {
		if s.Start.step() <= x {
			return i
		}
	}
	return -1
}

// mayReach says that a weak sighting in step x does not belong to the stay now,
// but would if one came that is allowed to be late: one step after the reach of
// Last, or in the first step of a day that the stay does not reach into because
// it is anonymous so far. What a candidate is seen at counts when it is
// confirmed.
func (s *Stay) mayReach(x step, r *Rules) bool {
	after := x - s.Last.step()
	return after <= s.reach(r)+1 &&
		(sameLife(s.anonymous(), s.Last.step(), x, r) || r.day(x-1) != r.day(x))
}

// settle merges what belongs together and confirms what has shown enough, until
// neither is left to do. now is the latest moment heard of.
func (d *Device) settle(now Instant, r *Rules, out []Event) (changed bool, events []Event) {
	for again := true; again; {
		again = d.mergeOnce(r)
		for i := 0; i < len(d.Stays) && !again; i++ {
			if s := &d.Stays[i]; s.ripe(r) && !d.mayJoin(i, now, r) && !s.mayBeginEarlier(now, r) {
				out = d.confirm(i, now, r, out)
				again = true
			}
		}
		changed = changed || again
	}
	return changed, out
}

// mergeOnce merges the first two neighbours that are one stay. Two visits are
// never merged: both walk-ins have been told.
func (d *Device) mergeOnce(r *Rules) bool {
	for i := 0; i+1 < len(d.Stays); i++ {
		a, b := &d.Stays[i], &d.Stays[i+1]
		if a.Confirmed && b.Confirmed || !a.follows(b.Start.step(), r) {
			continue
		}
		a.merge(b, r)
		d.Stays = append(d.Stays[:i+1], d.Stays[i+2:]...)
		return true
	}
	return false
}

// mayJoin says that one late sighting could still make stay i one with a
// neighbour: with the one before, which ends so shortly out of reach, or with
// the one after, from which only the end of an anonymous day parts it. A walk-in
// told now might then be one too many, so it waits, for four minutes at the
// most.
func (d *Device) mayJoin(i int, now Instant, r *Rules) bool {
	near := func(a, b *Stay) bool {
		return !b.firm(now) && b.Start.step()-a.Last.step() <= a.reach(r)+1
	}
	return i > 0 && near(&d.Stays[i-1], &d.Stays[i]) ||
		i+1 < len(d.Stays) && near(&d.Stays[i], &d.Stays[i+1])
}

// confirm makes candidate i a visit and ends the visits before it. Their days
// speak for or against it, so they end first.
func (d *Device) confirm(i int, now Instant, r *Rules, out []Event) []Event {
	for j := range d.Stays[:i] {
		if s := &d.Stays[j]; s.Confirmed && !s.Ended {
			out = d.end(s, r, out)
		}
	}
	s := &d.Stays[i]
	s.Confirmed, s.ConfirmedStart, s.Strong = true, s.Start, 0
	s.Resident = d.resident(s.Start.step(), r)
	s.absorbWeak(r)
	return append(out, Event{Start: s.ConfirmedStart, ConfirmedAt: now, Anonymous: s.anonymous(), Resident: s.Resident})
}

// end ends a visit and learns from it.
func (d *Device) end(s *Stay, r *Rules, out []Event) []Event {
	s.Ended = true
	if !s.anonymous() {
		d.Habit = d.Habit.fold(s.Start.step(), s.Last.step(), r)
	}
	return append(out, Event{Ended: true, Start: s.ConfirmedStart, Last: s.Last, Anonymous: s.anonymous(), Resident: s.Resident})
}

// forget drops the stays that no sighting can belong to any more, and with the
// last of them a habit that cannot matter any more.
func (d *Device) forget(clock Instant, r *Rules) {
	kept := d.Stays[:0]
	for i := range d.Stays {
		if !d.Stays[i].forgettable(clock, r) {
			kept = append(kept, d.Stays[i])
		}
	}
	d.Stays = kept
	if len(kept) == 0 && len(d.Habit) > 0 && clock >= d.Habit.forgetAt() {
		d.Habit = nil
	}
}
