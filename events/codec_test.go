package events

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestRoundTrip: an encoded record decodes under its key into the same record.
// Bytes in front of it in the buffer stay as they are.
func TestRoundTrip(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			buf, err := Encode([]byte("before"), s.event)
			if err != nil {
				t.Fatal(err)
			}
			// The record behind those bytes decodes into the same.
			value, ok := bytes.CutPrefix(buf, []byte("before"))
			if !ok {
				t.Fatalf("Encode changed what was in dst: %q", buf)
			}
			got, err := decodeAs(s.topic, s.key, value)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, any(s.event)) {
				t.Errorf("got  %+v\nwant %+v", got, s.event)
			}
		})
	}
}

// TestRoundTripOfAnyRecord is TestRoundTrip for drawn records.
func TestRoundTripOfAnyRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topic, e := drawOther(t)
		switch draw(t, rapid.IntRange(0, 2), "family") {
		case 0:
			topic, e = Sightings, drawSighting(t)
		case 1:
			topic, e = CRMEvents, theRecord(drawCRM(t))
		}
		value, err := Encode(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeAs(topic, keyOf(e), value)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, any(e)) {
			t.Fatalf("got  %+v\nwant %+v", got, e)
		}
	})
}

// TestTick: a tick decodes under any key, since a tick goes to every partition by
// number.
func TestTick(t *testing.T) {
	value := mustEncode(t, &Tick{At: start})
	for _, key := range [][]byte{nil, {}, []byte("tick"), DeviceKey(cafe, guest)} {
		got, err := decodeAs(Sightings, key, value)
		if err != nil {
			t.Fatalf("key %q: %v", key, err)
		}
		if want := (&Tick{At: start}); !reflect.DeepEqual(got, want) {
			t.Errorf("key %q: got %+v, want %+v", key, got, want)
		}
	}
	_, err := decodeAs(Sightings, nil, mustEncode(t, &Tick{At: time.UnixMilli(-1)}))
	wantReason(t, err, InvalidField)
}

// TestDecodeOverwrites: DecodeSightings leaves nothing of the previous record in
// into: no tick in a sighting, and no flag in a sighting from JSON without flags.
func TestDecodeOverwrites(t *testing.T) {
	s := *samples()[0].event.(*Sighting)
	key := DeviceKey(s.Business, s.Device)
	// The same sighting without its flag and session, as an object that has neither.
	plain := s
	plain.Randomised, plain.Session = false, SessionNone
	short := []byte(`{"business":"cafe-1","sensor":"cafe-1-door","device":"` + string(guest) + `","rssi_dbm":-61,"seen_at":"2026-11-02T10:00:00Z"}`)
	into := SightingsRecord{}
	steps := []struct {
		name  string
		value []byte
		want  SightingsRecord
	}{
		{"sighting", mustEncode(t, &s), SightingsRecord{Sighting: s}},
		{"tick", mustEncode(t, &Tick{At: start}), SightingsRecord{IsTick: true, Tick: Tick{At: start}}},
		{"sighting after a tick", mustEncode(t, &s), SightingsRecord{Sighting: s}},
		{"JSON without flags after one with", short, SightingsRecord{Sighting: plain}},
	}
	for _, step := range steps {
		if err := DecodeSightings(key, step.value, &into); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if into != step.want {
			t.Errorf("%s: got %+v, want %+v", step.name, into, step.want)
		}
	}
}

// TestEncodeCutsTimes: the wire holds UTC milliseconds, so a time with
// nanoseconds in another zone decodes into UTC, cut to milliseconds.
func TestEncodeCutsTimes(t *testing.T) {
	s := *samples()[0].event.(*Sighting)
	s.SeenAt = start.Add(123_456_789).In(time.FixedZone("east", 7200))
	got, err := decodeAs(Sightings, DeviceKey(s.Business, s.Device), mustEncode(t, &s))
	if err != nil {
		t.Fatal(err)
	}
	if want := start.Add(123 * time.Millisecond); got.(*Sighting).SeenAt != want {
		t.Errorf("seen at %v, want %v", got.(*Sighting).SeenAt, want)
	}
}

