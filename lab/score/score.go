// Package score compares the visits a detector found with those that really
// took place: of the simulated town, which knows its truth, and of recordings
// whose people wrote down when they came and went.
package score

import (
	"cmp"
	"slices"
	"time"

	"footfall/events"
)

// Visit is a stay that really took place.
type Visit struct {
	Business events.BusinessID `json:"business"`
	Device   events.DeviceID   `json:"device"`
	Enter    time.Time         `json:"enter"`
	Leave    time.Time         `json:"leave"`
}

// FoundVisit is a stay that a detector found. A zero End is a visit that was
// still open when the recording ended: it has no end.
type FoundVisit struct {
	Business events.BusinessID `json:"business"`
	Device   events.DeviceID   `json:"device"`
	Start    time.Time         `json:"start"`
	End      time.Time         `json:"end,omitzero"`
	// Told is when the walk-in was confirmed, by the recording's clock; zero where
	// that is not known.
	ConfirmedAt time.Time `json:"told,omitzero"`
	Anonymous   bool      `json:"anonymous"` // a randomised address that never associated
	// Resident is set for a device that is taken for no customer's: the visit was
	// found, and told as no walk-in.
	Resident bool `json:"resident,omitempty"`
}

// Result says how well the found visits match the true ones, also those of
// residents: who works in the store is really there. Of the true ones
// Found + Missed = True, of the found ones Real + False = Detected.
type Result struct {
	True   int `json:"true"`   // true visits
	Found  int `json:"found"`  // true visits that a found visit of their device overlaps
	Missed int `json:"missed"` // true visits that none overlaps
	Split  int `json:"split"`  // true visits that more than one overlaps

	Detected int `json:"detected"` // found visits, but those of residents in False
	Real     int `json:"real"`     // found visits that overlap a true visit of their device
	False    int `json:"false"`    // found visits that overlap none, and were told as walk-ins
	Merged   int `json:"merged"`   // found visits that overlap more than one

	MissedVisits []Visit      `json:"missed_visits,omitempty"` // in the order of the truth
	FalseVisits  []FoundVisit `json:"false_visits,omitempty"`  // in the order they were found
}

// Score compares found with truth. Two visits match where they are of the same
// device at the same business and have a moment in common, their first and
// last moments included; by how much they overlap does not matter, since what
// a detector sees first and last depends on when the phone speaks. The visits
// may come in any order.
func Score(truth []Visit, found []FoundVisit) Result {
	r := Result{True: len(truth)}
	spans := spansByDevice(truth)
	hits := make([]int, len(truth)) // found visits per true one
	for _, f := range found {
		n := 0
		for _, s := range spans[of{f.Business, f.Device}] {
			if overlaps(s.visit, f) {
				hits[s.index]++
				n++
			}
		}
		r.addFound(f, n)
	}
	for i, n := range hits {
		r.addTrue(truth[i], n)
	}
	return r
}

// addFound counts a found visit that overlaps so many true ones.
func (r *Result) addFound(f FoundVisit, matches int) {
	switch {
	case matches == 0 && f.Resident:
		return
	case matches == 0:
		r.False++
		r.FalseVisits = append(r.FalseVisits, f)
	case matches == 1:
		r.Real++
	default:
		r.Real++
		r.Merged++
	}
	r.Detected++
}

// addTrue counts a true visit that so many found ones overlap.
func (r *Result) addTrue(v Visit, matches int) {
	switch {
	case matches == 0:
		r.Missed++
		r.MissedVisits = append(r.MissedVisits, v)
		return
	case matches > 1:
		r.Split++
	}
	r.Found++
}

// overlaps tells whether both hold a common moment, their ends included.
func overlaps(v Visit, f FoundVisit) bool {
	return !f.Start.After(v.Leave) && (f.End.IsZero() || !f.End.Before(v.Enter))
}

// of tells whose visits they are: a device at a business.
type of struct {
	business events.BusinessID
	device   events.DeviceID
}

type span struct {
	visit Visit
	index int // in truth
}

// spansByDevice groups the truth, so that a found visit is held against the
// visits of its own device only: a handful even over months.
func spansByDevice(truth []Visit) map[of][]span {
	m := make(map[of][]span)
	for i, v := range truth {
		k := of{v.Business, v.Device}
		m[k] = append(m[k], span{v, i})
	}
	return m
}

// Sort orders true visits by when they began, then by business and device.
func Sort(visits []Visit) {
	slices.SortFunc(visits, func(a, b Visit) int {
		return cmp.Or(a.Enter.Compare(b.Enter), cmp.Compare(a.Business, b.Business), cmp.Compare(a.Device, b.Device))
	})
}
