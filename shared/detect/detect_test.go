package detect_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/events"
	"footfall/shared/detect"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// A phone that is heard twice walks in, and its visit ends after the session gap;
// a passer-by does not walk in.
func TestWalkInAndItsEndAreProduced(t *testing.T) {
	dep, l := newDeployment(), newSightings()
	l.seen(t, "phone", noon, -60)
	l.seen(t, "passer", noon.Add(time.Minute), -80)
	l.seen(t, "phone", noon.Add(7*time.Minute), -65)
	l.seen(t, "phone", noon.Add(20*time.Minute), -80)
	l.tick(t, noon.Add(53*time.Minute))
	l.tick(t, noon.Add(54*time.Minute))
	if err := dep.environment().Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	id := events.NewWalkInID(cafe, "phone", noon)
	wantWalkIns := []events.WalkIn{{
		ID: id, Business: cafe, Device: "phone", StartedAt: noon, ConfirmedAt: noon.Add(7 * time.Minute),
	}}
	if got := dep.walkIns(t); !slices.Equal(got, wantWalkIns) {
		t.Errorf("walk-ins %+v, want %+v", got, wantWalkIns)
	}
	wantEnds := []events.VisitEnded{{
		ID: id, Business: cafe, Device: "phone", StartedAt: noon,
		LastSeenAt: noon.Add(20 * time.Minute), DwellMillis: (20 * time.Minute).Milliseconds(),
	}}
	if got := stagetest.Decode(t, dep.out.On(events.VisitsEnded), events.DecodeVisitEnded); !slices.Equal(got, wantEnds) {
		t.Errorf("visits ended %+v, want %+v", got, wantEnds)
	}
}

// A bad record goes to the dead letters as it came, with its reason and its origin.
// The good records around it are decided.
func TestBadRecordsGoToTheDeadLetters(t *testing.T) {
	dep, l := newDeployment(), newSightings()
	key := events.DeviceKey(cafe, "phone")
	l.tick(t, noon)
	l.seen(t, "phone", noon, -60)
	l.PutRaw(key, nil)
	l.PutRaw(key, []byte("garbage"))
	l.Put(t, key, &events.Sighting{Business: cafe, Sensor: "door", Device: "phone", SeenAt: noon, RSSI: 5})
	l.Put(t, key, &events.Sighting{Business: cafe, Sensor: "door", Device: "phone", SeenAt: noon.Add(25 * time.Hour), RSSI: -60})
	l.Put(t, []byte("other/key"), &events.Sighting{Business: cafe, Sensor: "door", Device: "phone", SeenAt: noon, RSSI: -60})
	l.Put(t, key, &events.WalkIn{ID: "00", Business: cafe, Device: "phone", StartedAt: noon, ConfirmedAt: noon})
	l.Put(t, []byte("tick"), &events.Tick{At: stagetest.RecordTime.Add(25 * time.Hour)}) // would make all later records late
	l.seen(t, "phone", noon.Add(7*time.Minute), -60)
	if err := dep.environment().Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	if got := dep.walkIns(t); len(got) != 1 {
		t.Errorf("%d walk-ins from the good records, want 1", len(got))
	}
	want := []events.Reason{
		events.NullValue, events.Undecodable, events.InvalidField, events.AheadOfWatermark, events.KeyMismatch, events.UnknownSchema, events.AheadOfWatermark,
	}
	dead := dep.out.On("sightings-dead-letters")
	if len(dead) != len(want) {
		t.Fatalf("%d dead letters, want %d", len(dead), len(want))
	}
	for i, r := range dead {
		h := map[string]string{}
		for _, x := range r.Headers {
			h[x.Key] = string(x.Value)
		}
		delete(h, stage.HeaderError)
		wantHeaders := map[string]string{
			stage.HeaderReason: string(want[i]), stage.HeaderTopic: "sightings",
			stage.HeaderPartition: "0", stage.HeaderOffset: fmt.Sprint(i + 2), stage.HeaderStage: "detect",
		}
		if !maps.Equal(h, wantHeaders) {
			t.Errorf("dead letter %d: %v, want %v", i, h, wantHeaders)
		}
		if string(r.Value) != string(l.Records[i+2].Value) || (r.Value == nil) != (l.Records[i+2].Value == nil) {
			t.Errorf("dead letter %d: its value is not that of the record", i)
		}
	}
}

