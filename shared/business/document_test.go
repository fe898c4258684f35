package business

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/presence"
)

// whole is a document with every field.
const whole = `{
  "rules": {
    "entry_dbm": -61, "hold_dbm": -80, "min_strong_steps": 3, "dwell": "4m0s", "candidate_gap": "8m0s", "gap": "40m0s",
    "associated_gap": "20m0s", "max_session": "8h0m0s", "lateness": "10m0s", "time_zone": "Europe/Berlin", "resident_hours": 9, "resident_days": 4,
    "opening_hours": [{"days": "mon-fri,sun", "open": "08:00", "close": "20:00"}],
    "sensors": ["door"], "static": ["1-till"], "employees": ["1-ann"]
  },
  "door": {
    "senders": {"meraki": {"secrets": ["a secret of sixteen"], "validator": "v", "routers": {"00:11:22:33:44:55": "door"}, "posts_per_minute": 60}},
    "opt_out": ["1-nobody"], "key": "2"
  }
}`

// No field is lost when a document is decoded and encoded.
func TestDocumentRoundTrip(t *testing.T) {
	d, err := ReadDocument([]byte(whole), Defaults())
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]reflect.Value{
		"rules": reflect.ValueOf(*d.Rules), "door": reflect.ValueOf(*d.Door), "sender": reflect.ValueOf(d.Door.Senders["meraki"]),
	} {
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s: got no value for %s", name, v.Type().Field(i).Name)
			}
		}
	}
	written, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ReadDocument(written, Defaults())
	if err != nil || !reflect.DeepEqual(again, d) {
		t.Errorf("got %+v (%v) from the encoded document, want %+v", again, err, d)
	}
	rules, err := d.Rules.Rules()
	if err != nil {
		t.Fatal(err)
	}
	want := presence.Rules{
		Entry: -61, Hold: -80, MinStrong: 3, MinSpan: 4 * time.Minute, MaxGap: 8 * time.Minute, Silence: 40 * time.Minute,
		AssociatedSilence: 20 * time.Minute, MaxSession: 8 * time.Hour, Lateness: 10 * time.Minute, ResidentHours: 9, ResidentDays: 4,
		Excluded: map[string]struct{}{"1-till": {}, "1-ann": {}}, Sensors: map[string]struct{}{"door": {}},
		Location: rules.Location, Closed: rules.Closed,
	}
	if !reflect.DeepEqual(rules, want) || rules.Location.String() != "Europe/Berlin" || rules.Closed[time.Saturday] != 1<<24-1 {
		t.Errorf("got rules %+v, want %+v", rules, want)
	}
}

func TestReadDocument(t *testing.T) {
	for _, c := range []struct {
		name, text  string
		rules, door bool
		errs        []string
	}{
		{"rules alone, as calibrate writes them", `{"entry_dbm": -61}`, true, false, nil},
		{"rules", `{"rules": {}}`, true, false, nil},
		{"a door", `{"door": {}}`, false, true, nil},
		{"rules and no door", `{"rules": {}, "door": null}`, true, false, nil},
		{"a door and no rules", `{"rules": null, "door": {}}`, false, true, nil},
		{"neither", `{"rules": null, "door": null}`, false, false, []string{"neither rules nor a door"}},
		{"nothing", `{}`, false, false, []string{"neither rules nor a door"}},
		{"a list", `[]`, false, false, []string{"cannot unmarshal array"}},
		{"no JSON", `{"rules": {}`, false, false, []string{"unexpected end"}},
		{"rules beside a part", `{"entry_dbm": -61, "door": {}}`, false, true, []string{`unknown field "entry_dbm"`}},
		{"every mistake at once", `{"rules": {"entry": 1, "Hold_dbm": 2, "dwell": "5", "opening_hours": [{"day": "mon"}, {"days": 7}]}, "door": {"senders": {"mist": {"secret": "x"}}}}`, true, true, []string{
			`rules: unknown field "entry"`, `rules: unknown field "Hold_dbm"`, "rules: dwell: time: missing unit",
			`rules: opening_hours[0]: unknown field "day"`, "rules: opening_hours[1].days: json: cannot unmarshal number",
			`door: senders.mist: unknown field "secret"`, "door: senders.mist.secrets: there are 0",
		}},
		{"settings out of range", `{"entry_dbm": 3, "time_zone": "Local", "sensors": [""], "static": ["a\u0007"]}`, true, false, []string{
			"rules: entry threshold 3 dBm", "rules: time zone: a zone is named like Europe/Berlin", "rules: sensors[0]: an id is empty", "rules: static[0]",
		}},
		{"more devices than fit", fmt.Sprintf(`{"static": ["%s"]}`, strings.Join(manyDevices(16_000), `","`)), true, false, []string{"with 16000 devices, take"}},
		{"as many as fit", fmt.Sprintf(`{"static": ["%s"]}`, strings.Join(manyDevices(12_000), `","`)), true, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := ReadDocument([]byte(c.text), Defaults())
			if (err == nil) != (len(c.errs) == 0) {
				t.Fatalf("got error %v, want %q", err, c.errs)
			}
			for _, want := range c.errs {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got error\n%v\nwant one with %q", err, want)
				}
			}
			if (d.Rules != nil) != c.rules || (d.Door != nil) != c.door {
				t.Errorf("got rules %v and door %v, want rules %v and a door %v", d.Rules, d.Door, c.rules, c.door)
			}
		})
	}
}

