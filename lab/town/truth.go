package town

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"footfall/events"
	"footfall/lab/score"
)

// minStay is the shortest stay that counts as a visit.
const minStay = 2 * time.Minute

// Visit is one visit that really took place, by one device. Every stay inside
// of two minutes or more is a visit, even if the phone transmitted nothing.
// Passing by, standing in front of the window and stepping in for less are not.
// A person with two devices makes two visits, the second of which is a
// Companion. Times are UTC, in whole milliseconds.
type Visit struct {
	score.Visit
	// Contact is the contact that the device is attributed to in the CRM at the
	// time of leaving, "" if unattributed.
	Contact    events.ContactID `json:"contact"`
	Randomised bool             `json:"randomised"`        // whether the device's address is randomised
	Joined     bool             `json:"joined"`            // whether the device is in the store's network from entering on
	LoginAt    time.Time        `json:"login_at,omitzero"` // first login at the portal, if in this visit; else zero
	Companion  bool             `json:"companion"`
	// Employee is true for a working day of an employee, which is no visit of a
	// customer.
	Employee bool `json:"employee,omitempty"`
}

// Truth returns all stays: visits, and the working days of employees, in order of
// entering.
func (t Town) Truth() []Visit {
	all := slices.Concat(t.Visits, t.Shifts)
	slices.SortStableFunc(all, func(a, b Visit) int { return a.Enter.Compare(b.Enter) })
	return all
}

// Reference returns stays in the form in which score.Measure takes them: the visits of
// customers, and who is an employee.
func Reference(all []Visit) score.Reference {
	k := score.Reference{Truth: []score.Visit{}}
	employees := map[Resident]bool{}
	for _, v := range all {
		if v.Employee {
			employees[Resident{v.Business, v.Device}] = true
		} else {
			k.Truth = append(k.Truth, v.Visit)
		}
	}
	if len(employees) > 0 {
		k.Employee = func(b events.BusinessID, d events.DeviceID) bool { return employees[Resident{b, d}] }
	}
	return k
}

// ScoreTruth returns the visits in the form that score.Score takes.
func (t Town) ScoreTruth() []score.Visit {
	visits := make([]score.Visit, len(t.Visits))
	for i, v := range t.Visits {
		visits[i] = v.Visit
	}
	return visits
}

// WriteTruth writes visits to w as NDJSON, one line each.
func WriteTruth(w io.Writer, visits []Visit) error {
	out := bufio.NewWriter(w)
	e := json.NewEncoder(out)
	for i, v := range visits {
		if err := e.Encode(v); err != nil {
			return fmt.Errorf("writing visit %d: %w", i+1, err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing visits: %w", err)
	}
	return nil
}

// ReadTruth reads visits as WriteTruth wrote them. Errors name the line, with
// name as the file.
func ReadTruth(r io.Reader, name string) ([]Visit, error) {
	var visits []Visit
	for d := json.NewDecoder(r); ; {
		var v Visit
		switch err := d.Decode(&v); {
		case err == io.EOF:
			return visits, nil
		case err != nil:
			return nil, fmt.Errorf("%s:%d: %w", name, len(visits)+1, err)
		}
		visits = append(visits, v)
	}
}