// A record that its producer put into the wrong partition goes to the dead
// letters: its device would be decided in two partitions. A record from before
// partitions were added is in the right partition.
func TestRecordsInTheWrongPartitionGoToTheDeadLetters(t *testing.T) {
	dep := newDeployment()
	before := newSightings() // the topic has one partition
	before.seen(t, "phone", noon, -80)
	if err := dep.environment().Handle(t.Context(), before.All()); err != nil {
		t.Fatal(err)
	}
	dep.topics.Description.Partitions = 4
	key := events.DeviceKey(cafe, "phone")
	home := events.Partition(key, 4)
	for p := range int32(4) {
		l := newPartition(p)
		if p == 0 {
			l.seen(t, "phone", noon, -80) // an item covers this one
		}
		l.seen(t, "phone", noon, -80)
		if err := dep.environment().Handle(t.Context(), l.All()); err != nil {
			t.Fatal(err)
		}
	}
	dead := 0
	for _, r := range dep.out.On("sightings-dead-letters") {
		if stagetest.Header(r, stage.HeaderReason) != string(events.WrongPartition) || stagetest.Header(r, stage.HeaderPartition) == fmt.Sprint(home) {
			t.Errorf("dead letter %v", r.Headers)
		}
		dead++
	}
	// Partition 0 was the only one before, so a record there may be an old one.
	want := 2
	if home == 0 {
		want = 3
	}
	if dead != want {
		t.Errorf("%d dead letters, want %d (murmur2 puts the key into partition %d)", dead, want, home)
	}
}

// drawPartition draws the sightings of three devices in a day or less, and ticks.
func drawPartition(t *rapid.T) *sightingsPartition {
	l := newSightings()
	at, n := noon, rapid.IntRange(1, 60).Draw(t, "records")
	for range n {
		at = at.Add(time.Duration(rapid.SampledFrom([]int{0, 20, 60, 150, 400, 1300, 2500}).Draw(t, "gap")) * time.Second)
		if rapid.IntRange(0, 4).Draw(t, "tick") == 0 {
			l.Put(t, []byte("tick"), &events.Tick{At: at})
			continue
		}
		device := events.DeviceID(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "device"))
		late := time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 10, 20}).Draw(t, "lateMinutes")) * time.Minute
		l.Put(t, events.DeviceKey(cafe, device), &events.Sighting{
			Business: cafe, Sensor: "door", Device: device, SeenAt: at.Add(-late),
			RSSI:       rapid.SampledFrom([]events.RSSI{-60, -60, -80, -90}).Draw(t, "rssi"),
			Associated: rapid.IntRange(0, 5).Draw(t, "associated") == 0,
		})
	}
	l.Put(t, []byte("tick"), &events.Tick{At: at.Add(2 * time.Hour)})
	return l
}

// However a partition is cut into batches, redelivered, and handed between
// environments that are cold, warm or behind, and whichever call fails before or
// after it took effect: the same walk-ins and the same ends of visits are
// produced, and the tallies add up to the same figures.
func TestDetectIsAFunctionOfThePartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawPartition(t)
		calm := newDeployment()
		if err := calm.environment().Handle(context.Background(), l.All()); err != nil {
			t.Fatal(err)
		}
		rough := newDeployment()
		faulty := &failingLog{VisitLog: rough.log}
		rough.log = faulty
		drive(t, rough, faulty, l)
		for topic := range map[string]bool{events.WalkIns: true, events.VisitsEnded: true} {
			want, got := distinctValues(calm.out.On(topic)), distinctValues(rough.out.On(topic))
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %d distinct records, want %d", topic, len(got), len(want))
			}
		}
		if got, want := sumTally(t, faulty.VisitLog), sumTally(t, calm.log); got != want {
			t.Fatalf("tally %+v, want %+v", got, want)
		}
	})
}