// manyDevices returns n pseudonyms of the usual length.
func manyDevices(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("1-%022d", i)
	}
	return all
}

func TestReadDocuments(t *testing.T) {
	all, err := ReadDocuments([]byte(`{"cafe-1": {"rules": {"entry_dbm": -60}}, "cafe-2": {"door": {"key": "2"}}}`))
	if err != nil || len(all) != 2 || all["cafe-1"].Rules.Entry != -60 || all["cafe-2"].Door.Key != "2" {
		t.Errorf("got %+v (%v), want cafe-1 with rules and cafe-2 with a door", all, err)
	}
	_, err = ReadDocuments([]byte(`{"cafe/1": {"door": {}}, "cafe%2D1": {"door": {}}, "ca?fe": {"door": {}}, "..": {"door": {}}, "cafe-2": {"entry": 1}, "cafe-3": 7}`))
	for _, want := range []string{"holds a '/'", "holds a '%'", "holds a '?'", `".." is no part of a path`, `cafe-2: rules: unknown field "entry"`, "cafe-3: json: cannot"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
	if _, err = ReadDocuments([]byte(`{}`)); err == nil {
		t.Error("got no error for a file without businesses")
	}
}

// The error of an invalid door names the mistake and holds no secret.
func TestInvalidDoors(t *testing.T) {
	sixteen, spaced := "a secret of 16..", "ap "
	for _, c := range []struct {
		name string
		door Door
		err  string
	}{
		{"an unknown kind", Door{Senders: map[string]Sender{"fax": {Secrets: []string{sixteen}}}}, "senders.fax: there is no such kind"},
		{"no secret", Door{Senders: map[string]Sender{"mist": {}}}, "senders.mist.secrets: there are 0"},
		{"three secrets", Door{Senders: map[string]Sender{"mist": {Secrets: []string{sixteen, sixteen, sixteen}}}}, "there are 3"},
		{"a short secret", Door{Senders: map[string]Sender{"mist": {Secrets: []string{sixteen, sixteen[1:]}}}}, "secrets[1]: it has 15 bytes"},
		{"a masked secret", Door{Senders: map[string]Sender{"mist": {Secrets: []string{sixteen}}}}.Masked(), "secrets[0]: it is masked"},
		{"a masked validator", Door{Senders: map[string]Sender{"meraki": {Secrets: []string{sixteen}, Validator: masked}}}, "meraki.validator: it is masked"},
		{"a router without sensor", Door{Senders: map[string]Sender{"mist": {Secrets: []string{sixteen}, Routers: map[string]events.SensorID{"ap": ""}}}}, "routers.ap: an id is empty"},
		{"a router twice", Door{Senders: map[string]Sender{"mist": {Secrets: []string{sixteen}, Routers: map[string]events.SensorID{
			"00-00-5E-00-53-F1": "a", "00:00:5e:00:53:f1": "b",
		}}}}, `routers.00:00:5e:00:53:f1: it is the same as "00-00-5E-00-53-F1"`},
		{"a router twice, by name", Door{Senders: map[string]Sender{"mist": {Secrets: []string{sixteen}, Routers: map[string]events.SensorID{
			"ap": "a", spaced: "b",
		}}}}, `it is the same as "ap"`},
		{"posts below none", Door{Senders: map[string]Sender{"mist": {Secrets: []string{sixteen}, PostsPerMinute: -1}}}, "posts_per_minute: -1"},
		{"an empty device id", Door{OptOut: []events.DeviceID{"a", ""}}, "opt_out[1]"},
		{"a key with a line", Door{Key: "1\n"}, "key:"},
	} {
		err := c.door.Validate()
		if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), sixteen) {
			t.Errorf("%s: got error %v, want one with %q and without secrets", c.name, err, c.err)
		}
	}
	d := Door{Senders: map[string]Sender{"mist": {Secrets: []string{sixteen}, Routers: map[string]events.SensorID{"ap": "a", "AP": "b"}}}}
	if d.Masked(); d.Senders["mist"].Secrets[0] != sixteen || d.Validate() != nil {
		t.Errorf("got door %+v after Masked, want it unchanged and valid", d)
	}
}

