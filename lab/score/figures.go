package score

import (
	"encoding/json"
	"slices"
	"time"

	"footfall/events"
)

// Reference is what is known of a recording besides what was heard.
type Reference struct {
	Truth []Visit // who was there when; nil where nobody wrote that down
	// Named says whose visits Truth has; nil is everybody's. Of other devices
	// nothing is known: their walk-ins are neither right nor wrong.
	Named func(events.BusinessID, events.DeviceID) bool
	Empty []Span // when nobody was there; nil where nobody counted heads
	// Static says of which devices it is known that they are no customers; nil is
	// of none.
	Static func(events.BusinessID, events.DeviceID) bool
}

// Figures say how right a set of found visits is. Walk-ins of static devices are
// in StaticWalkIns alone.
type Figures struct {
	WalkIns       int      `json:"walk_ins"`
	Anonymous     int      `json:"anonymous"`         // of WalkIns: by a randomised address that never associated
	Unnamed       int      `json:"unnamed,omitempty"` // of WalkIns: by a device of which Truth says nothing
	StaticWalkIns int      `json:"static_walk_ins"`
	Residents     int      `json:"residents"`        // visits of devices taken for no customers', which have no walk-in
	Visits        *Result  `json:"visits,omitempty"` // nil without truth
	Timing        *Timing  `json:"timing,omitempty"` // nil without truth
	Empty         *Empties `json:"empty,omitempty"`  // nil without head-counts
}

// Empties say what was found where nobody was.
type Empties struct {
	Hours float64 `json:"hours"` // in which truly nobody was there
	False int     `json:"false"` // walk-ins of visits that began in them

	FalseVisits []FoundVisit `json:"false_visits,omitempty"`
}

// MarshalJSON adds per_100_hours.
func (e *Empties) MarshalJSON() ([]byte, error) {
	type fields Empties
	return json.Marshal(struct {
		fields
		Per100 float64 `json:"per_100_hours"`
	}{fields(*e), e.Per100()})
}

// Per100 is the number of false walk-ins per 100 empty hours, 0 where there are
// none.
func (e *Empties) Per100() float64 {
	if e.Hours == 0 {
		return 0
	}
	return 100 * float64(e.False) / e.Hours
}

// Measure holds found visits against what is known; dwell is as in MeasureTiming.
func Measure(found []FoundVisit, k Reference, dwell time.Duration) Figures {
	var f Figures
	if k.Static != nil {
		found = slices.DeleteFunc(slices.Clone(found), func(v FoundVisit) bool {
			static := k.Static(v.Business, v.Device)
			if static && !v.Resident {
				f.StaticWalkIns++
			}
			return static
		})
	}
	if k.Empty != nil {
		f.Empty = &Empties{Hours: Hours(k.Empty)}
	}
	for _, v := range found {
		if v.Resident {
			f.Residents++
			continue
		}
		f.WalkIns++
		if v.Anonymous {
			f.Anonymous++
		}
		if k.Truth != nil && !k.names(v) {
			f.Unnamed++
		}
		if f.Empty != nil && Within(k.Empty, v.Start) {
			f.Empty.False++
			f.Empty.FalseVisits = append(f.Empty.FalseVisits, v)
		}
	}
	if k.Truth != nil {
		found = slices.DeleteFunc(slices.Clone(found), func(v FoundVisit) bool { return !k.names(v) })
		r, t := Score(k.Truth, found), MeasureTiming(k.Truth, found, dwell)
		f.Visits, f.Timing = &r, &t
	}
	return f
}

// names says whether Truth says anything of the device of a visit.
func (k *Reference) names(v FoundVisit) bool { return k.Named == nil || k.Named(v.Business, v.Device) }
