package ingest

import (
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

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/ingest/senders"
)

var update = flag.Bool("update", false, "write the golden files")

// fixtures returns the fixtures of package senders by kind and name.
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

// fixtureNow is a minute after most observations of the fixtures.
var fixtureNow = time.Date(2026, 11, 21, 10, 1, 0, 0, time.UTC)

// merakiSecret is the secret in the fixtures of Meraki.
const merakiSecret = "a documented secret"

// allowFixtures sets the time and the settings under which the fixtures are accepted.
func (h *harness) allowFixtures() {
	h.now = fixtureNow
	h.businesses.change(func(e *business.Entrance) {
		e.Zone = berlin
		m := e.Senders[senders.Meraki]
		m.Secrets = []string{merakiSecret, secret}
		e.Senders[senders.Meraki] = m
	})
}

// Every fixture of every kind becomes the records of its golden file. No record
// holds a MAC address.
func TestFixturesBecomeRecords(t *testing.T) {
	for kind, posts := range fixtures(t) {
		for name, body := range posts {
			t.Run(kind+"/"+name, func(t *testing.T) {
				h := newHarness(t)
				h.allowFixtures()
				a := h.post(t, cafe, kind, body)
				if a.status != http.StatusOK {
					t.Fatalf("got %d %s, want 200", a.status, a.body)
				}
				got := h.describe(t, a)
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

// describe returns a reply and the records on the topics as readable lines.
func (h *harness) describe(t testing.TB, a reply) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "accepted %d\n", a.accepted)
	for _, reason := range slices.Sorted(maps.Keys(a.leftOut)) {
		fmt.Fprintf(&b, "left out: %d %s\n", a.leftOut[reason], reason)
	}
	for _, s := range h.sightings(t) {
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
	for _, l := range h.logins(t) {
		fmt.Fprintf(&b, "login %s of %s, %s, randomised %t\n",
			events.DeviceKey(l.Business, l.Device), l.Contact, l.At.Format(time.RFC3339Nano), l.Randomised)
	}
	return b.String()
}