// A list that stays the same is stored once, and is still there after the revision
// that had it first is dropped.
func TestHistoryRoundTrip(t *testing.T) {
	revision := func(day int, static, employees []events.DeviceID) Revision {
		s := Defaults()
		s.Static, s.Employees = static, employees
		return Revision{noon.AddDate(0, 0, day), s}
	}
	a, b := []events.DeviceID{"1-a"}, []events.DeviceID{"1-a", "1-b"}
	h := History{{Settings: Defaults()}, revision(0, a, nil), revision(1, a, a), revision(2, b, a), revision(3, nil, a)}
	for first := range h {
		text, err := h[first:].Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeHistory(text)
		if err != nil || !reflect.DeepEqual(got, h[first:]) {
			t.Errorf("revisions from %d on: got %+v (%v), want %+v", first, got, err, h[first:])
		}
	}
	got, err := DecodeHistory([]byte(`[{"rules": {"entry_dbm": -60, "from_a_later_version": 1}}]`))
	if err != nil || got[0].Entry != -60 || got[0].Hold != Defaults().Hold {
		t.Errorf("got %+v (%v) of another version, want defaults for absent settings", got, err)
	}
	for _, text := range []string{"", "{}", `[{"rules": 7}]`} {
		if _, err := DecodeHistory([]byte(text)); err == nil {
			t.Errorf("got no error for the history %q", text)
		}
	}
}

// Revisions with the same lists share one set of devices in memory.
func TestRevisionsShareTheirLists(t *testing.T) {
	set := func(minute int, static, employees events.DeviceID) Revision {
		r := Revision{Since: time.Unix(int64(60*minute), 0), Settings: Defaults()}
		r.Static, r.Employees = []events.DeviceID{static}, []events.DeviceID{employees}
		return r
	}
	rules, err := History{set(1, "1-till", "1-ann"), set(2, "1-till", "1-ann"), set(3, "1-till", "1-bob")}.Rules()
	if err != nil {
		t.Fatal(err)
	}
	rules[0].Rules.Excluded["mark"] = struct{}{}
	for i, want := range []int{3, 3, 2} {
		if got := rules[i].Rules.Excluded; len(got) != want {
			t.Errorf("got devices %v in revision %d, want %d", got, i, want)
		}
	}
}

func TestHistoryAt(t *testing.T) {
	at := func(h int) time.Time { return time.Date(2026, 11, 21, h, 0, 0, 0, time.UTC) }
	h := History{{Since: at(8)}, {Since: at(12)}}
	for hour, want := range map[int]int{7: 0, 8: 8, 11: 8, 12: 12, 20: 12} {
		r, ok := h.At(at(hour))
		if ok != (want > 0) || ok && !r.Since.Equal(at(want)) {
			t.Errorf("at %d: got the revision since %s, %v, want that since %d", hour, r.Since, ok, want)
		}
	}
	var sooner []time.Duration
	for second := range 60 {
		now := at(12).Add(time.Duration(second) * time.Second)
		sooner = append(sooner, Soonest(now).Sub(now))
	}
	if slices.Min(sooner) != Lead || slices.Max(sooner) >= Lead+time.Minute {
		t.Errorf("got Soonest %s to %s ahead, want %s to a minute more", slices.Min(sooner), slices.Max(sooner), Lead)
	}
}
