package presence

// Sighting is the part of a sighting record that the rules read. RSSI is in dBm.
type Sighting struct {
	SeenAt     Instant
	RSSI       int32
	Associated bool
	Randomised bool
	Report     Report
	Router     uint32 // RouterHash of the router that reports; not read if Report is NoReport
}

// Event is a decision to emit: a visit was confirmed or, if Ended is set, a visit
// ended. A confirmed visit is a walk-in unless Resident is set.
type Event struct {
	Ended       bool
	Start       Instant // start of the visit as of its confirmation; business, device and Start make the id
	ConfirmedAt Instant // unless Ended: the sighting or the watermark at which the visit was confirmed, whichever is later
	Last        Instant // if Ended: the latest sighting of the visit
	Anonymous   bool    // anonymous day: nothing ties the visit to another day
	Resident    bool    // resident devices: the visit is no walk-in
}

// Verdict states how Next counted a sighting.
type Verdict struct {
	Late     bool // behind the watermark by more than the allowed lateness
	PasserBy bool // below the entry threshold, and the device is not inside
	Changed  bool // a stay was opened, changed, confirmed or merged; forgetting alone does not count
}

// Device is the state of one device at one business: its stays in the order of
// their start, almost always one, and the habit of the few devices that are
// inside for long. The zero Device has no state.
//
// A stay is a candidate until it is confirmed, and a visit from then on. A strong
// sighting is at or above the entry threshold. Two strong steps at a distance
// confirm a candidate, or one strong sighting that is associated.
//
// A device has more than one stay when a sighting that arrives later may still show
// that two stays are one: the gap between the stays closes when the sighting in the
// middle arrives last.
//
// The examples in this package use the default rules: a step of 2 minutes; a
// candidate takes sightings up to 5 steps after its last one, a visit up to 15, a
// visit whose sightings were all associated up to 8; an allowed lateness of 15
// minutes. Sightings may be one step out of order without any effect (disorder);
// sightings within the allowed lateness count, but may change decisions that were
// made without them.
//
// All methods take the watermark of the device's partition: the moment of its
// latest tick, 0 before the first tick.
type Device struct {
	Stays []Stay
	Habit Habit
}

// Known reports whether the device has a stay or a habit.
func (d *Device) Known() bool { return len(d.Stays) > 0 || len(d.Habit) > 0 }

// Next decides on one sighting and returns out with the events to emit appended.
func (d *Device) Next(in Sighting, watermark Instant, r *Rules, out []Event) (Verdict, []Event) {
	var v Verdict
	v.Late = watermark != 0 && in.SeenAt < watermark-Instant(r.Lateness.Milliseconds())
	if v.Late && d.openAround(in.SeenAt.step(), r) == nil {
		return v, out
	}
	d.forget(watermark, r)

	// Settle before the sighting is added: the time of the sighting may confirm a
	// candidate that waits, and a visit reaches further. 12:00 a strong sighting
	// opens A. 12:12 an associated one opens B, one step out of reach of A, so B
	// waits (mayJoin). 12:13 B is seen not associated. No tick arrives. 12:40 a
	// weak sighting shows that the start of B is final. The sighting extends the
	// visit B; it would be out of reach of the candidate B.
	latest := max(in.SeenAt, watermark)
	settled, out := d.settle(latest, r, out)

	// Add the sighting to a stay, by its signal strength.
	var added bool
	switch {
	case in.Report == Alive || in.Report == Left:
		added, v.PasserBy = d.weak(in, r)
	case in.RSSI >= r.Entry:
		added = d.strong(in, r)
	case in.RSSI >= r.Hold:
		added, v.PasserBy = d.weak(in, r)
	default:
		v.PasserBy = d.openAround(in.SeenAt.step(), r) == nil
	}
	if added {
		_, out = d.settle(latest, r, out)
	}
	v.Changed = settled || added
	return v, out
}

// Tick applies a tick: it confirms and ends the visits whose start or end no
// sighting within the disorder allowed can change any more, and forgets stays.
// changed reports whether the state changed; forgetting alone does not count,
// since forgetting is not written to the changelog: a reader of the changelog
// forgets the same stays when it applies a tick.
//
// Tick settles again after it forgot a stay. The forgotten stay may have kept two
// others apart, because only neighbours are merged. With the default rules:
//
//   - 12:00 a strong sighting opens candidate A. 12:12 an associated one opens B.
//   - The tick of 12:14 confirms B: B begins one step out of reach of A, and a
//     sighting between the two would be more than one step out of order. Then the
//     ticks are held up.
//   - 12:30 a strong sighting opens candidate C, out of reach of both: the visit B,
//     whose sightings were all associated, reaches to 12:29:59, the candidate A to
//     12:11:59.
//   - An associated sighting of 12:01 arrives, late but within the allowed
//     lateness, and confirms A. The visit A, which was also seen not associated,
//     reaches to 12:31:59 and so to the start of C. A and B are not merged, since the
//     walk-ins of both were emitted, and only neighbours are merged: A and C are not.
//   - The ticks of 12:32 and 12:34 end B and A, two steps after their reach. The tick
//     of 12:47 forgets B, whose reach is the shorter one. A and C are neighbours now
//     and become one visit, which goes on under the id of A and ends again.
//
// Without the second round, A and C would be merged at the next tick, but only in
// this environment (the process that holds the partition in memory). Forgetting is
// not written, so an environment that starts cold reads A, B and C from the
// changelog and forgets B at its first tick. If that tick is the one of 13:04, this
// environment would end the visit of A and C, and the cold one would forget all three.
func (d *Device) Tick(watermark Instant, r *Rules, out []Event) (changed bool, events []Event) {
	for unsettled := true; unsettled; {
		var settled bool
		settled, out = d.settle(watermark, r, out)
		changed = changed || settled
		for i := range d.Stays {
			if s := &d.Stays[i]; s.over(watermark, r) {
				out = d.end(s, r, out)
				changed = true
			}
		}

		// A forgotten stay may have kept two others apart: settle those now.
		before := len(d.Stays)
		d.forget(watermark, r)
		unsettled = len(d.Stays) < before
	}
	return changed, out
}

// Forget drops the state that no sighting can belong to any more at a watermark,
// and decides nothing. detect calls Forget for a device that it reads from the
// changelog and that has missed a watermark at which the rules changed; r are the
// rules before the change.
func (d *Device) Forget(watermark Instant, r *Rules) { d.forget(watermark, r) }

// Due returns the earliest watermark at which Tick would change the device, or 0
// if it never would.
func (d *Device) Due(r *Rules) Instant {
	if len(d.Stays) == 0 {
		return d.Habit.forgetAt()
	}
	var earliest Instant
	for i := range d.Stays {
		s := &d.Stays[i]
		due := s.forgetAt(r)
		switch {
		case s.Confirmed && !s.Ended:
			due = s.overAt(r) // Tick ends the visit
		case s.confirmable(r):
			due = (s.Start.step() + 1).start() // the start is final, so Tick may confirm the candidate
		}
		if earliest == 0 || due < earliest {
			earliest = due
		}
	}
	return earliest
}
