package detect_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"footfall/events"
	"footfall/shared/detect"
	"footfall/shared/memory"
	"footfall/shared/presence"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

const cafe events.BusinessID = "cafe-1"

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// sightingsPartition is one partition of topic sightings.
type sightingsPartition struct{ stagetest.Partition }

// newSightings returns partition 0 without records.
func newSightings() *sightingsPartition { return newPartition(0) }

// newPartition returns a partition without records.
func newPartition(number int32) *sightingsPartition {
	return &sightingsPartition{stagetest.Partition{Topic: events.Sightings, Number: number}}
}

// seen appends a sighting of a device of cafe that is not associated.
func (l *sightingsPartition) seen(t rapid.TB, device string, at time.Time, rssi events.RSSI) {
	t.Helper()
	d := events.DeviceID(device)
	l.Put(t, events.DeviceKey(cafe, d), &events.Sighting{Business: cafe, Sensor: "door", Device: d, SeenAt: at, RSSI: rssi})
}

// associated appends a strong sighting of an associated device of cafe: a walk-in
// at once, if the device is not inside.
func (l *sightingsPartition) associated(t rapid.TB, device string, at time.Time) {
	t.Helper()
	d := events.DeviceID(device)
	l.Put(t, events.DeviceKey(cafe, d), &events.Sighting{
		Business: cafe, Sensor: "door", Device: d, SeenAt: at, RSSI: -60, Associated: true,
	})
}

// tick appends a tick, in a record with the same timestamp.
func (l *sightingsPartition) tick(t rapid.TB, at time.Time) {
	t.Helper()
	l.Put(t, []byte("tick"), &events.Tick{At: at})
	l.Records[len(l.Records)-1].Timestamp = at
}

// deployment is what the environments of detect share: the table, the topics and
// the rules.
type deployment struct {
	log    stage.VisitLog
	topics *stagetest.Topics
	out    *stagetest.Sink
	rules  stage.Businesses
}

// newDeployment returns a deployment in which topic sightings has one partition
// and no business has rules of its own.
func newDeployment() *deployment {
	return &deployment{memory.NewVisitLog(), &stagetest.Topics{Description: stage.TopicInfo{ID: "topic-a", Partitions: 1}}, &stagetest.Sink{}, stage.DefaultRules()}
}

// environment starts a cold environment.
func (dep *deployment) environment() stage.Handler {
	return detect.New(detect.Deps{Log: dep.log, Topics: dep.topics, Out: dep.out, Rules: dep.rules})
}

// environmentAsking starts a cold environment that learns of the topic by topics.
func (dep *deployment) environmentAsking(topics stage.TopicInfos) stage.Handler {
	return detect.New(detect.Deps{Log: dep.log, Topics: topics, Out: dep.out, Rules: dep.rules})
}

// walkIns returns the walk-ins that were produced.
func (dep *deployment) walkIns(t rapid.TB) []events.WalkIn {
	t.Helper()
	return stagetest.Decode(t, dep.out.On(events.WalkIns), events.DecodeWalkIn)
}

// environmentWith starts a cold environment that decides by the rules.
func (dep *deployment) environmentWith(rules stage.Businesses) stage.Handler {
	return detect.New(detect.Deps{Log: dep.log, Topics: dep.topics, Out: dep.out, Rules: rules})
}

