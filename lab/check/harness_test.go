package check

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/lab/feed"
	"footfall/lab/recording"
	"footfall/local/broker"
	"footfall/shared/detect"
	"footfall/shared/kafka"
	"footfall/shared/memory"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

const partitions = 2

var noon = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)

// world is a broker and stores with the stages at work on them, each once for all
// partitions.
type world struct {
	Sources
	t        *testing.T
	client   *kgo.Client
	handlers []reading
	next     map[string]int64 // offset by "topic/partition"
}

type reading struct {
	topic   string
	handler stage.Handler
}

func newWorld(t *testing.T, leaveOut string) *world {
	t.Helper()
	b, err := broker.Start(t.Context(), broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	w := &world{t: t, next: map[string]int64{}}
	if w.client, err = kafka.NewClient(kafka.Config{Brokers: b.Addrs()}, kafka.ReadOptions()...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	topics := slices.DeleteFunc(events.Topics(), func(topic events.Topic) bool { return topic.Name == leaveOut })
	if err := kafka.CreateTopics(t.Context(), w.client, topics, partitions, 1); err != nil {
		t.Fatal(err)
	}
	log, ids, pending, counts := memory.NewVisitLog(), memory.NewIdentities(), memory.NewPending(), memory.NewCounts()
	w.Sources = Sources{
		Brokers: b.Addrs(), Topics: kafka.NewTopicInfos(w.client), Rules: presence.DefaultRules(),
		Log: log, Pending: pending, Counts: counts,
	}
	out := kafka.NewProducer(w.client)
	identify := stage.NewIdentify(stage.IdentifyDeps{Identities: ids, Pending: pending, Out: out})
	enrich := stage.NewEnrich(stage.EnrichDeps{Identities: ids, Pending: pending, Out: out})
	w.handlers = []reading{
		{events.Sightings, detect.New(detect.Deps{Log: log, Topics: w.Topics, Out: out, Rules: stage.DefaultRules()})},
		{events.WalkIns, enrich},
		{events.VisitsEnded, enrich},
		{events.CRMEventsBackfill, identify},
		{events.CRMEvents, identify},
		{events.EnrichedWalkIns, stage.NewCount(stage.CountDeps{Counts: counts, Out: out})},
	}
	return w
}

// work lets every stage process everything.
func (w *world) work(ctx context.Context) error {
	for _, r := range w.handlers {
		for p := range int32(partitions) {
			b := stage.Batch{Topic: r.topic, Partition: p}
			at := fmt.Sprintf("%s/%d", r.topic, p)
			err := w.readFrom(ctx, r.topic, p, w.next[at], func(k *kgo.Record) {
				b.Records = append(b.Records, stage.Record{Topic: r.topic, Partition: p, Offset: k.Offset, Timestamp: k.Timestamp, Key: k.Key, Value: k.Value})
			})
			if err == nil && len(b.Records) > 0 {
				err = r.handler.Handle(ctx, b)
			}
			if err != nil {
				return err
			}
			w.next[at] += int64(len(b.Records))
		}
	}
	return nil
}

// readFrom reads a partition from an offset on.
func (w *world) readFrom(ctx context.Context, topic string, p int32, from int64, each func(*kgo.Record)) error {
	spans, err := kafka.ListOffsetRanges(ctx, w.client, topic)
	if err != nil {
		return err
	}
	s := spans[p]
	s.From = max(s.From, from)
	return kafka.Read(ctx, w.client, []kafka.OffsetRange{s}, func(r *kgo.Record) error {
		each(r)
		return nil
	})
}

// put writes one record as a stage would; event may be raw bytes.
func (w *world) put(topic string, key []byte, event any) {
	w.t.Helper()
	value, raw := event.([]byte)
	if !raw {
		var err error
		if value, err = events.Encode(nil, event); err != nil {
			w.t.Fatal(err)
		}
	}
	err := kafka.NewProducer(w.client).Produce(w.t.Context(), []stage.Record{{Topic: topic, Partition: stage.AnyPartition, Key: key, Value: value}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// lose deletes the records of a topic up to the first one of a key.
func (w *world) lose(topic string, key []byte) {
	w.t.Helper()
	p := events.Partition(key, partitions)
	end := int64(-1)
	err := w.readFrom(w.t.Context(), topic, p, 0, func(k *kgo.Record) {
		if end < 0 && string(k.Key) == string(key) {
			end = k.Offset + 1
		}
	})
	var offsets kadm.Offsets
	offsets.AddOffset(topic, p, end, -1)
	if _, lost := kadm.NewClient(w.client).DeleteRecords(w.t.Context(), offsets); err != nil || lost != nil || end < 0 {
		w.t.Fatalf("lose the first %s of %s: %v, %v", key, topic, err, lost)
	}
}

type source []recording.Item

func (s *source) Next() (recording.Item, error) {
	if len(*s) == 0 {
		return recording.Item{}, io.EOF
	}
	it := (*s)[0]
	*s = (*s)[1:]
	return it, nil
}

func crm(minute int, e events.CRMEvent) recording.Item {
	return recording.Item{ArrivedAt: noon.Add(time.Duration(minute) * time.Minute), CRM: &e}
}

func login(minute int, age time.Duration, device events.DeviceID, contact events.ContactID) recording.Item {
	at := noon.Add(time.Duration(minute)*time.Minute - age)
	return crm(minute, events.CRMEvent{Login: &events.PortalLogin{Business: "cafe", Device: device, Contact: contact, At: at}})
}

// history: ann's phone comes four times, once as annie, into whom the CRM merges
// her, and once unattributed, after the deletion of annie; bob logs in four minutes
// after his arrival. Two unknown devices stay over midnight, which splits the visit
// of the one with a randomised address. A sighting that arrives half an hour late
// has no effect.
func history() []recording.Item {
	items := []recording.Item{login(0, 48*time.Hour, "phone", "ann"), login(4, 0, "tablet", "bob")}
	for device, starts := range map[events.DeviceID][]int{"phone": {0, 100, 200, 300}, "tablet": {0}, "stranger": {702, 717}, "tourist": {702, 717}, "late": {400}} {
		for _, start := range starts {
			for m := start; m <= start+12; m += 3 {
				at := noon.Add(time.Duration(m) * time.Minute)
				arrived := at
				if device == "late" {
					arrived = at.Add(30 * time.Minute)
				}
				items = append(items, recording.Item{ArrivedAt: arrived, Sighting: events.Sighting{
					Business: "cafe", Sensor: "door", Device: device, RSSI: -60, SeenAt: at, Randomised: device == "tourist",
				}})
			}
		}
	}
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	items = append(items,
		crm(50, events.CRMEvent{Changed: &events.ContactChanged{Business: "cafe", Contact: "ann", At: at(50)}}),
		crm(150, events.CRMEvent{Changed: &events.ContactChanged{Business: "cafe", Contact: "ann", MergedInto: "annie", At: at(150)}}),
		crm(250, events.CRMEvent{Deleted: &events.ContactDeleted{Business: "cafe", Contact: "annie", At: at(250)}}))
	slices.SortStableFunc(items, func(a, b recording.Item) int { return a.ArrivedAt.Compare(b.ArrivedAt) })
	return items
}

// live feeds the history and lets the stages work, with two records that do not
// decode.
func live(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, "")
	for _, topic := range []string{events.Sightings, events.CRMEvents} {
		w.put(topic, []byte("cafe/phone"), []byte("neither Avro nor JSON"))
	}
	w.feed(history())
	return w
}

// feed sorts items by their arrival, feeds them and lets the stages work.
func (w *world) feed(items source) {
	w.t.Helper()
	slices.SortStableFunc(items, func(a, b recording.Item) int { return a.ArrivedAt.Compare(b.ArrivedAt) })
	_, err := feed.Run(w.t.Context(), &items, feed.Options{Out: kafka.NewProducer(w.client), Partitions: partitions, Settle: w.work})
	if err := cmp.Or(err, w.work(w.t.Context())); err != nil {
		w.t.Fatal(err)
	}
}
