// Package calibrate finds the settings that suit a business from a recording of
// its own: the entry and hold thresholds, the dwell and the gap, and the devices
// that are no customers. docs/accuracy.md says how it chooses and why.
package calibrate

import (
	"encoding/json"
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

// Settings are what a business decides by, as calibrate writes them and evaluate
// reads them.
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
	// Sensors are those that stand in the store; without any, all do.
	Sensors []events.SensorID `json:"sensors,omitempty"`
	// Static are devices that are no customers.
	Static []events.DeviceID `json:"static,omitempty"`
}

// Defaults are the settings of a business that has none of its own.
func Defaults() Settings { return settingsOf(presence.DefaultRules()) }

func settingsOf(r presence.Rules) Settings {
	zone := time.UTC
	if r.Location != nil {
		zone = r.Location
	}
	return Settings{
		Entry: r.Entry, Hold: r.Hold, MinStrong: r.MinStrong, Dwell: Duration(r.MinSpan),
		CandidateGap: Duration(r.MaxGap), Gap: Duration(r.Silence), AssociatedGap: Duration(r.AssociatedSilence),
		Lateness: Duration(r.Lateness), TimeZone: zone.String(),
	}
}

// Rules gives the settings as the decisions take them. Its error names every
// setting that is out of its range.
func (s Settings) Rules() (presence.Rules, error) {
	r := presence.DefaultRules()
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil {
		return r, fmt.Errorf("time zone: %w", err)
	}
	r.Entry, r.Hold, r.MinStrong, r.Location = s.Entry, s.Hold, s.MinStrong, zone
	r.MinSpan, r.MaxGap = time.Duration(s.Dwell), time.Duration(s.CandidateGap)
	r.Silence, r.AssociatedSilence = time.Duration(s.Gap), time.Duration(s.AssociatedGap)
	r.Lateness = time.Duration(s.Lateness)
	return r, r.Validate()
}

// Write writes the settings as JSON.
func (s Settings) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(s)
}

// ReadSettings reads what Write wrote. What is missing has its default; a name
// that there is none of is an error, for a misspelt setting would be no setting.
// name is for its errors.
func ReadSettings(r io.Reader, name string) (Settings, error) {
	s := Defaults()
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	if _, err := s.Rules(); err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}
