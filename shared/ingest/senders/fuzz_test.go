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

// fuzz checks for any body of a kind:
//   - Neither Verify nor Parse panics or changes the body.
//   - A rejection has a known code, and no post comes with it.
//   - Every record of a post is valid, and the post is within the limits.
//   - Parsing the body again returns the same post.
//   - The post, written in Footfall's own format and parsed, is the same post.
func fuzz(f *testing.F, kind string) {
	for path, body := range fixtures(f)[kind] {
		f.Add(body)
		if filepath.Ext(path) == ".json" {
			f.Add([]byte(strings.ReplaceAll(string(body), "\n", " ")[:len(body)/2]))
		}
	}
	for _, body := range []string{`{"version":3,"type":"WiFi","data":{"observations":[{}]}}`, `{"a":[NaN,-Infinity]}`, "<1>\nrouter:\n", "\ufeff{}",
		`<29>1 2026-11-21T10:00:05Z ap hostapd 1 - [a b="\"]"] wlan0: AP-STA-CONNECTED 00:00:5e:00:53:01`,
		`Nov 21 11:00:05 ap a,00005e0053f1: : wpad[1]: wlan0: <3>AP-STA-CONNECTED 00:00:5e:00:53:01 mld_addr=00:00:5e:00:53:02`,
	} {
		f.Add([]byte(body))
	}
	s, at := formatOf(f, kind), arrival(f)
	at.Limits = Limits{Records: 200, Depth: 12}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := slices.Clone(body)
		codeOf(t, s.Verify(header("", ""), body, []string{"secret"}))
		p, err := s.Parse(body, at)
		if !slices.Equal(body, before) {
			t.Fatal("Verify or Parse changed the body")
		}
		if codeOf(t, err) != "" {
			if p.Observations != nil || p.Logins != nil || p.LeftOut != nil {
				t.Fatalf("a rejection comes with a post: %s", describe(p))
			}
			return
		}
		if n := len(p.Observations) + len(p.Logins); n > 2*at.Limits.Records {
			t.Fatalf("got %d observations and logins, want at most two per record, of %d records", n, at.Limits.Records)
		}
		checkValid(t, p)
		if again, err := s.Parse(body, at); err != nil || describe(again) != describe(p) {
			t.Fatalf("parsed again: got\n%s%v, and at first\n%s", describe(again), err, describe(p))
		}
		at := at
		at.Limits.Records *= 3
		own, err := footfall{}.Parse(inOwnFormat(t, p), at)
		if err != nil {
			t.Fatalf("written in Footfall's own format: %v", err)
		}
		p.LeftOut = nil
		if describe(own) != describe(p) {
			t.Fatalf("written in Footfall's own format: got\n%swant\n%s", describe(own), describe(p))
		}
	})
}

// checkValid fails the test if a part of a Post is not valid.
func checkValid(t *testing.T, p Post) {
	t.Helper()
	for _, h := range p.Observations {
		s := events.Sighting{Business: "b", Sensor: events.SensorID(h.Router), Device: "d", RSSI: h.RSSI, SeenAt: h.SeenAt}
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		checkDevice(t, h.MAC, h.SeenAt)
		if RouterName(h.Router) != h.Router {
			t.Fatalf("router %q is not in the spelling of RouterName", h.Router)
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

// checkDevice fails the test if an address is no device's, or a time is not in UTC
// and whole milliseconds.
func checkDevice(t *testing.T, mac [6]byte, at time.Time) {
	t.Helper()
	if mac == [6]byte{} || pseudonym.Group(mac[:]) {
		t.Fatalf("%x is no device's address", mac)
	}
	if at.Location() != time.UTC || at.Nanosecond()%1e6 != 0 {
		t.Fatalf("%s is not in UTC and whole milliseconds", at)
	}
}

// inOwnFormat returns a body in Footfall's own format with the content of a Post.
func inOwnFormat(t *testing.T, p Post) []byte {
	t.Helper()
	type sighting struct {
		Router     string         `json:"router"`
		MAC        string         `json:"mac"`
		RSSI       events.RSSI    `json:"rssi_dbm"`
		SeenAt     time.Time      `json:"seen_at"`
		Associated bool           `json:"associated"`
		Session    events.Session `json:"session"`
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
		doc.Sightings = append(doc.Sightings, sighting{h.Router, router{mac: h.MAC, isMAC: true}.String(), h.RSSI, h.SeenAt, h.Associated, h.Session})
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
