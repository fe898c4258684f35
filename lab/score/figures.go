package score

import (
	"encoding/json"
	"slices"

	"footfall/events"
)

// Reference is what is known of a recording from other sources than the
// sightings.
type Reference struct {
	Truth []Visit // true visits; nil if none were recorded
	// Named reports whether Truth holds all visits of a device; nil means that
	// it does for every device. The walk-ins of other devices are neither right
	// nor wrong.
	Named func(events.BusinessID, events.DeviceID) bool
	Empty []Span // spans in which the store was empty; nil without head-counts
	// Static reports whether a device is listed as a resident device; nil means
	// that none is.
	Static func(events.BusinessID, events.DeviceID) bool
	// Employee reports whether a device is an employee's, whose visits are not in
	// Truth; nil means that no employees are known.
	Employee func(events.BusinessID, events.DeviceID) bool
	// Cut holds the true visits that are only in part within the time that is
	// measured. The found visits that belong to none but these are neither right
	// nor wrong.
	Cut []Visit
}

// Figures holds how right a set of found visits is. Walk-ins of listed devices
// are counted in StaticWalkIns alone.
type Figures struct {
	WalkIns       int      `json:"walk_ins"`
	Anonymous     int      `json:"anonymous"`         // of WalkIns: randomised address that never associated
	Unnamed       int      `json:"unnamed,omitempty"` // of WalkIns: device that Truth does not cover
	StaticWalkIns int      `json:"static_walk_ins"`
	Employees     *int     `json:"employees,omitempty"` // of WalkIns: by employees; nil if none are known
	Residents     int      `json:"residents"`           // visits of resident devices, which have no walk-in
	Visits        *Result  `json:"visits,omitempty"`    // nil without truth
	Timing        *Timing  `json:"timing,omitempty"`    // nil without truth
	Empty         *Empties `json:"empty,omitempty"`     // nil without head-counts
}

// Empties holds the false walk-ins in empty hours.
type Empties struct {
	Hours float64 `json:"hours"` // empty hours
	False int     `json:"false"` // walk-ins of visits that began in empty hours

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

// Per100 returns the number of false walk-ins per 100 empty hours, or 0 if
// there are no empty hours.
func (e *Empties) Per100() float64 {
	if e.Hours == 0 {
		return 0
	}
	return 100 * float64(e.False) / e.Hours
}

// Measure compares found visits with the reference; dwell is as in
// MeasureTiming. Walk-ins of employees are compared with nothing: employees are
// really in the store.
func Measure(found []FoundVisit, k Reference, dwell Dwell) Figures {
	var f Figures
	// Set the visits of listed devices apart.
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
	if k.Employee != nil {
		f.Employees = new(int)
	}
	// Count walk-ins, and those that began in an empty span.
	for _, v := range found {
		if v.Resident {
			f.Residents++
			continue
		}
		f.WalkIns++
		if v.Anonymous {
			f.Anonymous++
		}
		if k.employs(v) {
			*f.Employees++
			continue
		}
		if k.Truth != nil && !k.names(v) {
			f.Unnamed++
		}
		if f.Empty != nil && Within(k.Empty, v.Start) {
			f.Empty.False++
			f.Empty.FalseVisits = append(f.Empty.FalseVisits, v)
		}
	}
	// Compare with the truth the visits of the devices that the truth covers.
	if k.Truth != nil {
		found = k.judged(found)
		r, t := Score(k.Truth, found), MeasureTiming(k.Truth, found, dwell)
		f.Visits, f.Timing = &r, &t
	}
	return f
}

// judged returns the found visits that are right or wrong: those of the devices that
// Truth covers, without employees and without visits that belong to Cut alone.
func (k *Reference) judged(found []FoundVisit) []FoundVisit {
	truth, cut := spansByDevice(k.Truth), spansByDevice(k.Cut)
	overlap := func(spans map[deviceKey][]span, f FoundVisit) bool {
		return slices.ContainsFunc(spans[deviceKey{f.Business, f.Device}], func(s span) bool { return overlaps(s.visit, f) })
	}
	return slices.DeleteFunc(slices.Clone(found), func(f FoundVisit) bool {
		return !k.names(f) || k.employs(f) || overlap(cut, f) && !overlap(truth, f)
	})
}

// employs reports whether a visit is an employee's.
func (k *Reference) employs(v FoundVisit) bool {
	return k.Employee != nil && k.Employee(v.Business, v.Device)
}

// names reports whether Truth covers the device of a visit.
func (k *Reference) names(v FoundVisit) bool { return k.Named == nil || k.Named(v.Business, v.Device) }
