package dynamo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

var (
	anna   = stage.CountKey{Business: "shop", Contact: "anna"}
	phone  = stage.IdentityKey{Business: "shop", Device: "phone"}
	noon   = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	visit  = events.WalkIn{ID: "00112233445566778899aabbccddeeff", Business: "shop", Device: "phone", StartedAt: noon}
	twoIDs = []events.WalkInID{visit.ID, "ffeeddccbbaa99887766554433221100"}
)

// began returns the facts that visits began, all of one device, so that each visit
// counts.
func began(ids ...events.WalkInID) []presence.Fact {
	var facts []presence.Fact
	for _, id := range ids {
		facts = append(facts, presence.Began(string(id), "phone", noon))
	}
	return facts
}

// If a request fails or its answer is lost, the client sends the request again. The
// outcome is that of a single request, or a conflict with the client's own write.
func TestWritesSurviveFaults(t *testing.T) {
	for _, f := range []struct {
		name    string
		faults  []fault
		carried bool // the table applied the request that failed
	}{
		{"connection ended before the request", []fault{hangUp}, false},
		{"answer lost", []fault{loseAnswer}, true},
		{"answer lost twice", []fault{loseAnswer, loseAnswer}, true},
		{"throttled three times", []fault{throttle, throttle, throttle}, false},
		{"throttled, then answer lost", []fault{throttle, loseAnswer}, true},
		{"throttled as a table and as an account", []fault{throttleTable, throttleAccount}, false},
		{"an error and an outage of the service", []fault{internalError, unavailable}, false},
		{"an error of the service, then answer lost", []fault{internalError, loseAnswer}, true},
		{"connection ended in the middle of the answer", []fault{cutAnswer}, true},
		{"a slow answer", []fault{slowAnswer}, false},
	} {
		t.Run(f.name, func(t *testing.T) {
			_, prefix := tables(t)
			p, client := newProxy(t)
			// The faults hit the first requests of each write.
			p.next(f.faults...)
			counts := NewCounts(client, prefix)
			if err := counts.Add(t.Context(), anna, "2026-11", began(twoIDs...)); err != nil {
				t.Fatal(err)
			}
			got, err := counts.Get(t.Context(), anna)
			if err != nil || len(got) != 1 || got[0].Total != 2 {
				t.Errorf("got counts %v, %v, want one total of 2", got, err)
			}

			p.next(f.faults...)
			err = NewVisitLog(client, prefix).Append(t.Context(), "chain", stage.LogItem{Seq: 0, Data: []byte("x")}, noon)
			if f.carried != errors.Is(err, stage.ErrConflict) || (!f.carried && err != nil) {
				t.Errorf("Append: %v", err)
			}

			p.next(f.faults...)
			identities := NewIdentities(client, prefix)
			err = identities.PutDevice(t.Context(), phone, presence.History{LastSeen: noon}, 0)
			if f.carried != errors.Is(err, stage.ErrConflict) || (!f.carried && err != nil) {
				t.Errorf("PutDevice: %v", err)
			}
			h, v, err := identities.Devices(t.Context(), []stage.IdentityKey{phone})
			if err != nil || v[0] != 1 || h[0].LastSeen != noon {
				t.Errorf("got stored %v, version %v, %v", h, v, err)
			}

			pending := NewPending(client, prefix)
			p.next(f.faults...)
			a, err := pending.PutNew(t.Context(), stage.Attribution{WalkIn: visit}, noon)
			if err != nil || a.WalkIn != visit {
				t.Errorf("PutNew: %v, %v", a, err)
			}
			p.next(f.faults...)
			a, err = pending.Resolve(t.Context(), stage.Attribution{WalkIn: visit, Contact: "anna", BoundAt: noon})
			if err != nil || a.Contact != "anna" || a.BoundAt != noon {
				t.Errorf("Resolve: %v, %v", a, err)
			}
			p.next(f.faults...)
			a, err = pending.End(t.Context(), stage.Attribution{WalkIn: visit, LastSeen: noon.Add(time.Hour)}, noon)
			if err != nil || a.Contact != "anna" || a.LastSeen != noon.Add(time.Hour) {
				t.Errorf("End: %v, %v", a, err)
			}
		})
	}
}

