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
	"footfall/shared/memory"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

const cafe events.BusinessID = "cafe-1"

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// sightingsPartition is a partition of sightings.
type sightingsPartition struct{ stagetest.Partition }

func newSightings() *sightingsPartition { return &sightingsPartition{stagetest.Partition{Topic: events.Sightings}} }

func (l *sightingsPartition) seen(t rapid.TB, device string, at time.Time, rssi events.RSSI) {
	t.Helper()
	d := events.DeviceID(device)
	l.Put(t, events.DeviceKey(cafe, d), &events.Sighting{Business: cafe, Sensor: "door", Device: d, SeenAt: at, RSSI: rssi})
}

func (l *sightingsPartition) tick(t rapid.TB, at time.Time) {
	t.Helper()
	l.Put(t, []byte("tick"), &events.Tick{At: at})
	l.Records[len(l.Records)-1].Timestamp = at
}

// world is what environments share.
type deployment struct {
	log    stage.VisitLog
	topics *stagetest.Topics
	out    *stagetest.Sink
	rules  stage.Businesses
}

func newDeployment() *deployment {
	return &deployment{memory.NewVisitLog(), &stagetest.Topics{Description: stage.TopicInfo{ID: "topic-a", Partitions: 1}}, &stagetest.Sink{}, stage.DefaultRules()}
}

// environment starts a cold one.
func (w *deployment) environment() stage.Handler {
	return detect.New(detect.Deps{Log: w.log, Topics: w.topics, Out: w.out, Rules: w.rules})
}

func (w *deployment) walkIns(t rapid.TB) []events.WalkIn {
	t.Helper()
	return stagetest.Decode(t, w.out.On(events.WalkIns), events.DecodeWalkIn)
}

func TestWalkInAndItsEndAreProduced(t *testing.T) {
	w, l := newDeployment(), newSightings()
	l.seen(t, "phone", noon, -60)
	l.seen(t, "passer", noon.Add(time.Minute), -80)
	l.seen(t, "phone", noon.Add(7*time.Minute), -65)
	l.seen(t, "phone", noon.Add(20*time.Minute), -80)
	l.tick(t, noon.Add(53*time.Minute))
	l.tick(t, noon.Add(54*time.Minute))
	if err := w.environment().Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	id := events.NewWalkInID(cafe, "phone", noon)
	wantWalkIns := []events.WalkIn{{
		ID: id, Business: cafe, Device: "phone", StartedAt: noon, ConfirmedAt: noon.Add(7 * time.Minute),
	}}
	if got := w.walkIns(t); !slices.Equal(got, wantWalkIns) {
		t.Errorf("walk-ins %+v, want %+v", got, wantWalkIns)
	}
	wantEnds := []events.VisitEnded{{
		ID: id, Business: cafe, Device: "phone", StartedAt: noon,
		LastSeenAt: noon.Add(20 * time.Minute), DwellMillis: (20 * time.Minute).Milliseconds(),
	}}
	if got := stagetest.Decode(t, w.out.On(events.VisitsEnded), events.DecodeVisitEnded); !slices.Equal(got, wantEnds) {
		t.Errorf("visits ended %+v, want %+v", got, wantEnds)
	}
}

// Bad records go to the dead letters with their provenance; the good ones around
// them count.
func TestBadRecordsGoToTheDeadLetters(t *testing.T) {
	w, l := newDeployment(), newSightings()
	key := events.DeviceKey(cafe, "phone")
	l.tick(t, noon)
	l.seen(t, "phone", noon, -60)
	l.PutRaw(key, nil)
	l.PutRaw(key, []byte("garbage"))
	l.Put(t, key, &events.Sighting{Business: cafe, Sensor: "door", Device: "phone", SeenAt: noon, RSSI: 5})
	l.Put(t, key, &events.Sighting{Business: cafe, Sensor: "door", Device: "phone", SeenAt: noon.Add(25 * time.Hour), RSSI: -60})
	l.Put(t, []byte("other/key"), &events.Sighting{Business: cafe, Sensor: "door", Device: "phone", SeenAt: noon, RSSI: -60})
	l.Put(t, key, &events.WalkIn{ID: "00", Business: cafe, Device: "phone", StartedAt: noon, ConfirmedAt: noon})
	l.Put(t, []byte("tick"), &events.Tick{At: stagetest.RecordTime.Add(25 * time.Hour)}) // all that follows would be late
	l.seen(t, "phone", noon.Add(7*time.Minute), -60)
	if err := w.environment().Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	if got := w.walkIns(t); len(got) != 1 {
		t.Errorf("%d walk-ins from the good records, want 1", len(got))
	}
	want := []events.Reason{
		events.NullValue, events.Undecodable, events.InvalidField, events.AheadOfWatermark, events.KeyMismatch, events.UnknownSchema, events.AheadOfWatermark,
	}
	dead := w.out.On("sightings-dead-letters")
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
			t.Errorf("dead letter %d: its value is not the one that came", i)
		}
	}
}

