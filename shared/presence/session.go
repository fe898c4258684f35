package presence

import "hash/fnv"

// Report is a router's report about the session of a device. A session lasts from
// the association to the disassociation; in between the router reports nothing,
// or that the device answered a poll.
type Report uint8

// The reports. NoReport stands for a sighting of a router that reports samples.
const (
	NoReport Report = iota
	Joined          // the device joined the router's network; counts if the sighting is strong
	Alive           // the device answered a poll; extends the visit within the session
	Left            // the device left; extends the visit up to this moment
)

// RouterHash returns the hash of a router's id by which the state of a device
// names the router of a session.
func RouterHash(id string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never returns an error
	return h.Sum32()
}

// Session is the latest session of a device at any router of the store. The zero
// Session is none.
//
// The latest association decides, and only the router of that association can
// close the session. A phone roams from router A to router B: 12:00 it joins A,
// 12:30 it joins B. 12:35 A, which heard nothing for five minutes, reports that
// the phone left. The phone is at B, so the report does not close the session.
//
// The reports of one router arrive in the order of their times, since one agent
// posts them. Reports of several routers may be out of order as other sightings.
type Session struct {
	JoinedAt Instant // the latest association
	Router   uint32  // RouterHash of its router
	LeftAt   Instant // the first report of Router, after JoinedAt, that the device left; 0 if there is none
}

// longest returns the step in which the session ends if the device does not leave.
func (s *Session) longest(r *Rules) step { return s.JoinedAt.step() + steps(r.MaxSession) }

// end returns the last step in which the session holds the visit open. That is so
// also if the disassociation arrives first. The longest session is 3 minutes, the
// session gap 2. 12:00 a device joins, so the session ends at 12:05:59. 12:06 a
// strong sighting opens a candidate one step out of reach, and a disassociation of
// 12:06 arrives. 12:05:59 arrives late, belongs to the visit, and so does 12:06.
func (s *Session) end(r *Rules) step {
	if s.LeftAt != 0 {
		return min(s.LeftAt.step(), s.longest(r))
	}
	return s.longest(r)
}

// join makes a strong sighting the latest association, if the sighting reports
// one. Of two associations at the same moment, the one at the router with the
// higher hash is the latest, whichever arrives first.
func (s *Session) join(in Sighting) {
	if in.Report != Joined {
		return
	}
	if joined := (Session{JoinedAt: in.SeenAt, Router: in.Router}); later(joined, *s) == joined {
		*s = joined
	}
}

// later returns the session with the later association, and b if a and b are of
// the same association.
func later(a, b Session) Session {
	if a.JoinedAt > b.JoinedAt || a.JoinedAt == b.JoinedAt && a.Router > b.Router {
		return a
	}
	return b
}

// leave closes the session if a sighting reports that the device left Router, and
// reports whether it did. A report of the moment of the association does not close
// the session: times of syslog are whole seconds, and a device that joins again
// leaves in the second in which it joins.
func (s *Session) leave(in Sighting) (closed bool) {
	closed = in.Report == Left && in.Router == s.Router && in.SeenAt > s.JoinedAt && (s.LeftAt == 0 || in.SeenAt < s.LeftAt)
	if closed {
		s.LeftAt = in.SeenAt
	}
	return closed
}

// takesAlive reports whether an answered poll in step x counts. Some drivers go on
// to poll a device that is gone, so the longest session bounds the polls. A poll
// of the step after the disassociation counts: the two may arrive in either order.
func (s *Session) takesAlive(x step, r *Rules) bool {
	return s.JoinedAt != 0 && x >= s.JoinedAt.step() && x <= s.longest(r) && (s.LeftAt == 0 || x <= s.LeftAt.step()+1)
}