func TestReadsSurviveFaults(t *testing.T) {
	_, prefix := tables(t)
	p, client := newProxy(t)
	identities := NewIdentities(client, prefix)
	tablet := stage.IdentityKey{Business: "shop", Device: "tablet"}
	for _, key := range []stage.IdentityKey{phone, tablet} {
		if err := identities.PutDevice(t.Context(), key, presence.History{LastSeen: noon}, 0); err != nil {
			t.Fatal(err)
		}
	}
	p.next(throttle, hangUp, unprocessed, halfProcessed, loseAnswer)
	h, v, err := identities.Devices(t.Context(), []stage.IdentityKey{phone, tablet})
	if err != nil || v[0] != 1 || h[0].LastSeen != noon || v[1] != 1 || h[1].LastSeen != noon {
		t.Errorf("got %v, version %v, %v", h, v, err)
	}
	if n := p.count("BatchGetItem"); n != 6 {
		t.Errorf("got %d requests, want 6: one for each of 5 faults and one more", n)
	}
}

// A BatchGetItem of large items returns only some of the items, and the other keys
// unprocessed. The test checks that the server really does so.
func TestUnprocessedKeysAreAskedForAgain(t *testing.T) {
	_, prefix := tables(t)
	p, client := newProxy(t)
	identities := NewIdentities(client, prefix)
	var keys []stage.IdentityKey
	for n := range 8 { // 2.4 MB; dynalite returns about 1 MB
		key := stage.IdentityKey{Business: "shop", Device: events.DeviceID(fmt.Sprint(n))}
		h := presence.History{Bindings: []presence.Binding{{Contact: strings.Repeat("x", 300<<10), From: noon}}}
		if err := identities.PutDevice(t.Context(), key, h, 0); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	_, versions, err := identities.Devices(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	for n, v := range versions {
		if v != 1 {
			t.Errorf("key %d is missing", n)
		}
	}
	if n := p.count("BatchGetItem"); n < 2 {
		t.Errorf("got %d request, want several: no key was unprocessed", n)
	}
}

func TestDeadlineEndsEveryWait(t *testing.T) {
	_, prefix := tables(t)
	always := func(f fault) []fault {
		faults := make([]fault, 100)
		for n := range faults {
			faults[n] = f
		}
		return faults
	}
	for name, f := range map[string]fault{"silent": neverAnswer, "throttled": throttle, "unprocessed": unprocessed} {
		t.Run(name, func(t *testing.T) {
			p, client := newProxy(t)
			p.next(always(f)...)
			ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
			defer cancel()
			_, _, err := NewIdentities(client, prefix).Devices(ctx, []stage.IdentityKey{phone})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got error %v, want that the deadline passed", err)
			}
			if late := time.Since(deadline(ctx)); late > 2*time.Second {
				t.Errorf("returned %v after the deadline", late)
			}
		})
	}
}

func deadline(ctx context.Context) time.Time {
	d, _ := ctx.Deadline()
	return d
}

// Connections are kept between requests. Without wholeBodies a single caller would
// open new connections and stall, and without idleConns sixteen callers would too.
func TestConnectionsAreKept(t *testing.T) {
	_, prefix := tables(t)
	p, client := newProxy(t)
	log := NewVisitLog(client, prefix)
	for seq := range int64(150) {
		if err := log.Append(t.Context(), "chain", stage.LogItem{Seq: seq, Data: []byte("data")}, noon); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.conns.Load(); n != 1 {
		t.Errorf("got %d connections of one caller, want 1", n)
	}
	if n := p.count("PutItem"); n != 150 {
		t.Errorf("got %d requests for 150 writes, want 150", n)
	}
	const callers = 16
	for range 5 {
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				if _, _, err := log.Last(t.Context(), fmt.Sprint(c), true); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if n := p.conns.Load(); n > callers+1 {
		t.Errorf("got %d connections of %d callers, want at most %d", n, callers, callers+1)
	}
}

func TestPauseGrowsToItsLimit(t *testing.T) {
	for attempt, longest := range []time.Duration{
		0: minPause, 1: minPause, 2: 2 * minPause, 3: 4 * minPause, 6: 32 * minPause, 7: maxPause, 20: maxPause, 99: maxPause,
	} {
		if longest == 0 {
			continue
		}
		for range 50 {
			if p := pause(attempt); p < longest/2 || p > longest {
				t.Fatalf("pause(%d) = %v, want between %v and %v", attempt, p, longest/2, longest)
			}
		}
	}
}