// drive delivers the partition to three environments in random batches, with
// faults, until all of it is done.
func drive(t *rapid.T, dep *deployment, log *failingLog, l *sightingsPartition) {
	envs := []stage.Handler{dep.environment(), dep.environment(), dep.environment()}
	done := 0
	for rounds := 0; done < len(l.Records); rounds++ {
		if rounds > 3000 {
			t.Fatal("no progress")
		}
		from := max(0, done-rapid.IntRange(0, 3).Draw(t, "redelivered"))
		to := min(len(l.Records), done+rapid.IntRange(1, 12).Draw(t, "size"))
		e := rapid.IntRange(0, 2).Draw(t, "environment")
		switch rapid.IntRange(0, 9).Draw(t, "fate") {
		case 0:
			envs[e] = dep.environment() // a cold start
		case 1:
			log.lose = rapid.IntRange(loseWrite, loseAnswer).Draw(t, "lose")
		case 2:
			dep.out.Fail, dep.out.KeepFailed = func(int) error { return stagetest.ErrInjected }, rapid.Bool().Draw(t, "applied")
		}
		err := envs[e].Handle(context.Background(), l.Batch(from, to))
		log.lose, dep.out.Fail = 0, nil
		if err == nil && rapid.IntRange(0, 9).Draw(t, "commitLost") != 0 {
			done = to
		}
	}
}

// A recreated topic counts its offsets from 0 again. None of its records is taken
// for one that is covered, and a device that is inside stays inside.
func TestVisitGoesOnInARecreatedTopic(t *testing.T) {
	dep, l := newDeployment(), newSightings()
	l.seen(t, "phone", noon, -60)
	l.seen(t, "phone", noon.Add(7*time.Minute), -60)
	env := dep.environment()
	if err := env.Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	dep.topics.Description.ID = "topic-b"
	l = newSightings()
	l.seen(t, "phone", noon.Add(20*time.Minute), -60)
	l.seen(t, "phone", noon.Add(27*time.Minute), -60)
	l.seen(t, "guest", noon.Add(20*time.Minute), -60)
	l.seen(t, "guest", noon.Add(27*time.Minute), -60)
	if err := env.Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	var devices []events.DeviceID
	for _, v := range dep.walkIns(t) {
		devices = append(devices, v.Device)
	}
	if want := []events.DeviceID{"phone", "guest"}; !slices.Equal(devices, want) {
		t.Errorf("walk-ins of %v, want %v", devices, want)
	}
}

// When partitions are added, a device may belong to another partition. Its visit
// goes on there.
func TestDevicesAreAdoptedWhenPartitionsAreAdded(t *testing.T) {
	dep := newDeployment()
	devices := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	l := newSightings()
	for _, d := range devices {
		l.seen(t, d, noon, -60)
		l.seen(t, d, noon.Add(7*time.Minute), -60)
	}
	l.tick(t, noon.Add(8*time.Minute))
	if err := dep.environment().Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	dep.topics.Description.Partitions = 4
	parts := make([]*sightingsPartition, 4)
	for p := range parts {
		parts[p] = newPartition(int32(p))
		if p == 0 {
			parts[p] = l // the offsets go on
		}
	}
	begin := len(l.Records)
	for _, d := range devices {
		key := events.DeviceKey(cafe, events.DeviceID(d))
		parts[events.Partition(key, 4)].seen(t, d, noon.Add(20*time.Minute), -60)
	}
	env := dep.environment()
	for p, part := range parts {
		part.tick(t, noon.Add(2*time.Hour))
		from := 0
		if p == 0 {
			from = begin - 2 // two records are redelivered
		}
		if err := env.Handle(t.Context(), part.Batch(from, len(part.Records))); err != nil {
			t.Fatal(err)
		}
	}
	if got := dep.walkIns(t); len(got) != len(devices) {
		t.Errorf("%d walk-ins, want one for each of %d devices", len(got), len(devices))
	}
	for _, v := range stagetest.Decode(t, dep.out.On(events.VisitsEnded), events.DecodeVisitEnded) {
		if want := noon.Add(20 * time.Minute); !v.LastSeenAt.Equal(want) {
			t.Errorf("%s was last seen %v, want %v", v.Device, v.LastSeenAt, want)
		}
	}
	if got := len(dep.out.On(events.VisitsEnded)); got != len(devices) {
		t.Errorf("%d visits ended, want %d", got, len(devices))
	}
}