// produced returns the different walk-ins and ends of visits that were produced.
func (dep *deployment) produced() []string {
	all := map[string]bool{}
	for _, topic := range []string{events.WalkIns, events.VisitsEnded} {
		for _, r := range dep.out.On(topic) {
			all[fmt.Sprintf("%s %s %x", topic, r.Key, r.Value)] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// distinctValues returns the different values of the records. Of an end only the
// step of the last sighting is compared: an environment that starts cold may know
// an earlier sighting of the step.
func distinctValues(records []stage.Record) []string {
	values := make([]string, len(records))
	for i, r := range records {
		values[i] = string(r.Value)
		if end, err := events.DecodeVisitEnded(r.Key, r.Value); err == nil {
			end.LastSeenAt, end.DwellMillis = end.LastSeenAt.Truncate(presence.Grid), 0
			values[i] = fmt.Sprintf("%+v", end)
		}
	}
	return stagetest.Distinct(values)
}

// failingLog fails each Append while lose is set: with loseWrite before the
// write, with loseAnswer after the write.
type failingLog struct {
	stage.VisitLog
	lose int
}

const (
	loseWrite = iota + 1
	loseAnswer
)

func (f *failingLog) Append(ctx context.Context, chain string, item stage.LogItem, expires time.Time) error {
	switch f.lose {
	case loseWrite:
		return stagetest.ErrInjected
	case loseAnswer:
		if err := f.VisitLog.Append(ctx, chain, item, expires); err != nil {
			return err
		}
		return stagetest.ErrInjected
	}
	return f.VisitLog.Append(ctx, chain, item, expires)
}

// sumTally returns the tally of the topic that newDeployment has.
func sumTally(t rapid.TB, log stage.VisitLog) detect.Tally {
	t.Helper()
	sum, err := detect.SumTallies(context.Background(), log, stage.TopicInfo{ID: "topic-a", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// expiringLog returns no item that is more than keptItems old, as if the table had
// removed it. The list of topic epochs never expires.
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

// cachedTopics is a TopicInfos that asks the broker only if maxAge is 0, and
// otherwise returns its last knowledge.
type cachedTopics struct {
	broker *stage.TopicInfo
	last   stage.TopicInfo
}

func (c *cachedTopics) Info(_ context.Context, _ string, maxAge time.Duration) (stage.TopicInfo, error) {
	if maxAge == 0 || c.last.ID == "" {
		c.last = *c.broker
	}
	return c.last, nil
}

// withVisits lets devices walk in at noon, in the only partition of the
// deployment. It returns the records of that partition, and seven partitions
// without records that may be added.
func withVisits(t rapid.TB, dep *deployment, devices int) (parts []*sightingsPartition) {
	t.Helper()
	parts = make([]*sightingsPartition, 8)
	for p := range parts {
		parts[p] = newPartition(int32(p))
	}
	for i := range devices {
		parts[0].associated(t, longName(i), noon)
	}
	parts[0].tick(t, noon.Add(time.Minute))
	if err := dep.environment().Handle(context.Background(), parts[0].All()); err != nil {
		t.Fatal(err)
	}
	return parts
}

// longName returns the device with a number. Its name is long, so that some
// thousand devices fill more than one item.
func longName(device int) string { return fmt.Sprintf("%0100d", device) }

// enterAll appends a sighting of each device to the partition into which murmur2
// puts the device, with the number of partitions given.
func enterAll(t rapid.TB, parts []*sightingsPartition, devices int, partitions int32, at time.Time) {
	t.Helper()
	for i := range devices {
		key := events.DeviceKey(cafe, events.DeviceID(longName(i)))
		parts[events.Partition(key, partitions)].associated(t, longName(i), at)
	}
}

// wantOneWalkInEach fails unless there is one walk-in of each device.
func wantOneWalkInEach(t rapid.TB, dep *deployment, devices int) {
	t.Helper()
	if got := len(stagetest.Distinct(dep.walkIns(t))); got != devices {
		t.Fatalf("%d different walk-ins, want one of each of %d devices", got, devices)
	}
}

// failingAppend fails one Append: the next if number is 1, the one after that
// if number is 2. If answerLost is set, the item is written all the same.
type failingAppend struct {
	stage.VisitLog
	number     int
	answerLost bool
}

func (f *failingAppend) Append(ctx context.Context, chain string, item stage.LogItem, expires time.Time) error {
	f.number--
	if f.number == 0 && !f.answerLost {
		return stagetest.ErrInjected
	}
	if err := f.VisitLog.Append(ctx, chain, item, expires); err != nil {
		return err
	}
	if f.number == 0 {
		return stagetest.ErrInjected
	}
	return nil
}

// sumTallies returns the tally of the topic over its epochs with the numbers of
// partitions given.
func sumTallies(t *testing.T, dep *deployment, partitions ...int32) (sum detect.Tally) {
	t.Helper()
	for _, n := range partitions {
		one, err := detect.SumTallies(t.Context(), dep.log, stage.TopicInfo{ID: dep.topics.Description.ID, Partitions: n})
		if err != nil {
			t.Fatal(err)
		}
		sum = sum.Plus(one)
	}
	return sum
}

// lossyLog loses some writes, and the answers of others.
type lossyLog struct {
	stage.VisitLog
	mu     sync.Mutex
	random *rand.Rand
}

func (l *lossyLog) Append(ctx context.Context, chain string, item stage.LogItem, expires time.Time) error {
	l.mu.Lock()
	fate := l.random.IntN(12)
	l.mu.Unlock()
	if fate == 0 {
		return stagetest.ErrInjected
	}
	if err := l.VisitLog.Append(ctx, chain, item, expires); err != nil {
		return err
	}
	if fate == 1 {
		return stagetest.ErrInjected
	}
	return nil
}

// cafeRules is a Businesses with rules for cafe only. It counts its calls, and
// fails if err is set.
type cafeRules struct {
	history []stage.RulesSince
	calls   int
	err     error
}

func (c *cafeRules) Rules(_ context.Context, ids []events.BusinessID) ([][]stage.RulesSince, error) {
	c.calls++
	all := make([][]stage.RulesSince, len(ids))
	for i, id := range ids {
		if id == cafe {
			all[i] = c.history
		}
	}
	return all, c.err
}
