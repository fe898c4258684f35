package detect_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/events"
	"footfall/shared/detect"
	"footfall/shared/memory"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// cachedTopics is a TopicInfos that answers from memory where it may: what it
// said last is as young as any maxAge but 0 asks for.
type cachedTopics struct {
	now  *stage.TopicInfo
	last stage.TopicInfo
}

func (r *cachedTopics) Info(_ context.Context, _ string, maxAge time.Duration) (stage.TopicInfo, error) {
	if maxAge == 0 || r.last.ID == "" {
		r.last = *r.now
	}
	return r.last, nil
}

// withVisits is a world whose only partition had some devices come in, with the log
// of each partition that it may get.
func withVisits(t rapid.TB, w *deployment, devices int) (parts []*sightingsPartition) {
	t.Helper()
	parts = make([]*sightingsPartition, 8)
	for p := range parts {
		parts[p] = &sightingsPartition{stagetest.Partition{Topic: events.Sightings, Number: int32(p)}}
	}
	for i := range devices {
		enter(t, parts[0], i, noon)
	}
	parts[0].tick(t, noon.Add(time.Minute))
	if err := w.environment().Handle(context.Background(), parts[0].All()); err != nil {
		t.Fatal(err)
	}
	return parts
}

func enter(t rapid.TB, l *sightingsPartition, device int, at time.Time) {
	t.Helper()
	d := events.DeviceID(fmt.Sprintf("%0100d", device))
	l.Put(t, events.DeviceKey(cafe, d), &events.Sighting{
		Business: cafe, Sensor: "door", Device: d, SeenAt: at, RSSI: -60, Associated: true,
	})
}

// enterAll puts a sighting of each device into the partition that is its own
// now.
func enterAll(t rapid.TB, parts []*sightingsPartition, devices int, partitions int32, at time.Time) {
	t.Helper()
	for i := range devices {
		d := events.DeviceID(fmt.Sprintf("%0100d", i))
		enter(t, parts[events.Partition(events.DeviceKey(cafe, d), partitions)], i, at)
	}
}

// wantOneWalkInEach fails unless each device has been told to walk in once.
func wantOneWalkInEach(t rapid.TB, w *deployment, devices int) {
	t.Helper()
	if got := len(stagetest.Distinct(w.walkIns(t))); got != devices {
		t.Fatalf("%d different walk-ins, want one of each of %d devices", got, devices)
	}
}

// A warm environment that has not heard of new partitions yet gets the first
// batch of one. What it decides must not go to a chain that nobody reads.
func TestBrokerIsAskedAboutAnUnknownPartition(t *testing.T) {
	w := newDeployment()
	parts := withVisits(t, w, 0)
	parts[0].tick(t, noon.Add(2*time.Minute))
	env := detect.New(detect.Deps{
		Log: w.log, Topics: &cachedTopics{now: &w.topics.Description}, Out: w.out, Rules: stage.DefaultRules(),
	})
	if err := env.Handle(t.Context(), parts[0].Batch(1, 2)); err != nil {
		t.Fatal(err)
	}
	w.topics.Description.Partitions = 4
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
			if d := fmt.Sprintf("%0100d", i); events.Partition(events.DeviceKey(cafe, events.DeviceID(d)), 4) == part.Number {
				enter(t, part, i, noon.Add(6*time.Minute))
			}
		}
		if err := w.environment().Handle(t.Context(), part.Batch(begin, len(part.Records))); err != nil {
			t.Fatal(err)
		}
	}
	wantOneWalkInEach(t, w, 8)
}

// failingAppend fails the Append number at from the time it is set, after it took
// effect where lost is set.
type failingAppend struct {
	stage.VisitLog
	at   int
	lost bool
}

func (c *failingAppend) Append(ctx context.Context, chain string, item stage.LogItem, expires time.Time) error {
	c.at--
	if c.at == 0 && !c.lost {
		return stagetest.ErrInjected
	}
	if err := c.VisitLog.Append(ctx, chain, item, expires); err != nil {
		return err
	}
	if c.at == 0 {
		return stagetest.ErrInjected
	}
	return nil
}

