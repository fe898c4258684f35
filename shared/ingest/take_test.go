package ingest

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apigw "github.com/aws/aws-lambda-go/events"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/ingest/senders"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fixtures gives the posts of package senders by kind and name.
func fixtures(t testing.TB) map[string]map[string][]byte {
	t.Helper()
	all := map[string]map[string][]byte{}
	for _, kind := range senders.Kinds() {
		all[kind] = map[string][]byte{}
		for _, path := range must(filepath.Glob(filepath.Join("senders", "testdata", kind, "*"))) {
			if filepath.Ext(path) != ".golden" {
				all[kind][filepath.Base(path)] = must(os.ReadFile(path))
			}
		}
		if len(all[kind]) == 0 {
			t.Fatalf("%s has no fixture", kind)
		}
	}
	return all
}

// fixtureNow is a minute after most of what the fixtures tell of.
var fixtureNow = time.Date(2026, 11, 21, 10, 1, 0, 0, time.UTC)

// merakiSecret is that of the fixtures.
const merakiSecret = "a documented secret"

// allowFixtures lets the fixtures in.
func (d *door) allowFixtures() {
	d.now = fixtureNow
	d.town.change(func(e *business.Entrance) {
		e.Zone = berlin
		m := e.Senders[senders.Meraki]
		m.Secrets = []string{merakiSecret, secret}
		e.Senders[senders.Meraki] = m
	})
}

// Every fixture of every kind gives the records of its golden file. Those hold
// no address.
func TestFixturesBecomeRecords(t *testing.T) {
	for kind, posts := range fixtures(t) {
		for name, body := range posts {
			t.Run(kind+"/"+name, func(t *testing.T) {
				d := open(t)
				d.allowFixtures()
				a := d.post(t, cafe, kind, body)
				if a.status != http.StatusOK {
					t.Fatalf("answered %d %s", a.status, a.body)
				}
				got := d.describe(t, a)
				golden := filepath.Join("testdata", kind, name+".golden")
				if *update {
					if err := os.MkdirAll(filepath.Dir(golden), 0o777); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
						t.Fatal(err)
					}
				}
				if want := must(os.ReadFile(golden)); got != string(want) {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			})
		}
	}
}

// describe writes an answer and all that is on the topics, for people.
func (d *door) describe(t testing.TB, a answered) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "accepted %d\n", a.accepted)
	for _, reason := range slices.Sorted(maps.Keys(a.left)) {
		fmt.Fprintf(&b, "left out: %d %s\n", a.left[reason], reason)
	}
	for _, s := range d.sightings(t) {
		flags := ""
		if s.Associated {
			flags += " associated"
		}
		if s.Randomised {
			flags += " randomised"
		}
		fmt.Fprintf(&b, "sighting %s at %s: %d dBm, %s%s\n",
			events.DeviceKey(s.Business, s.Device), s.Sensor, s.RSSI, s.SeenAt.Format(time.RFC3339Nano), flags)
	}
	for _, l := range d.logins(t) {
		fmt.Fprintf(&b, "login %s of %s, %s, randomised %t\n",
			events.DeviceKey(l.Business, l.Device), l.Contact, l.At.Format(time.RFC3339Nano), l.Randomised)
	}
	return b.String()
}

// ownSighting and ownLogin are the records of Footfall's own format.
type ownSighting struct {
	Router     string    `json:"router"`
	MAC        string    `json:"mac"`
	RSSI       int       `json:"rssi_dbm"`
	SeenAt     time.Time `json:"seen_at"`
	Associated bool      `json:"associated,omitempty"`
}

type ownLogin struct {
	MAC     string    `json:"mac"`
	Contact string    `json:"contact"`
	At      time.Time `json:"at"`
}

type ownPost struct {
	Sightings []ownSighting `json:"sightings,omitempty"`
	Logins    []ownLogin    `json:"logins,omitempty"`
}

// The addresses of most tests: one that a vendor gave, one that a phone made up.
const (
	vendorMAC = "00:1b:63:84:45:e6"
	randomMAC = "da:a1:19:00:00:01"
	doorMAC   = "a8:46:9d:00:00:63"
)

