package main

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"footfall/local"
	"footfall/shared/ingest/senders"
)

// A visit goes on over a restart on the same data directory: a login after the restart
// is no walk-in of its own, and the visit stays counted once.
func TestVisitGoesOnAfterRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	now := time.Now().UTC().Format(time.RFC3339)
	for _, body := range []string{
		`{"sightings":[{"router":"door","mac":"00:00:5e:00:53:01","rssi_dbm":-50,"seen_at":%q,"associated":true}],
		  "logins":[{"mac":"00:00:5e:00:53:01","contact":"ann","at":%[1]q}]}`,
		`{"logins":[{"mac":"00:00:5e:00:53:01","contact":"ann","at":%q}]}`,
	} {
		s := openShop(t, func(o *local.Options) { o.DataDir = dir })
		s.must(t, senders.Footfall, fmt.Appendf(nil, body, now))
		if err := s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := countWalkIns(t, s.Stack); got != 1 {
			t.Errorf("%d walk-ins, want 1", got)
		}
		s.wantEachCountedOnce(t, 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
