package presence

import "math/bits"

// maskBits is the number of steps for which a candidate keeps its strong steps.
const maskBits = 64

// Stay is the state of one stay of a device: a candidate until it is confirmed, a
// visit from then on.
//
// The confirmation compares the moments of a candidate: Start is exact, and Last is
// where that can decide (decides). Of a visit only the steps of the moments decide.
// So a later moment of the same step is kept in memory, and written with the next
// change of the stay: a write for each sighting would be many times the writes for
// each step.
type Stay struct {
	Start Instant // earliest strong sighting
	Last  Instant // latest sighting that counts
	// ConfirmedStart is Start when the candidate was confirmed: the walk-in states
	// it, and the id of the visit is made of it. A late sighting may move Start back
	// afterwards; the id stays.
	ConfirmedStart Instant
	// Weak is a weak sighting that will count if the candidate is confirmed, or if a
	// late sighting closes the gap to it; 0 if none is kept.
	Weak Instant
	// Session is the latest session of the device.
	Session Session
	// Strong has bit n set if a candidate was seen strongly n steps before Last.
	Strong     uint64
	Confirmed  bool
	Ended      bool
	Associated bool // a strong sighting was associated
	Plain      bool // a sighting was not associated
	WeakPlain  bool // a sighting kept in Weak was not associated
	Randomised bool // the address of the device is randomised
	Resident   bool // a visit that is no walk-in (resident devices)
}

// anonymous reports whether nothing ties the stay to another day (anonymous day).
func (s *Stay) anonymous() bool { return s.Randomised && !s.Associated }

// reach returns how many steps after Last a sighting still belongs to the stay:
// the candidate gap, or the session gap of a visit. A visit with a session reaches
// to the end of the session, if that is later.
func (s *Stay) reach(r *Rules) step {
	if !s.Confirmed {
		return steps(r.MaxGap)
	}
	gap := steps(r.Silence)
	if !s.Plain {
		gap = steps(r.AssociatedSilence)
	}
	if s.Session.JoinedAt != 0 {
		gap = max(gap, s.Session.end(r)-s.Last.step())
	}
	return gap
}

// changedSince reports whether the stay differs from its state before in more than
// a moment of a visit within its step.
func (s *Stay) changedSince(before Stay) bool {
	if s.Confirmed && s.Last.step() == before.Last.step() {
		before.Last = s.Last
	}
	if s.Weak.step() == before.Weak.step() {
		before.Weak = s.Weak
	}
	return *s != before
}

// follows reports whether a sighting or stay in step x, after the stay, belongs to
// the stay.
func (s *Stay) follows(x step, r *Rules) bool {
	return x-s.Last.step() <= s.reach(r) && sameLife(s.anonymous(), s.Last.step(), x, r)
}

// sameLife reports whether two steps may belong to one stay: an anonymous stay
// does not reach into the next day (anonymous day).
//
// The older side alone decides. If the newer side decided as well, a weak sighting
// just before the first associated one would be dropped if it arrived first, and
// would count if it arrived second.
func sameLife(olderAnonymous bool, older, newer step, r *Rules) bool {
	return !olderAnonymous || r.day(older) == r.day(newer)
}

// takes reports whether a strong sighting belongs to the stay.
func (s *Stay) takes(in Sighting, r *Rules) bool {
	x := in.SeenAt.step()
	if x < s.Start.step() {
		return s.Start.step()-x <= steps(r.MaxGap) && sameLife(in.Randomised && !in.Associated, x, s.Start.step(), r)
	}
	return x <= s.Last.step() || s.follows(x, r)
}

// setFlags sets the flags that a strong sighting proves.
func (s *Stay) setFlags(in Sighting) {
	s.Associated = s.Associated || in.Associated
	s.Plain = s.Plain || !in.Associated
	s.Randomised = s.Randomised || in.Randomised
}

// add adds a strong sighting to the stay. alone states that the device has no other
// stay.
func (s *Stay) add(in Sighting, alone bool, r *Rules) {
	s.setFlags(in)
	s.Session.join(in)
	x := in.SeenAt.step()
	if x < s.Start.step() || !s.Confirmed && in.SeenAt < s.Start {
		s.Start = in.SeenAt
	}
	if s.Confirmed || x > s.Last.step() || s.decides(in.SeenAt, alone, r) {
		s.moveLast(in.SeenAt)
	}
	if !s.Confirmed {
		s.Strong |= 1 << min(uint64(s.Last.step()-x), maskBits) // a shift by maskBits sets no bit
	}
	s.absorbWeak(r)
}

// decides reports whether a later sighting in the last step of a candidate can
// decide its confirmation: near the end of the span, which a sighting that arrives
// a step late can still lengthen, or if the candidate may become one with another
// stay. All other such sightings change nothing and are not written. Of a lab's
// sightings 14 % change the state of a device; with all of them it would be 21 %.
func (s *Stay) decides(seenAt Instant, alone bool, r *Rules) bool {
	return !alone || seenAt-s.Start >= Instant((r.MinSpan-Grid).Milliseconds())
}

