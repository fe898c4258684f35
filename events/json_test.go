package events

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// goodJSON is the sighting of goodSighting as a foreign producer writes it.
const goodJSON = `{"business":"cafe-1","sensor":"door","device":"k3Jw0fUyZr5nQm8sTq1vXA","rssi_dbm":-61,` +
	`"seen_at":1793613600000,"associated":true,"randomised":false}`

func goodSighting() Sighting {
	return Sighting{Business: cafe, Sensor: "door", Device: guest, RSSI: -61, SeenAt: start, Associated: true}
}

// TestJSONSightings: the forms that foreign producers may write are accepted.
// Each differs from goodJSON by one replacement.
func TestJSONSightings(t *testing.T) {
	plain := goodSighting()
	with := func(change func(*Sighting)) Sighting {
		s := plain
		change(&s)
		return s
	}
	cases := []struct {
		name, old, new string
		want           Sighting
	}{
		{"as it is", "", "", plain},
		{"white space in front and behind", goodJSON, " \t\r\n" + goodJSON + "\n", plain},
		{"white space within", ":", " : ", plain},
		{"RFC 3339 in UTC", "1793613600000", `"2026-11-02T10:00:00Z"`, plain},
		{"RFC 3339 with an offset", "1793613600000", `"2026-11-02T12:00:00+02:00"`, plain},
		{"finer than milliseconds", "1793613600000", `"2026-11-02T10:00:00.0009Z"`, plain},
		{"escapes in a value", "cafe-1", `caf\u0065\u002d1`, plain},
		{"escapes in a name", `"sensor"`, `"sens\u006fr"`, plain},
		{"text beyond ASCII", `"door"`, `"Tür"`, with(func(s *Sighting) { s.Sensor = "Tür" })},
		{"escaped quote", `"door"`, `"a\"b\\"`, with(func(s *Sighting) { s.Sensor = `a"b\` })},
		{"a surrogate pair", `"door"`, `"\ud83d\ude00"`, with(func(s *Sighting) { s.Sensor = "😀" })},
		{"session", `"randomised":false`, `"randomised":false,"session":"left"`, with(func(s *Sighting) { s.Session = SessionLeft })},
		{"null session", `"randomised":false`, `"randomised":false,"session":null`, plain},
		{"no flags", `,"associated":true,"randomised":false`, "", with(func(s *Sighting) { s.Associated = false })},
		{"null flag", `"associated":true`, `"associated":null`, with(func(s *Sighting) { s.Associated = false })},
		{"unknown fields", `{"business"`, `{"v":1,"tags":["a}",{"b":[]}],"x":{"business":"no"},"y":null,"business"`, plain},
		{"an unknown field twice", `{"business"`, `{"v":1,"v":2,"business"`, plain},
		{"names are compared exactly", `{"business"`, `{"Business":"no","business"`, plain},
		{"strongest", "-61", "0", with(func(s *Sighting) { s.RSSI = 0 })},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			// ReplaceAll with "" would put text between all characters.
			value := []byte(strings.ReplaceAll(goodJSON, c.old, c.new))
			if c.old == "" {
				value = []byte(goodJSON)
			}
			var into SightingsRecord
			if err := DecodeSightings(DeviceKey(cafe, guest), value, &into); err != nil {
				t.Fatalf("%s: %v", value, err)
			}
			if into.IsTick || into.Sighting != c.want {
				t.Errorf("%s\ngot  %+v\nwant %+v", value, into.Sighting, c.want)
			}
		})
	}
}

// TestBadJSONSightings: DecodeSightings rejects each of these with the reason
// want, and the error text holds inText.
func TestBadJSONSightings(t *testing.T) {
	cases := []struct {
		name, old, new string
		want           Reason
		inText         string
	}{
		// Not one JSON object, or an ambiguous one.
		{"cut short", `false}`, `fal`, Undecodable, "JSON"},
		{"two values", `false}`, `false} {}`, Undecodable, "JSON"},
		{"text behind", `false}`, `false} x`, Undecodable, "JSON"},
		{"trailing comma", `false}`, `false,}`, Undecodable, "JSON"},
		{"not a number of JSON", "-61", "NaN", Undecodable, "JSON"},
		{"a field twice", `{"business"`, `{"business":"cafe-1","business"`, Undecodable, "business"},
		{"a field twice, once escaped", `{"business"`, `{"b\u0075siness":"cafe-1","business"`, Undecodable, "business"},
		// Fields that are missing or null, and have no default.
		{"missing id", `"business":"cafe-1",`, "", InvalidField, "business: missing"},
		{"missing rssi", `"rssi_dbm":-61,`, "", InvalidField, "rssi_dbm: missing"},
		{"missing time", `"seen_at":1793613600000,`, "", InvalidField, "seen_at: missing"},
		{"null id", `"door"`, "null", InvalidField, "sensor"},
		{"null rssi", "-61", "null", InvalidField, "rssi_dbm"},
		{"null time", "1793613600000", "null", InvalidField, "seen_at"},
		// Values of the wrong form or out of range.
		{"number as id", `"door"`, "17", InvalidField, "17"},
		{"bytes that are not UTF-8 as a time", "1793613600000", "\"2026\xff\"", InvalidField, "seen_at"},
		{"object as id", `"door"`, `{"id":"door"}`, InvalidField, "sensor"},
		{"empty id", `"door"`, `""`, InvalidField, "sensor"},
		{"rssi as string", "-61", `"-61"`, InvalidField, `-61`},
		{"rssi with a fraction", "-61", "-61.5", InvalidField, "-61.5"},
		{"rssi with an exponent", "-61", "-6e1", InvalidField, "-6e1"},
		{"rssi beyond 32 bits", "-61", "-4294967357", InvalidField, "-4294967357"},
		{"rssi too strong", "-61", "5", InvalidField, "rssi_dbm: 5"},
		{"time as number in a string", "1793613600000", `"1793613600000"`, InvalidField, "seen_at"},
		{"time without zone", "1793613600000", `"2026-11-02T10:00:00"`, InvalidField, "seen_at"},
		{"time in seconds", "1793613600000", "1793613600", InvalidField, "seen_at: 1793613600"},
		{"time beyond 64 bits", "1793613600000", "17936136000000000000000", InvalidField, "seen_at"},
		{"year of five digits", "1793613600000", `"12026-11-02T10:00:00Z"`, InvalidField, "seen_at"},
		{"flag as number", "true", "1", InvalidField, "associated"},
		{"session that is unknown", `"randomised":false`, `"randomised":false,"session":"gone"`, InvalidField, "session"},
		{"session as number", `"randomised":false`, `"randomised":false,"session":1`, InvalidField, "session"},
		{"flag as string", "true", `"true"`, InvalidField, "associated"},
		{"half a surrogate pair", `"door"`, `"\ud83d"`, InvalidField, "sensor"},
		{"bytes that are not UTF-8", `"door"`, "\"\xff\"", InvalidField, "sensor"},
		{"bytes that are not UTF-8 beside an escape", `"door"`, "\"\\u0061\xff\"", InvalidField, "sensor"},
		{"escaped control character", `"door"`, `"a\u0000"`, InvalidField, "sensor"},
		// Another record, and another key.
		{"a tick", goodJSON, `{"at":1793613600000}`, InvalidField, "business: missing"},
		{"another device than in the key", "k3Jw0fUyZr5nQm8sTq1vXA", "k3Jw0fUyZr5nQm8sTq1vXB", KeyMismatch, "vXB"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			value := []byte(strings.Replace(goodJSON, c.old, c.new, 1))
			var into SightingsRecord
			err := DecodeSightings(DeviceKey(cafe, guest), value, &into)
			wantReason(t, err, c.want)
			if !strings.Contains(err.Error(), c.inText) {
				t.Errorf("got error %q, want one with %q", err, c.inText)
			}
		})
	}
}

// TestJSONRoundTrip: the decoder accepts the JSON that json.Marshal writes, also
// indented, since the walk over the object is code of this package.
func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSighting(t)
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, data, " ", "\t"); err != nil {
			t.Fatal(err)
		}
		// Both forms decode into the same sighting.
		for _, value := range [][]byte{data, indented.Bytes()} {
			var into SightingsRecord
			if err := DecodeSightings(keyOf(s), value, &into); err != nil {
				t.Fatalf("%s: %v", value, err)
			}
			if into.Sighting != *s {
				t.Fatalf("got  %+v\nwant %+v", into.Sighting, *s)
			}
		}
	})
}

// TestCRMJSONRoundTrip: DecodeCRM and json.Unmarshal both read the JSON that
// json.Marshal writes.
func TestCRMJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawCRM(t)
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeCRM(BusinessKey(e.Business()), data)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		var unmarshalled CRMEvent
		if err := json.Unmarshal(data, &unmarshalled); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if !reflect.DeepEqual(got, e) || !reflect.DeepEqual(unmarshalled, e) {
			t.Fatalf("%s\ngot  %+v and %+v\nwant %+v", data, got, unmarshalled, e)
		}
	})
}

// TestCRMJSON: the JSON form of each CRM event is the one below, byte for byte.
func TestCRMJSON(t *testing.T) {
	at := time.Date(2026, 11, 2, 10, 10, 0, 0, time.UTC)
	cases := []struct {
		json string
		want CRMEvent
	}{
		{`{"type":"portal-login","business":"cafe-1","device":"d","contact":"c","at":"2026-11-02T10:10:00Z","randomised":true}`,
			CRMEvent{Login: &PortalLogin{Business: cafe, Device: "d", Contact: "c", At: at, Randomised: true}}},
		{`{"type":"contact-changed","business":"cafe-1","contact":"c","merged_into":"b","at":"2026-11-02T10:10:00Z"}`,
			CRMEvent{Changed: &ContactChanged{Business: cafe, Contact: "c", MergedInto: "b", At: at}}},
		{`{"type":"contact-deleted","business":"cafe-1","contact":"c","at":"2026-11-02T10:10:00Z"}`,
			CRMEvent{Deleted: &ContactDeleted{Business: cafe, Contact: "c", At: at}}},
	}
	for _, c := range cases {
		if got := mustJSON(t, c.want); string(got) != c.json {
			t.Errorf("Marshal: got\n%s, want\n%s", got, c.json)
		}
		// And back, with the common fields of the event.
		got, err := DecodeCRM(BusinessKey(cafe), []byte(c.json))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", c.json, got, err, c.want)
		}
		if !got.At().Equal(at) || got.Business() != cafe {
			t.Errorf("%s: got time %v and business %q, want %v and %q", c.json, got.At(), got.Business(), at, cafe)
		}
	}
}

// TestBadCRMJSON: DecodeCRM rejects each of these, and returns the zero event.
func TestBadCRMJSON(t *testing.T) {
	cases := []struct {
		name, json string
		want       Reason
		inText     string
	}{
		{"no type", `{"business":"cafe-1","contact":"c","at":1793613600000}`, InvalidField, "type: missing"},
		{"type is not a string", `{"type":1,"business":"cafe-1","contact":"c","at":1793613600000}`, InvalidField, "type"},
		{"unknown type", `{"type":"contact-hired","business":"cafe-1"}`, UnknownSchema, "contact-hired"},
		{"type of another topic", `{"type":"sighting","business":"cafe-1"}`, UnknownSchema, "sighting"},
		{"type twice", `{"type":"contact-deleted","type":"portal-login"}`, Undecodable, "type"},
		{"a field of the type missing", `{"type":"portal-login","business":"cafe-1","contact":"c","at":1793613600000}`, InvalidField, "device: missing"},
		{"invalid merge", `{"type":"contact-changed","business":"cafe-1","contact":"c","merged_into":"\t","at":1793613600000}`, InvalidField, "merged_into"},
		{"another business", `{"type":"contact-deleted","business":"cafe-2","contact":"c","at":1793613600000}`, KeyMismatch, "cafe-2"},
		{"nothing", `{}`, InvalidField, "type: missing"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e, err := DecodeCRM(BusinessKey(cafe), []byte(c.json))
			wantReason(t, err, c.want)
			if !strings.Contains(err.Error(), c.inText) {
				t.Errorf("got error %q, want one with %q", err, c.inText)
			}
			if e != (CRMEvent{}) {
				t.Errorf("got %+v beside the error, want the zero event", e)
			}
		})
	}
}

// TestUnmarshalCRM: json.Unmarshal validates too, and if it fails leaves the event
// unchanged.
func TestUnmarshalCRM(t *testing.T) {
	for _, data := range []string{`null`, `"portal-login"`, `{"type":"contact-deleted","business":"a/b","contact":"c","at":1793613600000}`, `{"type":"?"}`} {
		e := CRMEvent{Deleted: &ContactDeleted{Business: cafe}}
		if err := json.Unmarshal([]byte(data), &e); err == nil {
			t.Errorf("%s: got no error", data)
		}
		if e.Business() != cafe {
			t.Errorf("%s: got the event %+v, want it unchanged", data, e)
		}
	}
}

// TestMarshalCRMNeedsOneRecord: json.Marshal fails unless exactly one record is
// set.
func TestMarshalCRMNeedsOneRecord(t *testing.T) {
	for _, e := range []CRMEvent{{}, {Login: &PortalLogin{}, Deleted: &ContactDeleted{}}} {
		if data, err := json.Marshal(e); err == nil {
			t.Errorf("%+v: got %s, want an error", e, data)
		}
	}
	if got := (CRMEvent{}); got.Business() != "" || !got.At().IsZero() {
		t.Errorf("empty event: got business %q and time %v, want zero values", got.Business(), got.At())
	}
}

// withoutField returns the JSON form of a sample without one field.
func withoutField(t testing.TB, s sample, field string) []byte {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(mustJSON(t, s.event), &all); err != nil {
		t.Fatal(err)
	}
	delete(all, field)
	all["type"] = mustJSON(t, s.name)
	return mustJSON(t, all)
}
