package senders

import (
	"encoding/json"
	"testing"
	"time"
)

func TestMACField(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want Reason
	}{
		{`"00:00:5e:00:53:0a"`, ""},
		{`"00:00:5E:00:53:0A"`, ""},
		{`"00-00-5e-00-53-0a"`, ""},
		{`"00.00.5e.00.53.0a"`, ""},
		{`"0000.5e00.530a"`, ""},
		{`"00005e00530a"`, ""},
		{`" 00005e00530a\n"`, ""},
		{`"00:00:5e:00:53:0\u0061"`, ""},
		{`null`, NoMAC},
		{`""`, BadMAC},
		{`"00:00:5e:00:53:0g"`, BadMAC},
		{`"00:00:5e:00:53:0"`, BadMAC},
		{`"00:00:5e:00:53:0a:"`, BadMAC},
		{`"00:00:5e:00:53-0a"`, BadMAC},
		{`"00_00_5e_00_53_0a"`, BadMAC},
		{`"0000-5e00-530a"`, BadMAC},
		{`"0000:5e00:530a"`, BadMAC},
		{`"00005e00:530a"`, BadMAC},
		{`"00:00:5e:00:53:0a:00:01"`, BadMAC}, // 8 bytes
		{`"00000aaa5e00530aa"`, BadMAC},
		{`"::::::::::::"`, BadMAC},
		{`"00:00:00:00:00:00"`, BadMAC},
		{`"000000000000"`, BadMAC},
		{`true`, BadMAC},
		{`{}`, BadMAC},
		{`["00:00:5e:00:53:0a"]`, BadMAC},
		{`"01:00:5e:00:53:0a"`, GroupAddress},
		{`"ff:ff:ff:ff:ff:ff"`, GroupAddress},
		{`"33-33-00-00-00-01"`, GroupAddress},
	} {
		var a macField
		if err := json.Unmarshal([]byte(c.raw), &a); err != nil {
			t.Errorf("%s: %v", c.raw, err)
		}
		if got := a.reason(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.raw, got, c.want)
		}
		if want := [6]byte{0, 0, 0x5e, 0, 0x53, 0x0a}; c.want == "" && a.value != want {
			t.Errorf("%s: got %x", c.raw, a.value)
		}
	}
	var a macField // never unmarshalled: the field is missing
	if got := a.reason(); got != NoMAC {
		t.Errorf("a missing field: got %q, want %q", got, NoMAC)
	}
	if err := json.Unmarshal([]byte(`112233445566`), &a); err != nil || a.value != [6]byte{0x11, 0x22, 0x33, 0x44, 0x55, 0x66} {
		t.Errorf("an address as a number: got %x, %v", a.value, err)
	}
}

func TestSignal(t *testing.T) {
	for _, c := range []struct {
		raw  string
		rssi int
		want Reason
	}{
		{`-60`, -60, ""},
		{`"-60"`, -60, ""},
		{`" -60 "`, -60, ""},
		{`-60.4`, -60, ""},
		{`-60.6`, -61, ""},
		{`-6e1`, -60, ""},
		{`0`, 0, ""},
		{`-0.4`, 0, ""},
		{`-127.4`, -127, ""},
		{`-127.6`, 0, BadRSSI},
		{`-128`, 0, BadRSSI},
		{`0.6`, 0, BadRSSI},
		{`60`, 0, BadRSSI},
		{`-1e300`, 0, BadRSSI},
		{`-1e999`, 0, BadRSSI},
		{`"-Inf"`, 0, BadRSSI},
		{`"weak"`, 0, BadRSSI},
		{`"-60 dBm"`, 0, BadRSSI},
		{`true`, 0, BadRSSI},
		{`[-60]`, 0, BadRSSI},
		{`null`, 0, NoSignal},
		{`""`, 0, NoSignal}, // scan writes it in place of NaN
		{`"NaN"`, 0, NoSignal},
	} {
		var n number
		if err := json.Unmarshal([]byte(c.raw), &n); err != nil {
			t.Errorf("%s: %v", c.raw, err)
		}
		rssi, got := n.dBm()
		if got != c.want || int(rssi) != c.rssi {
			t.Errorf("%s: got %d dBm, %q, want %d, %q", c.raw, rssi, got, c.rssi, c.want)
		}
	}
}

