package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/kafka"
	"footfall/shared/memory"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

const partitions = 2

var noon = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)

// afterNoon returns a time some minutes after noon, or before noon if negative.
func afterNoon(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// fixture holds topics and counts as a pipeline leaves them. A test produces and
// counts step by step, so it can leave out any step.
type fixture struct {
	t         *testing.T
	client    *kgo.Client
	counts    *memory.Counts
	rules     presence.Rules
	sightings []sightingsInput
	produced  map[events.WalkInID]events.EnrichedWalkIn
	shift     time.Duration // added to event time for the timestamps of records
}

// sightingsInput is a record of sightings. produceSightings sorts all of them by
// time before it produces them.
type sightingsInput struct {
	at    time.Time
	key   string
	event any
}

// newFixture starts a broker with all topics, empty.
func newFixture(t *testing.T, opts ...kfake.Opt) *fixture {
	t.Helper()
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	f := &fixture{t: t, counts: memory.NewCounts(), produced: map[events.WalkInID]events.EnrichedWalkIn{}, rules: presence.DefaultRules()}
	if f.client, err = kafka.NewClient(kafka.Config{Brokers: c.ListenAddrs()}, kafka.ReadOptions()...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.client.Close)
	if err := kafka.CreateTopics(t.Context(), f.client, events.Topics(), partitions, 1); err != nil {
		t.Fatal(err)
	}
	return f
}

// put produces a record whose timestamp is the time of its event. event is an event,
// or the bytes of a value.
func (f *fixture) put(topic, key string, when time.Time, event any, headers ...stage.Header) {
	f.t.Helper()
	p := stage.AnyPartition
	f.putTo(topic, p, key, when, event, headers...)
}

// putTo is put for a record of a given partition.
func (f *fixture) putTo(topic string, p int32, key string, when time.Time, event any, headers ...stage.Header) {
	f.t.Helper()
	value, raw := event.([]byte)
	if !raw {
		var err error
		if value, err = events.Encode(nil, event); err != nil {
			f.t.Fatal(err)
		}
	}
	r := stage.Record{Topic: topic, Partition: p, Timestamp: when.Add(f.shift), Key: []byte(key), Value: value, Headers: headers}
	if err := kafka.NewProducer(f.client).Produce(f.t.Context(), []stage.Record{r}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) login(device events.DeviceID, contact events.ContactID, when time.Time, randomised bool) {
	f.t.Helper()
	f.put(events.CRMEvents, "cafe", when, &events.PortalLogin{Business: "cafe", Device: device, Contact: contact, At: when, Randomised: randomised})
}

// hear adds strong sightings of a device, some minutes after noon.
func (f *fixture) hear(device events.DeviceID, minutes ...int) {
	for _, m := range minutes {
		f.sightings = append(f.sightings, sightingsInput{afterNoon(m), "cafe/" + string(device), &events.Sighting{
			Business: "cafe", Sensor: "door", Device: device, RSSI: -60, SeenAt: afterNoon(m),
		}})
	}
}

// visit adds the sightings of a visit of ten minutes.
func (f *fixture) visit(device events.DeviceID, minute int) {
	f.hear(device, minute, minute+3, minute+6, minute+10)
}

// tick adds a tick to each partition every half hour between two minutes.
func (f *fixture) tick(from, to int) {
	for m := from; m <= to; m += 30 {
		for p := range partitions {
			f.sightings = append(f.sightings, sightingsInput{afterNoon(m), fmt.Sprint("tick", p), &events.Tick{At: afterNoon(m)}})
		}
	}
}

// produceSightings produces the sightings and ticks added so far in the order of
// time.
func (f *fixture) produceSightings() {
	f.t.Helper()
	slices.SortStableFunc(f.sightings, func(a, b sightingsInput) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(b.key, a.key)) })
	for _, m := range f.sightings {
		p := stage.AnyPartition
		if _, tick := m.event.(*events.Tick); tick {
			p = int32(m.key[len(m.key)-1] - '0')
		}
		f.putTo(events.Sightings, p, m.key, m.at, m.event)
	}
}

