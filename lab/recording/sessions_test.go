package recording_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"footfall/events"
	"footfall/lab/recording"
	"footfall/shared/pseudonym"
)

// A recording of hostapd from before sightings had the field session is read with
// sessions. A router that measures signals has samples, and so has one of which all
// signals are unmeasured, such as a portal or a controller that is polled.
func TestSessionsOfOldRecordings(t *testing.T) {
	const none, joined, left = events.SessionNone, events.SessionJoined, events.SessionLeft
	cases := []struct {
		name, signals string
		want          []events.Session
	}{
		{"associations and disassociations", "0 -85 0 -85", []events.Session{joined, left, joined, left}},
		{"a disassociation was lost", "0 0 -85", []events.Session{joined, joined, left}},
		{"measured signals", "0 -61 -64 -60", []events.Session{none, none, none, none}},
		{"no measured signal", "0 0 0", []events.Session{none, none, none}},
		{"one signal", "-61 -61", []events.Session{none, none}},
	}
	for _, c := range cases {
		var lines strings.Builder
		for i, signal := range strings.Fields(c.signals) {
			lines.WriteString(`{"seen_at": 17952552` + string(rune('0'+i)) + `0000, "sensor": "ap", "mac": "00:00:5e:00:53:72", "rssi_dbm": ` + signal + `, "associated": true}` + "\n")
		}
		r, err := recording.Open([]string{"-"}, strings.NewReader(lines.String()), recording.Options{Business: "store", Device: pseudonym.NewMaker([]byte("key"))})
		if err != nil {
			t.Fatal(err)
		}
		var got []events.Session
		for {
			it, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, it.Sighting.Session)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if noted := len(r.Notes()) > 0; noted != slices.Contains(c.want, joined) {
			t.Errorf("%s: notes %q", c.name, r.Notes())
		}
	}
}
