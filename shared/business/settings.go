package business

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"footfall/events"
	"footfall/shared/presence"
)

// Duration is a time.Duration that JSON holds as text, like "5m0s".
type Duration time.Duration

// MarshalText gives the text of time.Duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads the text of time.Duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// Settings are what a business decides by, as calibrate writes them and as they
// are stored. docs/settings.md says what each means.
type Settings struct {
	Entry         int32    `json:"entry_dbm"`
	Hold          int32    `json:"hold_dbm"`
	MinStrong     int      `json:"min_strong_steps"` // of two minutes
	Dwell         Duration `json:"dwell"`
	CandidateGap  Duration `json:"candidate_gap"`
	Gap           Duration `json:"gap"`
	AssociatedGap Duration `json:"associated_gap"`
	Lateness      Duration `json:"lateness"`
	TimeZone      string   `json:"time_zone"`
	// ResidentHours and ResidentDays say from when on a device is taken for no
	// customer's; no days switch that off.
	ResidentHours int `json:"resident_hours"`
	ResidentDays  int `json:"resident_days"`
	// OpeningHours are when the store is open; without any it always is.
	OpeningHours []OpeningHours `json:"opening_hours,omitempty"`
	// Sensors are those that stand in the store; without any, all do.
	Sensors []events.SensorID `json:"sensors,omitempty"`
	// Static and Employees are devices that are no customers: things, and what
	// those who work there carry.
	Static    []events.DeviceID `json:"static,omitempty"`
	Employees []events.DeviceID `json:"employees,omitempty"`
}

// Defaults are the settings of a business that has none of its own.
func Defaults() Settings {
	return Settings{TimeZone: time.UTC.String()}.With(presence.DefaultRules())
}

// With gives the settings with the thresholds and spans of some rules. What is no
// number stays.
func (s Settings) With(r presence.Rules) Settings {
	s.Entry, s.Hold, s.MinStrong, s.Dwell = r.Entry, r.Hold, r.MinStrong, Duration(r.MinSpan)
	s.CandidateGap, s.Gap, s.AssociatedGap = Duration(r.MaxGap), Duration(r.Silence), Duration(r.AssociatedSilence)
	s.Lateness = Duration(r.Lateness)
	s.ResidentHours, s.ResidentDays = r.ResidentHours, r.ResidentDays
	return s
}

// Rules gives the settings as the decisions take them. Its error names every
// setting that is out of its range.
func (s Settings) Rules() (presence.Rules, error) {
	r := presence.DefaultRules()
	var errs []error
	zone, err := zoneOf(s.TimeZone)
	if err != nil {
		errs = append(errs, err)
	}
	r.Entry, r.Hold, r.MinStrong, r.Location = s.Entry, s.Hold, s.MinStrong, zone
	r.MinSpan, r.MaxGap = time.Duration(s.Dwell), time.Duration(s.CandidateGap)
	r.Silence, r.AssociatedSilence = time.Duration(s.Gap), time.Duration(s.AssociatedGap)
	r.Lateness = time.Duration(s.Lateness)
	r.ResidentHours, r.ResidentDays = s.ResidentHours, s.ResidentDays
	if r.Closed, err = closedHours(s.OpeningHours); err != nil {
		errs = append(errs, err)
	}
	r.Sensors = setOf(s.Sensors)
	r.Excluded = setOf(s.Static, s.Employees)
	errs = append(errs, checkIDs("sensors", s.Sensors), checkIDs("static", s.Static), checkIDs("employees", s.Employees), r.Validate())
	return r, errors.Join(errs...)
}

// zoneOf loads a zone of the tz database. "Local" is none: it is another on each
// machine.
func zoneOf(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err == nil && zone == time.Local {
		err = errors.New("a zone is named like Europe/Berlin, not Local")
	}
	if err != nil {
		return time.UTC, fmt.Errorf("time zone: %w", err)
	}
	return zone, nil
}

// setOf is nil where all lists are empty.
func setOf[T ~string](lists ...[]T) map[string]struct{} {
	var set map[string]struct{}
	for _, list := range lists {
		for _, id := range list {
			if set == nil {
				set = map[string]struct{}{}
			}
			set[string(id)] = struct{}{}
		}
	}
	return set
}

// checkIDs names the ids of a list that no sighting can hold.
func checkIDs[T ~string](field string, ids []T) error {
	var errs []error
	for i, id := range ids {
		if err := validID(string(id)); err != nil {
			errs = append(errs, fmt.Errorf("%s[%d]: %w", field, i, err))
		}
	}
	return errors.Join(errs...)
}

// Write writes the settings as JSON.
func (s Settings) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(s)
}

// ReadSettings reads what Write wrote. What is missing has its default; a name
// that there is none of is an error, for a misspelt setting would be no setting.
// The error names every mistake; name is for it.
func ReadSettings(r io.Reader, name string) (Settings, error) {
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
