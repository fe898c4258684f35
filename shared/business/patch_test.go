package business

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"footfall/events"
)

// The examples of RFC 7396, appendix A.
func TestMergePatchOfTheRFC(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		if got, err := mergePatch([]byte(c[0]), []byte(c[1])); err != nil || string(got) != c[2] {
			t.Errorf("%s patched by %s is %s, %v, want %s", c[0], c[1], got, err, c[2])
		}
	}
}

func TestReadPatch(t *testing.T) {
	noon := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	now, later := Defaults(), Defaults()
	now.Entry, now.TimeZone, now.Static = -63, "Europe/Berlin", []events.DeviceID{"1-till"}
	later.Entry = -50
	stored := Stored{
		Revisions: History{{Settings: now}, {Since: noon, Settings: later}},
		Door: &Door{Key: "2", Senders: map[string]Sender{
			"mist": {Secrets: []string{"a secret of sixteen"}, PostsPerMinute: 60}, "meraki": {Secrets: []string{"another secret of sixteen"}},
		}},
	}
	// One setting, of rules with and without their name; the door is left alone.
	for _, patch := range []string{`{"rules":{"gap":"40m"}}`, `{"gap":"40m"}`} {
		d, err := ReadPatch([]byte(patch), stored, noon.Add(-time.Minute))
		want := now
		want.Gap = Duration(40 * time.Minute)
		if err != nil || d.Door != nil || !reflect.DeepEqual(*d.Rules, want) {
			t.Errorf("%s gives %+v, %v, want only the gap changed", patch, d.Rules, err)
		}
	}
	// The settings in force at the beginning of the patched ones; null is the default.
	if d, err := ReadPatch([]byte(`{"rules":{"hold_dbm":-90}}`), stored, noon); err != nil || d.Rules.Entry != -50 || d.Rules.Hold != -90 {
		t.Errorf("%+v, %v, want the later settings patched", d.Rules, err)
	}
	if d, err := ReadPatch([]byte(`{"entry_dbm":null,"static":null}`), stored, noon.Add(-time.Minute)); err != nil || d.Rules.Entry != Defaults().Entry || d.Rules.Static != nil || d.Rules.TimeZone != "Europe/Berlin" {
		t.Errorf("%+v, %v, want the default entry threshold and no devices", d.Rules, err)
	}
	// A door keeps its secrets, and loses the sender that is null.
	d, err := ReadPatch([]byte(`{"door":{"senders":{"mist":{"posts_per_minute":90},"meraki":null}}}`), stored, noon)
	want := &Door{Key: "2", Senders: map[string]Sender{"mist": {Secrets: []string{"a secret of sixteen"}, PostsPerMinute: 90}}}
	if err != nil || d.Rules != nil || !reflect.DeepEqual(d.Door, want) {
		t.Errorf("%+v, %v, want %+v", d.Door, err, want)
	}
	// A business of which nothing is stored.
	if d, err := ReadPatch([]byte(`{"entry_dbm":-61}`), Stored{}, noon); err != nil || d.Rules.Entry != -61 || d.Rules.Gap != Defaults().Gap {
		t.Errorf("%+v, %v, want the defaults patched", d.Rules, err)
	}
	// Patches with mistakes, all of which are named.
	for patch, mistakes := range map[string][]string{
		`{"rules":{"entri":null},"door":{"kee":"2"}}`: {`rules: unknown field "entri"`, `door: unknown field "kee"`},
		`{"rules":{"gap":"5 minutes"},"more":{}}`:     {"rules: gap: ", `unknown field "more"`},
		`{"rules":null}`:                                 {"rules: null would remove all of it"},
		`{"rules":{"hold_dbm":-20}}`:                     {"hold threshold"},
		`{"door":{"senders":{"fax":{"secrets":["x"]}}}}`: {"senders.fax"},
		`{"door":{"senders":{"mist":{"secrets":null}}}}`: {"senders.mist"},
		`[]`:        {"array"},
		`{}`:        {"neither rules nor a door"},
		`{"rules":`: {"unexpected end"},
	} {
		d, err := ReadPatch([]byte(patch), stored, noon)
		for _, m := range mistakes {
			if err == nil || !strings.Contains(err.Error(), m) {
				text, _ := json.Marshal(d)
				t.Errorf("%s gives %s, %v, want the mistake %q", patch, text, err, m)
			}
		}
	}
	if stored.Door.Senders["meraki"].Secrets == nil || stored.Revisions[0].Entry != -63 {
		t.Error("a patch changed what is stored")
	}
}
