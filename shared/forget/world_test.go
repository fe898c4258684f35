package forget_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/forget"
	"footfall/shared/memory"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

const shop events.BusinessID = "shop"

var noon = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)

func at(hours int) time.Time { return noon.Add(time.Duration(hours) * time.Hour) }

// tb is what a *testing.T and a *rapid.T have in common.
type tb interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Helper()
}

// world is the stages with all that they keep. As a producer it hands on what
// one tells another, and remembers what compaction would.
type world struct {
	tb
	identities *memory.Identities
	pending    *memory.Pending
	counts     *memory.Counts

	mu       sync.Mutex
	topics   map[string][]byte // latest value by "topic key"
	enriched []stage.Record    // not counted yet
}

func newWorld(t tb) *world {
	return &world{
		tb: t, identities: memory.NewIdentities(), pending: memory.NewPending(), counts: memory.NewCounts(),
		topics: map[string][]byte{},
	}
}

// Produce takes what the stages, or forget, tell.
func (w *world) Produce(_ context.Context, records []stage.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range records {
		switch r.Topic {
		case events.DeviceContacts, events.WalkInCounts:
			w.topics[r.Topic+" "+string(r.Key)] = r.Value
		case events.EnrichedWalkIns:
			w.enriched = append(w.enriched, r)
		}
	}
	return nil
}

func (w *world) deps() forget.Deps {
	return forget.Deps{Identities: w.identities, Pending: w.pending, Counts: w.counts, Out: w}
}

func (w *world) handle(h stage.Handler, topic string, key []byte, event any) {
	w.Helper()
	value, err := events.Encode(nil, event)
	if err != nil {
		w.Fatal(err)
	}
	b := stage.Batch{Topic: topic, Records: []stage.Record{{Topic: topic, Key: key, Value: value, Timestamp: noon}}}
	if err := h.Handle(context.Background(), b); err != nil {
		w.Fatal(err)
	}
}

// crm has identify take in what the CRM tells, and count what follows.
func (w *world) crm(event any) {
	w.Helper()
	w.handle(stage.NewIdentify(stage.IdentifyDeps{Identities: w.identities, Pending: w.pending, Out: w}),
		events.CRMEvents, events.BusinessKey(shop), event)
	w.count()
}

func (w *world) login(c events.ContactID, d events.DeviceID, hours int) {
	w.Helper()
	w.crm(&events.PortalLogin{Business: shop, Device: d, Contact: c, At: at(hours)})
}

func (w *world) merge(c, into events.ContactID, hours int) {
	w.Helper()
	w.crm(&events.ContactChanged{Business: shop, Contact: c, MergedInto: into, At: at(hours)})
}

// visit has enrich take in a walk-in, and count what follows.
func (w *world) visit(d events.DeviceID, hours int) {
	w.Helper()
	w.handle(stage.NewEnrich(stage.EnrichDeps{Identities: w.identities, Pending: w.pending, Out: w}),
		events.WalkIns, events.DeviceKey(shop, d), &events.WalkIn{
			ID: events.NewWalkInID(shop, d, at(hours)), Business: shop, Device: d, StartedAt: at(hours), ConfirmedAt: at(hours),
		})
	w.count()
}

func (w *world) count() {
	w.Helper()
	w.mu.Lock()
	all := w.enriched
	w.enriched = nil
	w.mu.Unlock()
	if len(all) == 0 {
		return
	}
	h := stage.NewCount(stage.CountDeps{Counts: w.counts, Out: w})
	if err := h.Handle(context.Background(), stage.Batch{Topic: events.EnrichedWalkIns, Records: all}); err != nil {
		w.Fatal(err)
	}
}

// forget forgets a contact at hour 1000, after all else.
func (w *world) forget(c events.ContactID, do bool) *forget.Report {
	w.Helper()
	r, err := forget.Contact(context.Background(), w.deps(), stage.CountKey{Business: shop, Contact: c}, at(1000), do)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func (w *world) forgetDevice(d events.DeviceID, do bool) *forget.Report {
	w.Helper()
	r, err := forget.Device(context.Background(), w.deps(), stage.IdentityKey{Business: shop, Device: d}, at(1000), do)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// Everybody and everything there can be in a world.
var (
	contacts = []events.ContactID{"ann", "bob", "carl", "dora"}
	devices  = []events.DeviceID{"phone", "tablet", "laptop"}
)

// state is all that a world keeps, by what it is about.
func (w *world) state() map[string]string {
	w.Helper()
	all := map[string]string{}
	check := func(err error) {
		if err != nil {
			w.Fatal(err)
		}
	}
	for _, d := range devices {
		key := stage.IdentityKey{Business: shop, Device: d}
		histories, versions, err := w.identities.Devices(context.Background(), []stage.IdentityKey{key})
		check(err)
		if versions[0] > 0 {
			all["history "+string(d)] = fmt.Sprintf("%+v", histories[0])
		}
		walkIns, err := w.pending.OfDevice(context.Background(), key, time.Time{})
		check(err)
		for _, a := range walkIns {
			all[fmt.Sprintf("walk-in %s %s of %s", d, a.WalkIn.StartedAt, a.Contact)] = fmt.Sprintf("%+v", a)
		}
	}
	for _, c := range contacts {
		r, version, err := w.identities.Contact(context.Background(), shop, c)
		check(err)
		if version > 0 {
			all["contact "+string(c)] = fmt.Sprintf("%+v", r)
		}
		parts, err := w.counts.Get(context.Background(), stage.CountKey{Business: shop, Contact: c})
		check(err)
		for _, p := range parts {
			all["count "+string(c)] += fmt.Sprintf("%s: %d, version %d; ", p.Month, p.Total, p.Version)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, value := range w.topics {
		if value != nil {
			all["topic "+name] = string(value)
		}
	}
	return all
}

// history gives what is stored of a device.
func (w *world) history(d events.DeviceID) presence.History {
	w.Helper()
	h, _, err := w.identities.Devices(context.Background(), []stage.IdentityKey{{Business: shop, Device: d}})
	if err != nil {
		w.Fatal(err)
	}
	return h[0]
}

// differences lists what is not the same in two states.
func differences(want, got map[string]string) string {
	names := map[string]bool{}
	for name := range want {
		names[name] = true
	}
	for name := range got {
		names[name] = true
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if want[name] != got[name] {
			all = append(all, fmt.Sprintf("%s\n  got  %q\n  want %q", name, got[name], want[name]))
		}
	}
	return strings.Join(all, "\n")
}

func same(t *testing.T, what string, want, got map[string]string) {
	t.Helper()
	if d := differences(want, got); d != "" {
		t.Errorf("%s:\n%s", what, d)
	}
}