// One tick ends more visits than fit into one item, and the environment dies
// between two of the items. Each visit has one end.
func TestLargeTickTakesSeveralItems(t *testing.T) {
	const devices = 4000
	dep, l := newDeployment(), newSightings()
	long := make([]byte, 100)
	for i := range long {
		long[i] = 'x'
	}
	for i := range devices {
		device := fmt.Sprintf("%s-%d", long, i)
		l.Put(t, events.DeviceKey(cafe, events.DeviceID(device)), &events.Sighting{
			Business: cafe, Sensor: "door", Device: events.DeviceID(device), SeenAt: noon, RSSI: -60, Associated: true,
		})
	}
	l.tick(t, noon.Add(3*time.Hour))
	if err := dep.environment().Handle(t.Context(), l.Batch(0, devices)); err != nil {
		t.Fatal(err)
	}
	// The first part of the tick is written ahead, and its answer is lost.
	dying := &failingLog{VisitLog: dep.log, lose: loseAnswer}
	dep.log = dying
	if err := dep.environment().Handle(t.Context(), l.Batch(devices, devices+1)); err == nil {
		t.Fatal("the injected fault was not met")
	}
	dying.lose = 0
	if err := dep.environment().Handle(t.Context(), l.Batch(devices, devices+1)); err != nil {
		t.Fatal(err)
	}
	ends := stagetest.Decode(t, dep.out.On(events.VisitsEnded), events.DecodeVisitEnded)
	if got := len(stagetest.Distinct(ends)); got != devices {
		t.Errorf("%d different visits ended, want %d", got, devices)
	}
	if got := sumTally(t, dep.log); got.Sightings != devices || got.WalkIns != devices {
		t.Errorf("tally %+v, want %d sightings and walk-ins", got, devices)
	}
}

// A router whose clock is 50 years ahead, heard before the first tick, leaves a
// device that no tick ends. A cold environment does not need the item that held
// the device first, which has expired.
func TestColdStartNeedsNoExpiredItem(t *testing.T) {
	dep, l := newDeployment(), newSightings()
	dep.log = expiringLog{dep.log}
	l.seen(t, "from-the-future", noon.AddDate(50, 0, 0), -60)
	env := dep.environment()
	for i := range 2 * keptItems {
		l.tick(t, noon.Add(time.Duration(i)*time.Minute))
	}
	for i := range l.Records {
		if err := env.Handle(t.Context(), l.Batch(i, i+1)); err != nil {
			t.Fatal(err)
		}
	}
	l.seen(t, "phone", noon.Add(2*keptItems*time.Minute), -60)
	if err := dep.environment().Handle(t.Context(), l.Batch(len(l.Records)-1, len(l.Records))); err != nil {
		t.Fatal(err)
	}
	if got := sumTally(t, dep.log.(expiringLog).VisitLog); got.Sightings != 2 {
		t.Errorf("tally %+v, want both sightings", got)
	}
}

// A sighting that changes no state is not stored, but an item covers its offset.
func TestPasserByIsNotStored(t *testing.T) {
	dep, l := newDeployment(), newSightings()
	for i := range 100 {
		l.seen(t, fmt.Sprint("passer-", i), noon, -80)
	}
	if err := dep.environment().Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	item, ok, err := dep.log.Last(t.Context(), "topic-a/1/0", true)
	if err != nil || !ok {
		t.Fatalf("no item: %v %v", ok, err)
	}
	if item.Seq != 0 || len(item.Data) > 40 {
		t.Errorf("item %d of %d bytes, want item 0 without entries", item.Seq, len(item.Data))
	}
	if got := sumTally(t, dep.log); got != (detect.Tally{Sightings: 100, PassersBy: 100}) {
		t.Errorf("tally %+v, want 100 sightings of passers-by", got)
	}
}

// A batch of 5,000 sightings on a cold environment.
func BenchmarkDetect(b *testing.B) {
	l := newSightings()
	for i := range 5000 {
		at := noon.Add(time.Duration(i) * 10 * time.Millisecond)
		l.seen(b, fmt.Sprint("device-number-", i%1500), at, events.RSSI(-60-i%40))
	}
	b.ReportAllocs()
	for b.Loop() {
		dep := newDeployment()
		if err := dep.environment().Handle(b.Context(), stage.Batch{Topic: l.Topic, Records: l.Records}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/5000, "ns/sighting")
}