// A producer with another partitioner would have one device decided on in two
// partitions. Records from before partitions were added are where they belong.
func TestRecordsInTheWrongPartitionGoToTheDeadLetters(t *testing.T) {
	w := newDeployment()
	if err := w.environment().Handle(t.Context(), func() stage.Batch { // one partition
		l := newSightings()
		l.seen(t, "phone", noon, -80)
		return l.All()
	}()); err != nil {
		t.Fatal(err)
	}
	w.topics.Description.Partitions = 4
	key := events.DeviceKey(cafe, "phone")
	home := events.Partition(key, 4)
	for p := range int32(4) {
		l := &sightingsPartition{stagetest.Partition{Topic: events.Sightings, Number: p}}
		if p == 0 {
			l.seen(t, "phone", noon, -80) // covered
		}
		l.seen(t, "phone", noon, -80)
		if err := w.environment().Handle(t.Context(), l.All()); err != nil {
			t.Fatal(err)
		}
	}
	misplaced := 0
	for _, r := range w.out.On("sightings-dead-letters") {
		if stagetest.Header(r, stage.HeaderReason) != string(events.WrongPartition) || stagetest.Header(r, stage.HeaderPartition) == fmt.Sprint(home) {
			t.Errorf("dead letter %v", r.Headers)
		}
		misplaced++
	}
	// Partition 0 was the one there was, so a record there may be an old one.
	want := 2
	if home == 0 {
		want = 3
	}
	if misplaced != want {
		t.Errorf("%d records put aside, want %d (the key's partition is %d)", misplaced, want, home)
	}
}

// drawPartition draws what some devices did in a day or less, in one partition.
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

// However a partition is cut into batches, given twice, and handed between
// environments of which any may be cold, warm or behind, and whatever call
// fails before or after it took effect: the same walk-ins and the same ends are
// told, and the log sums up to the same figures.
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

func distinctValues(records []stage.Record) []string {
	values := make([]string, len(records))
	for i, r := range records {
		values[i] = string(r.Value)
	}
	return stagetest.Distinct(values)
}

// drive gives the partition to three environments in random batches until all
// of it is done.
func drive(t *rapid.T, w *deployment, log *failingLog, l *sightingsPartition) {
	envs := []stage.Handler{w.environment(), w.environment(), w.environment()}
	done := 0
	for rounds := 0; done < len(l.Records); rounds++ {
		if rounds > 3000 {
			t.Fatal("no progress")
		}
		from := max(0, done-rapid.IntRange(0, 3).Draw(t, "givenAgain"))
		to := min(len(l.Records), done+rapid.IntRange(1, 12).Draw(t, "size"))
		e := rapid.IntRange(0, 2).Draw(t, "environment")
		switch rapid.IntRange(0, 9).Draw(t, "fate") {
		case 0:
			envs[e] = w.environment() // a cold start
		case 1:
			log.lose = rapid.IntRange(1, 2).Draw(t, "lose") // the answer, or the write
		case 2:
			w.out.Fail, w.out.KeepFailed = func(int) error { return stagetest.ErrInjected }, rapid.Bool().Draw(t, "applied")
		}
		err := envs[e].Handle(context.Background(), l.Batch(from, to))
		log.lose, w.out.Fail = 0, nil
		if err == nil && rapid.IntRange(0, 9).Draw(t, "commitLost") != 0 {
			done = to
		}
	}
}

