package presence

// settle merges stays that belong together and confirms candidates, until neither
// changes a stay. latest is the latest moment known: of the watermark or of the
// sighting in hand. settle returns out with the confirmations and ends appended.
//
// Merging comes first, because the merged stay has the start that the walk-in
// must state. 12:00 a strong sighting opens A. 12:12 another opens B, out of reach
// of the candidate A. 12:10:30 arrives late, moves the start of B and brings B
// into reach: A and B become one candidate with strong steps at 12:00, 12:10 and
// 12:12, which is confirmed with the start 12:00.
//
// Each confirmation calls for another round, because a visit reaches further than a
// candidate. 12:00 a strong sighting opens A. 12:12 an associated one opens B, one
// step out of reach, so B waits (mayJoin). An associated sighting of 12:01 arrives,
// late but within the allowed lateness: A is confirmable and waits as well. The
// tick of 12:14 confirms A. The visit A reaches B, so the next round merges B into
// A. Without another round, B would be confirmed as a second walk-in.
func (d *Device) settle(latest Instant, r *Rules, out []Event) (changed bool, events []Event) {
	for unsettled := true; unsettled; {
		unsettled = d.mergeOnce(r)
		for i := 0; i < len(d.Stays) && !unsettled; i++ {
			if s := &d.Stays[i]; s.confirmable(r) && !d.mayJoin(i, latest, r) && !s.mayBeginEarlier(latest, r) {
				out = d.confirm(i, latest, r, out)
				unsettled = true
			}
		}
		changed = changed || unsettled
	}
	return changed, out
}

// mergeOnce merges the first two neighbours that are one stay and reports whether
// it merged. Two visits are never merged: both walk-ins have been emitted.
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

// mayJoin reports whether one late sighting could still make candidate i one stay
// with a neighbour. A walk-in emitted now might then be one too many, so the
// candidate waits, for four minutes at the most.
//
//   - The stay before ends one step out of reach. 12:00 an associated sighting
//     opens visit A, which reaches to 12:17:59. 12:18 an associated one opens B: B
//     is confirmable, but waits. 12:16:30 arrives late, and A and B are one visit
//     with one walk-in.
//   - Only the end of an anonymous day parts the candidate from the stay after. One
//     strong step confirms, by settings, and no device is learnt as resident. 00:00
//     a strong sighting of a randomised address opens and confirms visit B. 23:58
//     arrives late and opens candidate A, which is anonymous and does not reach
//     into the next day: A is confirmable, but waits. 23:59 an associated sighting
//     arrives late and makes A and B one visit, which keeps the walk-in of B.
func (d *Device) mayJoin(i int, latest Instant, r *Rules) bool {
	near := func(a, b *Stay) bool {
		return !b.startFinal(latest) && b.Start.step()-a.Last.step() <= a.reach(r)+1
	}
	return i > 0 && near(&d.Stays[i-1], &d.Stays[i]) ||
		i+1 < len(d.Stays) && near(&d.Stays[i], &d.Stays[i+1])
}

// confirm makes candidate i a visit, and ends the visits before it that are open.
//
// The visits before end first, because their days decide whether the device is
// resident. A device is inside from 8:00 to 18:30 on three days. On the third day,
// 19:02, an associated sighting opens a candidate one step out of reach, so the
// candidate waits (mayJoin). The tick of 19:04 finds the candidate final and the
// visit over, and Tick settles before it ends visits. The third day must be in the
// habit before the candidate is confirmed: its visit is that of a resident device.
func (d *Device) confirm(i int, latest Instant, r *Rules, out []Event) []Event {
	for j := range d.Stays[:i] {
		if s := &d.Stays[j]; s.Confirmed && !s.Ended {
			out = d.end(s, r, out)
		}
	}
	s := &d.Stays[i]
	s.Confirmed, s.ConfirmedStart, s.Strong = true, s.Start, 0
	s.Resident = d.resident(s.Start.step(), r)
	s.absorbWeak(r)
	return append(out, Event{Start: s.ConfirmedStart, ConfirmedAt: latest, Anonymous: s.anonymous(), Resident: s.Resident})
}

// end ends a visit, and adds its days to the habit unless the visit is anonymous.
func (d *Device) end(s *Stay, r *Rules, out []Event) []Event {
	s.Ended = true
	if !s.anonymous() {
		d.Habit = d.Habit.fold(s.Start.step(), s.Last.step(), r)
	}
	return append(out, Event{Ended: true, Start: s.ConfirmedStart, Last: s.Last, Anonymous: s.anonymous(), Resident: s.Resident})
}

// forget drops the stays that no sighting can belong to any more. When it drops
// the last stay, it also drops a habit that cannot matter any more.
func (d *Device) forget(watermark Instant, r *Rules) {
	kept := d.Stays[:0]
	for i := range d.Stays {
		if !d.Stays[i].forgettable(watermark, r) {
			kept = append(kept, d.Stays[i])
		}
	}
	d.Stays = kept
	if len(kept) == 0 && len(d.Habit) > 0 && watermark >= d.Habit.forgetAt() {
		d.Habit = nil
	}
}
