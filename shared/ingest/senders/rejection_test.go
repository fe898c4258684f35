package senders

import (
	"fmt"
	"strings"
	"testing"
)

// A body is rejected as a whole if it is not JSON, lacks the array that the format
// is about, or has an unknown type or version. Any other body is accepted.
func TestRejections(t *testing.T) {
	for _, c := range []struct{ kind, why, body, want string }{
		{Meraki, "no body", ``, BadJSON},
		{Meraki, "white space", " \n", BadJSON},
		{Meraki, "cut off", `{"version":"3.0","type":"WiFi","data":{"observations":[`, BadJSON},
		{Meraki, "two values", `{"version":"3.0","type":"WiFi","data":{"observations":[]}} {}`, BadJSON},
		{Meraki, "NaN in place of a key", `{NaN:1}`, BadJSON},
		{Meraki, "NaN alone", `NaN`, BadJSON},
		{Meraki, "a half NaN", `{"version":Na}`, BadJSON},
		{Meraki, "NaN and more", `{"version":NaNa}`, BadJSON},
		{Meraki, "a minus and no number", `{"version":-}`, BadJSON},
		{Meraki, "closed once too often", `{"version":"3.0"}]`, BadJSON},
		{Meraki, "closed by another bracket", `{"data":[}`, BadJSON},
		{Meraki, "lines of syslog", `Nov 21 11:00:05 ap hostapd: wlan0: AP-STA-CONNECTED 00:00:5e:00:53:01`, BadJSON},
		{Meraki, "an array", `[]`, UnknownVersion},
		{Meraki, "a string", `"WiFi"`, UnknownVersion},
		{Meraki, "null", `null`, UnknownVersion},
		{Meraki, "version 1", `{"version":"1.0","type":"WiFi","data":{"observations":[]}}`, UnknownVersion},
		{Meraki, "a version as a number", `{"version":3,"type":"WiFi","data":{"observations":[]}}`, ""},
		{Meraki, "no type", `{"version":"3.0","data":{"observations":[]}}`, UnknownType},
		{Meraki, "an unknown type", `{"version":"3.0","type":"Zigbee","data":{"observations":[]}}`, UnknownType},
		{Meraki, "a type that is an array", `{"version":"3.0","type":["WiFi"],"data":{"observations":[]}}`, UnknownType},
		{Meraki, "no data", `{"version":"3.0","type":"WiFi"}`, WrongShape},
		{Meraki, "data of another type", `{"version":"3.0","type":"WiFi","data":[]}`, WrongShape},
		{Meraki, "observations of another type", `{"version":"3.0","type":"WiFi","data":{"observations":{"a":1}}}`, WrongShape},
		{Meraki, "no observation", `{"version":"3.0","type":"WiFi","data":{"observations":[]}}`, ""},
		{Meraki, "Bluetooth of any shape", `{"version":"2.0","type":"BluetoothDevicesSeen","data":7}`, ""},
		{CloudTrax, "no requests", `{"node_mac":"00:00:5e:00:53:f1"}`, WrongShape},
		{CloudTrax, "requests of another type", `{"probe_requests":"many"}`, WrongShape},
		{CloudTrax, "an array", `[{"probe_requests":[]}]`, WrongShape},
		{CloudTrax, "none", `{"probe_requests":[]}`, ""},
		{Mist, "no topic", `{"events":[]}`, UnknownType},
		{Mist, "a topic that is no text", `{"topic":["ping"],"events":[]}`, UnknownType},
		{Mist, "an unknown topic", `{"topic":"wifi-raw","events":[]}`, ""},
		{Mist, "no events", `{"topic":"wifi-conn-raw"}`, WrongShape},
		{Mist, "events of another type", `{"topic":"wifi-conn-raw","events":{}}`, WrongShape},
		{Mist, "none", `{"topic":"wifi-conn-raw","events":[]}`, ""},
		{Footfall, "neither sightings nor logins", `{}`, WrongShape},
		{Footfall, "both null", `{"sightings":null,"logins":null}`, WrongShape},
		{Footfall, "an array", `[]`, WrongShape},
		{Footfall, "sightings of another type", `{"sightings":{},"logins":[]}`, WrongShape},
		{Footfall, "logins of another type, behind a bad sighting", `{"sightings":[5],"logins":"x"}`, WrongShape},
		{Footfall, "one of them", `{"logins":[]}`, ""},
		{Hostapd, "no line", ``, ""},
		{Hostapd, "JSON", `{"sightings":[]}`, ""},
	} {
		_, err := formatOf(t, c.kind).Parse([]byte(c.body), arrival(t))
		if got := codeOf(t, err); got != c.want {
			t.Errorf("%s, %s: got %v, want code %q", c.kind, c.why, err, c.want)
		}
	}
}

