package detect_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/stage/stagetest"
)

// A device that is inside for most of the day on three days is learnt as resident:
// it has no more walk-ins, its visits end as those of a resident device, and the
// tally counts them. Each batch is decided by a cold environment.
func TestResidentDeviceIsLearnt(t *testing.T) {
	dep, l := newDeployment(), newSightings()
	day := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for range 5 {
		for at := day.Add(8 * time.Hour); at.Before(day.Add(19 * time.Hour)); at = at.Add(9 * time.Minute) {
			l.seen(t, "till", at, -60)
			if at.Hour() == 12 {
				l.seen(t, "phone", at, -60)
			}
			l.tick(t, at)
		}
		day = day.AddDate(0, 0, 1)
		l.tick(t, day)
	}
	for from := 0; from < len(l.Records); from += 50 {
		if err := dep.environment().Handle(t.Context(), l.Batch(from, min(from+50, len(l.Records)))); err != nil {
			t.Fatal(err)
		}
	}
	var walkIns []string
	for _, e := range dep.walkIns(t) {
		walkIns = append(walkIns, fmt.Sprint(e.Device, " ", e.StartedAt.Day()))
	}
	slices.Sort(walkIns)
	want := []string{"phone 2", "phone 3", "phone 4", "phone 5", "phone 6", "till 2", "till 3", "till 4"}
	if !slices.Equal(walkIns, want) {
		t.Errorf("walk-ins %v, want %v", walkIns, want)
	}
	var ended []string
	for _, e := range stagetest.Decode(t, dep.out.On(events.VisitsEnded), events.DecodeVisitEnded) {
		if e.Device == "till" {
			ended = append(ended, fmt.Sprint(e.StartedAt.Day(), e.Resident))
		}
	}
	if want := []string{"2 false", "3 false", "4 false", "5 true", "6 true"}; !slices.Equal(ended, want) {
		t.Errorf("ends of the till's visits %v, want %v", ended, want)
	}
	if got := sumTally(t, dep.log); got.WalkIns != 8 || got.Residents != 2 {
		t.Errorf("tally %+v, want 8 walk-ins and 2 visits of resident devices", got)
	}
}

// A device that moves about in the store is heard by all routers, and the loudest
// changes. The clocks of the routers differ by up to a step. It has one visit.
func TestRoamingIsOneVisit(t *testing.T) {
	dep, l := newDeployment(), newSightings()
	key := events.DeviceKey(cafe, "phone")
	skew := map[events.SensorID]time.Duration{"door": 0, "till": 55 * time.Second, "yard": -60 * time.Second}
	sensors := []events.SensorID{"door", "till", "yard"}
	for m := range 90 {
		at := noon.Add(time.Duration(m) * time.Minute)
		for i, sensor := range sensors {
			rssi := events.RSSI(-75)
			if i == m/10%3 { // the device is near this router
				rssi = -55
			} else if m%4 > 0 {
				continue // the others hear the device now and then
			}
			l.Put(t, key, &events.Sighting{Business: cafe, Sensor: sensor, Device: "phone", SeenAt: at.Add(skew[sensor]), RSSI: rssi})
		}
		l.tick(t, at)
	}
	l.tick(t, noon.Add(4*time.Hour))
	if err := dep.environment().Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	ended := stagetest.Decode(t, dep.out.On(events.VisitsEnded), events.DecodeVisitEnded)
	if n := len(dep.walkIns(t)); n != 1 || len(ended) != 1 || time.Duration(ended[0].DwellMillis)*time.Millisecond < 88*time.Minute {
		t.Errorf("%d walk-ins, ends %+v; want one of an hour and a half", n, ended)
	}
}

// A strong associated sighting is a walk-in at once, by whichever router, and not
// an anonymous one.
func TestAssociationConfirmsAtOnce(t *testing.T) {
	dep, l := newDeployment(), newSightings()
	l.Put(t, events.DeviceKey(cafe, "phone"), &events.Sighting{
		Business: cafe, Sensor: "yard", Device: "phone", SeenAt: noon, RSSI: -60, Associated: true, Randomised: true,
	})
	if err := dep.environment().Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	if got := dep.walkIns(t); len(got) != 1 || got[0].Anonymous || !got[0].ConfirmedAt.Equal(noon) {
		t.Errorf("walk-ins %+v, want one at noon", got)
	}
}

// A habit outlives the changelog item that held it first, when the device was not
// heard for weeks, and outlives the topic.
func TestHabitOutlivesTheItemThatHeldIt(t *testing.T) {
	dep, l := newDeployment(), newSightings()
	dep.log = expiringLog{dep.log}
	stay := func(day time.Time) {
		for at := day.Add(8 * time.Hour); at.Before(day.Add(19 * time.Hour)); at = at.Add(9 * time.Minute) {
			l.seen(t, "till", at, -60)
			l.tick(t, at)
		}
	}
	for d := range 3 {
		stay(noon.AddDate(0, 0, d-3).Add(-12 * time.Hour))
	}
	env := dep.environment()
	if err := env.Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	begun := len(l.Records)
	for i := range 2 * keptItems {
		l.tick(t, noon.Add(time.Duration(i)*time.Minute))
		if err := env.Handle(t.Context(), l.Batch(begun+i, begun+i+1)); err != nil {
			t.Fatal(err)
		}
	}
	dep.topics.Description.ID = "topic-b"
	l = newSightings()
	stay(noon.Add(2 * keptItems * time.Minute).Truncate(24 * time.Hour))
	l.tick(t, noon.AddDate(0, 0, 30))
	if err := dep.environment().Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	ended := stagetest.Decode(t, dep.out.On(events.VisitsEnded), events.DecodeVisitEnded)
	if n := len(dep.walkIns(t)); n != 3 || len(ended) != 4 || !ended[3].Resident {
		t.Errorf("%d walk-ins, ends %+v; want 3, and a fourth visit as that of a resident device", n, ended)
	}
}
