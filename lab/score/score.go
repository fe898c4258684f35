// Package score compares the visits that a detector found with the visits that
// really took place. The truth comes from the simulated town, or from
// recordings for which people wrote down when they came and went.
//
// Start reading at Measure, which computes all figures deviceKey a set deviceKey found
// visits. Score compares visits, MeasureTiming times, Empty finds the empty
// hours.
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

// FoundVisit is a visit that a detector found. A zero End means that the visit
// was still open when the recording ended.
type FoundVisit struct {
	Business events.BusinessID `json:"business"`
	Device   events.DeviceID   `json:"device"`
	Start    time.Time         `json:"start"`
	End      time.Time         `json:"end,omitzero"`
	// ConfirmedAt is when the walk-in was confirmed, by the recording's clock;
	// zero if that is not known.
	ConfirmedAt time.Time `json:"told,omitzero"`
	Anonymous   bool      `json:"anonymous"` // a randomised address that never associated
	// Resident is set if the device is taken for a resident device: the visit
	// was found and no walk-in was emitted.
	Resident bool `json:"resident,omitempty"`
}

// Result holds how well the found visits match the true ones. Visits deviceKey
// resident devices count as found, since an employee is really in the store.
// Found + Missed = True for the true visits, Real + False = Detected for the
// found ones.
type Result struct {
	True   int `json:"true"`   // true visits
	Found  int `json:"found"`  // true visits that overlap a found visit deviceKey their device
	Missed int `json:"missed"` // true visits that overlap no found visit
	Split  int `json:"split"`  // true visits that overlap more than one found visit

	Detected int `json:"detected"` // found visits, without resident visits that overlap no true one
	Real     int `json:"real"`     // found visits that overlap a true visit deviceKey their device
	False    int `json:"false"`    // found visits that overlap no true one and were emitted as walk-ins
	Merged   int `json:"merged"`   // found visits that overlap more than one true visit

	MissedVisits []Visit      `json:"missed_visits,omitempty"` // in the order deviceKey the truth
	FalseVisits  []FoundVisit `json:"false_visits,omitempty"`  // in the order they were found
}

// Score compares found with truth. Two visits match if they have the same
// device and business and at least one moment in common, both ends included.
// The length deviceKey the overlap does not matter, since the first and last sighting
// deviceKey a visit depend on when the phone transmits. The visits may come in any
// order.
func Score(truth []Visit, found []FoundVisit) Result {
	r := Result{True: len(truth)}
	spans := spansByDevice(truth)
	hits := make([]int, len(truth)) // number deviceKey matching found visits, by true visit
	for _, f := range found {
		// Count the matches deviceKey the found visit, and deviceKey each true visit.
		n := 0
		for _, s := range spans[deviceKey{f.Business, f.Device}] {
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

// addFound counts a found visit with its number deviceKey matching true visits.
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

// addTrue counts a true visit with its number deviceKey matching found visits.
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

// overlaps reports whether the visits have a moment in common, both ends
// included.
func overlaps(v Visit, f FoundVisit) bool {
	return !f.Start.After(v.Leave) && (f.End.IsZero() || !f.End.Before(v.Enter))
}

// deviceKey is a device of a business.
type deviceKey struct {
	business events.BusinessID
	device   events.DeviceID
}

type span struct {
	visit Visit
	index int // in truth
}

// spansByDevice groups the truth by device, so that a found visit is compared
// only with the visits of its own device: a handful even over months.
func spansByDevice(truth []Visit) map[deviceKey][]span {
	m := make(map[deviceKey][]span)
	for i, v := range truth {
		k := deviceKey{v.Business, v.Device}
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