func TestInstant(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 5, 0, time.UTC)
	for _, c := range []struct {
		raw    string
		millis int
		want   Reason
	}{
		{`"2026-11-21T10:00:05Z"`, 0, ""},
		{`"2026-11-21T11:00:05+01:00"`, 0, ""},
		{`"2026-11-21T10:00:05.1239Z"`, 123, ""},
		{`1795255205`, 0, ""},
		{`"1795255205"`, 0, ""},
		{`1795255205.5`, 500, ""},
		{`1795255205123`, 123, ""},
		{`"1795255205123"`, 123, ""},
		{`1.795255205e9`, 0, ""},
		{`1795255205123456`, 123, ""},    // microseconds
		{`1795255205123456789`, 123, ""}, // nanoseconds
		{`1795255205123456.7`, 123, ""},
		{`"1795255205,5"`, 500, ""},
		{`"2026-11-21T10:00:05+0000"`, 0, ""},
		{`"2026-11-21T15:30:05+0530"`, 0, ""},
		{`"2026-11-21T05:00:05-05"`, 0, ""},
		{`"2026-11-21 10:00:05Z"`, 0, ""},
		{`"2026-11-21 10:00:05.5+00:00"`, 500, ""},
		{`"2026-11-21 10:00:05 +0000"`, 0, ""},
		{`"2026-11-21 10:00:05 UTC"`, 0, ""},
		{`"2026-11-21 10:00:05.123 +0000 UTC"`, 123, ""},
		{`"2026-11-21T10:00:05GMT"`, 0, ""},
		{`"2026-11-21t10:00:05z"`, 0, ""},
		{`"2026-11-21T10:00:05,123Z"`, 123, ""},
		{`"2026-11-21T10:00:05,123456+0000"`, 123, ""},
		{`"20261121T100005Z"`, 0, ""},
		{`"20261121T110005.5+0100"`, 500, ""},
		{`null`, 0, NoTime},
		{`""`, 0, NoTime},
		{`0`, 0, BadTime},
		{`-1795255205`, 0, BadTime},
		{`946684799`, 0, BadTime},  // a second before 2000
		{`4102444800`, 0, BadTime}, // 2100
		{`1e300`, 0, BadTime},
		{`1e999`, 0, BadTime},
		{`"NaN"`, 0, BadTime},
		{`"Inf"`, 0, BadTime},
		{`"2026-11-21"`, 0, BadTime},
		{`"2026-11-21T10:00:05"`, 0, BadTime}, // without a zone
		{`"2026-11-21 10:00:05"`, 0, BadTime},
		{`"2026-11-21T10:00:05,123"`, 0, BadTime},
		{`"20261121T100005"`, 0, BadTime},
		{`"2026-11-21T10:00:05 CET"`, 0, BadTime}, // a name that several zones have
		{`"2026-11-21T10:00: 05Z"`, 0, BadTime},
		{`"2026-11-21  10:00:05Z"`, 0, BadTime},
		{`"21.11.2026 10:00:05"`, 0, BadTime},
		{`"11/21/2026 10:00:05Z"`, 0, BadTime},
		{`"1795255205,5,5"`, 0, BadTime},
		{`1e20`, 0, BadTime},
		{`"2026-02-30T10:00:05Z"`, 0, BadTime},
		{`"1999-12-31T23:59:59.9999Z"`, 0, BadTime},
		{`"2100-01-01T00:00:00Z"`, 0, BadTime},
		{`"now"`, 0, BadTime},
		{`false`, 0, BadTime},
		{`{}`, 0, BadTime},
	} {
		var i instant
		if err := json.Unmarshal([]byte(c.raw), &i); err != nil {
			t.Errorf("%s: %v", c.raw, err)
		}
		if got := i.reason(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.raw, got, c.want)
		}
		if want := at.Add(time.Duration(c.millis) * time.Millisecond); c.want == "" && i.value != want {
			t.Errorf("%s: got %s, want %s", c.raw, i.value, want)
		}
	}
}

func TestBooleanAndNamed(t *testing.T) {
	for _, c := range []struct {
		raw         string
		true, named bool
	}{
		{`true`, true, false},
		{`"true"`, true, true},
		{`1`, true, true},
		{`"1"`, true, true},
		{`false`, false, false},
		{`"false"`, false, true},
		{`0`, false, true},
		{`null`, false, false},
		{`""`, false, false},
		{`"yes"`, false, true},
		{`2`, false, true},
		{`{}`, false, false},
		{`[true]`, false, false},
	} {
		b, n := boolean(!c.true), named(!c.named)
		if err := json.Unmarshal([]byte(c.raw), &b); err != nil || bool(b) != c.true {
			t.Errorf("%s as a boolean: got %t, %v", c.raw, b, err)
		}
		if err := json.Unmarshal([]byte(c.raw), &n); err != nil || bool(n) != c.named {
			t.Errorf("%s as a name: got %t, %v", c.raw, n, err)
		}
	}
}

// NaN and Infinity become empty strings where a value may stand, in a copy of the
// body and of the same length.
func TestScanReplacesNaNAndInfinity(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`{"a":NaN}`, `{"a":"" }`},
		{`{"a": NaN ,"b":[NaN,-NaN]}`, `{"a": ""  ,"b":["" ,""  ]}`},
		{`[Infinity, -Infinity]`, `["      ", "       "]`},
		{`{"NaN":"NaN","x":"a\"NaN"}`, `{"NaN":"NaN","x":"a\"NaN"}`},
		{`{NaN:1}`, `{NaN:1}`},
		{`[1,-2]`, `[1,-2]`},
	} {
		body := []byte(c.body)
		got, err := scan(body, DefaultLimits)
		if want := []byte(c.want); err != nil || len(got) != len(body) || !sameValue(t, got, want) {
			t.Errorf("%s: got %s (%v), want %s", c.body, got, err, c.want)
		}
		if string(body) != c.body {
			t.Errorf("%s: scan changed the body itself: %s", c.body, body)
		}
	}
}

// sameValue reports whether a and b are equal without white space, in and around
// strings.
func sameValue(t *testing.T, a, b []byte) bool {
	t.Helper()
	squeeze := func(s []byte) (out string) {
		for _, c := range s {
			if c != ' ' {
				out += string(rune(c))
			}
		}
		return out
	}
	return squeeze(a) == squeeze(b)
}
