package business

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/presence"
)

// Duration is a time.Duration that is text in JSON, like "5m0s".
type Duration time.Duration

// MarshalText returns the text of time.Duration.String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads text that time.ParseDuration takes.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// Settings holds the rules of a business as they are stored and as `footfall
// calibrate` writes them. docs/settings.md describes each field.
type Settings struct {
	Entry         int32    `json:"entry_dbm"`        // entry threshold
	Hold          int32    `json:"hold_dbm"`         // hold threshold
	MinStrong     int      `json:"min_strong_steps"` // steps of two minutes that confirm a visit
	Dwell         Duration `json:"dwell"`            // least time from the first strong sighting to the last
	CandidateGap  Duration `json:"candidate_gap"`    // longest time without a strong step
	Gap           Duration `json:"gap"`              // session gap
	AssociatedGap Duration `json:"associated_gap"`   // session gap if all sightings were associated
	MaxSession    Duration `json:"max_session"`      // longest time after an association that a session holds a visit open
	Lateness      Duration `json:"lateness"`         // allowed lateness
	TimeZone      string   `json:"time_zone"`        // of the tz database, like "Europe/Berlin"
	// A device is learnt as resident if it was inside in more than ResidentHours hours
	// of a day, on ResidentDays days of four weeks. 0 days switch learning off.
	ResidentHours int `json:"resident_hours"`
	ResidentDays  int `json:"resident_days"`
	// OpeningHours are the hours in which the store is open; without any the store is
	// always open.
	OpeningHours []OpeningHours `json:"opening_hours,omitempty"`
	// Sensors are the sensors in the store; without any all sensors are.
	Sensors []events.SensorID `json:"sensors,omitempty"`
	// Static and Employees are the listed resident devices: tills and printers, and
	// the devices of employees.
	Static    []events.DeviceID `json:"static,omitempty"`
	Employees []events.DeviceID `json:"employees,omitempty"`
}

// Defaults returns the settings of a business that has none of its own.
func Defaults() Settings {
	return Settings{TimeZone: time.UTC.String()}.With(presence.DefaultRules())
}

// With returns the settings with the thresholds, times and counts of r. Time zone,
// opening hours and lists stay.
func (s Settings) With(r presence.Rules) Settings {
	s.Entry, s.Hold, s.MinStrong, s.Dwell = r.Entry, r.Hold, r.MinStrong, Duration(r.MinSpan)
	s.CandidateGap, s.Gap, s.AssociatedGap = Duration(r.MaxGap), Duration(r.Silence), Duration(r.AssociatedSilence)
	s.MaxSession, s.Lateness = Duration(r.MaxSession), Duration(r.Lateness)
	s.ResidentHours, s.ResidentDays = r.ResidentHours, r.ResidentDays
	return s
}

// Rules returns the settings in the form in which presence decides by them. The error
// names every setting that is out of its range.
func (s Settings) Rules() (presence.Rules, error) {
	r := presence.DefaultRules()
	var errs []error
	// Numbers, durations and the zone. r.Validate checks their ranges below.
	zone, err := loadZone(s.TimeZone)
	if err != nil {
		errs = append(errs, err)
	}
	r.Entry, r.Hold, r.MinStrong, r.Location = s.Entry, s.Hold, s.MinStrong, zone
	r.MinSpan, r.MaxGap = time.Duration(s.Dwell), time.Duration(s.CandidateGap)
	r.Silence, r.AssociatedSilence = time.Duration(s.Gap), time.Duration(s.AssociatedGap)
	r.MaxSession, r.Lateness = time.Duration(s.MaxSession), time.Duration(s.Lateness)
	r.ResidentHours, r.ResidentDays = s.ResidentHours, s.ResidentDays
	// Hours and lists.
	if r.Closed, err = closedHours(s.OpeningHours); err != nil {
		errs = append(errs, err)
	}
	r.Sensors = makeSet(s.Sensors)
	r.Excluded = makeSet(s.Static, s.Employees)
	errs = append(errs, checkIDs("sensors", s.Sensors), checkIDs("static", s.Static), checkIDs("employees", s.Employees), r.Validate())
	return r, errors.Join(errs...)
}

// loadZone returns a time zone of the tz database. "Local" is an error, since it is
// another zone on each machine. With an error the zone is UTC.
func loadZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err == nil && zone == time.Local {
		err = errors.New("a zone is named like Europe/Berlin, not Local")
	}
	if err != nil {
		return time.UTC, fmt.Errorf("time zone: %w", err)
	}
	return zone, nil
}

// makeSet returns the elements of all lists as a set, nil if all lists are empty.
func makeSet[T ~string](lists ...[]T) map[string]struct{} {
	var set map[string]struct{}
	for _, list := range lists {
		for _, id := range list {
			if set == nil { // at the first element
				set = map[string]struct{}{}
			}
			set[string(id)] = struct{}{}
		}
	}
	return set
}

// checkIDs returns an error that names the ids of a list that no record can hold.
func checkIDs[T ~string](field string, ids []T) error {
	var errs []error
	for i, id := range ids {
		if err := validID(string(id)); err != nil {
			errs = append(errs, fmt.Errorf("%s[%d]: %w", field, i, err))
		}
	}
	return errors.Join(errs...)
}

// Write writes the settings as indented JSON.
func (s Settings) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(s)
}

// WriteOnly writes the settings of these JSON names as Write does; without names it
// writes all settings.
func (s Settings) WriteOnly(w io.Writer, names ...string) error {
	if len(names) == 0 {
		return s.Write(w)
	}
	all, ok := toJSON(s).(map[string]any)
	for name := range all {
		if ok && !slices.Contains(names, name) {
			delete(all, name)
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(all)
}

// ReadSettings decodes and validates settings that Write wrote. An absent field has
// its default. An unknown field is an error, so that a misspelt setting does not go
// unnoticed. The error begins with name, the file, and names every mistake.
func ReadSettings(r io.Reader, name string) (Settings, error) {
	// Each step is taken only if the one before succeeded.
	s := Defaults()
	data, err := io.ReadAll(r)
	if err == nil {
		err = strict(data, &s)
	}
	if err == nil {
		_, err = s.Rules()
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}
