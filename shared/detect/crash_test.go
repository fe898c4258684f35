package detect_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/stage/stagetest"
)

// A tick of several items must be alone in them, however long the keys are. Here
// a sighting shares the batch with it, and the environment dies at any one item:
// were the sighting's device in an item ahead of the tick's last, as it is after
// the tick, the sighting would begin a second visit when it is given again.
func TestPartsOfALargeTickHoldNothingElse(t *testing.T) {
	const devices = 1500
	for at := 1; at <= 5; at++ { // the sighting's item, and three of the tick
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("dies at item %d, answer lost %v", at, lost), func(t *testing.T) {
				w, l := newDeployment(), newSightings()
				associated(t, l, "a", noon)
				for i := range devices {
					associated(t, l, fmt.Sprintf("%s-%d", strings.Repeat("x", 120), i), noon)
				}
				if err := w.environment().Handle(t.Context(), l.All()); err != nil {
					t.Fatal(err)
				}
				begin := len(l.Records)
				associated(t, l, "a", noon.Add(10*time.Minute))
				l.tick(t, noon.Add(3*time.Hour))
				store := w.log
				w.log = &failingAppend{store, at, lost}
				err := w.environment().Handle(t.Context(), l.Batch(begin, begin+2))
				if cut := at <= 3; (err != nil) != cut {
					t.Fatalf("handled with %v", err)
				}
				w.log = store
				if err := w.environment().Handle(t.Context(), l.Batch(begin, begin+2)); err != nil {
					t.Fatal(err)
				}
				wantOneWalkInEach(t, w, devices+1)
				if got := sumTally(t, store); got.Sightings != devices+2 || got.WalkIns != devices+1 {
					t.Errorf("tally %+v, want %d sightings and %d walk-ins", got, devices+2, devices+1)
				}
				ends := stagetest.Decode(t, w.out.On(events.VisitsEnded), events.DecodeVisitEnded)
				if got := len(stagetest.Distinct(ends)); got != devices+1 {
					t.Errorf("%d different visits ended, want %d", got, devices+1)
				}
			})
		}
	}
}

func associated(t *testing.T, l *sightingsPartition, device string, at time.Time) {
	t.Helper()
	d := events.DeviceID(device)
	l.Put(t, events.DeviceKey(cafe, d), &events.Sighting{
		Business: cafe, Sensor: "door", Device: d, SeenAt: at, RSSI: -60, Associated: true,
	})
}

// The runtime turns a panic into the failure of its partition and the
// environment lives on. What was decided and not told must be decided again.
func TestViewIsDroppedAfterAPanic(t *testing.T) {
	w, l := newDeployment(), newSightings()
	l.tick(t, noon)
	l.seen(t, "phone", noon, -60)
	l.seen(t, "phone", noon.Add(7*time.Minute), -60)
	env := w.environment()
	if err := env.Handle(t.Context(), l.Batch(0, 1)); err != nil {
		t.Fatal(err)
	}
	w.out.Fail = func(int) error { panic("a producer's fault") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the injected panic was not met")
			}
		}()
		_ = env.Handle(t.Context(), l.Batch(1, 3))
	}()
	w.out.Fail = nil
	if err := env.Handle(t.Context(), l.Batch(1, 3)); err != nil {
		t.Fatal(err)
	}
	wantOneWalkInEach(t, w, 1)
}
