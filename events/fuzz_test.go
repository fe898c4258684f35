package events

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// The fuzz targets hold, for any key and value, that
//   - no decoder panics, and every error is a *BadRecord of a reason that a
//     decoder may give;
//   - the key is looked at last: under its own key the record decodes;
//   - what decodes is valid, has its times in UTC milliseconds, and encodes to
//     something that decodes to the same again;
//   - what decodes from JSON is what encoding/json reads in it.

// decoderReasons leaves out what only a stage can find.
var decoderReasons = map[Reason]bool{
	NullValue: true, TooLarge: true, Undecodable: true, UnknownSchema: true, InvalidField: true, KeyMismatch: true,
}

func FuzzDecodeSightings(f *testing.F) {
	f.Add([]byte(nil), mustEncode(f, &Tick{At: start}))
	for _, s := range samples() {
		f.Add(s.key, mustEncode(f, s.event))
	}
	f.Add(DeviceKey(cafe, guest), []byte(goodJSON))
	f.Add(DeviceKey(cafe, "ü\""), []byte(`{"x":[{"}":"]"}],"\u0062usiness":"cafe-1","sensor":"\\","device":"\u00fc\"","rssi_dbm":-0,"seen_at":"2026-11-02T10:00:00.5+01:00"}`))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		var r SightingsRecord
		err := DecodeSightings(key, value, &r)
		if err != nil && decoderReason(t, err) == KeyMismatch {
			key = keyOf(&r.Sighting)
			err = DecodeSightings(key, value, &r)
			if err != nil {
				t.Fatalf("under its own key: %v", err)
			}
		}
		switch {
		case err != nil:
		case r.IsTick:
			holds(t, Sightings, key, &r.Tick)
		default:
			holds(t, Sightings, key, &r.Sighting)
			agreesWithJSON(t, value, &r.Sighting)
		}
	})
}

func FuzzDecodeCRM(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.key, mustEncode(f, s.event))
		asJSON := mustJSON(f, s.event)
		f.Add(s.key, append([]byte(`{"type":"`+s.name+`",`), asJSON[1:]...))
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		e, err := DecodeCRM(key, value)
		if err != nil && decoderReason(t, err) == KeyMismatch {
			_, record, readErr := readCRM(value)
			if readErr != nil {
				t.Fatalf("key compared before the value was read: %v", readErr)
			}
			key = keyOf(record)
			if e, err = DecodeCRM(key, value); err != nil {
				t.Fatalf("under its own key: %v", err)
			}
		}
		if err != nil {
			return
		}
		record := theRecord(e)
		if record == nil {
			t.Fatalf("not exactly one record: %+v", e)
		}
		holds(t, CRMEvents, key, record)
		agreesWithJSON(t, value, record)
		again, err := DecodeCRM(key, mustJSON(t, e))
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("through JSON: %+v, %v, want %+v", again, err, e)
		}
	})
}

func FuzzDecodeOthers(f *testing.F) {
	topics := []string{DeviceContacts, WalkIns, VisitsEnded, EnrichedWalkIns, WalkInCounts}
	for _, s := range samples() {
		f.Add(s.key, mustEncode(f, s.event))
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		for i, topic := range topics {
			got, err := decodeAs(topic, key, value)
			if err != nil && decoderReason(t, err) == KeyMismatch {
				got, err = underOwnKey(t, i, value), nil
			}
			if err == nil {
				holds(t, topic, keyOf(got.(event)), got.(event))
			}
		}
	})
}

// underOwnKey reads the value of the i-th topic of FuzzDecodeOthers without
// looking at its key, and then decodes it under the key it calls for.
func underOwnKey(t *testing.T, i int, value []byte) any {
	t.Helper()
	records := []event{&DeviceContact{}, &WalkIn{}, &VisitEnded{}, &EnrichedWalkIn{}, &WalkInCount{}}
	rs := []readers{deviceContactReaders, walkInReaders, visitEndedReaders, enrichedWalkInReaders, walkInCountReaders}
	topics := []string{DeviceContacts, WalkIns, VisitsEnded, EnrichedWalkIns, WalkInCounts}
	if err := rs[i].read(value, records[i]); err != nil {
		t.Fatalf("key compared before the value was read: %v", err)
	}
	got, err := decodeAs(topics[i], keyOf(records[i]), value)
	if err != nil {
		t.Fatalf("under its own key: %v", err)
	}
	return got
}

func decoderReason(t *testing.T, err error) Reason {
	t.Helper()
	reason := reasonOf(t, err)
	if !decoderReasons[reason] {
		t.Fatalf("reason %q is not a decoder's", reason)
	}
	return reason
}

// holds checks a record that was decoded.
func holds(t *testing.T, topic string, key []byte, e validator) {
	t.Helper()
	if err := e.Validate(); err != nil {
		t.Fatalf("decoded, but %v", err)
	}
	v := reflect.ValueOf(e).Elem()
	for i := range v.NumField() {
		if at, ok := reflect.TypeAssert[time.Time](v.Field(i)); ok && at != time.UnixMilli(at.UnixMilli()).UTC() {
			t.Fatalf("%s is %v", v.Type().Field(i).Name, at)
		}
	}
	value := mustEncode(t, e)
	again, err := decodeAs(topic, key, value)
	if err != nil || !reflect.DeepEqual(again, any(e)) {
		t.Fatalf("again: %+v, %v, want %+v", again, err, e)
	}
	if !bytes.Equal(mustEncode(t, again), value) {
		t.Fatalf("%+v has two encodings", e)
	}
}

// agreesWithJSON compares a record with the strings and numbers that
// encoding/json finds in value, where that is JSON.
func agreesWithJSON(t *testing.T, value []byte, e event) {
	t.Helper()
	if !isJSON(value) {
		return
	}
	var theirs map[string]any
	if err := json.Unmarshal(value, &theirs); err != nil {
		t.Fatalf("accepted what encoding/json refuses: %v", err)
	}
	var ours map[string]any
	if err := json.Unmarshal(mustJSON(t, e), &ours); err != nil {
		t.Fatal(err)
	}
	for name, v := range ours {
		if given, ok := theirs[name]; ok && given != nil && !isTime(name) && !reflect.DeepEqual(given, v) {
			t.Fatalf("%s: read %v, encoding/json reads %v", name, v, given)
		}
	}
}

// isTime names the fields whose form in JSON may differ from ours.
func isTime(name string) bool { return name == "at" || name == "seen_at" }