// failingLog fails the next Append: before it is applied (1) or after (2).
type failingLog struct {
	stage.VisitLog
	lose int
}

func (f *failingLog) Append(ctx context.Context, chain string, item stage.LogItem, expires time.Time) error {
	switch f.lose {
	case 1:
		return stagetest.ErrInjected
	case 2:
		if err := f.VisitLog.Append(ctx, chain, item, expires); err != nil {
			return err
		}
		return stagetest.ErrInjected
	}
	return f.VisitLog.Append(ctx, chain, item, expires)
}

func sumTally(t rapid.TB, log stage.VisitLog) detect.Tally {
	t.Helper()
	sum, err := detect.SumTallies(context.Background(), log, stage.TopicInfo{ID: "topic-a", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// A topic made anew counts its offsets from 0 again: nothing of it is taken for
// what was done already, and who is inside stays inside.
func TestVisitGoesOnInARecreatedTopic(t *testing.T) {
	w, l := newDeployment(), newSightings()
	l.seen(t, "phone", noon, -60)
	l.seen(t, "phone", noon.Add(7*time.Minute), -60)
	env := w.environment()
	if err := env.Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	w.topics.Description.ID = "topic-b"
	l = newSightings()
	l.seen(t, "phone", noon.Add(20*time.Minute), -60)
	l.seen(t, "phone", noon.Add(27*time.Minute), -60)
	l.seen(t, "guest", noon.Add(20*time.Minute), -60)
	l.seen(t, "guest", noon.Add(27*time.Minute), -60)
	if err := env.Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	var devices []events.DeviceID
	for _, v := range w.walkIns(t) {
		devices = append(devices, v.Device)
	}
	if want := []events.DeviceID{"phone", "guest"}; !slices.Equal(devices, want) {
		t.Errorf("walk-ins of %v, want %v", devices, want)
	}
}

// With more partitions a device may be another partition's, which goes on with
// its visit where the former one left it.
func TestDevicesAreAdoptedWhenPartitionsAreAdded(t *testing.T) {
	w := newDeployment()
	devices := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	l := newSightings()
	for _, d := range devices {
		l.seen(t, d, noon, -60)
		l.seen(t, d, noon.Add(7*time.Minute), -60)
	}
	l.tick(t, noon.Add(8*time.Minute))
	if err := w.environment().Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	w.topics.Description.Partitions = 4
	parts := make([]*sightingsPartition, 4)
	for p := range parts {
		parts[p] = &sightingsPartition{stagetest.Partition{Topic: events.Sightings, Number: int32(p)}}
		if p == 0 {
			parts[p] = l // its offsets go on
		}
	}
	begin := len(l.Records)
	for _, d := range devices {
		key := events.DeviceKey(cafe, events.DeviceID(d))
		parts[events.Partition(key, 4)].seen(t, d, noon.Add(20*time.Minute), -60)
	}
	env := w.environment()
	for p, part := range parts {
		part.tick(t, noon.Add(2*time.Hour))
		from := 0
		if p == 0 {
			from = begin - 2 // two are given again
		}
		if err := env.Handle(t.Context(), part.Batch(from, len(part.Records))); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.walkIns(t); len(got) != len(devices) {
		t.Errorf("%d walk-ins, want one for each of %d devices", len(got), len(devices))
	}
	for _, v := range stagetest.Decode(t, w.out.On(events.VisitsEnded), events.DecodeVisitEnded) {
		if want := noon.Add(20 * time.Minute); !v.LastSeenAt.Equal(want) {
			t.Errorf("%s was last seen %v, want %v", v.Device, v.LastSeenAt, want)
		}
	}
	if got := len(w.out.On(events.VisitsEnded)); got != len(devices) {
		t.Errorf("%d visits ended, want %d", got, len(devices))
	}
}

// One tick may end more visits than a log item holds.
func TestLargeTickTakesSeveralItems(t *testing.T) {
	const devices = 4000
	w, l := newDeployment(), newSightings()
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
	if err := w.environment().Handle(t.Context(), l.Batch(0, devices)); err != nil {
		t.Fatal(err)
	}
	// The environment dies after the first part of the tick.
	dying := &failingLog{VisitLog: w.log, lose: 2}
	w.log = dying
	if err := w.environment().Handle(t.Context(), l.Batch(devices, devices+1)); err == nil {
		t.Fatal("the injected fault was not met")
	}
	dying.lose = 0
	if err := w.environment().Handle(t.Context(), l.Batch(devices, devices+1)); err != nil {
		t.Fatal(err)
	}
	ends := stagetest.Decode(t, w.out.On(events.VisitsEnded), events.DecodeVisitEnded)
	if got := len(stagetest.Distinct(ends)); got != devices {
		t.Errorf("%d different visits ended, want %d", got, devices)
	}
	if got := sumTally(t, w.log); got.Sightings != devices || got.WalkIns != devices {
		t.Errorf("tally %+v, want %d sightings and walk-ins", got, devices)
	}
}

// expiringLog drops items once they are a number of items old, as TTL does.
type expiringLog struct{ stage.VisitLog }

const keptItems = 12_000

func (f expiringLog) Read(ctx context.Context, chain string, from, to int64, consistent bool) ([]stage.LogItem, error) {
	last, ok, err := f.Last(ctx, chain, true)
	if err == nil && ok && chain != "generations/sightings" {
		from = max(from, last.Seq-keptItems)
	}
	if err != nil {
		return nil, err
	}
	return f.VisitLog.Read(ctx, chain, from, to, consistent)
}

// A router far ahead of time, heard before the first tick, leaves a device that
// nothing ends for years. A cold environment must not need the item it was
// written in when that is long gone.
func TestColdStartNeedsNoExpiredItem(t *testing.T) {
	w, l := newDeployment(), newSightings()
	w.log = expiringLog{w.log}
	l.seen(t, "from-the-future", noon.AddDate(50, 0, 0), -60)
	env := w.environment()
	for i := range 2 * keptItems {
		l.tick(t, noon.Add(time.Duration(i)*time.Minute))
	}
	for i := range l.Records {
		if err := env.Handle(t.Context(), l.Batch(i, i+1)); err != nil {
			t.Fatal(err)
		}
	}
	l.seen(t, "phone", noon.Add(2*keptItems*time.Minute), -60)
	if err := w.environment().Handle(t.Context(), l.Batch(len(l.Records)-1, len(l.Records))); err != nil {
		t.Fatal(err)
	}
	if got := sumTally(t, w.log.(expiringLog).VisitLog); got.Sightings != 2 {
		t.Errorf("tally %+v, want both sightings", got)
	}
}

// A sighting that changes nothing is not stored, yet its offset is covered.
func TestPasserByIsNotStored(t *testing.T) {
	w, l := newDeployment(), newSightings()
	for i := range 100 {
		l.seen(t, fmt.Sprint("passer-", i), noon, -80)
	}
	if err := w.environment().Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	item, ok, err := w.log.Last(t.Context(), "topic-a/1/0", true)
	if err != nil || !ok {
		t.Fatalf("no item: %v %v", ok, err)
	}
	if item.Seq != 0 || len(item.Data) > 40 {
		t.Errorf("item %d of %d bytes, want the first and nothing but its head", item.Seq, len(item.Data))
	}
	if got := sumTally(t, w.log); got != (detect.Tally{Sightings: 100, PassersBy: 100}) {
		t.Errorf("tally %+v", got)
	}
}

func BenchmarkDetect(b *testing.B) {
	l := newSightings()
	for i := range 5000 {
		at := noon.Add(time.Duration(i) * 10 * time.Millisecond)
		l.seen(b, fmt.Sprint("device-number-", i%1500), at, events.RSSI(-60-i%40))
	}
	value := l.Records
	b.ReportAllocs()
	for b.Loop() {
		w := newDeployment()
		if err := w.environment().Handle(b.Context(), stage.Batch{Topic: l.Topic, Records: value}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/5000, "ns/sighting")
}