// moveLast makes seenAt the latest sighting if it is later than Last. If its step
// is later too, a visit that had ended goes on: a late sighting has shown that the
// visit was not over.
func (s *Stay) moveLast(seenAt Instant) {
	if moved := seenAt.step() - s.Last.step(); moved > 0 {
		s.Strong <<= min(uint64(moved), maskBits)
		s.Ended = false
	}
	s.Last = max(s.Last, seenAt)
}

// absorbWeak makes the kept weak sighting count once a visit reaches it.
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

// keepWeak keeps a weak sighting that may count later; the latest moment is kept.
func (s *Stay) keepWeak(in Sighting) {
	s.Weak = max(s.Weak, in.SeenAt)
	s.WeakPlain = s.WeakPlain || !in.Associated
}

// merge puts b, the stay after s, into s. At most one of the two is a visit.
//
// If b is the visit, the merged visit keeps the id of b. 12:00 a strong sighting
// opens candidate s. 12:12 an associated one opens b, and the tick of 12:14
// confirms b: its walk-in is emitted with the start 12:12. 12:10:30 arrives, late
// but within the allowed lateness. The merged visit starts at 12:00, but its end
// must name the walk-in that was emitted.
//
// If s is a visit that has ended and b is a candidate, the visit goes on. 12:00
// and 12:06 make visit s, and the tick of 12:40 ends s. 12:48 a strong sighting
// opens candidate b. 12:30 arrives, late but within the allowed lateness, and moves
// Last of s: s reaches b, goes on, and ends again at 12:48 under the same id.
func (s *Stay) merge(b *Stay, r *Rules) {
	// Last is the later of the two. Shift the strong steps of the other stay, since
	// bits count back from Last.
	if b.Last.step() > s.Last.step() {
		moved := b.Last.step() - s.Last.step()
		s.Strong = s.Strong<<min(uint64(moved), maskBits) | b.Strong
		s.Last = b.Last
		s.Ended = b.Ended
	} else {
		// Both end in the same step. 12:01 an associated sighting opens visit s. 12:19 a
		// strong one opens candidate b, and a weak one of 12:19 is kept in s. 12:17:30, a
		// weak one, arrives late and extends s, which absorbs that of 12:19.
		s.Strong |= b.Strong << min(uint64(s.Last.step()-b.Last.step()), maskBits)
		s.Last = max(s.Last, b.Last)
	}

	// The walk-in of the visit stays the one that was emitted.
	if b.Confirmed {
		s.Confirmed, s.ConfirmedStart, s.Ended, s.Resident = true, b.ConfirmedStart, b.Ended, b.Resident
	}
	if s.Confirmed {
		s.Strong = 0
	}

	s.Session = later(s.Session, b.Session)
	s.Weak = max(s.Weak, b.Weak)
	s.WeakPlain = s.WeakPlain || b.WeakPlain
	s.Associated = s.Associated || b.Associated
	s.Plain = s.Plain || b.Plain
	s.Randomised = s.Randomised || b.Randomised
	s.absorbWeak(r)
}

// confirmable reports whether a candidate has all that confirmation takes: an
// associated strong sighting, or enough strong steps over a long enough span.
func (s *Stay) confirmable(r *Rules) bool {
	if s.Confirmed {
		return false
	}
	return s.Associated ||
		bits.OnesCount64(s.Strong) >= r.MinStrong && s.Last-s.Start >= Instant(r.MinSpan.Milliseconds())
}

// startFinal reports whether no sighting before the first step of the stay can
// arrive any more, within the disorder allowed. latest is the latest moment known:
// of the watermark or of a sighting of the device.
func (s *Stay) startFinal(latest Instant) bool { return max(latest, s.Last).step() > s.Start.step() }

// over reports whether no sighting that extends the visit can arrive any more,
// within the disorder allowed, and the visit has not ended yet.
func (s *Stay) over(watermark Instant, r *Rules) bool {
	return s.Confirmed && !s.Ended && watermark.step() >= s.Last.step()+s.reach(r)+2
}

// overAt returns the watermark from which on a visit is over. The visit reaches to
// the end of step Last+reach. A watermark in the step after may still be followed
// by a sighting of that step; a watermark two steps after may not.
func (s *Stay) overAt(r *Rules) Instant { return (s.Last.step() + s.reach(r) + 2).start() }

// forgettable reports whether no sighting that still counts can belong to the
// stay.
func (s *Stay) forgettable(watermark Instant, r *Rules) bool {
	return watermark >= s.forgetAt(r) && (!s.Confirmed || s.Ended)
}

// forgetAt returns the watermark from which on the stay is forgettable: after it
// is over, once the allowed lateness has passed.
func (s *Stay) forgetAt(r *Rules) Instant {
	return s.overAt(r) + Instant(r.Lateness.Milliseconds())
}
