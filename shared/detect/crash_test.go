package detect_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/stage/stagetest"
)

// The items of a large tick hold nothing else, however long the keys are. Here a
// sighting is in the same batch, and the environment dies at one of the items. If
// a part that is written ahead held the device of the sighting, as it is after
// the tick, the redelivered sighting would begin a second visit.
func TestPartsOfALargeTickHoldNothingElse(t *testing.T) {
	const devices = 1500
	// Append 1 is the item of the sighting, 2 and 3 are those of the tick, and there
	// are no others.
	for failing := 1; failing <= 5; failing++ {
		for _, answerLost := range []bool{false, true} {
			t.Run(fmt.Sprintf("append %d fails, answer lost %v", failing, answerLost), func(t *testing.T) {
				dep, l := newDeployment(), newSightings()
				l.associated(t, "a", noon)
				for i := range devices {
					l.associated(t, fmt.Sprintf("%s-%d", strings.Repeat("x", 120), i), noon)
				}
				if err := dep.environment().Handle(t.Context(), l.All()); err != nil {
					t.Fatal(err)
				}
				begin := len(l.Records)
				l.associated(t, "a", noon.Add(10*time.Minute))
				l.tick(t, noon.Add(3*time.Hour))
				store := dep.log
				dep.log = &failingAppend{store, failing, answerLost}
				err := dep.environment().Handle(t.Context(), l.Batch(begin, begin+2))
				if (err != nil) != (failing <= 3) {
					t.Fatalf("error %v", err)
				}
				dep.log = store
				if err := dep.environment().Handle(t.Context(), l.Batch(begin, begin+2)); err != nil {
					t.Fatal(err)
				}
				wantOneWalkInEach(t, dep, devices+1)
				if got := sumTally(t, store); got.Sightings != devices+2 || got.WalkIns != devices+1 {
					t.Errorf("tally %+v, want %d sightings and %d walk-ins", got, devices+2, devices+1)
				}
				ends := stagetest.Decode(t, dep.out.On(events.VisitsEnded), events.DecodeVisitEnded)
				if got := len(stagetest.Distinct(ends)); got != devices+1 {
					t.Errorf("%d different visits ended, want %d", got, devices+1)
				}
			})
		}
	}
}

// The runtime turns a panic into the failure of the batch, and the environment
// lives on. A decision that was not produced must be made again.
func TestViewIsDroppedAfterAPanic(t *testing.T) {
	dep, l := newDeployment(), newSightings()
	l.tick(t, noon)
	l.seen(t, "phone", noon, -60)
	l.seen(t, "phone", noon.Add(7*time.Minute), -60)
	env := dep.environment()
	if err := env.Handle(t.Context(), l.Batch(0, 1)); err != nil {
		t.Fatal(err)
	}
	dep.out.Fail = func(int) error { panic("a producer's fault") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the injected panic was not met")
			}
		}()
		_ = env.Handle(t.Context(), l.Batch(1, 3))
	}()
	dep.out.Fail = nil
	if err := env.Handle(t.Context(), l.Batch(1, 3)); err != nil {
		t.Fatal(err)
	}
	wantOneWalkInEach(t, dep, 1)
}
