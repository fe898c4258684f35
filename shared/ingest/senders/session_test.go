package senders

import (
	"fmt"
	"testing"
	"time"

	"footfall/events"
)

// hostapd reports sessions: an association opens one with a strong sighting, a poll
// answered and a disassociation are sightings at the hold threshold. Footfall's own
// format has the same reports in field session.
func TestSessionReports(t *testing.T) {
	at := Arrival{At: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Hold: -83, Limits: DefaultLimits}
	cases := []struct {
		event string
		name  events.Session
		rssi  events.RSSI
	}{
		{stationJoined, events.SessionJoined, 0},
		{stationAlive, events.SessionAlive, -83},
		{stationLeft, events.SessionLeft, -83},
	}
	for _, c := range cases {
		want := Observation{
			Router: "ap", MAC: [6]byte{0, 0, 0x5e, 0, 0x53, 1}, RSSI: c.rssi, Session: c.name, Associated: true,
			SeenAt: time.Date(2026, 11, 21, 11, 59, 0, 0, time.UTC),
		}
		line := "2026-11-21T11:59:00Z ap hostapd: wlan0: " + c.event + " 00:00:5e:00:53:01\n"
		own := fmt.Sprintf(`{"sightings":[{"router":"ap","mac":"00:00:5e:00:53:01","seen_at":"2026-11-21T11:59:00Z","session":%q}]}`, c.name)
		for format, body := range map[Format]string{hostapd{}: line, footfall{}: own} {
			p, err := format.Parse([]byte(body), at)
			if err != nil || len(p.Observations) != 1 || p.Observations[0] != want {
				t.Errorf("%T, %s: got %+v, %v, want %+v", format, c.event, p, err, want)
			}
		}
	}
}

// A value of session that is no report leaves the sighting out: read as no report,
// a misspelt association would end after the session gap.
func TestBadSessionReports(t *testing.T) {
	at := Arrival{At: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Hold: -83, Limits: DefaultLimits}
	cases := map[string]struct{ seen, leftOut int }{
		`"join"`: {0, 1}, `"Joined"`: {0, 1}, `1`: {0, 1}, `{}`: {0, 1}, `true`: {0, 1}, `"` + "\u00e9" + `"`: {0, 1},
		`""`: {1, 0}, `null`: {1, 0}, `" left "`: {1, 0},
	}
	for value, want := range cases {
		body := `{"sightings":[{"router":"ap","mac":"00:00:5e:00:53:01","rssi_dbm":-60,"seen_at":"2026-11-21T11:59:00Z","session":` + value + `}]}`
		p, err := footfall{}.Parse([]byte(body), at)
		if err != nil || len(p.Observations) != want.seen || p.LeftOut[BadSession] != want.leftOut {
			t.Errorf("session %s: got %+v, %v, want %+v", value, p, err, want)
		}
	}
}
