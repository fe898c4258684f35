package stage_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// cafe is the business and noon the time of most tests.
const cafe events.BusinessID = "cafe-1"

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// fixture holds the tables and the producer that identify and enrich share.
type fixture struct {
	identities stage.Identities
	pending    stage.Pending
	out        *stagetest.Sink
}

func newFixture() *fixture {
	return &fixture{memory.NewIdentities(), memory.NewPending(), &stagetest.Sink{}}
}

func (f *fixture) identify() stage.Handler {
	return stage.NewIdentify(stage.IdentifyDeps{Identities: f.identities, Pending: f.pending, Out: f.out})
}

func (f *fixture) enrich() stage.Handler {
	return stage.NewEnrich(stage.EnrichDeps{Identities: f.identities, Pending: f.pending, Out: f.out})
}

// enriched returns the produced enriched walk-ins by start, each value once.
func (f *fixture) enriched(t rapid.TB) []events.EnrichedWalkIn {
	t.Helper()
	all := stagetest.Decode(t, f.out.On(events.EnrichedWalkIns), events.DecodeEnrichedWalkIn)
	slices.SortFunc(all, func(a, b events.EnrichedWalkIn) int { return a.StartedAt.Compare(b.StartedAt) })
	return slices.Compact(all)
}

// walkInOf returns a partition with one walk-in of a device.
func walkInOf(t rapid.TB, device events.DeviceID, start time.Time) *stagetest.Partition {
	t.Helper()
	l := &stagetest.Partition{Topic: events.WalkIns}
	l.Put(t, events.DeviceKey(cafe, device), &events.WalkIn{
		ID: events.NewWalkInID(cafe, device, start), Business: cafe, Device: device,
		StartedAt: start, ConfirmedAt: start.Add(5 * time.Minute),
	})
	return l
}

// endsOf returns a partition with several ends of one visit, one per dwell time.
// The device "till" is a resident device.
func endsOf(t rapid.TB, device events.DeviceID, start time.Time, dwells ...time.Duration) *stagetest.Partition {
	t.Helper()
	l := &stagetest.Partition{Topic: events.VisitsEnded}
	for _, dwell := range dwells {
		l.Put(t, events.DeviceKey(cafe, device), &events.VisitEnded{
			ID: events.NewWalkInID(cafe, device, start), Business: cafe, Device: device,
			StartedAt: start, LastSeenAt: start.Add(dwell), DwellMillis: dwell.Milliseconds(), Resident: device == "till",
			Anonymous: device == "phone", // its address is randomised, and may be bound to a contact all the same
		})
	}
	return l
}

// crmEvents returns a partition of a CRM topic with events in this order.
func crmEvents(t rapid.TB, topic string, all ...any) *stagetest.Partition {
	t.Helper()
	l := &stagetest.Partition{Topic: topic}
	for _, e := range all {
		l.Put(t, events.BusinessKey(cafe), e)
	}
	return l
}

func login(device, contact string, at time.Time) *events.PortalLogin {
	return &events.PortalLogin{
		Business: cafe, Device: events.DeviceID(device), Contact: events.ContactID(contact), At: at,
	}
}

func deleted(contact string, at time.Time) *events.ContactDeleted {
	return &events.ContactDeleted{Business: cafe, Contact: events.ContactID(contact), At: at}
}

// merged returns a merge into another contact. With an into of "", it is a change
// of details.
func merged(contact, into string, at time.Time) *events.ContactChanged {
	return &events.ContactChanged{
		Business: cafe, Contact: events.ContactID(contact), MergedInto: events.ContactID(into), At: at,
	}
}

// handleAll gives a stage all records of a partition as one batch.
func handleAll(t *testing.T, h stage.Handler, l *stagetest.Partition) {
	t.Helper()
	if len(l.Records) == 0 {
		return
	}
	if err := h.Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
}
