package business

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"footfall/shared/presence"
)

func TestSettingsAreReadAsWritten(t *testing.T) {
	s := Defaults()
	s.Entry, s.Dwell, s.TimeZone = -61, Duration(4*time.Minute), "Europe/Berlin"
	s.Sensors, s.Static = append(s.Sensors, "door"), append(s.Static, "till")
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSettings(&b, "rules.json")
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("read %+v (%v), want %+v", got, err, s)
	}
	rules, err := got.Rules()
	if err != nil || rules.Entry != -61 || rules.MinSpan != 4*time.Minute || rules.Location.String() != "Europe/Berlin" {
		t.Errorf("rules %+v (%v)", rules, err)
	}
}

func TestDefaultSettingsAreTheRulesDefaults(t *testing.T) {
	got, err := Defaults().Rules()
	want := presence.DefaultRules()
	want.Location = time.UTC
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("rules %+v (%v), want %+v", got, err, want)
	}
}

func TestSettingsThatMakeNoSense(t *testing.T) {
	for _, c := range []struct{ why, text, err string }{
		{"a name that there is none of", `{"entry": -60}`, `unknown field "entry"`},
		{"no JSON", `entry_dbm = -60`, "invalid character"},
		{"a span in no unit", `{"dwell": "5"}`, "missing unit"},
		{"out of range", `{"entry_dbm": 5}`, "entry threshold 5 dBm"},
		{"a place that is no zone", `{"time_zone": "Berlin"}`, "time zone"},
	} {
		_, err := ReadSettings(strings.NewReader(c.text), "rules.json")
		if err == nil || !strings.HasPrefix(err.Error(), "rules.json: ") || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v, want one of rules.json with %q", c.why, err, c.err)
		}
	}
	got, err := ReadSettings(strings.NewReader(`{"entry_dbm": -60}`), "rules.json")
	if err != nil || got.Entry != -60 || got.Hold != Defaults().Hold {
		t.Errorf("what is missing: %+v (%v), want its default", got, err)
	}
}