// TestEncodeFails: Encode returns an error and dst unchanged if event is not a
// pointer to a record.
func TestEncodeFails(t *testing.T) {
	for _, event := range []any{nil, Sighting{}, (*Sighting)(nil), "text", &CRMEvent{}, new(int)} {
		dst := []byte("before")
		out, err := Encode(dst, event)
		if err == nil {
			t.Errorf("Encode(%T): got no error", event)
		}
		if string(out) != "before" {
			t.Errorf("Encode(%T): got %q, want dst unchanged", event, out)
		}
	}
}

// TestReasons: every decoder returns the right reason for each kind of record
// that can never be processed.
func TestReasons(t *testing.T) {
	for _, s := range samples() {
		// Records that are wrong in one thing: another topic's, and an unknown
		// fingerprint.
		value := mustEncode(t, s.event)
		other := mustEncode(t, &WalkIn{StartedAt: start, ConfirmedAt: start})
		if s.topic == WalkIns {
			other = mustEncode(t, &Tick{At: start})
		}
		unknown := bytes.Clone(value)
		unknown[5] ^= 0xFF
		cases := []struct {
			name       string
			key, value []byte
			want       Reason
		}{
			{"null", s.key, nil, NullValue},
			{"empty is not null", s.key, []byte{}, Undecodable},
			{"over the limit", s.key, append(bytes.Clone(value), make([]byte, MaxValueBytes)...), TooLarge},
			{"at the limit", s.key, append(bytes.Clone(value), make([]byte, MaxValueBytes-len(value))...), Undecodable},
			{"text", s.key, []byte("hello, world"), Undecodable},
			{"white space", s.key, []byte("   \n   \n   \n"), Undecodable},
			{"JSON that is not an object", s.key, []byte(`[{"business":"cafe-1"}]`), Undecodable},
			{"wrong version byte", s.key, append([]byte{0xC3, 0x02}, value[2:]...), Undecodable},
			{"unknown fingerprint", s.key, unknown, UnknownSchema},
			{"record of another topic", s.key, other, UnknownSchema},
			{"one byte too many", s.key, append(bytes.Clone(value), 0), Undecodable},
			{"another key", []byte("cafe-1/somebody"), value, KeyMismatch},
			{"no key", nil, value, KeyMismatch},
			{"key of another length", s.key[:len(s.key)-1], value, KeyMismatch},
		}
		for _, c := range cases {
			t.Run(s.name+"/"+c.name, func(t *testing.T) {
				_, err := decodeAs(s.topic, c.key, c.value)
				wantReason(t, err, c.want)
			})
		}
	}
}

// TestCutShort: no record is a prefix of another, so a record that is cut short
// anywhere is Undecodable.
func TestCutShort(t *testing.T) {
	for _, s := range samples() {
		value := mustEncode(t, s.event)
		for n := range value {
			if _, err := decodeAs(s.topic, s.key, value[:n]); reasonOf(t, err) != Undecodable {
				t.Errorf("%s: first %d of %d bytes: got %v, want %s", s.name, n, len(value), err, Undecodable)
			}
		}
	}
}

// TestFailedDecodeIsZero: beside an error a decoder returns the zero record, so a
// caller that ignores the error uses no record that is decoded by half.
func TestFailedDecodeIsZero(t *testing.T) {
	for _, s := range samples() {
		got, err := decodeAs(s.topic, []byte("wrong"), mustEncode(t, s.event))
		if err == nil {
			t.Fatalf("%s: got no error", s.name)
		}
		if s.topic == Sightings { // DecodeSightings documents that into must not be used
			continue
		}
		if v := reflect.ValueOf(got); v.IsValid() && !v.Elem().IsZero() {
			t.Errorf("%s: got %+v beside error %v, want the zero record", s.name, got, err)
		}
	}
}

