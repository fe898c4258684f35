package ingest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	apigw "github.com/aws/aws-lambda-go/events"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/ingest/senders"
)

// A MAC address that is not randomised always has the same pseudonym, and so has a
// randomised one on a day on which it was associated. On any other day in the
// business's zone it has a pseudonym of that day.
func TestStableAndDailyPseudonyms(t *testing.T) {
	h := newHarness(t)
	key := must(h.Keys.Business(t.Context(), "2", gym))
	vendor, random := [6]byte{0, 0x1b, 0x63, 0x84, 0x45, 0xe6}, [6]byte{0xda, 0xa1, 0x19, 0, 0, 1}
	// In Berlin the 21st begins an hour earlier than in UTC.
	h.now = time.Date(2026, 11, 20, 23, 10, 0, 0, time.UTC)
	before, after := h.now.Add(-20*time.Minute), h.now
	var p ownPost
	for _, at := range []time.Time{before, after} {
		for _, mac := range []string{vendorMAC, randomMAC} {
			p.Sightings = append(p.Sightings, ownSighting{"a8469d000063", mac, -50, at, false})
		}
	}
	p.Sightings = append(p.Sightings, ownSighting{"bar router", randomMAC, -51, after, true})
	if a := h.postOwn(t, gym, p); a.status != http.StatusOK || a.accepted != 5 {
		t.Fatalf("got %d %s, want 200 and 5 accepted", a.status, a.body)
	}
	want := []events.Sighting{
		{Business: gym, Sensor: "entrance", Device: key.Device(vendor), RSSI: -50, SeenAt: before},
		{Business: gym, Sensor: "entrance", Device: key.Daily(random, "2026-11-20"), RSSI: -50, SeenAt: before, Randomised: true},
		{Business: gym, Sensor: "entrance", Device: key.Device(vendor), RSSI: -50, SeenAt: after},
		{Business: gym, Sensor: "entrance", Device: key.Device(random), RSSI: -50, SeenAt: after, Randomised: true},
		{Business: gym, Sensor: "bar", Device: key.Device(random), RSSI: -51, SeenAt: after, Associated: true, Randomised: true},
	}
	got := h.sightings(t)
	for _, s := range want {
		if !slices.Contains(got, s) {
			t.Errorf("got no sighting %+v", s)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %+v, want %d sightings", got, len(want))
	}
}

// A device on the opt-out list is not stored, under its stable pseudonym, under a
// pseudonym of the day, or as a login.
func TestOptOut(t *testing.T) {
	h := newHarness(t)
	key := must(h.Keys.Business(t.Context(), "", cafe))
	out := key.Device([6]byte{0xda, 0xa1, 0x19, 0, 0, 1})
	h.businesses.change(func(e *business.Entrance) { e.OptOut = []events.DeviceID{"another-device", out} })
	joined := sightingOf(randomMAC)
	joined.Associated = true
	p := ownPost{
		Sightings: []ownSighting{sightingOf(randomMAC), joined},
		Logins:    []ownLogin{{randomMAC, "contact-1", noon}},
	}
	if a := h.postOwn(t, cafe, p); a.status != http.StatusOK || a.accepted != 0 || a.leftOut["opted-out"] != 3 {
		t.Errorf("got %d %s, want 200, none accepted and 3 opted-out", a.status, a.body)
	}
	h.wantNothingStored(t)
	p.Sightings = append(p.Sightings, sightingOf(vendorMAC))
	if a := h.postOwn(t, cafe, p); a.accepted != 1 || a.leftOut["opted-out"] != 3 {
		t.Errorf("got %d %s, want 1 accepted and 3 opted-out", a.status, a.body)
	}
	if got := h.sightings(t); len(got) != 1 || got[0].Device != key.Device([6]byte{0, 0x1b, 0x63, 0x84, 0x45, 0xe6}) {
		t.Errorf("got %+v, want one sighting of the other device", got)
	}
	if got := h.logins(t); len(got) != 0 {
		t.Errorf("got %+v, want no login", got)
	}
}

func TestLoginsBecomeCRMEvents(t *testing.T) {
	h := newHarness(t)
	key := must(h.Keys.Business(t.Context(), "", cafe))
	a := h.postOwn(t, cafe, ownPost{Logins: []ownLogin{
		{vendorMAC, "contact-1", noon.Add(-time.Second)}, {randomMAC, "contact-2", noon}, {vendorMAC, "contact-1", noon.Add(-2 * time.Hour)},
	}})
	if a.status != http.StatusOK || a.accepted != 2 || a.leftOut["clock-skew"] != 1 {
		t.Errorf("got %d %s, want 200, 2 accepted and 1 clock-skew", a.status, a.body)
	}
	want := []events.PortalLogin{
		{Business: cafe, Device: key.Device([6]byte{0, 0x1b, 0x63, 0x84, 0x45, 0xe6}), Contact: "contact-1", At: noon.Add(-time.Second)},
		{Business: cafe, Device: key.Device([6]byte{0xda, 0xa1, 0x19, 0, 0, 1}), Contact: "contact-2", At: noon, Randomised: true},
	}
	if got := h.logins(t); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Observations of the same device, second and sensor become one sighting, with the
// strongest signal.
func TestRepeatedObservationInOnePost(t *testing.T) {
	h := newHarness(t)
	second := noon.Add(-time.Minute)
	p := ownPost{Sightings: []ownSighting{
		{doorMAC, vendorMAC, -70, second, false},
		{doorMAC, vendorMAC, -60, second.Add(500 * time.Millisecond), true},
		{doorMAC, vendorMAC, -65, second.Add(999 * time.Millisecond), false},
		{doorMAC, vendorMAC, -66, second.Add(time.Second), false}, // another second
		{"back", vendorMAC, -67, second, false},                   // another sensor
		{doorMAC, "00-1B-63-84-45-E7", -68, second, false},        // another device
		{doorMAC, strings.ToUpper(vendorMAC), -80, second, false}, // the device in another spelling
		{strings.ToUpper(doorMAC), vendorMAC, -81, second, false}, // the router in another spelling
		{strings.ReplaceAll(doorMAC, ":", "-"), vendorMAC, -82, second, false},
	}}
	if a := h.postOwn(t, cafe, p); a.accepted != 4 || a.leftOut["repeated"] != 5 {
		t.Errorf("got %d %s, want 4 accepted and 5 repeated", a.status, a.body)
	}
	got := map[events.RSSI]bool{}
	for _, s := range h.sightings(t) {
		got[s.RSSI] = s.Associated
	}
	if want := map[events.RSSI]bool{-60: true, -66: false, -67: false, -68: false}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A body with a byte order mark is accepted from every kind, with the secret or the
// signature of the body as it was sent.
func TestByteOrderMarkBeforeBody(t *testing.T) {
	h := newHarness(t)
	for _, kind := range senders.Kinds() {
		if a := h.post(t, cafe, kind, append([]byte("\ufeff"), validBody(kind)...)); a.status != http.StatusOK || a.accepted != 1 {
			t.Errorf("%s: got %d %s, want 200 and 1 accepted", kind, a.status, a.body)
		}
	}
}

// Reports about a session within one second are never merged, with each other or
// with an observation, and keep their order in the post: the last one holds.
func TestSessionReportsOfOneSecond(t *testing.T) {
	h := newHarness(t)
	at := noon.Add(-time.Minute).Format(time.RFC3339)
	var text strings.Builder
	for _, event := range []string{"DISCONNECTED", "CONNECTED", "POLL-OK", "DISCONNECTED", "DISCONNECTED"} {
		fmt.Fprintf(&text, "%s ap hostapd: wlan0: AP-STA-%s %s\n", at, event, vendorMAC)
	}
	for _, signal := range []int{-60, -50} {
		fmt.Fprintf(&text, "%s ap hostapd: wlan0: RX-PROBE-REQUEST sa=%s signal=%d\n", at, vendorMAC, signal)
	}
	a := h.post(t, cafe, senders.Hostapd, []byte(text.String()))
	if a.accepted != 6 || a.leftOut["repeated"] != 1 {
		t.Errorf("got %d %s, want 6 accepted and 1 repeated", a.status, a.body)
	}
	var got []string
	for _, r := range h.stored(t, events.Sightings) {
		var s events.SightingsRecord
		if err := events.DecodeSightings(r.Key, r.Value, &s); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(s.Sighting.Session, s.Sighting.RSSI))
	}
	if want := []string{"left-85", "joined0", "alive-85", "left-85", "left-85", "-50"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A post of which every record was left out for a mistake is rejected with the
// reasons. A device that opted out, posts without presence data and posts without
// any record are no mistakes.
func TestPostWithoutUsableRecords(t *testing.T) {
	h := newHarness(t)
	h.businesses.change(func(e *business.Entrance) {
		key := must(h.Keys.Business(t.Context(), "", cafe))
		e.OptOut = []events.DeviceID{key.Device([6]byte{0, 0x1b, 0x63, 0x84, 0x45, 0xe6})}
	})
	const unknownLine = "Nov 20 11:59:00 ap kernel: nothing\n"
	optedOut := "Nov 20 11:59:00 ap hostapd: wlan0: AP-STA-CONNECTED " + vendorMAC + "\n"
	for _, c := range []struct{ kind, body, message string }{
		{senders.Hostapd, unknownLine + "Nov 20 11:59:00 ap hostapd: wlan0: AP-STA-CONNECTED zz\n" + unknownLine, "Left out: 1 bad-mac, 2 unknown-line."},
		{senders.Hostapd, unknownLine + optedOut, ""},
		{senders.Hostapd, "router: ap\n", ""},
		{senders.Footfall, `{"sightings":[{}]}`, "Left out: 1 no-mac."},
		{senders.Footfall, `{"logins":[{}]}`, "Left out: 1 no-mac."},
		{senders.Footfall, `{"sightings":[],"logins":[]}`, ""},
		{senders.CloudTrax, `{"probe_requests":[{}]}`, "Left out: 1 no-mac."},
		{senders.CloudTrax, `{"probe_requests":[]}`, ""},
		{senders.Mist, `{"topic":"ping"}`, ""},
		{senders.Mist, `{"topic":"a new topic"}`, ""},
		{senders.Meraki, `{"secret":"` + secret + `","version":"3.0","type":"Bluetooth","data":{"observations":[{}]}}`, ""},
	} {
		a := h.post(t, cafe, c.kind, []byte(c.body))
		switch {
		case c.message == "":
			if a.status != http.StatusOK || a.accepted != 0 {
				t.Errorf("%s, %s: got %d %s, want 200", c.kind, c.body, a.status, a.body)
			}
		case a.status != http.StatusUnprocessableEntity || a.code != "nothing-usable" || !strings.HasSuffix(a.message, c.message):
			t.Errorf("%s, %s: got %d %s, want 422 and %s", c.kind, c.body, a.status, a.body, c.message)
		}
	}
	h.wantNothingStored(t)
}

// If the settings name no router, a router's sensor is a pseudonym. If they name
// some, no other router is accepted.
func TestRouters(t *testing.T) {
	h := newHarness(t)
	h.postOwn(t, cafe, ownPost{Sightings: []ownSighting{sightingOf(vendorMAC)}})
	name := must(h.Keys.Business(t.Context(), "", cafe)).Router(doorMAC)
	if got := h.sightings(t); len(got) != 1 || got[0].Sensor != name || len(name) != 10 || !strings.HasPrefix(string(name), "r-") {
		t.Errorf("got %+v, want sensor %s", got, name)
	}

	h = newHarness(t)
	unknownRouter := sightingOf(vendorMAC)
	unknownRouter.Router = "a8:46:9d:00:00:64"
	if a := h.postOwn(t, gym, ownPost{Sightings: []ownSighting{unknownRouter}}); a.status != http.StatusNotFound || a.code != "unknown" {
		t.Errorf("only an unknown router: got %d %s, want 404 unknown", a.status, a.body)
	}
	h.wantNothingStored(t)
	if a := h.postOwn(t, gym, ownPost{Sightings: []ownSighting{unknownRouter, sightingOf(vendorMAC)}}); a.accepted != 1 || a.leftOut["unknown-router"] != 1 {
		t.Errorf("an unknown router beside a known: got %d %s, want 1 accepted and 1 unknown-router", a.status, a.body)
	}
}

// A sighting is accepted up to an hour late and five minutes early. A post with no
// other sightings is rejected.
func TestClockSkew(t *testing.T) {
	for _, tt := range []struct {
		name string
		off  time.Duration
		ok   bool
	}{
		{"an hour late", -time.Hour, true},
		{"over an hour late", -time.Hour - time.Millisecond, false},
		{"five minutes early", 5 * time.Minute, true},
		{"over five minutes early", 5*time.Minute + time.Millisecond, false},
		{"a day late", -24 * time.Hour, false},
		{"a year early", 365 * 24 * time.Hour, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			s := sightingOf(vendorMAC)
			s.SeenAt = noon.Add(tt.off)
			a := h.postOwn(t, cafe, ownPost{Sightings: []ownSighting{s}})
			if tt.ok {
				if a.status != http.StatusOK || a.accepted != 1 {
					t.Errorf("got %d %s, want 200", a.status, a.body)
				}
				return
			}
			if a.status != http.StatusUnprocessableEntity || a.code != "clock-skew" {
				t.Errorf("got %d %s, want 422 clock-skew", a.status, a.body)
			}
			h.wantNothingStored(t)
			a = h.postOwn(t, cafe, ownPost{Sightings: []ownSighting{s, sightingOf(vendorMAC)}})
			if a.status != http.StatusOK || a.accepted != 1 || a.leftOut["clock-skew"] != 1 {
				t.Errorf("beside a usable sighting: got %d %s, want 200 and 1 accepted", a.status, a.body)
			}
		})
	}
}

// The GET of Meraki's dashboard is answered with the validator of the settings.
func TestMerakiValidator(t *testing.T) {
	h := newHarness(t)
	a := h.send(t, http.MethodGet, pathTo(cafe, senders.Meraki), nil, nil)
	if a.status != http.StatusOK || a.body != "validator-of-cafe-1" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Errorf("got %d %q %v, want 200 and the validator", a.status, a.body, a.header)
	}
	for _, b := range []events.BusinessID{gym, "nobody"} {
		if a := h.send(t, http.MethodGet, pathTo(b, senders.Meraki), nil, nil); a.status != http.StatusNotFound || a.code != "unknown" {
			t.Errorf("%s: got %d %s, want 404", b, a.status, a.body)
		}
	}
	h.businesses.change(func(e *business.Entrance) { e.Senders[senders.Meraki] = business.Sender{Secrets: []string{secret}} })
	if a := h.send(t, http.MethodGet, pathTo(cafe, senders.Meraki), nil, nil); a.status != http.StatusNotFound {
		t.Errorf("without a validator: got %d %s, want 404", a.status, a.body)
	}
}

// An HTTP API passes the path on unescaped, other servers as it arrived. Every
// stage of the API but $default precedes the path with its name.
func TestPaths(t *testing.T) {
	h := newHarness(t)
	text := body(t, ownPost{Sightings: []ownSighting{sightingOf(vendorMAC)}})
	for i, path := range []string{"/v1/gym & spa/footfall", "/v1/gym%20%26%20spa/footfall", "/v1/gym%20&%20spa/footfall"} {
		h.now = h.now.Add(2 * repeatWindow) // no repetition
		text = body(t, ownPost{Sightings: []ownSighting{{doorMAC, vendorMAC, -50, h.now, false}}})
		if a := h.send(t, http.MethodPost, path, signed(senders.Footfall, secret, text), text); a.status != http.StatusOK {
			t.Errorf("%d: %s: got %d %s, want 200", i, path, a.status, a.body)
		}
	}
	r := apigw.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: "/prod" + pathTo(cafe, senders.Footfall), Body: string(text), Headers: signed(senders.Footfall, secret, text)}
	r.RequestContext.Stage, r.RequestContext.HTTP.Method = "prod", http.MethodPost
	out := must(h.Invoke(t.Context(), must(json.Marshal(r))))
	if !strings.Contains(string(out), `"statusCode":200`) {
		t.Errorf("in stage prod: got %s, want 200", out)
	}
	for _, path := range []string{
		"", "/", "/v1", "/v1/", "/v1/cafe-1", "/v1/cafe-1/", "/v1//footfall", "/v2/cafe-1/footfall", "/v1/cafe-1/footfall/",
		"/v1/cafe-1/footfall/more", "v1/cafe-1/footfall", "/V1/cafe-1/footfall", "/v1/cafe-1/FOOTFALL", "/v1/cafe-1/sonos",
		"/v1/cafe%2D1x/footfall", "/v1/a%2Fb/footfall", "/v1/" + strings.Repeat("b", 200) + "/footfall", "/v1/../cafe-1/footfall", "/v1/%zz/footfall",
	} {
		if a := h.send(t, http.MethodPost, path, signed(senders.Footfall, secret, text), text); a.status != http.StatusNotFound || a.code != "unknown" {
			t.Errorf("%q: got %d %s, want 404 unknown", path, a.status, a.body)
		}
	}
}

// Senders post the latest sighting first. On the topic the sightings of a device
// are in the order of their times.
func TestOrderOfSightings(t *testing.T) {
	h := newHarness(t)
	var p ownPost
	for i := range 50 {
		p.Sightings = append(p.Sightings, ownSighting{doorMAC, vendorMAC, -50, noon.Add(-time.Duration(i) * time.Second), false})
	}
	h.postOwn(t, cafe, p)
	var before time.Time
	for _, r := range h.stored(t, events.Sightings) {
		var s events.SightingsRecord
		if err := events.DecodeSightings(r.Key, r.Value, &s); err != nil {
			t.Fatal(err)
		}
		if !s.Sighting.SeenAt.After(before) {
			t.Fatalf("got %v after %v, want ascending times", s.Sighting.SeenAt, before)
		}
		before = s.Sighting.SeenAt
	}
	if !before.Equal(noon) {
		t.Errorf("the last sighting is of %v, want %v", before, noon)
	}
}
