package presence

import "math/bits"

// maskBits is how many steps back a candidate remembers strong sightings.
const maskBits = 64

// Stay is what is remembered of one stay of a device: a candidate until it is
// confirmed, a visit from then on. Times are those of the first sighting that
// came in their step, so they change only with the step.
type Stay struct {
	Start Instant // earliest strong sighting
	Last  Instant // latest sighting that counts for it
	// ConfirmedStart is Start as the walk-in said it. A sighting that comes late may
	// move Start back afterwards, the walk-in keeps its id.
	ConfirmedStart Instant
	// Weak is a sighting between hold and entry threshold that will count if the
	// candidate is confirmed, or if a late sighting closes the gap to it.
	Weak Instant
	// Strong has bit n set where a candidate was seen strongly n steps before
	// Last.
	Strong     uint64
	Confirmed  bool
	Ended      bool
	Associated bool // it was strongly seen associated at least once
	Plain      bool // it was seen not associated at least once
	WeakPlain  bool // Weak was not associated
	Randomised bool // the device's address is randomised
	Resident   bool // a visit that was told as no walk-in (rule 5)
}

// anonymous says that nothing ties the stay to another day (rule 6).
func (s *Stay) anonymous() bool { return s.Randomised && !s.Associated }

// reach is how many steps after Last the stay still takes a sighting.
func (s *Stay) reach(r *Rules) step {
	switch {
	case !s.Confirmed:
		return steps(r.MaxGap)
	case !s.Plain:
		return steps(r.AssociatedSilence)
	default:
		return steps(r.Silence)
	}
}

// follows says whether something in step x, after the stay, belongs to it.
func (s *Stay) follows(x step, r *Rules) bool {
	return x-s.Last.step() <= s.reach(r) && sameLife(s.anonymous(), s.Last.step(), x, r)
}

// sameLife applies rule 6: what is anonymous does not reach into the next day.
// Only the older side counts. Were it the newer one, a weak sighting that comes
// just ahead of the first associated one would be dropped in one order of
// arrival and count in the other.
func sameLife(olderAnonymous bool, older, newer step, r *Rules) bool {
	return !olderAnonymous || r.day(older) == r.day(newer)
}

// takes says whether a strong sighting belongs to the stay.
func (s *Stay) takes(in Sighting, r *Rules) bool {
	x := in.SeenAt.step()
	if x < s.Start.step() {
		return s.Start.step()-x <= steps(r.MaxGap) && sameLife(in.Randomised && !in.Associated, x, s.Start.step(), r)
	}
	return x <= s.Last.step() || s.follows(x, r)
}

// note sets the flags that a sighting proves.
func (s *Stay) note(in Sighting) {
	s.Associated = s.Associated || in.Associated
	s.Plain = s.Plain || !in.Associated
	s.Randomised = s.Randomised || in.Randomised
}

// add puts a strong sighting into the stay.
func (s *Stay) add(in Sighting, r *Rules) {
	s.note(in)
	x := in.SeenAt.step()
	if x < s.Start.step() {
		s.Start = in.SeenAt
	}
	s.moveLast(in.SeenAt)
	if !s.Confirmed {
		s.Strong |= 1 << min(uint64(s.Last.step()-x), maskBits) // a shift by maskBits sets nothing
	}
	s.absorbWeak(r)
}

// moveLast makes at the latest sighting if its step is a later one. A visit
// that had ended goes on: a late sighting has shown that it was not over.
func (s *Stay) moveLast(at Instant) {
	moved := at.step() - s.Last.step()
	if moved <= 0 {
		return
	}
	s.Strong <<= min(uint64(moved), maskBits)
	s.Last = at
	s.Ended = false
}

// absorbWeak lets the remembered weak sighting count once it is within reach.
func (s *Stay) absorbWeak(r *Rules) {
	if s.Weak == 0 || !s.Confirmed {
		return
	}
	if s.Weak.step() > s.Last.step() && !s.follows(s.Weak.step(), r) {
		return
	}
	s.moveLast(s.Weak)
	s.Plain = s.Plain || s.WeakPlain
	s.Weak, s.WeakPlain = 0, false
}

// keepWeak remembers a weak sighting that may count later.
func (s *Stay) keepWeak(in Sighting) {
	if in.SeenAt.step() > s.Weak.step() {
		s.Weak = in.SeenAt
	}
	s.WeakPlain = s.WeakPlain || !in.Associated
}

// merge puts b, which begins later, into s. At most one of the two is
// confirmed.
func (s *Stay) merge(b *Stay, r *Rules) {
	if b.Last.step() > s.Last.step() {
		moved := b.Last.step() - s.Last.step()
		s.Strong = s.Strong<<min(uint64(moved), maskBits) | b.Strong
		s.Last = b.Last
		s.Ended = b.Ended
	} else {
		s.Strong |= b.Strong << min(uint64(s.Last.step()-b.Last.step()), maskBits)
	}
	if b.Confirmed {
		s.Confirmed, s.ConfirmedStart, s.Ended, s.Resident = true, b.ConfirmedStart, b.Ended, b.Resident
	}
	if s.Confirmed {
		s.Strong = 0
	}
	if b.Weak.step() > s.Weak.step() {
		s.Weak = b.Weak
	}
	s.WeakPlain = s.WeakPlain || b.WeakPlain
	s.Associated = s.Associated || b.Associated
	s.Plain = s.Plain || b.Plain
	s.Randomised = s.Randomised || b.Randomised
	s.absorbWeak(r)
}

// ripe says whether a candidate has shown enough to be a visit (rule 2).
func (s *Stay) ripe(r *Rules) bool {
	if s.Confirmed {
		return false
	}
	return s.Associated ||
		bits.OnesCount64(s.Strong) >= r.MinStrong && s.Last.step()-s.Start.step() >= r.minSpan()
}

// firm says that nothing can come any more, within the disorder allowed, that
// lies before the stay's first step. now is the latest moment that has been
// heard of, by the clock or by a sighting of the device.
func (s *Stay) firm(now Instant) bool { return max(now, s.Last).step() > s.Start.step() }

// over says that nothing can come any more, within the disorder allowed, that
// prolongs the visit.
func (s *Stay) over(clock Instant, r *Rules) bool {
	return s.Confirmed && !s.Ended && clock.step() >= s.Last.step()+s.reach(r)+2
}

// forgettable says that no sighting that still counts can belong to the stay.
func (s *Stay) forgettable(clock Instant, r *Rules) bool {
	return clock >= s.forgetAt(r) && (!s.Confirmed || s.Ended)
}

// forgetAt is the clock from which on the stay is forgettable.
func (s *Stay) forgetAt(r *Rules) Instant {
	return (s.Last.step() + s.reach(r) + 2).start() + Instant(r.Lateness.Milliseconds())
}