// Partitions are added twice, and whatever part of the generation in the middle
// has begun, to whatever item: each device goes on with its visit in the last.
func TestAdoptionThroughAnUnfinishedEpoch(t *testing.T) {
	const devices = 4000                    // the former chain is adopted in several items
	for _, cut := range []int{0, 1, 2, 3} { // items, the generation's entry among them
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("cut at item %d, answer lost %v", cut, lost), func(t *testing.T) {
				w := newDeployment()
				parts := withVisits(t, w, devices)
				w.topics.Description.Partitions = 2
				log := &failingAppend{w.log, cut, lost}
				w.log = log
				parts[1].tick(t, noon.Add(2*time.Minute))
				if err := w.environment().Handle(t.Context(), parts[1].All()); (err == nil) != (cut == 0) {
					t.Fatalf("handled with %v", err)
				}
				log.at = 0
				w.topics.Description.Partitions = 8
				begin := len(parts[0].Records)
				enterAll(t, parts, devices, 8, noon.Add(10*time.Minute))
				for p, part := range parts {
					from := 0
					if p == 0 {
						from = begin - 2 // two are given again
					}
					if p == 1 {
						from = 1
					}
					if err := w.environment().Handle(t.Context(), part.Batch(from, len(part.Records))); err != nil {
						t.Fatal(err)
					}
				}
				wantOneWalkInEach(t, w, devices)
				if got := sumTallies(t, w, 1, 2, 8); got.Sightings != 2*devices {
					t.Errorf("%d sightings decided on, want %d", got.Sightings, 2*devices)
				}
			})
		}
	}
}

func sumTallies(t *testing.T, w *deployment, partitions ...int32) (sum detect.Tally) {
	t.Helper()
	for _, n := range partitions {
		one, err := detect.SumTallies(t.Context(), w.log, stage.TopicInfo{ID: w.topics.Description.ID, Partitions: n})
		if err != nil {
			t.Fatal(err)
		}
		sum = sum.Plus(one)
	}
	return sum
}

// An environment that still takes the former number of partitions for the
// present one, as its knowledge of the topic may be some seconds old, must not
// go on in a chain that nobody reads any more.
func TestAdoptedChangelogIsSealed(t *testing.T) {
	w, l := newDeployment(), newSightings()
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
	stale := detect.New(detect.Deps{
		Log: w.log, Topics: &cachedTopics{now: &w.topics.Description}, Out: w.out, Rules: stage.DefaultRules(),
	})
	fresh := w.environment()
	give := func(h stage.Handler, from, to int) {
		t.Helper()
		if err := h.Handle(t.Context(), l.Batch(from, to)); err != nil {
			t.Fatal(err)
		}
	}
	give(stale, 0, 1)
	w.topics.Description.Partitions = 2
	give(fresh, 1, 2)
	give(stale, 1, 3) // given to both
	give(fresh, 3, 4)
	if got := stagetest.Distinct(w.walkIns(t)); len(got) != 1 {
		t.Errorf("walk-ins %v, want the one of the visit", got)
	}
}

// A producer may know of partitions that were added before a warm environment
// does. What it sends to its key's new place is no mistake of its.
func TestBrokerIsAskedBeforeASightingIsADeadLetter(t *testing.T) {
	w := newDeployment()
	w.topics.Description.Partitions = 2
	env := detect.New(detect.Deps{
		Log: w.log, Topics: &cachedTopics{now: &w.topics.Description}, Out: w.out, Rules: stage.DefaultRules(),
	})
	const devices = 16
	parts := make([]*sightingsPartition, 5)
	for p := range parts {
		parts[p] = &sightingsPartition{stagetest.Partition{Topic: events.Sightings, Number: int32(p)}}
	}
	for _, part := range parts[:2] {
		part.tick(t, noon)
		if err := env.Handle(t.Context(), part.All()); err != nil {
			t.Fatal(err)
		}
	}
	w.topics.Description.Partitions = 5
	enterAll(t, parts, devices, 5, noon.Add(time.Minute))
	for p, part := range parts {
		begin := 0
		if p < 2 {
			begin = 1 // its tick is done
		}
		if err := env.Handle(t.Context(), part.Batch(begin, len(part.Records))); err != nil {
			t.Fatal(err)
		}
	}
	if dead := w.out.On("sightings-dead-letters"); len(dead) > 0 {
		t.Errorf("%d dead letters of good sightings: %s", len(dead), stagetest.Header(dead[0], stage.HeaderError))
	}
	wantOneWalkInEach(t, w, devices)
}

