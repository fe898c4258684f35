package senders

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/pseudonym"
)

func FuzzMeraki(f *testing.F)    { fuzz(f, Meraki) }
func FuzzCloudTrax(f *testing.F) { fuzz(f, CloudTrax) }
func FuzzMist(f *testing.F)      { fuzz(f, Mist) }
func FuzzHostapd(f *testing.F)   { fuzz(f, Hostapd) }
func FuzzFootfall(f *testing.F)  { fuzz(f, Footfall) }

// fuzz holds of any body: neither Verify nor Parse panics; a refusal has a known
// code and no post; what is taken is valid and within the limits; the same body
// says the same again; and what was taken, written in Footfall's own format, is
// taken once more as it is.
func fuzz(f *testing.F, kind string) {
	for path, body := range fixtures(f)[kind] {
		f.Add(body)
		if filepath.Ext(path) == ".json" {
			f.Add([]byte(strings.ReplaceAll(string(body), "\n", " ")[:len(body)/2]))
		}
	}
	for _, body := range []string{`{"version":3,"type":"WiFi","data":{"observations":[{}]}}`, `{"a":[NaN,-Infinity]}`, "<1>\nrouter:\n"} {
		f.Add([]byte(body))
	}
	s, at := sender(f, kind), arrival(f)
	at.Limits = Limits{Records: 200, Depth: 12}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := slices.Clone(body)
		codeOf(t, s.Verify(header("", ""), body, []string{"secret"}))
		p, err := s.Parse(body, at)
		if !slices.Equal(body, before) {
			t.Fatal("the body was changed")
		}
		if codeOf(t, err) != "" {
			if p.Observations != nil || p.Logins != nil || p.LeftOut != nil {
				t.Fatalf("a refusal gives a post: %s", describe(p))
			}
			return
		}
		if n := len(p.Observations) + len(p.Logins); n > 2*at.Limits.Records {
			t.Fatalf("%d hearings of a body with at most %d records", n, at.Limits.Records)
		}
		checkValid(t, p)
		if again, err := s.Parse(body, at); err != nil || describe(again) != describe(p) {
			t.Fatalf("the same body gives\n%s%vand first gave\n%s", describe(again), err, describe(p))
		}
		at := at
		at.Limits.Records *= 3
		own, err := own{}.Parse(asOwn(t, p), at)
		if err != nil {
			t.Fatalf("written as own format: %v", err)
		}
		p.LeftOut = nil
		if describe(own) != describe(p) {
			t.Fatalf("written as own format it says\n%sand not\n%s", describe(own), describe(p))
		}
	})
}

// checkValid holds everything that a Post promises.
func checkValid(t *testing.T, p Post) {
	t.Helper()
	for _, h := range p.Observations {
		s := events.Sighting{Business: "b", Sensor: events.SensorID(h.Router), Device: "d", RSSI: h.RSSI, SeenAt: h.SeenAt}
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		checkDevice(t, h.MAC, h.SeenAt)
		if RouterName(h.Router) != h.Router {
			t.Fatalf("router %q is not in its one spelling", h.Router)
		}
	}
	for _, l := range p.Logins {
		r := events.PortalLogin{Business: "b", Device: "d", Contact: l.Contact, At: l.At}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		checkDevice(t, l.MAC, l.At)
	}
	for r, n := range p.LeftOut {
		if n <= 0 || !slices.Contains(Reasons(), r) {
			t.Fatalf("left out: %d %s", n, r)
		}
	}
}

func checkDevice(t *testing.T, mac [6]byte, at time.Time) {
	t.Helper()
	if mac == [6]byte{} || pseudonym.Group(mac[:]) {
		t.Fatalf("%x is no device's address", mac)
	}
	if at.Location() != time.UTC || at.Nanosecond()%1e6 != 0 {
		t.Fatalf("%s is not in UTC and whole milliseconds", at)
	}
}

// asOwn writes a Post in Footfall's own format.
func asOwn(t *testing.T, p Post) []byte {
	t.Helper()
	type sighting struct {
		Router     string      `json:"router"`
		MAC        string      `json:"mac"`
		RSSI       events.RSSI `json:"rssi_dbm"`
		SeenAt     time.Time   `json:"seen_at"`
		Associated bool        `json:"associated"`
	}
	type login struct {
		MAC     string           `json:"mac"`
		Contact events.ContactID `json:"contact"`
		At      time.Time        `json:"at"`
	}
	doc := struct {
		Sightings []sighting `json:"sightings"`
		Logins    []login    `json:"logins"`
	}{[]sighting{}, []login{}}
	for _, h := range p.Observations {
		doc.Sightings = append(doc.Sightings, sighting{h.Router, router{mac: h.MAC, isMAC: true}.String(), h.RSSI, h.SeenAt, h.Associated})
	}
	for _, l := range p.Logins {
		doc.Logins = append(doc.Logins, login{router{mac: l.MAC, isMAC: true}.String(), l.Contact, l.At})
	}
	body, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
