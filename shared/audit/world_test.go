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

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// world is topics and counts as a pipeline leaves them, made by hand so that a
// test can leave anything out.
type world struct {
	t      *testing.T
	client *kgo.Client
	counts *memory.Counts
	rules  presence.Rules
	moves  []move
	told   map[events.WalkInID]events.EnrichedWalkIn
	off    time.Duration // what the timestamps of records are off event time
}

// move is a record of sightings, to be put when all are known.
type move struct {
	at    time.Time
	key   string
	event any
}

func newWorld(t *testing.T, opts ...kfake.Opt) *world {
	t.Helper()
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := &world{t: t, counts: memory.NewCounts(), told: map[events.WalkInID]events.EnrichedWalkIn{}, rules: presence.DefaultRules()}
	if w.client, err = kafka.NewClient(kafka.Config{Brokers: c.ListenAddrs()}, kafka.ReadOptions()...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	if err := kafka.CreateTopics(t.Context(), w.client, events.Topics(), partitions, 1); err != nil {
		t.Fatal(err)
	}
	return w
}

// put writes a record with the time that it tells of.
func (w *world) put(topic, key string, when time.Time, event any, headers ...stage.Header) {
	w.t.Helper()
	p := stage.AnyPartition
	w.putTo(topic, p, key, when, event, headers...)
}

func (w *world) putTo(topic string, p int32, key string, when time.Time, event any, headers ...stage.Header) {
	w.t.Helper()
	value, raw := event.([]byte)
	if !raw {
		var err error
		if value, err = events.Encode(nil, event); err != nil {
			w.t.Fatal(err)
		}
	}
	r := stage.Record{Topic: topic, Partition: p, Timestamp: when.Add(w.off), Key: []byte(key), Value: value, Headers: headers}
	if err := kafka.NewProducer(w.client).Produce(w.t.Context(), []stage.Record{r}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) login(device events.DeviceID, contact events.ContactID, when time.Time, randomised bool) {
	w.t.Helper()
	w.put(events.CRMEvents, "cafe", when, &events.PortalLogin{Business: "cafe", Device: device, Contact: contact, At: when, Randomised: randomised})
}

// hear has a device heard strongly at these minutes after noon.
func (w *world) hear(device events.DeviceID, minutes ...int) {
	for _, m := range minutes {
		w.moves = append(w.moves, move{at(m), "cafe/" + string(device), &events.Sighting{
			Business: "cafe", Sensor: "door", Device: device, RSSI: -60, SeenAt: at(m),
		}})
	}
}

// visit has a device in the store for ten minutes.
func (w *world) visit(device events.DeviceID, minute int) {
	w.hear(device, minute, minute+3, minute+6, minute+10)
}

// tick has the clock told each half hour between two minutes.
func (w *world) tick(from, to int) {
	for m := from; m <= to; m += 30 {
		for p := range partitions {
			w.moves = append(w.moves, move{at(m), fmt.Sprint("tick", p), &events.Tick{At: at(m)}})
		}
	}
}

// play puts what was heard on sightings in the order of time.
func (w *world) play() {
	w.t.Helper()
	slices.SortStableFunc(w.moves, func(a, b move) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(b.key, a.key)) })
	for _, m := range w.moves {
		p := stage.AnyPartition
		if _, tick := m.event.(*events.Tick); tick {
			p = int32(m.key[len(m.key)-1] - '0')
		}
		w.putTo(events.Sightings, p, m.key, m.at, m.event)
	}
}

// tell tells a walk-in, and that it is over, as identify and enrich do.
func (w *world) tell(device events.DeviceID, contact events.ContactID, minute int) events.WalkInID {
	w.t.Helper()
	e := events.EnrichedWalkIn{
		ID: events.NewWalkInID("cafe", device, at(minute)), Business: "cafe", Device: device, Contact: contact,
		StartedAt: at(minute), BoundAt: at(-9000),
	}
	w.put(events.EnrichedWalkIns, "cafe/"+string(contact), at(minute+7), &e)
	e.Ended, e.DwellMillis = true, (10 * time.Minute).Milliseconds()
	w.put(events.EnrichedWalkIns, "cafe/"+string(contact), at(minute+45), &e)
	w.told[e.ID] = e
	return e.ID
}

// facts are those of walk-ins that were told; one that was not began at that
// minute.
func (w *world) facts(minute int, ids ...events.WalkInID) []presence.Fact {
	var all []presence.Fact
	for _, id := range ids {
		e, ok := w.told[id]
		if !ok {
			e.StartedAt = at(minute)
		}
		all = append(all, presence.Began(string(id), string(e.Device), e.StartedAt), presence.LastSeen(string(id), e.StartedAt.Add(10*time.Minute)))
	}
	return all
}

// count counts walk-ins as count does, and tells the total.
func (w *world) count(contact events.ContactID, minute int, ids ...events.WalkInID) {
	w.t.Helper()
	w.countFacts(contact, minute, w.facts(minute, ids...)...)
}

func (w *world) countFacts(contact events.ContactID, minute int, facts ...presence.Fact) {
	w.t.Helper()
	key := stage.CountKey{Business: "cafe", Contact: contact}
	if err := w.counts.Add(w.t.Context(), key, presence.MonthOf(at(minute)), facts); err != nil {
		w.t.Fatal(err)
	}
	months, err := w.counts.Get(w.t.Context(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	total := int64(0)
	for _, m := range months {
		total += m.Total
	}
	w.total(contact, minute, total)
}

func (w *world) total(contact events.ContactID, minute int, total int64) {
	w.put(events.WalkInCounts, "cafe/"+string(contact), at(minute), &events.WalkInCount{
		Business: "cafe", Contact: contact, WalkIn: "w", WalkInAt: at(minute), Month: presence.MonthOf(at(minute)), Total: total, MonthTotal: total, Version: total,
	})
}

// happen is a visit that everybody did right.
func (w *world) happen(device events.DeviceID, contact events.ContactID, minute int) {
	w.t.Helper()
	w.visit(device, minute)
	w.count(contact, minute, w.tell(device, contact, minute))
}

// drop has retention drop what lies before an offset in every partition of a
// topic that has so much.
func (w *world) drop(topic string, before map[int32]int64) {
	w.t.Helper()
	var offsets kadm.Offsets
	for p, o := range before {
		offsets.AddOffset(topic, p, o, -1)
	}
	if _, err := kadm.NewClient(w.client).DeleteRecords(w.t.Context(), offsets); err != nil {
		w.t.Fatal(err)
	}
}

// audit runs one and gives its differences as lines.
func (w *world) audit(from, to time.Time) (*Report, string) {
	w.t.Helper()
	r, err := Run(w.t.Context(), Options{Client: w.client, Rules: w.rules, Counts: w.counts, From: from, To: to})
	if err != nil {
		w.t.Fatal(err)
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
