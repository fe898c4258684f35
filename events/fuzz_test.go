package events

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// The fuzz targets check, for any key and value:
//   - No decoder panics, and every error is a *BadRecord with a reason of
//     decoderReasons.
//   - The key is checked last: a record that fails with KeyMismatch decodes under
//     its own key.
//   - A decoded record is valid, has its times in UTC milliseconds, and encodes
//     into bytes that decode into the same record.
//   - A record decoded from JSON has the values that encoding/json reads.

// decoderReasons are the reasons that a decoder may return. The others are found
// by stages.
var decoderReasons = map[Reason]bool{
	NullValue: true, TooLarge: true, Undecodable: true, UnknownSchema: true, InvalidField: true, KeyMismatch: true,
}

// FuzzDecodeSightings checks DecodeSightings.
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
		// The fuzzer hardly ever draws the right key: decode again with that one.
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
			checkDecoded(t, Sightings, key, &r.Tick)
		default:
			checkDecoded(t, Sightings, key, &r.Sighting)
			checkAgainstJSON(t, value, &r.Sighting)
		}
	})
}

// FuzzDecodeCRM checks DecodeCRM, and that exactly one record is set.
func FuzzDecodeCRM(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.key, mustEncode(f, s.event))
		asJSON := mustJSON(f, s.event)
		f.Add(s.key, append([]byte(`{"type":"`+s.name+`",`), asJSON[1:]...))
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		e, err := DecodeCRM(key, value)
		// As in FuzzDecodeSightings.
		if err != nil && decoderReason(t, err) == KeyMismatch {
			_, record, readErr := readCRM(value)
			if readErr != nil {
				t.Fatalf("the key was checked before the value: %v", readErr)
			}
			key = keyOf(record)
			if e, err = DecodeCRM(key, value); err != nil {
				t.Fatalf("under its own key: %v", err)
			}
		}
		if err != nil {
			return
		}
		// The event passes the checks of a record, and a round trip through JSON.
		record := theRecord(e)
		if record == nil {
			t.Fatalf("got %+v, want exactly one record", e)
		}
		checkDecoded(t, CRMEvents, key, record)
		checkAgainstJSON(t, value, record)
		again, err := DecodeCRM(key, mustJSON(t, e))
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("through JSON: got %+v, %v, want %+v", again, err, e)
		}
	})
}

// FuzzDecodeOthers checks the decoders of the topics that accept Avro only.
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
				checkDecoded(t, topic, keyOf(got.(keyed)), got.(keyed))
			}
		}
	})
}

// underOwnKey decodes the value with the decoder of the i-th topic of
// FuzzDecodeOthers, under the key that the value calls for.
func underOwnKey(t *testing.T, i int, value []byte) any {
	t.Helper()
	records := []keyed{&DeviceContact{}, &WalkIn{}, &VisitEnded{}, &EnrichedWalkIn{}, &WalkInCount{}}
	ds := []decoders{deviceContactDecoders, walkInDecoders, visitEndedDecoders, enrichedWalkInDecoders, walkInCountDecoders}
	topics := []string{DeviceContacts, WalkIns, VisitsEnded, EnrichedWalkIns, WalkInCounts}
	if err := ds[i].decodeInto(records[i], value); err != nil {
		t.Fatalf("the key was checked before the value: %v", err)
	}
	got, err := decodeAs(topics[i], keyOf(records[i]), value)
	if err != nil {
		t.Fatalf("under its own key: %v", err)
	}
	return got
}

// decoderReason returns the reason of err, which must be one of decoderReasons.
func decoderReason(t *testing.T, err error) Reason {
	t.Helper()
	reason := reasonOf(t, err)
	if !decoderReasons[reason] {
		t.Fatalf("got reason %q, which no decoder may return", reason)
	}
	return reason
}

// checkDecoded checks that a decoded record is valid, has its times in UTC
// milliseconds, and survives a round trip.
func checkDecoded(t *testing.T, topic string, key []byte, e validator) {
	t.Helper()
	if err := e.Validate(); err != nil {
		t.Fatalf("decoded an invalid record: %v", err)
	}
	v := reflect.ValueOf(e).Elem()
	for i := range v.NumField() {
		if at, ok := reflect.TypeAssert[time.Time](v.Field(i)); ok && at != time.UnixMilli(at.UnixMilli()).UTC() {
			t.Fatalf("%s is %v, want UTC milliseconds", v.Type().Field(i).Name, at)
		}
	}
	value := mustEncode(t, e)
	again, err := decodeAs(topic, key, value)
	if err != nil || !reflect.DeepEqual(again, any(e)) {
		t.Fatalf("second decode: got %+v, %v, want %+v", again, err, e)
	}
	if !bytes.Equal(mustEncode(t, again), value) {
		t.Fatalf("%+v has two encodings", e)
	}
}

// checkAgainstJSON compares a record with the strings and numbers that
// encoding/json reads from value, if value is JSON.
func checkAgainstJSON(t *testing.T, value []byte, e keyed) {
	t.Helper()
	if !isJSON(value) {
		return
	}
	var theirs map[string]any
	if err := json.Unmarshal(value, &theirs); err != nil {
		t.Fatalf("the decoder accepted JSON that encoding/json rejects: %v", err)
	}
	var ours map[string]any
	if err := json.Unmarshal(mustJSON(t, e), &ours); err != nil {
		t.Fatal(err)
	}
	for name, v := range ours {
		if given, ok := theirs[name]; ok && given != nil && !isTime(name) && !reflect.DeepEqual(given, v) {
			t.Fatalf("%s: got %v, encoding/json reads %v", name, v, given)
		}
	}
}

// isTime reports whether the field is a time, which JSON may hold in another form
// than json.Marshal writes.
func isTime(name string) bool { return name == "at" || name == "seen_at" }
