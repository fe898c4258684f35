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
// behind a mapping under both readings of a case that AWS leaves open. The
// stage's answers name every record from the failure on, so every login is
// bound once, in order, under both readings. An answer that names only the
// first failed record loses the records behind it under one of the readings,
// which shows that this test can fail.
func TestBothReadings(t *testing.T) {
	for _, c := range []struct {
		name        string
		pass, short bool
		loses       bool
	}{
		{name: "unreported records are redelivered"},
		{name: "unreported records are done", pass: true},
		{name: "unreported records are redelivered, only the first is reported", short: true},
		{name: "unreported records are done, only the first is reported", pass: true, short: true, loses: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(h *harness) {
				const logins = 40
				h.must(h.cluster.CreateTopic(events.CRMEvents, 4, nil))
				h.login(logins)
				store := &flaky{Identities: memory.NewIdentities()}
				produced := &producedDevices{}
				runner := lambdarun.New(pipeline.Identify, stage.NewIdentify(stage.IdentifyDeps{
					Identities: store, Pending: memory.NewPending(), Out: produced,
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
					t.Error("no call failed, so the test shows nothing")
				}
				if !c.loses && len(produced.devices) != logins {
					t.Errorf("device-contacts has %d devices, want %d", len(produced.devices), logins)
				}
			})
		})
	}
}

// loginKey returns the device of the i-th login. Every login has its own
// device; four businesses, and so the partitions, take turns.
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

// flaky fails every fifth write of a device.
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

// producedDevices records the devices that were produced to device-contacts.
type producedDevices struct {
	mu      sync.Mutex
	devices map[string]bool
}

func (o *producedDevices) Produce(_ context.Context, records []stage.Record) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.devices == nil {
		o.devices = map[string]bool{}
	}
	for _, r := range records {
		if r.Topic == events.DeviceContacts {
			o.devices[string(r.Key)] = true
		}
	}
	return nil
}

// firstOnly keeps the first failure of each partition of an answer.
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
		panic(err) // lambdarun formed the answer
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