// The texts of rejections name a position or a field and quote nothing. The errors
// of encoding/json would quote the character at the position; many such errors
// together would spell an address.
func TestTextsOfRejections(t *testing.T) {
	for _, c := range []struct{ kind, body, want string }{
		{Meraki, `{"version": marked}`, "bad-json: not one whole JSON value, up to byte 13 of 19"},
		{Meraki, `{"version": "3", "type": "marked"}`, "unknown-type: field type is missing or names no type that is known"},
		{Meraki, `{"version": "marked"}`, "unknown-version: field version is neither 2 nor 3"},
		{CloudTrax, `{"probe_requests": "marked"}`, "wrong-shape: field probe_requests is missing or no array"},
		{Mist, strings.Repeat(`["marked",`, 17), "too-deep: byte 160 lies deeper than 16 levels"},
		{Hostapd, strings.Repeat("marked\n", 50_000), "too-many-records: more than 50000 lines"},
	} {
		_, err := formatOf(t, c.kind).Parse([]byte(c.body), arrival(t))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.kind, err, c.want)
		}
	}
}

// A post of an ignored type counts as left out at least once, even if it holds no
// records.
func TestIgnoredPostsAreCounted(t *testing.T) {
	for _, c := range []struct {
		kind, body string
		why        Reason
		n          int
	}{
		{Meraki, `{"version":"2.0","type":"BluetoothDevicesSeen","data":7}`, Bluetooth, 1},
		{Meraki, `{"version":"3.0","type":"Bluetooth","data":{"observations":[{},{}]}}`, Bluetooth, 2},
		{Meraki, `{"version":"3.0","type":"BLE","data":{"observations":[{}]}}`, Bluetooth, 1},
		{Mist, `{"topic":"asset-raw-rssi"}`, Bluetooth, 1},
		{Mist, `{"topic":"client-sessions","events":[{},{},{}]}`, NotPresence, 3},
		{Mist, `{"topic":"minis-application","events":[{},{}]}`, UnknownTopic, 2},
		{Mist, `{"topic":"a topic of next year"}`, UnknownTopic, 1},
	} {
		p, err := formatOf(t, c.kind).Parse([]byte(c.body), arrival(t))
		if err != nil || len(p.Observations) > 0 || len(p.LeftOut) != 1 || p.LeftOut[c.why] != c.n {
			t.Errorf("%s, %s: got %v, %s, want %d left out as %s", c.kind, c.body, err, describe(p), c.n, c.why)
		}
	}
}

