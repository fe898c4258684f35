package detect_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// Partitions are added, and a warm environment that has not heard of that gets the
// first batch of one. It must not append to a changelog of the former topic
// epoch that no environment reads.
func TestBrokerIsAskedAboutAnUnknownPartition(t *testing.T) {
	dep := newDeployment()
	parts := withVisits(t, dep, 0)
	parts[0].tick(t, noon.Add(2*time.Minute))
	env := dep.environmentAsking(&cachedTopics{broker: &dep.topics.Description})
	if err := env.Handle(t.Context(), parts[0].Batch(1, 2)); err != nil {
		t.Fatal(err)
	}
	dep.topics.Description.Partitions = 4
	enterAll(t, parts, 8, 4, noon.Add(3*time.Minute))
	for _, part := range parts[1:4] {
		if err := env.Handle(t.Context(), part.All()); err != nil {
			t.Fatal(err)
		}
	}
	if err := env.Handle(t.Context(), parts[0].Batch(2, len(parts[0].Records))); err != nil {
		t.Fatal(err)
	}
	for _, part := range parts[:4] {
		begin := len(part.Records)
		part.tick(t, noon.Add(5*time.Minute))
		for i := range 8 {
			if key := events.DeviceKey(cafe, events.DeviceID(longName(i))); events.Partition(key, 4) == part.Number {
				part.associated(t, longName(i), noon.Add(6*time.Minute))
			}
		}
		if err := dep.environment().Handle(t.Context(), part.Batch(begin, len(part.Records))); err != nil {
			t.Fatal(err)
		}
	}
	wantOneWalkInEach(t, dep, 8)
}

// Partitions are added twice, and the changelogs of the topic epoch in between
// were begun in part, up to any item: the visit of each device goes on in the
// last epoch.
func TestAdoptionThroughAnUnfinishedEpoch(t *testing.T) {
	const devices = 4000                        // their adoption takes several items
	for _, failing := range []int{0, 1, 2, 3} { // the entry of the epoch is the first append; 0 for none
		for _, answerLost := range []bool{false, true} {
			t.Run(fmt.Sprintf("append %d fails, answer lost %v", failing, answerLost), func(t *testing.T) {
				dep := newDeployment()
				parts := withVisits(t, dep, devices)
				dep.topics.Description.Partitions = 2
				log := &failingAppend{dep.log, failing, answerLost}
				dep.log = log
				parts[1].tick(t, noon.Add(2*time.Minute))
				if err := dep.environment().Handle(t.Context(), parts[1].All()); (err == nil) != (failing == 0) {
					t.Fatalf("error %v", err)
				}
				log.number = 0
				dep.topics.Description.Partitions = 8
				begin := len(parts[0].Records)
				enterAll(t, parts, devices, 8, noon.Add(10*time.Minute))
				for p, part := range parts {
					from := 0
					if p == 0 {
						from = begin - 2 // two records are redelivered
					}
					if p == 1 {
						from = 1
					}
					if err := dep.environment().Handle(t.Context(), part.Batch(from, len(part.Records))); err != nil {
						t.Fatal(err)
					}
				}
				wantOneWalkInEach(t, dep, devices)
				if got := sumTallies(t, dep, 1, 2, 8); got.Sightings != 2*devices {
					t.Errorf("%d sightings decided, want %d", got.Sightings, 2*devices)
				}
			})
		}
	}
}

// An environment may know the former number of partitions for some seconds more.
// It must not append to a changelog that another environment has adopted.
func TestAdoptedChangelogIsSealed(t *testing.T) {
	dep, l := newDeployment(), newSightings()
	phone := events.DeviceID("")
	for i := 0; phone == "" || events.Partition(events.DeviceKey(cafe, phone), 2) != 0; i++ {
		phone = events.DeviceID(fmt.Sprint("phone-", i))
	}
	seen := func(minutes int) {
		l.Put(t, events.DeviceKey(cafe, phone), &events.Sighting{
			Business: cafe, Sensor: "door", Device: phone, RSSI: -60, Associated: true,
			SeenAt: noon.Add(time.Duration(minutes) * time.Minute),
		})
	}
	l.tick(t, noon)
	l.tick(t, noon.Add(time.Minute))
	seen(1)
	seen(3)
	stale := dep.environmentAsking(&cachedTopics{broker: &dep.topics.Description})
	fresh := dep.environment()
	deliver := func(h stage.Handler, from, to int) {
		t.Helper()
		if err := h.Handle(t.Context(), l.Batch(from, to)); err != nil {
			t.Fatal(err)
		}
	}
	deliver(stale, 0, 1)
	dep.topics.Description.Partitions = 2
	deliver(fresh, 1, 2)
	deliver(stale, 1, 3) // delivered to both
	deliver(fresh, 3, 4)
	if got := stagetest.Distinct(dep.walkIns(t)); len(got) != 1 {
		t.Errorf("walk-ins %v, want the one of the visit", got)
	}
}

// A producer may hear of added partitions before a warm environment does. A
// sighting that it puts into the new partition of its key is no dead letter.
func TestBrokerIsAskedBeforeASightingIsADeadLetter(t *testing.T) {
	dep := newDeployment()
	dep.topics.Description.Partitions = 2
	env := dep.environmentAsking(&cachedTopics{broker: &dep.topics.Description})
	const devices = 16
	parts := make([]*sightingsPartition, 5)
	for p := range parts {
		parts[p] = newPartition(int32(p))
	}
	for _, part := range parts[:2] {
		part.tick(t, noon)
		if err := env.Handle(t.Context(), part.All()); err != nil {
			t.Fatal(err)
		}
	}
	dep.topics.Description.Partitions = 5
	enterAll(t, parts, devices, 5, noon.Add(time.Minute))
	for p, part := range parts {
		begin := 0
		if p < 2 {
			begin = 1 // its tick is decided already
		}
		if err := env.Handle(t.Context(), part.Batch(begin, len(part.Records))); err != nil {
			t.Fatal(err)
		}
	}
	if dead := dep.out.On("sightings-dead-letters"); len(dead) > 0 {
		t.Errorf("%d dead letters of good sightings: %s", len(dead), stagetest.Header(dead[0], stage.HeaderError))
	}
	wantOneWalkInEach(t, dep, devices)
}

