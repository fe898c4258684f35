package esm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/lambdarun"
	"footfall/shared/memory"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// TestBothReadings runs identify, a stage that stops in the middle of a batch,
// behind a mapping under both readings of what AWS leaves open. Its answers name
// every record from the failure on, so every login is bound, in its order, once
// all is through. An answer that names the failed record alone loses those
// behind it under one of the readings, which also shows that this test can fail.
func TestBothReadings(t *testing.T) {
	for _, c := range []struct {
		name        string
		pass, short bool
		loses       bool
	}{
		{name: "unreported records come again"},
		{name: "unreported records are done", pass: true},
		{name: "come again, and only the first is reported", short: true},
		{name: "are done, and only the first is reported", pass: true, short: true, loses: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(h *harness) {
				const logins = 40
				h.must(h.cluster.CreateTopic(events.CRMEvents, 4, nil))
				h.login(logins)
				store := &flaky{Identities: memory.NewIdentities()}
				told := &toldOwners{}
				runner := lambdarun.New(pipeline.Identify, stage.NewIdentify(stage.IdentifyDeps{
					Identities: store, Pending: memory.NewPending(), Out: told,
				}), slog.New(slog.DiscardHandler))
				f := h.start(pipeline.Mapping{Topic: events.CRMEvents, BatchSize: 7, Retries: -1}, func(o *Options) {
					o.Stage, o.UnreportedDone = pipeline.Identify, c.pass
					o.Invoke = func(ctx context.Context, payload []byte) ([]byte, error) {
						answer, err := runner.Invoke(ctx, payload)
						if c.short {
							answer = firstOnly(answer)
						}
						return answer, err
					}
				})
				time.Sleep(2 * time.Minute) // the bubble's clock
				<-f.WhenIdle()
				bound := 0
				for i := range logins {
					history, _, err := store.Identities.Devices(t.Context(), []stage.IdentityKey{loginKey(i)})
					h.must(err)
					bound += len(history[0].Bindings)
				}
				if lost := bound < logins; lost != c.loses {
					t.Errorf("%d of %d logins are bound", bound, logins)
				}
				if store.failed == 0 {
					t.Error("no call failed, so nothing was tested")
				}
				if !c.loses && len(told.owners) != logins {
					t.Errorf("the owners of %d devices were told, want %d", len(told.owners), logins)
				}
			})
		})
	}
}

// loginKey is the i-th login's device, each of its own; four businesses, and so
// the partitions, take turns.
func loginKey(i int) stage.IdentityKey {
	return stage.IdentityKey{Business: events.BusinessID(fmt.Sprint("shop-", i%4)), Device: events.DeviceID(fmt.Sprint("phone-", i))}
}

func (h *harness) login(n int) {
	h.Helper()
	for i := range n {
		key := loginKey(i)
		l := events.PortalLogin{
			Business: key.Business, Device: key.Device, Contact: "anna", At: time.Date(2026, 3, 2, 12, 0, i, 0, time.UTC),
		}
		value, err := events.Encode(nil, &l)
		h.must(err)
		h.must(h.client.ProduceSync(h.Context(), &kgo.Record{
			Topic: events.CRMEvents, Partition: int32(i % 4), Key: []byte(l.Business), Value: value,
		}).FirstErr())
	}
}

// flaky refuses every fifth write of a device.
type flaky struct {
	stage.Identities
	mu            sync.Mutex
	calls, failed int
}

func (f *flaky) PutDevice(ctx context.Context, key stage.IdentityKey, history presence.History, version int64) error {
	f.mu.Lock()
	f.calls++
	fails := f.calls%5 == 0
	if fails {
		f.failed++
	}
	f.mu.Unlock()
	if fails {
		return errors.New("table is throttled")
	}
	return f.Identities.PutDevice(ctx, key, history, version)
}

// toldOwners keeps which devices were told on device-contacts.
type toldOwners struct {
	mu     sync.Mutex
	owners map[string]bool
}

func (o *toldOwners) Produce(_ context.Context, records []stage.Record) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.owners == nil {
		o.owners = map[string]bool{}
	}
	for _, r := range records {
		if r.Topic == events.DeviceContacts {
			o.owners[string(r.Key)] = true
		}
	}
	return nil
}

// firstOnly leaves the first failure of each partition in an answer.
func firstOnly(body []byte) []byte {
	var a struct {
		Failures []struct {
			Item struct {
				Partition string `json:"partition"`
				Offset    int64  `json:"offset"`
			} `json:"itemIdentifier"`
		} `json:"batchItemFailures,omitempty"`
	}
	if err := json.Unmarshal(body, &a); err != nil {
		panic(err) // the runner's own answer
	}
	seen := map[string]bool{}
	kept := a.Failures[:0]
	for _, f := range a.Failures {
		if !seen[f.Item.Partition] {
			kept = append(kept, f)
		}
		seen[f.Item.Partition] = true
	}
	a.Failures = kept
	body, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return body
}
