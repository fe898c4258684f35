package stage_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// A login that many people use must not grow the contact's item without bound.
// Logins beyond the bound become dead letters; the logins behind them are applied.
func TestLoginBeyondMaxDevicesBecomesADeadLetter(t *testing.T) {
	f := newFixture()
	var logins []any
	for i := range 1001 {
		logins = append(logins, login(fmt.Sprint("phone-", i), "everybody", noon))
	}
	logins = append(logins, login("phone-7", "everybody", noon.Add(time.Hour)), login("phone", "ann", noon))
	if err := f.identify().Handle(t.Context(), crmEvents(t, events.CRMEvents, logins...).All()); err != nil {
		t.Fatal(err)
	}
	dead := f.out.On("crm-events-dead-letters")
	if len(dead) != 1 || stagetest.Header(dead[0], stage.HeaderReason) != string(events.TooManyDevices) || stagetest.Header(dead[0], stage.HeaderOffset) != "1000" {
		t.Errorf("got %d dead letters, want the one of offset 1000", len(dead))
	}
	if got := len(f.out.On(events.Sightings)); got != 1002 {
		t.Errorf("%d logins were applied, want 1002", got)
	}
}

// A login, a merge and a deletion each produce the device's contact. A live login
// also produces a sighting; a login from the backfill does not.
func TestIdentifyProducesDeviceContactsAndSightings(t *testing.T) {
	f := newFixture()
	err := f.identify().Handle(t.Context(), crmEvents(t, events.CRMEvents,
		login("phone", "ann", noon), merged("ann", "anna", noon.Add(time.Hour)), deleted("anna", noon.Add(2*time.Hour)),
	).All())
	if err != nil {
		t.Fatal(err)
	}
	var produced []string
	for _, r := range f.out.On(events.DeviceContacts) {
		if r.Value == nil {
			produced = append(produced, "null")
			continue
		}
		c, err := events.DecodeDeviceContact(r.Key, r.Value)
		if err != nil {
			t.Fatal(err)
		}
		produced = append(produced, string(c.Contact))
	}
	if want := []string{"ann", "anna", "null"}; !slices.Equal(produced, want) {
		t.Errorf("got contacts %v of the device, want %v", produced, want)
	}
	sightings := f.out.On(events.Sightings)
	var s events.SightingsRecord
	if len(sightings) != 1 {
		t.Fatalf("got %d sightings, want 1", len(sightings))
	}
	if err := events.DecodeSightings(sightings[0].Key, sightings[0].Value, &s); err != nil || !s.Sighting.Associated || !s.Sighting.SeenAt.Equal(noon) {
		t.Errorf("got sighting %+v, error %v, want an associated one at noon", s.Sighting, err)
	}
	if err := f.identify().Handle(t.Context(), crmEvents(t, events.CRMEventsBackfill, login("phone", "ann", noon)).All()); err != nil {
		t.Fatal(err)
	}
	if got := len(f.out.On(events.Sightings)); got != 1 {
		t.Errorf("a login from the backfill produced a sighting")
	}
}