// An environment that has not heard of added partitions decides an hour of the
// former partition. The watermark of that hour is not that of an added one.
func TestAddedPartitionHasItsOwnWatermark(t *testing.T) {
	dep := newDeployment()
	parts := withVisits(t, dep, 0)
	behind := dep.environmentAsking(&stagetest.Topics{Description: dep.topics.Description})
	dep.topics.Description.Partitions = 4
	parts[0].tick(t, noon.Add(time.Hour))
	if err := behind.Handle(t.Context(), parts[0].Batch(1, 2)); err != nil {
		t.Fatal(err)
	}
	const devices = 16
	enterAll(t, parts, devices, 4, noon.Add(10*time.Minute))
	added := 0
	for _, part := range parts[1:4] {
		added += len(part.Records)
		if err := dep.environment().Handle(t.Context(), part.All()); err != nil {
			t.Fatal(err)
		}
	}
	wantOneWalkInEach(t, dep, added)
}

// A partition stood still for so long that items of its changelog have expired,
// in any order. Its next batch is decided on the state that is left.
func TestBatchIsDecidedAlthoughItemsHaveExpired(t *testing.T) {
	for name, gone := range map[string][]int64{
		"the oldest": {0, 1}, "some in the middle": {2}, "all but the last": {0, 1, 2}, "the last": {3}, "all": {0, 1, 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			dep, l := newDeployment(), newSightings()
			log := dep.log.(*memory.VisitLog)
			warm := dep.environment()
			for i := range 4 { // each item has a device that is still inside
				l.seen(t, fmt.Sprint("phone-", i), noon.Add(time.Duration(i)*time.Second), -60)
				if err := warm.Handle(t.Context(), l.Batch(i, i+1)); err != nil {
					t.Fatal(err)
				}
			}
			seq := int64(-1)
			log.Expire(stagetest.RecordTime.AddDate(1, 0, 0), func() bool {
				seq++
				return slices.Contains(gone, seq)
			})
			l.tick(t, noon.AddDate(0, 0, 20))
			for _, gap := range []time.Duration{0, 7 * time.Minute} {
				l.seen(t, "phone", noon.AddDate(0, 0, 20).Add(gap), -60)
			}
			for i := 4; i < len(l.Records); i++ {
				if err := dep.environment().Handle(t.Context(), l.Batch(i, i+1)); err != nil {
					t.Fatal(err)
				}
			}
			if got := stagetest.Distinct(dep.walkIns(t)); len(got) != 1 {
				t.Errorf("%d walk-ins, want that of the last device", len(got))
			}
		})
	}
}

// With three partitions a key is in partition 0 again, as with one, while it was
// in partition 1 with two. An environment that has not heard of the third
// partition must not take the sighting in partition 0 for one from before the
// second: the state of the device is in the changelog of partition 1.
func TestBrokerIsAskedBeforeASightingCountsAsOld(t *testing.T) {
	var device events.DeviceID
	for i := 0; ; i++ {
		device = events.DeviceID(fmt.Sprint("phone-", i))
		key := events.DeviceKey(cafe, device)
		if events.Partition(key, 2) == 1 && events.Partition(key, 3) == 0 {
			break
		}
	}
	dep := newDeployment()
	parts := withVisits(t, dep, 0)
	dep.topics.Description.Partitions = 2
	env := dep.environmentAsking(&cachedTopics{broker: &dep.topics.Description})
	parts[0].tick(t, noon.Add(2*time.Minute))
	parts[1].seen(t, string(device), noon.Add(3*time.Minute), -60)
	for p, begin := range []int{1, 0} {
		if err := env.Handle(t.Context(), parts[p].Batch(begin, begin+1)); err != nil {
			t.Fatal(err)
		}
	}
	dep.topics.Description.Partitions = 3
	parts[0].seen(t, string(device), noon.Add(10*time.Minute), -60)
	if err := env.Handle(t.Context(), parts[0].Batch(2, 3)); err != nil {
		t.Fatal(err)
	}
	if got := dep.walkIns(t); len(got) != 1 || !got[0].StartedAt.Equal(noon.Add(3*time.Minute)) {
		t.Errorf("walk-ins %+v, want one from when the device was first seen", got)
	}
}

// A broker that lags behind still reports the former number of partitions. The
// environment finds the changelog sealed, and the batch fails.
func TestBatchOfASealedChangelogFails(t *testing.T) {
	dep := newDeployment()
	parts := withVisits(t, dep, 0)
	lagging := &stagetest.Topics{Description: dep.topics.Description}
	warm := dep.environmentAsking(lagging)
	if err := warm.Handle(t.Context(), parts[0].All()); err != nil {
		t.Fatal(err)
	}
	dep.topics.Description.Partitions = 4
	parts[1].tick(t, noon.Add(2*time.Minute))
	if err := dep.environment().Handle(t.Context(), parts[1].All()); err != nil {
		t.Fatal(err)
	}
	parts[0].tick(t, noon.Add(2*time.Minute))
	for name, env := range map[string]stage.Handler{"warm": warm, "cold": dep.environmentAsking(lagging)} {
		if err := env.Handle(t.Context(), parts[0].All()); err == nil {
			t.Errorf("%s environment: no error, want one", name)
		}
	}
}
