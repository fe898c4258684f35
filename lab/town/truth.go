package town

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"footfall/events"
	"footfall/lab/score"
)

// minStay is the shortest stay that is a visit.
const minStay = 2 * time.Minute

// Visit is one visit that really took place, as one device made it. Every stay
// inside of two minutes or more is one, also of a phone that said nothing all
// the while. Passing by, standing in front of the window and stepping in for
// less are none. Who brings two devices makes two visits, of which the second
// is a Companion. Times are UTC, in whole milliseconds.
type Visit struct {
	score.Visit
	// Contact is whose device it is in the CRM by the time of leaving, "" if
	// nobody knows.
	Contact    events.ContactID `json:"contact"`
	Randomised bool             `json:"randomised"`        // of the device's address
	Joined     bool             `json:"joined"`            // to the store's network from entering on
	LoginAt    time.Time        `json:"login_at,omitzero"` // first login at the portal, during this visit; zero for none
	Companion  bool             `json:"companion"`
}

// ScoreTruth gives the visits in the form that score.Score takes.
func (t Town) ScoreTruth() []score.Visit {
	visits := make([]score.Visit, len(t.Visits))
	for i, v := range t.Visits {
		visits[i] = v.Visit
	}
	return visits
}

// WriteTruth writes visits to w as NDJSON.
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

// ReadTruth reads what WriteTruth wrote. name is for its errors.
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
