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

// at returns the time some hours after noon.
func at(hours int) time.Time { return noon.Add(time.Duration(hours) * time.Hour) }

// tb is what a *testing.T and a *rapid.T have in common.
type tb interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Helper()
}

// system is the stages identify, enrich and count with their tables. As a Producer,
// it passes enriched walk-ins on to count, and keeps the latest value of each key of
// the compacted topics.
type system struct {
	tb
	identities *memory.Identities
	pending    *memory.Pending
	counts     *memory.Counts

	mu       sync.Mutex
	topics   map[string][]byte // latest value by "topic key"
	enriched []stage.Record    // produced and not counted yet
}

func newSystem(t tb) *system {
	return &system{
		tb: t, identities: memory.NewIdentities(), pending: memory.NewPending(), counts: memory.NewCounts(),
		topics: map[string][]byte{},
	}
}

// Produce keeps the records of the stages and of forget.
func (s *system) Produce(_ context.Context, records []stage.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		switch r.Topic {
		case events.DeviceContacts, events.WalkInCounts:
			s.topics[r.Topic+" "+string(r.Key)] = r.Value
		case events.EnrichedWalkIns:
			s.enriched = append(s.enriched, r)
		}
	}
	return nil
}

func (s *system) deps() forget.Deps {
	return forget.Deps{Identities: s.identities, Pending: s.pending, Counts: s.counts, Out: s}
}

func (s *system) handle(h stage.Handler, topic string, key []byte, event any) {
	s.Helper()
	value, err := events.Encode(nil, event)
	if err != nil {
		s.Fatal(err)
	}
	b := stage.Batch{Topic: topic, Records: []stage.Record{{Topic: topic, Key: key, Value: value, Timestamp: noon}}}
	if err := h.Handle(context.Background(), b); err != nil {
		s.Fatal(err)
	}
}

// crm processes a CRM event, and counts the walk-ins that identify produces.
func (s *system) crm(event any) {
	s.Helper()
	s.handle(stage.NewIdentify(stage.IdentifyDeps{Identities: s.identities, Pending: s.pending, Out: s}),
		events.CRMEvents, events.BusinessKey(shop), event)
	s.count()
}

func (s *system) login(c events.ContactID, d events.DeviceID, hours int) {
	s.Helper()
	s.crm(&events.PortalLogin{Business: shop, Device: d, Contact: c, At: at(hours)})
}

func (s *system) merge(c, into events.ContactID, hours int) {
	s.Helper()
	s.crm(&events.ContactChanged{Business: shop, Contact: c, MergedInto: into, At: at(hours)})
}

// visit processes a walk-in that starts some hours after noon, and counts it if
// enrich produces it.
func (s *system) visit(d events.DeviceID, hours int) {
	s.Helper()
	s.handle(stage.NewEnrich(stage.EnrichDeps{Identities: s.identities, Pending: s.pending, Out: s}),
		events.WalkIns, events.DeviceKey(shop, d), &events.WalkIn{
			ID: events.NewWalkInID(shop, d, at(hours)), Business: shop, Device: d, StartedAt: at(hours), ConfirmedAt: at(hours),
		})
	s.count()
}

// count processes the enriched walk-ins that were not counted yet.
func (s *system) count() {
	s.Helper()
	s.mu.Lock()
	all := s.enriched
	s.enriched = nil
	s.mu.Unlock()
	if len(all) == 0 {
		return
	}
	h := stage.NewCount(stage.CountDeps{Counts: s.counts, Out: s})
	if err := h.Handle(context.Background(), stage.Batch{Topic: events.EnrichedWalkIns, Records: all}); err != nil {
		s.Fatal(err)
	}
}

// forget forgets a contact at hour 1000, later than all events of most tests.
func (s *system) forget(c events.ContactID, remove bool) *forget.Report {
	s.Helper()
	r, err := forget.Contact(context.Background(), s.deps(), stage.CountKey{Business: shop, Contact: c}, at(1000), remove)
	if err != nil {
		s.Fatal(err)
	}
	return r
}

func (s *system) forgetDevice(d events.DeviceID, remove bool) *forget.Report {
	s.Helper()
	r, err := forget.Device(context.Background(), s.deps(), stage.IdentityKey{Business: shop, Device: d}, at(1000), remove)
	if err != nil {
		s.Fatal(err)
	}
	return r
}

// All contacts and devices of the tests. state reads only these.
var (
	contacts = []events.ContactID{"ann", "bob", "carl", "dora"}
	devices  = []events.DeviceID{"phone", "tablet", "laptop"}
)

// state returns the text of every stored item and topic value, by a name such as
// "contact ann".
func (s *system) state() map[string]string {
	s.Helper()
	all := map[string]string{}
	check := func(err error) {
		if err != nil {
			s.Fatal(err)
		}
	}
	for _, d := range devices {
		key := stage.IdentityKey{Business: shop, Device: d}
		histories, versions, err := s.identities.Devices(context.Background(), []stage.IdentityKey{key})
		check(err)
		if versions[0] > 0 {
			all["history "+string(d)] = fmt.Sprintf("%+v", histories[0])
		}
		walkIns, err := s.pending.OfDevice(context.Background(), key, time.Time{})
		check(err)
		for _, a := range walkIns {
			all[fmt.Sprintf("walk-in %s %s of %s", d, a.WalkIn.StartedAt, a.Contact)] = fmt.Sprintf("%+v", a)
		}
	}
	for _, c := range contacts {
		r, version, err := s.identities.Contact(context.Background(), shop, c)
		check(err)
		if version > 0 {
			all["contact "+string(c)] = fmt.Sprintf("%+v", r)
		}
		parts, err := s.counts.Get(context.Background(), stage.CountKey{Business: shop, Contact: c})
		check(err)
		for _, p := range parts {
			all["count "+string(c)] += fmt.Sprintf("%s: %d, version %d; ", p.Month, p.Total, p.Version)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, value := range s.topics {
		if value != nil {
			all["topic "+name] = string(value)
		}
	}
	return all
}

// history returns the stored history of a device.
func (s *system) history(d events.DeviceID) presence.History {
	s.Helper()
	h, _, err := s.identities.Devices(context.Background(), []stage.IdentityKey{{Business: shop, Device: d}})
	if err != nil {
		s.Fatal(err)
	}
	return h[0]
}

// differences returns the items that differ between two states, or "".
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

// wantSame fails the test if two states differ. mistake says what that would mean.
func wantSame(t *testing.T, mistake string, want, got map[string]string) {
	t.Helper()
	if d := differences(want, got); d != "" {
		t.Errorf("%s:\n%s", mistake, d)
	}
}
