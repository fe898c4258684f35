package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"footfall/events"
	"footfall/local"
	"footfall/shared/ingest/senders"
	"footfall/shared/pipeline"
)

// ingest is killed -9 repeatedly while senders post: every record answered with 200
// is on the topic, and posts that are repeated after a failure do no harm. Each post
// has a phone of its own, heard in the store, and the login of its owner.
func TestKillingIngestLosesNothingAnswered(t *testing.T) {
	const posters, each = 4, 40
	s := openShop(t, func(*local.Options) {})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	now := time.Now().UTC().Format(time.RFC3339)
	var wg sync.WaitGroup
	answered := make(chan int, posters*each) // failed tries of a post
	for poster := range posters {
		wg.Go(func() {
			for i := range each {
				mac := fmt.Sprintf("00:00:5e:00:%02x:%02x", poster, i)
				tries, err := s.insist(ctx, fmt.Appendf(nil, `{"sightings":[{"router":"door","mac":%q,"rssi_dbm":-50,"seen_at":%q,"associated":true}],`+
					`"logins":[{"mac":%[1]q,"contact":"c-%[3]d-%[4]d","at":%[2]q}]}`, mac, now, poster, i))
				if err != nil {
					t.Errorf("the post of %s: %v", mac, err)
				}
				answered <- tries
			}
		})
	}
	failed, kills := 0, 0
	for n := range posters * each {
		failed += <-answered
		if n%5 == 0 {
			if _, err := s.Kill(pipeline.Ingest); err != nil {
				t.Fatal(err)
			}
			kills++
		}
	}
	wg.Wait()
	t.Logf("%d posts, of which %d tries failed in %d kills", posters*each, failed, kills)
	if failed == 0 {
		t.Error("no post failed, so that nothing is shown")
	}
	if err := s.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	heard := map[events.DeviceID]int{}
	for _, sighting := range s.routerSightings(t) {
		heard[sighting.Device]++
	}
	for poster := range posters {
		for i := range each {
			if mac := ([6]byte{0, 0, 0x5e, 0, byte(poster), byte(i)}); heard[s.key.Device(mac)] == 0 {
				t.Errorf("%x was answered with 200 and is not on the topic", mac)
			}
		}
	}
	if got := countWalkIns(t, s.Stack); got != posters*each {
		t.Errorf("%d walk-ins, want %d", got, posters*each)
	}
	s.wantEachCountedOnce(t, posters*each)
}

// insist posts until a post is accepted, and returns the number of failures. A post
// that was accepted although its answer was lost is answered as repeated, if the
// same environment receives it again.
func (s *shop) insist(ctx context.Context, body []byte) (failed int, err error) {
	for {
		a, err := s.post(ctx, senders.Footfall, body)
		switch {
		case err != nil:
			return failed, err
		case a.status == http.StatusOK || a.status == http.StatusConflict && failed > 0:
			return failed, nil
		case a.status < http.StatusInternalServerError:
			return failed, fmt.Errorf("%d %s", a.status, a.body)
		}
		failed++
	}
}

// wantEachCountedOnce looks at the latest count of every contact.
func (s *shop) wantEachCountedOnce(t *testing.T, contacts int) {
	t.Helper()
	latest := map[events.ContactID]events.WalkInCount{}
	for _, r := range readTopic(t, s.Stack, events.WalkInCounts) {
		c, err := events.DecodeWalkInCount(r.Key, r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if c.Version >= latest[c.Contact].Version {
			latest[c.Contact] = c
		}
	}
	var wrong []error
	for contact, c := range latest {
		if c.Total != 1 {
			wrong = append(wrong, fmt.Errorf("%s is counted %d times", contact, c.Total))
		}
	}
	if err := errors.Join(wrong...); err != nil || len(latest) != contacts {
		t.Errorf("%d contacts are counted, want %d, each once: %v", len(latest), contacts, err)
	}
}