func body(t testing.TB, p ownPost) []byte {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// give posts to a business in the own format what is well formed.
func (d *door) give(t testing.TB, b events.BusinessID, p ownPost) answered {
	t.Helper()
	text := body(t, p)
	r := apigw.APIGatewayV2HTTPRequest{RawPath: pathOf(b, senders.Footfall), Body: string(text), Headers: signed(senders.Footfall, secret, text)}
	r.RequestContext.HTTP.Method = http.MethodPost
	checkRequest(t, r)
	return d.post(t, b, senders.Footfall, text)
}

// near is a sighting of a device a minute before noon.
func near(mac string) ownSighting {
	return ownSighting{Router: doorMAC, MAC: mac, RSSI: -58, SeenAt: noon.Add(-time.Minute)}
}

// An address that a vendor gave, or that joined the network, has one pseudonym
// for good; a made up one has another every day of the business.
func TestPseudonymsOfDays(t *testing.T) {
	d := open(t)
	key := must(d.Keys.Business(t.Context(), "2", gym))
	vendor, random := [6]byte{0, 0x1b, 0x63, 0x84, 0x45, 0xe6}, [6]byte{0xda, 0xa1, 0x19, 0, 0, 1}
	// In Berlin the day of the 21st begins an hour before that of UTC.
	d.now = time.Date(2026, 11, 20, 23, 10, 0, 0, time.UTC)
	before, after := d.now.Add(-20*time.Minute), d.now
	var p ownPost
	for _, at := range []time.Time{before, after} {
		for _, mac := range []string{vendorMAC, randomMAC} {
			p.Sightings = append(p.Sightings, ownSighting{"a8469d000063", mac, -50, at, false})
		}
	}
	p.Sightings = append(p.Sightings, ownSighting{"bar router", randomMAC, -51, after, true})
	if a := d.give(t, gym, p); a.status != http.StatusOK || a.accepted != 5 {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	want := []events.Sighting{
		{Business: gym, Sensor: "entrance", Device: key.Device(vendor), RSSI: -50, SeenAt: before},
		{Business: gym, Sensor: "entrance", Device: key.Daily(random, "2026-11-20"), RSSI: -50, SeenAt: before, Randomised: true},
		{Business: gym, Sensor: "entrance", Device: key.Device(vendor), RSSI: -50, SeenAt: after},
		{Business: gym, Sensor: "entrance", Device: key.Daily(random, "2026-11-21"), RSSI: -50, SeenAt: after, Randomised: true},
		{Business: gym, Sensor: "bar", Device: key.Device(random), RSSI: -51, SeenAt: after, Associated: true, Randomised: true},
	}
	got := d.sightings(t)
	for _, s := range want {
		if !slices.Contains(got, s) {
			t.Errorf("missing %+v", s)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %+v", got)
	}
}

// Who opted out leaves no trace under any of his pseudonyms, nor as a login.
func TestOptOut(t *testing.T) {
	d := open(t)
	key := must(d.Keys.Business(t.Context(), "", cafe))
	out := key.Device([6]byte{0xda, 0xa1, 0x19, 0, 0, 1})
	d.town.change(func(e *business.Entrance) { e.OptOut = []events.DeviceID{"somebody-else", out} })
	joined := near(randomMAC)
	joined.Associated = true
	p := ownPost{
		Sightings: []ownSighting{near(randomMAC), joined},
		Logins:    []ownLogin{{randomMAC, "contact-1", noon}},
	}
	if a := d.give(t, cafe, p); a.status != http.StatusOK || a.accepted != 0 || a.left["opted-out"] != 3 {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	d.nothing(t)
	p.Sightings = append(p.Sightings, near(vendorMAC))
	if a := d.give(t, cafe, p); a.accepted != 1 || a.left["opted-out"] != 3 {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	if got := d.sightings(t); len(got) != 1 || got[0].Device != key.Device([6]byte{0, 0x1b, 0x63, 0x84, 0x45, 0xe6}) {
		t.Errorf("stored %+v", got)
	}
	if got := d.logins(t); len(got) != 0 {
		t.Errorf("stored %+v", got)
	}
}

func TestLoginsBecomeCRMEvents(t *testing.T) {
	d := open(t)
	key := must(d.Keys.Business(t.Context(), "", cafe))
	a := d.give(t, cafe, ownPost{Logins: []ownLogin{
		{vendorMAC, "contact-1", noon.Add(-time.Second)}, {randomMAC, "contact-2", noon}, {vendorMAC, "contact-1", noon.Add(-2 * time.Hour)},
	}})
	if a.status != http.StatusOK || a.accepted != 2 || a.left["clock-skew"] != 1 {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	want := []events.PortalLogin{
		{Business: cafe, Device: key.Device([6]byte{0, 0x1b, 0x63, 0x84, 0x45, 0xe6}), Contact: "contact-1", At: noon.Add(-time.Second)},
		{Business: cafe, Device: key.Device([6]byte{0xda, 0xa1, 0x19, 0, 0, 1}), Contact: "contact-2", At: noon, Randomised: true},
	}
	if got := d.logins(t); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Of one device, second and sensor there is one sighting, the strongest.
func TestRepeatedInOnePost(t *testing.T) {
	d := open(t)
	second := noon.Add(-time.Minute)
	p := ownPost{Sightings: []ownSighting{
		{doorMAC, vendorMAC, -70, second, false},
		{doorMAC, vendorMAC, -60, second.Add(500 * time.Millisecond), true},
		{doorMAC, vendorMAC, -65, second.Add(999 * time.Millisecond), false},
		{doorMAC, vendorMAC, -66, second.Add(time.Second), false}, // another second
		{"back", vendorMAC, -67, second, false},                   // another sensor
		{doorMAC, "00-1B-63-84-45-E7", -68, second, false},        // another device
		{doorMAC, strings.ToUpper(vendorMAC), -80, second, false}, // spelt otherwise
		{strings.ToUpper(doorMAC), vendorMAC, -81, second, false}, // so is the router
		{strings.ReplaceAll(doorMAC, ":", "-"), vendorMAC, -82, second, false},
	}}
	if a := d.give(t, cafe, p); a.accepted != 4 || a.left["repeated"] != 5 {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	got := map[events.RSSI]bool{}
	for _, s := range d.sightings(t) {
		got[s.RSSI] = s.Associated
	}
	if want := map[events.RSSI]bool{-60: true, -66: false, -67: false, -68: false}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A router that the settings do not name goes by a pseudonym; where they name
// some, no other is let in.
func TestRouters(t *testing.T) {
	d := open(t)
	d.give(t, cafe, ownPost{Sightings: []ownSighting{near(vendorMAC)}})
	name := must(d.Keys.Business(t.Context(), "", cafe)).Router(doorMAC)
	if got := d.sightings(t); len(got) != 1 || got[0].Sensor != name || len(name) != 10 || !strings.HasPrefix(string(name), "r-") {
		t.Errorf("stored %+v, want sensor %s", got, name)
	}

	d = open(t)
	stranger := near(vendorMAC)
	stranger.Router = "a8:46:9d:00:00:64"
	if a := d.give(t, gym, ownPost{Sightings: []ownSighting{stranger}}); a.status != http.StatusNotFound || a.code != "unknown" {
		t.Errorf("a stranger alone: %d %s", a.status, a.body)
	}
	d.nothing(t)
	if a := d.give(t, gym, ownPost{Sightings: []ownSighting{stranger, near(vendorMAC)}}); a.accepted != 1 || a.left["unknown-router"] != 1 {
		t.Errorf("a stranger among others: %d %s", a.status, a.body)
	}
}

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
			d := open(t)
			s := near(vendorMAC)
			s.SeenAt = noon.Add(tt.off)
			a := d.give(t, cafe, ownPost{Sightings: []ownSighting{s}})
			if tt.ok {
				if a.status != http.StatusOK || a.accepted != 1 {
					t.Errorf("answered %d %s", a.status, a.body)
				}
				return
			}
			if a.status != http.StatusUnprocessableEntity || a.code != "clock-skew" {
				t.Errorf("answered %d %s", a.status, a.body)
			}
			d.nothing(t)
			a = d.give(t, cafe, ownPost{Sightings: []ownSighting{s, near(vendorMAC)}})
			if a.status != http.StatusOK || a.accepted != 1 || a.left["clock-skew"] != 1 {
				t.Errorf("beside another: %d %s", a.status, a.body)
			}
		})
	}
}

func TestMerakiValidator(t *testing.T) {
	d := open(t)
	a := d.send(t, http.MethodGet, pathOf(cafe, senders.Meraki), nil, nil)
	if a.status != http.StatusOK || a.body != "validator-of-cafe-1" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Errorf("answered %d %q %v", a.status, a.body, a.header)
	}
	for _, b := range []events.BusinessID{gym, "nobody"} {
		if a := d.send(t, http.MethodGet, pathOf(b, senders.Meraki), nil, nil); a.status != http.StatusNotFound || a.code != "unknown" {
			t.Errorf("%s: answered %d %s", b, a.status, a.body)
		}
	}
	d.town.change(func(e *business.Entrance) { e.Senders[senders.Meraki] = business.Sender{Secrets: []string{secret}} })
	if a := d.send(t, http.MethodGet, pathOf(cafe, senders.Meraki), nil, nil); a.status != http.StatusNotFound {
		t.Errorf("without a validator: answered %d %s", a.status, a.body)
	}
}

// An HTTP API hands on the path unescaped, others as it came, and all but the
// stage $default put their name in front.
func TestPaths(t *testing.T) {
	d := open(t)
	text := body(t, ownPost{Sightings: []ownSighting{near(vendorMAC)}})
	for i, path := range []string{"/v1/gym & spa/footfall", "/v1/gym%20%26%20spa/footfall", "/v1/gym%20&%20spa/footfall"} {
		d.now = d.now.Add(2 * rememberFor) // not to be remembered
		text = body(t, ownPost{Sightings: []ownSighting{{doorMAC, vendorMAC, -50, d.now, false}}})
		if a := d.send(t, http.MethodPost, path, signed(senders.Footfall, secret, text), text); a.status != http.StatusOK {
			t.Errorf("%d: %s answered %d %s", i, path, a.status, a.body)
		}
	}
	r := apigw.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: "/prod" + pathOf(cafe, senders.Footfall), Body: string(text), Headers: signed(senders.Footfall, secret, text)}
	r.RequestContext.Stage, r.RequestContext.HTTP.Method = "prod", http.MethodPost
	out := must(d.Invoke(t.Context(), must(json.Marshal(r))))
	if !strings.Contains(string(out), `"statusCode":200`) {
		t.Errorf("in stage prod: %s", out)
	}
	for _, path := range []string{
		"", "/", "/v1", "/v1/", "/v1/cafe-1", "/v1/cafe-1/", "/v1//footfall", "/v2/cafe-1/footfall", "/v1/cafe-1/footfall/",
		"/v1/cafe-1/footfall/more", "v1/cafe-1/footfall", "/V1/cafe-1/footfall", "/v1/cafe-1/FOOTFALL", "/v1/cafe-1/sonos",
		"/v1/cafe%2D1x/footfall", "/v1/a%2Fb/footfall", "/v1/" + strings.Repeat("b", 200) + "/footfall", "/v1/../cafe-1/footfall", "/v1/%zz/footfall",
	} {
		if a := d.send(t, http.MethodPost, path, signed(senders.Footfall, secret, text), text); a.status != http.StatusNotFound || a.code != "unknown" {
			t.Errorf("%q answered %d %s", path, a.status, a.body)
		}
	}
}

// Senders tell the latest first; on the topic a device's sightings lie in their
// order.
func TestOrder(t *testing.T) {
	d := open(t)
	var p ownPost
	for i := range 50 {
		p.Sightings = append(p.Sightings, ownSighting{doorMAC, vendorMAC, -50, noon.Add(-time.Duration(i) * time.Second), false})
	}
	d.give(t, cafe, p)
	var before time.Time
	for _, r := range d.stored(t, events.Sightings) {
		var s events.SightingsRecord
		if err := events.DecodeSightings(r.Key, r.Value, &s); err != nil {
			t.Fatal(err)
		}
		if !s.Sighting.SeenAt.After(before) {
			t.Fatalf("%v lies behind %v", s.Sighting.SeenAt, before)
		}
		before = s.Sighting.SeenAt
	}
	if !before.Equal(noon) {
		t.Errorf("the last is of %v", before)
	}
}
