// Package oracle computes from the input alone the visits, walk-ins and counts
// that Footfall must emit: slowly, with everything in memory, as the rules read.
// Tests, and the check at the end of a run, compare the pipeline with it. The
// rules are those that the package comment of presence names.
//
// Start with Visits: it applies the rules to the sightings of one device in the
// order of their time. Past learns resident devices. PartitionVisits adds late
// sightings, and Expected adds contacts and counts.
package oracle

import (
	"slices"
	"time"

	"footfall/shared/presence"
)

// Visit is one visit of one device.
type Visit struct {
	Start, Last presence.Instant
	Open        bool // nothing in the input after Last ends the visit
	Resident    bool // resident devices: the visit is no walk-in

	rules      *presence.Rules
	counted    []presence.Sighting // all sightings that count, in order
	associated bool                // a strong sighting was associated
	allAssoc   bool                // every sighting was associated
	randomised bool
	confirmed  bool // false for a candidate

	joinedAt presence.Instant // the latest association that a router reported, 0 if none
	router   uint32           // the router of that association
	leftAt   presence.Instant // the first report of that router, after it, that the device left
}

// Visits returns the visits of one device, those of a resident device included.
// The rules are applied to the sightings in the order of their time, as if no
// sighting were late; sightings of the same moment are taken in the order given.
func Visits(sightings []presence.Sighting, r presence.Rules) []Visit {
	return Past{}.Visits(sightings, r)
}

// stays returns the visits of one device, without the decision which of them are
// those of a resident device.
func stays(sightings []presence.Sighting, r presence.Rules) []Visit {
	sorted := slices.Clone(sightings)
	slices.SortStableFunc(sorted, func(a, b presence.Sighting) int { return int(a.SeenAt - b.SeenAt) })
	var visits []Visit
	var current *Visit // candidate or visit that the next sighting may belong to
	for _, s := range sorted {
		strong, belongs := isStrong(s, &r), current != nil && current.belongs(s)
		switch {
		case strong && belongs:
			current.add(s)
		case strong:
			// Entry threshold: a strong sighting out of reach opens a candidate. The visit
			// before is over.
			if current != nil && current.confirmed {
				visits = append(visits, *current)
			}
			current = &Visit{Start: s.SeenAt, rules: &r, allAssoc: true}
			current.add(s)
		case belongs:
			current.addWeak(s)
		}
	}
	if current != nil && current.confirmed {
		current.Open = true
		visits = append(visits, *current)
	}
	return visits
}

// extendsOnly reports whether a sighting is a report that extends a visit and opens
// none, whatever its signal: a poll that was answered or a disassociation.
func extendsOnly(s presence.Sighting) bool {
	return s.Report == presence.Alive || s.Report == presence.Left
}

// isStrong reports whether a sighting opens a candidate and counts for its
// confirmation.
func isStrong(s presence.Sighting, r *presence.Rules) bool {
	return s.RSSI >= r.Entry && !extendsOnly(s)
}

// stepOf returns the step of the grid that holds a moment.
func stepOf(t presence.Instant) int64 {
	return t.Time().UnixMilli() / presence.Grid.Milliseconds()
}

// addWeak adds a weak sighting that belongs to the visit, if it counts. A
// disassociation that does not count closes the session all the same.
func (v *Visit) addWeak(s presence.Sighting) {
	if hold := s.RSSI >= v.rules.Hold || extendsOnly(s); hold && v.confirmed && v.takesWeak(s) {
		v.add(s)
		return
	}
	v.report(s)
}

// takesWeak reports whether a weak sighting that belongs to the visit counts: from
// the third step of the visit on. A poll that was answered counts within the longest session and
// until the device left.
func (v *Visit) takesWeak(s presence.Sighting) bool {
	if s.Report == presence.Alive && (v.joinedAt == 0 || stepOf(s.SeenAt) > v.heldUntil() || v.leftAt != 0 && stepOf(s.SeenAt) > stepOf(v.leftAt)+1) {
		return false
	}
	return stepOf(s.SeenAt) >= stepOf(v.Start)+2
}

// heldUntil returns the last step in which the session can hold the visit open.
func (v *Visit) heldUntil() int64 { return stepOf(v.joinedAt) + roundedUp(v.rules.MaxSession) }

// roundedUp returns a gap in steps: a gap is never shorter than its setting.
func roundedUp(gap time.Duration) int64 {
	n := int64(gap / presence.Grid)
	if gap%presence.Grid != 0 {
		n++
	}
	return n
}

// report applies a router's report about the session of the device.
func (v *Visit) report(s presence.Sighting) {
	switch {
	case s.Report == presence.Joined && isStrong(s, v.rules) && (s.SeenAt > v.joinedAt || s.SeenAt == v.joinedAt && s.Router > v.router):
		v.joinedAt, v.router, v.leftAt = s.SeenAt, s.Router, 0
	case s.Report == presence.Left && s.Router == v.router && s.SeenAt > v.joinedAt && v.joinedAt != 0 && v.leftAt == 0:
		v.leftAt = s.SeenAt
	}
}

// sessionGap returns how long after Last a sighting still belongs to the visit, or
// to the candidate.
func (v *Visit) sessionGap() time.Duration {
	switch {
	case !v.confirmed:
		return v.rules.MaxGap
	case v.allAssoc:
		return v.rules.AssociatedSilence
	default:
		return v.rules.Silence
	}
}

// reach returns the last step in which a sighting still belongs to the visit, or to
// the candidate: after the session gap or, if later, while a session is open.
func (v *Visit) reach() int64 {
	reach := stepOf(v.Last) + roundedUp(v.sessionGap())
	if v.confirmed && v.joinedAt != 0 && v.leftAt == 0 {
		reach = max(reach, v.heldUntil())
	}
	return reach
}

// belongs reports whether s, which is not before Last, belongs to the visit: it is
// within reach, and on the same day if the visit is anonymous.
func (v *Visit) belongs(s presence.Sighting) bool {
	if stepOf(s.SeenAt) > v.reach() {
		return false
	}
	return !v.randomised || v.associated || v.date(s.SeenAt) == v.date(v.Last)
}

// date returns the local date of a moment.
func (v *Visit) date(t presence.Instant) string {
	return localTime(stepOf(t), v.rules).Format(time.DateOnly)
}

// localTime returns the time in the zone of the store at which a step begins.
func localTime(step int64, r *presence.Rules) time.Time {
	zone := r.Location
	if zone == nil {
		zone = time.UTC
	}
	return time.UnixMilli(step * presence.Grid.Milliseconds()).In(zone)
}

// add adds a sighting that belongs to the visit, and confirms a candidate that has
// all that confirmation takes.
func (v *Visit) add(s presence.Sighting) {
	v.counted = append(v.counted, s)
	v.Last = s.SeenAt
	v.associated = v.associated || s.Associated && isStrong(s, v.rules)
	v.allAssoc = v.allAssoc && s.Associated
	v.randomised = v.randomised || s.Randomised
	v.report(s)
	if v.confirmed {
		return
	}

	// Confirmation: at once if associated, or after enough strong steps over the span.
	// All sightings of a candidate are strong.
	strongSteps := map[int64]bool{}
	for _, s := range v.counted {
		strongSteps[stepOf(s.SeenAt)] = true
	}
	span := time.Duration(v.Last-v.Start) * time.Millisecond
	v.confirmed = v.associated || len(strongSteps) >= v.rules.MinStrong && span >= v.rules.MinSpan
}
