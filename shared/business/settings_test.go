package business

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"footfall/shared/presence"
)

func TestSettingsRoundTrip(t *testing.T) {
	s := Defaults()
	s.Entry, s.Dwell, s.TimeZone = -61, Duration(4*time.Minute), "Europe/Berlin"
	s.Sensors, s.Static = append(s.Sensors, "door"), append(s.Static, "till")
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSettings(&b, "rules.json")
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("got %+v (%v), want %+v", got, err, s)
	}
	rules, err := got.Rules()
	if err != nil || rules.Entry != -61 || rules.MinSpan != 4*time.Minute || rules.Location.String() != "Europe/Berlin" {
		t.Errorf("got rules %+v (%v), want entry -61, dwell 4m0s, zone Europe/Berlin", rules, err)
	}
}

func TestDefaultSettingsAreTheRulesDefaults(t *testing.T) {
	got, err := Defaults().Rules()
	want := presence.DefaultRules()
	want.Location = time.UTC
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got rules %+v (%v), want %+v", got, err, want)
	}
}

func TestInvalidSettings(t *testing.T) {
	for _, c := range []struct{ why, text, err string }{
		{"an unknown field", `{"entry": -60}`, `unknown field "entry"`},
		{"no JSON", `entry_dbm = -60`, "invalid character"},
		{"a duration without unit", `{"dwell": "5"}`, "missing unit"},
		{"out of range", `{"entry_dbm": 5}`, "entry threshold 5 dBm"},
		{"an unknown zone", `{"time_zone": "Berlin"}`, "time zone"},
	} {
		_, err := ReadSettings(strings.NewReader(c.text), "rules.json")
		if err == nil || !strings.HasPrefix(err.Error(), "rules.json: ") || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got error %v, want one of rules.json with %q", c.why, err, c.err)
		}
	}
	got, err := ReadSettings(strings.NewReader(`{"entry_dbm": -60}`), "rules.json")
	if err != nil || got.Entry != -60 || got.Hold != Defaults().Hold {
		t.Errorf("got %+v (%v), want the default for an absent field", got, err)
	}
}