// An environment that does not know of new partitions yet works off an hour of
// the old one. The clock of that hour is not that of the partition added.
func TestAddedPartitionHasItsOwnWatermark(t *testing.T) {
	w := newDeployment()
	parts := withVisits(t, w, 0)
	behind := detect.New(detect.Deps{
		Log: w.log, Topics: &stagetest.Topics{Description: w.topics.Description}, Out: w.out, Rules: stage.DefaultRules(),
	})
	w.topics.Description.Partitions = 4
	parts[0].tick(t, noon.Add(time.Hour))
	if err := behind.Handle(t.Context(), parts[0].Batch(1, 2)); err != nil {
		t.Fatal(err)
	}
	const devices = 16
	enterAll(t, parts, devices, 4, noon.Add(10*time.Minute))
	added := 0
	for _, part := range parts[1:4] {
		added += len(part.Records)
		if err := w.environment().Handle(t.Context(), part.All()); err != nil {
			t.Fatal(err)
		}
	}
	wantOneWalkInEach(t, w, added)
}

// A partition stood still for so long that items of its chain have expired, in
// no order. It goes on with what is left.
func TestBatchIsDecidedAlthoughItemsHaveExpired(t *testing.T) {
	for name, gone := range map[string][]int64{
		"the oldest": {0, 1}, "some in the middle": {2}, "all but the last": {0, 1, 2}, "the last": {3}, "all": {0, 1, 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			w, l := newDeployment(), newSightings()
			log := w.log.(*memory.VisitLog)
			warm := w.environment()
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
				if err := w.environment().Handle(t.Context(), l.Batch(i, i+1)); err != nil {
					t.Fatal(err)
				}
			}
			if got := stagetest.Distinct(w.walkIns(t)); len(got) != 1 {
				t.Errorf("%d walk-ins, want that of the last device", len(got))
			}
		})
	}
}

// A key comes back to the partition that it had two changes ago. An environment
// that knows of the former change alone must not take its sighting for an old
// one: what it knows of the device is elsewhere.
func TestBrokerIsAskedBeforeASightingCountsAsOld(t *testing.T) {
	var device events.DeviceID
	for i := 0; ; i++ {
		device = events.DeviceID(fmt.Sprint("phone-", i))
		key := events.DeviceKey(cafe, device)
		if events.Partition(key, 2) == 1 && events.Partition(key, 3) == 0 {
			break
		}
	}
	w := newDeployment()
	parts := withVisits(t, w, 0)
	w.topics.Description.Partitions = 2
	env := detect.New(detect.Deps{
		Log: w.log, Topics: &cachedTopics{now: &w.topics.Description}, Out: w.out, Rules: stage.DefaultRules(),
	})
	parts[0].tick(t, noon.Add(2*time.Minute))
	parts[1].seen(t, string(device), noon.Add(3*time.Minute), -60)
	for p, begin := range []int{1, 0} {
		if err := env.Handle(t.Context(), parts[p].Batch(begin, begin+1)); err != nil {
			t.Fatal(err)
		}
	}
	w.topics.Description.Partitions = 3
	parts[0].seen(t, string(device), noon.Add(10*time.Minute), -60)
	if err := env.Handle(t.Context(), parts[0].Batch(2, 3)); err != nil {
		t.Fatal(err)
	}
	if got := w.walkIns(t); len(got) != 1 || !got[0].StartedAt.Equal(noon.Add(3*time.Minute)) {
		t.Errorf("walk-ins %+v, want one from when the device was first seen", got)
	}
}

// A broker that lags behind still tells the former number of partitions, to an
// environment that sees by the log that this has been followed by another.
func TestBatchOfASealedChangelogFails(t *testing.T) {
	w := newDeployment()
	parts := withVisits(t, w, 0)
	lagging := detect.Deps{Log: w.log, Topics: &stagetest.Topics{Description: w.topics.Description}, Out: w.out, Rules: stage.DefaultRules()}
	warm := detect.New(lagging)
	if err := warm.Handle(t.Context(), parts[0].All()); err != nil {
		t.Fatal(err)
	}
	w.topics.Description.Partitions = 4
	parts[1].tick(t, noon.Add(2*time.Minute))
	if err := w.environment().Handle(t.Context(), parts[1].All()); err != nil {
		t.Fatal(err)
	}
	parts[0].tick(t, noon.Add(2*time.Minute))
	for name, env := range map[string]stage.Handler{"warm": warm, "cold": detect.New(lagging)} {
		if err := env.Handle(t.Context(), parts[0].All()); err == nil {
			t.Errorf("the %s environment went on", name)
		}
	}
}