// produce produces an enriched walk-in and its end, as enrich does.
func (f *fixture) produce(device events.DeviceID, contact events.ContactID, minute int) events.WalkInID {
	f.t.Helper()
	e := events.EnrichedWalkIn{
		ID: events.NewWalkInID("cafe", device, afterNoon(minute)), Business: "cafe", Device: device, Contact: contact,
		StartedAt: afterNoon(minute), BoundAt: afterNoon(-9000),
	}
	f.put(events.EnrichedWalkIns, "cafe/"+string(contact), afterNoon(minute+7), &e)
	e.Ended, e.DwellMillis = true, (10 * time.Minute).Milliseconds()
	f.put(events.EnrichedWalkIns, "cafe/"+string(contact), afterNoon(minute+45), &e)
	f.produced[e.ID] = e
	return e.ID
}

// facts returns the facts of walk-ins. A walk-in that was not produced begins at
// minute.
func (f *fixture) facts(minute int, ids ...events.WalkInID) []presence.Fact {
	var all []presence.Fact
	for _, id := range ids {
		e, ok := f.produced[id]
		if !ok {
			e.StartedAt = afterNoon(minute)
		}
		all = append(all, presence.Began(string(id), string(e.Device), e.StartedAt), presence.LastSeen(string(id), e.StartedAt.Add(10*time.Minute)))
	}
	return all
}

// count adds walk-ins to the table and produces the total, as the stage count does.
func (f *fixture) count(contact events.ContactID, minute int, ids ...events.WalkInID) {
	f.t.Helper()
	f.countFacts(contact, minute, f.facts(minute, ids...)...)
}

// countFacts is count for facts.
func (f *fixture) countFacts(contact events.ContactID, minute int, facts ...presence.Fact) {
	f.t.Helper()
	key := stage.CountKey{Business: "cafe", Contact: contact}
	if err := f.counts.Add(f.t.Context(), key, presence.MonthOf(afterNoon(minute)), facts); err != nil {
		f.t.Fatal(err)
	}
	months, err := f.counts.Get(f.t.Context(), key)
	if err != nil {
		f.t.Fatal(err)
	}
	total := int64(0)
	for _, m := range months {
		total += m.Total
	}
	f.total(contact, minute, total)
}

// total produces a total on walk-in-counts.
func (f *fixture) total(contact events.ContactID, minute int, total int64) {
	f.put(events.WalkInCounts, "cafe/"+string(contact), afterNoon(minute), &events.WalkInCount{
		Business: "cafe", Contact: contact, WalkIn: "w", WalkInAt: afterNoon(minute), Month: presence.MonthOf(afterNoon(minute)), Total: total, MonthTotal: total, Version: total,
	})
}

// visitAndCount adds a visit and does what the stages do for it, without a mistake.
func (f *fixture) visitAndCount(device events.DeviceID, contact events.ContactID, minute int) {
	f.t.Helper()
	f.visit(device, minute)
	f.count(contact, minute, f.produce(device, contact, minute))
}

// drop deletes the records before an offset in each partition of a topic, as
// retention does.
func (f *fixture) drop(topic string, before map[int32]int64) {
	f.t.Helper()
	var offsets kadm.Offsets
	for p, o := range before {
		offsets.AddOffset(topic, p, o, -1)
	}
	if _, err := kadm.NewClient(f.client).DeleteRecords(f.t.Context(), offsets); err != nil {
		f.t.Fatal(err)
	}
}

// audit runs an audit and returns its report, and the differences as lines.
func (f *fixture) audit(from, to time.Time) (*Report, string) {
	f.t.Helper()
	r, err := Run(f.t.Context(), Options{Client: f.client, Rules: f.rules, Counts: f.counts, From: from, To: to})
	if err != nil {
		f.t.Fatal(err)
	}
	var lines []string
	for _, d := range r.Differences {
		line := fmt.Sprintf("%s %s %s %d/%d", d.Contact, d.Month, d.Kind, d.Expected, d.Found)
		for _, m := range d.Missing {
			line += fmt.Sprintf(" -%s (%s)", m.ID[:4], m.Why)
		}
		for _, m := range d.TooMany {
			line += fmt.Sprintf(" +%s (%s)", m.ID[:4], m.Why)
		}
		lines = append(lines, line)
	}
	return r, strings.Join(lines, "\n")
}