// Each limit holds exactly: a body at the limit is accepted, one above it rejected.
func TestLimits(t *testing.T) {
	at := arrival(t)
	at.Limits = Limits{Records: 10, Depth: 5}
	sightings := func(n int) string { return `{"sightings":[` + strings.TrimSuffix(strings.Repeat("{},", n), ",") + `]}` }
	nested := func(n int) string {
		return `{"sightings":[],"x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
	}
	for _, c := range []struct{ kind, why, body, want string }{
		{Footfall, "as many as allowed", sightings(10), ""},
		{Footfall, "one more", sightings(11), TooManyRecords},
		{Footfall, "elements of unknown arrays count", `{"sightings":[],"x":[1,2,3,4,5,6,7,8,9,10]}`, TooManyRecords},
		{Footfall, "fields of objects do not count", `{"sightings":[],"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1}`, ""},
		{Footfall, "commas in a string do not count", `{"sightings":[{"router":",,,,,,,,,,,\",,,,,,"}]}`, ""},
		{Footfall, "as deep as allowed", nested(5), ""},
		{Footfall, "one deeper", nested(6), TooDeep},
		{Footfall, "brackets in a string do not count", `{"sightings":[{"router":"[[[[[[[[\"[[[[["}]}`, ""},
		{Footfall, "deep and never closed", strings.Repeat("[", 1_000_000), TooDeep},
		{Footfall, "deep objects", strings.Repeat(`{"a":`, 1_000_000), TooDeep},
		{Hostapd, "as many lines as allowed", strings.Repeat("x\n", 9) + "x", ""},
		{Hostapd, "one more", strings.Repeat("x\n", 10) + "x", TooManyRecords},
	} {
		_, err := formatOf(t, c.kind).Parse([]byte(c.body), at)
		if got := codeOf(t, err); got != c.want {
			t.Errorf("%s, %s: got %v, want code %q", c.kind, c.why, err, c.want)
		}
	}
	for _, kind := range Kinds() {
		if _, err := formatOf(t, kind).Parse([]byte("{}"), Arrival{}); err == nil {
			t.Errorf("%s: the zero Limits accept a body", kind)
		}
	}
	at.Limits = Limits{Records: 1 << 20, Depth: 1 << 20}
	if _, err := formatOf(t, Footfall).Parse([]byte(nested(65)), at); codeOf(t, err) != TooDeep {
		t.Errorf("65 levels: got %v, want a rejection: the scanner distinguishes 64", err)
	}
}

// Rejecting a body over its limits costs one pass over it and the error.
func TestLimitsHoldBeforeAnythingIsBuilt(t *testing.T) {
	at := arrival(t)
	for _, c := range []struct{ why, body string }{
		{"many records", `{"sightings":[` + strings.Repeat(`{},`, 1_000_000) + `{}]}`},
		{"depth", strings.Repeat(`[`, 3_000_000)},
	} {
		body := []byte(c.body)
		if n := testing.AllocsPerRun(3, func() { _, _ = footfall{}.Parse(body, at) }); n > 20 {
			t.Errorf("%s: got %v allocations for a body of %d bytes, want at most 20", c.why, n, len(body))
		}
	}
}

// marked is personal data in the forms that real fields hold it.
var marked = []string{
	"00:00:5e:00:53:a1", "00-00-5E-00-53-A1", "00005e0053a1", "0000.5e00.53a1",
	"marked.person@example.com", "+1-202-555-0143", "marked-host", "MARKED",
}

// leaks returns the first mark in a text, or "" if there is none.
func leaks(text string) string {
	for _, m := range marked {
		if strings.Contains(strings.ToLower(text), strings.ToLower(m)) {
			return m
		}
	}
	return ""
}

// No error and no count holds personal data: not with marked data in every field of
// every format, nor with the body damaged at every byte in several ways.
func TestErrorsHoldNoPersonalData(t *testing.T) {
	at := arrival(t)
	secrets := []string{secret}
	errors := 0
	for kind, bodies := range markedBodies(t) {
		s := formatOf(t, kind)
		try := func(body []byte) {
			p, err := s.Parse(body, at)
			texts := fmt.Sprintf("%v %+v %#v %v", err, err, p.LeftOut, s.Verify(header("Signature", "MARKED"), body, secrets))
			if err != nil {
				errors++
			}
			if m := leaks(texts); m != "" {
				t.Fatalf("%s: %q got out: %s", kind, m, texts)
			}
		}
		for _, body := range bodies {
			try([]byte(body))
			for i := range len(body) {
				try([]byte(body[:i]))
				for _, damage := range []string{"", `"`, "M"} {
					try([]byte(body[:i] + damage + body[i+1:]))
				}
			}
		}
	}
	if errors == 0 {
		t.Error("no body was rejected, so that no error was looked at")
	}
}

// markedBodies returns bodies of each kind with marked data in every field.
func markedBodies(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{Hostapd: {
		"router: marked-host\nNov 21 11:00:05 marked-host hostapd: wlan0: AP-STA-CONNECTED 00:00:5e:00:53:a1 MARKED\n" +
			"Nov 21 11:00:05 marked-host hostapd: MARKED: RX-PROBE-REQUEST sa=00:00:5e:00:53:a1 signal=MARKED",
	}}
	formats := map[string]string{
		Meraki: `{"version":"3.0","type":"WiFi","secret":@,"data":{"networkId":@,"observations":[{"clientMac":@,"ssid":@,` +
			`"userId":@,"ipv4":@,"latestRecord":{"time":@,"nearestApMac":@,"nearestApRssi":@}}]}}`,
		CloudTrax: `{"node_mac":@,"probe_requests":[{"mac":@,"last_seen_signal":@,"avg_signal":@,"first_seen":@,"last_seen":@,` +
			`"associated":@}],@:@}`,
		Mist:     `{"topic":"wifi-conn-raw","events":[{"ap_id":@,"client_id":@,"packets":[{"band":@,"rssi":@}]}],"user":@}`,
		Footfall: `{"sightings":[{"router":@,"mac":@,"rssi_dbm":@,"seen_at":@}],"logins":[{"mac":@,"contact":@,"at":@}]}`,
	}
	for kind, format := range formats {
		for _, m := range marked {
			all[kind] = append(all[kind], strings.ReplaceAll(format, "@", `"`+m+`"`))
		}
		nested := strings.ReplaceAll(format, `"wifi-conn-raw"`, "@")
		all[kind] = append(all[kind],
			strings.ReplaceAll(format, "@", "MARKED"),
			strings.ReplaceAll(nested, "@", `{"MARKED":["MARKED"]}`))
	}
	all[Meraki] = append(all[Meraki], `{"version":"MARKED","type":"MARKED"}`, `{"version":"3","type":"MARKED"}`)
	all[Mist] = append(all[Mist], `{"topic":"MARKED"}`)
	return all
}
