package presence

import "slices"

// openAround returns the visit that has not ended and that step x lies in or
// extends, or nil if the device has none.
func (d *Device) openAround(x step, r *Rules) *Stay {
	for i := len(d.Stays) - 1; i >= 0; i-- {
		s := &d.Stays[i]
		if s.Confirmed && !s.Ended && x >= s.Start.step() && (x <= s.Last.step() || s.follows(x, r)) {
			return s
		}
	}
	return nil
}

// strong adds a strong sighting to the newest stay that takes it, or opens a
// candidate (entry threshold). changed reports whether a stay changed.
func (d *Device) strong(in Sighting, r *Rules) (changed bool) {
	for i := len(d.Stays) - 1; i >= 0; i-- {
		if s := &d.Stays[i]; s.takes(in, r) {
			before := *s
			s.add(in, len(d.Stays) == 1, r)
			return s.changedSince(before)
		}
	}
	s := Stay{Start: in.SeenAt, Last: in.SeenAt, Strong: 1}
	s.setFlags(in)
	s.Session.join(in)
	d.insert(s)
	return true
}

// insert adds a stay and keeps the stays in the order of their start.
func (d *Device) insert(s Stay) {
	i := len(d.Stays)
	for i > 0 && d.Stays[i-1].Start > s.Start {
		i--
	}
	d.Stays = append(d.Stays, Stay{})
	copy(d.Stays[i+1:], d.Stays[i:])
	d.Stays[i] = s
}

// weak decides on a weak sighting: one between the thresholds. It extends a visit
// (session gap) and never opens a candidate. changed reports whether a stay
// changed, passerBy whether the device is not inside.
//
// A weak sighting counts from the third step of a stay on. In the first two steps
// it may arrive before the sighting that opens the stay, when the device has no
// state that could keep it. 12:00 an associated sighting opens and confirms visit
// A, whose session gap is 15 minutes. 12:01 a weak sighting arrives that is not
// associated: if it counted, the session gap would be 30 minutes, and an associated
// sighting of 12:18 would extend A. If the weak sighting arrives before that of
// 12:00, it is a passer-by and 12:18 opens a second visit. Both orders must give
// the same walk-ins, so 12:01 counts in neither.
func (d *Device) weak(in Sighting, r *Rules) (changed, passerBy bool) {
	s := d.stayOfWeak(in)
	if s == nil {
		return false, true
	}
	x, before := in.SeenAt.step(), *s
	within := x <= s.Last.step()
	switch {
	case x < s.Start.step()+2:
		// The first two steps of the stay: see above.
	case in.Report == Alive && !s.Session.takesAlive(x, r):
		// A driver polls a device that left long ago.
	case s.Confirmed && (within || s.follows(x, r)):
		s.moveLast(in.SeenAt)
		// A weak sighting sets Plain but never Associated: the association may arrive
		// before or after the sighting that confirms the visit, and a candidate does
		// not keep it.
		s.Plain = s.Plain || !in.Associated
		s.absorbWeak(r)
	case s.mayReach(x, r):
		s.keepWeak(in)
	}
	inside := s.Confirmed && (within || s.Last == in.SeenAt || s.follows(x, r))
	left := d.leave(in)
	return left || s.changedSince(before), !inside
}

// leave closes the session that a sighting reports the end of, and reports whether a
// session changed. The report may be about the latest stay or about the one before:
// 12:00 a device joins and opens A, which is not confirmed yet. 12:12 a strong
// sighting opens B, and 12:12:30 the device leaves.
func (d *Device) leave(in Sighting) (changed bool) {
	i := d.newestBefore(in.SeenAt.step())
	for ; i >= 0; i-- {
		if s := &d.Stays[i].Session; s.JoinedAt != 0 {
			return s.leave(in)
		}
	}
	return false
}

// stayOfWeak returns the stay that a weak sighting may belong to, or nil if the
// device has none: the latest stay that begins in the step of the sighting or
// before.
//
// In the first two steps of a candidate, the sighting may still belong to the stay
// before. 12:01 an associated sighting opens visit A. 12:18 another opens candidate
// B, one step out of reach. 12:18:30 a weak sighting arrives that is not
// associated. 12:17:30 an associated one arrives late and makes A and B one visit:
// 12:18:30 is in the tenth step of that visit, so it makes the session gap 30
// minutes, and 12:36:30 extends the visit.
func (d *Device) stayOfWeak(in Sighting) *Stay {
	x := in.SeenAt.step()
	i := d.newestBefore(x)
	if i < 0 {
		return nil
	}
	s := &d.Stays[i]
	if i > 0 && x < s.Start.step()+2 && !s.Confirmed {
		return &d.Stays[i-1]
	}
	return s
}

// newestBefore returns the index of the latest stay that begins in step x or
// before, or -1 if the device has none.
func (d *Device) newestBefore(x step) int {
	for i, s := range slices.Backward(d.Stays) {
		if s.Start.step() <= x {
			return i
		}
	}
	return -1
}

// mayReach reports whether a weak sighting in step x, which does not belong to
// the stay now, would belong after a sighting that may still arrive within the
// disorder allowed. Such a weak sighting is kept in Stay.Weak. In three cases it
// may:
//
//   - Step x is one step out of reach of a visit. 12:00 an associated sighting
//     opens visit A, which reaches 8 steps, to 12:17:59. 12:18 a weak sighting
//     arrives that is not associated. 12:17:30 an associated one arrives late and
//     moves Last of A: the weak sighting belongs to A, so the session gap is 30
//     minutes and 12:34 extends A. If the weak sighting were lost, 12:34 would open
//     a second visit.
//   - Step x is the first of a day, and the stay is anonymous so far and lives for
//     the day before. A randomised address is seen at 23:52 and 23:58, which makes a
//     visit. 00:01 a weak sighting arrives. 23:59:30 an associated one arrives late:
//     the visit is not anonymous, so 00:01 belongs to it, and 00:30:30 extends the
//     visit.
//   - The stay is a candidate, which a weak sighting does not extend. 12:01 a
//     strong sighting opens it. 12:10:30 a weak one arrives. 12:09:30 an associated
//     one arrives late and confirms the visit: the weak sighting moves Last to
//     12:10:30, and 12:40 extends the visit.
func (s *Stay) mayReach(x step, r *Rules) bool {
	after := x - s.Last.step()
	return after <= s.reach(r)+1 &&
		(sameLife(s.anonymous(), s.Last.step(), x, r) || r.day(x-1) != r.day(x))
}