// TestOnlyJSONTopicsAcceptJSON: a decoder accepts JSON if and only if Topic.JSON
// is true.
func TestOnlyJSONTopicsAcceptJSON(t *testing.T) {
	for _, s := range samples() {
		value, err := json.Marshal(s.event)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(s.topic, CRMEvents) {
			value = append([]byte(`{"type":"`+s.name+`",`), value[1:]...)
		}
		topic, _ := TopicByName(s.topic)
		got, err := decodeAs(s.topic, s.key, value)
		if !topic.JSON {
			wantReason(t, err, Undecodable)
			continue
		}
		if err != nil || !reflect.DeepEqual(got, any(s.event)) {
			t.Errorf("%s: got %+v, %v, want %+v", s.name, got, err, s.event)
		}
	}
}

// TestWrongLengthsAllocateLittle: a body holds the lengths of its strings. A wrong
// length is Undecodable, and the decoder does not allocate that many bytes.
func TestWrongLengthsAllocateLittle(t *testing.T) {
	header := mustEncode(t, samples()[0].event)[:headerBytes]
	for _, length := range []int64{1 << 20, 1 << 31, 1 << 40, 1<<62 - 1, -1, -1 << 62} {
		body := binary.AppendVarint(nil, length) // the same zigzag as Avro's long
		value := append(append(bytes.Clone(header), body...), "cafe"...)
		var into SightingsRecord
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		err := DecodeSightings(nil, value, &into)
		runtime.ReadMemStats(&now)
		wantReason(t, err, Undecodable)
		if grown := now.TotalAlloc - before.TotalAlloc; grown > 64<<10 {
			t.Errorf("length %d: %d bytes allocated for a value of %d, want at most 64 KiB", length, grown, len(value))
		}
	}
}

// TestErrorsStaySmall: an error text repeats only the beginning of a foreign
// value, since error texts go into headers of dead letters.
func TestErrorsStaySmall(t *testing.T) {
	long := strings.Repeat("\x01", 60_000)
	s := *samples()[0].event.(*Sighting)
	s.Sensor = SensorID(long)
	quoted, err := json.Marshal(long)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name       string
		key, value []byte
	}{
		{"id", nil, mustEncode(t, &s)},
		{"key", []byte(long), mustEncode(t, samples()[0].event)},
		{"text", nil, []byte(long)},
		{"JSON literal", nil, []byte(`{"business":[` + string(quoted[:9001]) + `"]}`)},
	}
	for _, c := range cases {
		_, err := decodeAs(Sightings, c.key, c.value)
		if err == nil {
			t.Fatalf("%s: got no error", c.name)
		}
		if len(err.Error()) > 1000 {
			t.Errorf("%s: got an error of %d bytes, want at most 1000", c.name, len(err.Error()))
		}
	}
}

// TestHotPathAllocations: a decode of a sighting allocates its strings and nothing
// else. The strings of Avro records share a chunk, which is less than one
// allocation per record on average. An encode into a buffer that is large enough
// allocates nothing.
func TestHotPathAllocations(t *testing.T) {
	s := samples()[0]
	// All into the same memory, as a stage does.
	avro, asJSON := mustEncode(t, s.event), mustJSON(t, s.event)
	var into SightingsRecord
	buf := make([]byte, 0, 256)
	cases := []struct {
		name string
		most float64
		run  func() error
	}{
		{"Avro", 0, func() error { return DecodeSightings(s.key, avro, &into) }},
		{"JSON", 4, func() error { return DecodeSightings(s.key, asJSON, &into) }},
		{"Encode", 0, func() error { _, err := Encode(buf[:0], s.event); return err }},
	}
	for _, c := range cases {
		var err error
		got := testing.AllocsPerRun(1000, func() { err = c.run() })
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got > c.most && !raceEnabled {
			t.Errorf("%s: %v allocations, want at most %v", c.name, got, c.most)
		}
	}
}
