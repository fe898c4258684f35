package events

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"testing"
	"time"
)

// esmEvent is the event that an event source mapping for MSK passes to a function
// (AWS Lambda developer guide, "Using Lambda with Amazon MSK"). If a key or value
// is null in Kafka, the event has no such field.
type esmEvent struct {
	EventSource      string                 `json:"eventSource"`
	EventSourceArn   string                 `json:"eventSourceArn"`
	BootstrapServers string                 `json:"bootstrapServers"`
	Records          map[string][]esmRecord `json:"records"`
}

type esmRecord struct {
	Topic         string             `json:"topic"`
	Partition     int32              `json:"partition"`
	Offset        int64              `json:"offset"`
	Timestamp     int64              `json:"timestamp"`
	TimestampType string             `json:"timestampType"`
	Key           *string            `json:"key,omitempty"`
	Value         *string            `json:"value,omitempty"`
	Headers       []map[string][]int `json:"headers"`
}

// esmBuilder collects records by partition. Offsets begin at 100 in each.
type esmBuilder struct {
	topic Topic
	event esmEvent
}

func newESM(t *testing.T, topic string) *esmBuilder {
	t.Helper()
	found, ok := TopicByName(topic)
	if !ok {
		t.Fatalf("no topic %s", topic)
	}
	return &esmBuilder{found, esmEvent{
		EventSource:      "aws:kafka",
		EventSourceArn:   "arn:aws:kafka:eu-central-1:123456789012:cluster/footfall/5f0a3c1e-8d27-4b64-9a51-0c7e2f9b6d38-7",
		BootstrapServers: "b-1.footfall.x1y2z3.c7.kafka.eu-central-1.amazonaws.com:9098,b-2.footfall.x1y2z3.c7.kafka.eu-central-1.amazonaws.com:9098",
		Records:          map[string][]esmRecord{},
	}}
}

// add appends a record to the partition of its key.
func (b *esmBuilder) add(at time.Time, key, value []byte, headers ...map[string][]int) {
	b.addTo(Partition(key, b.topic.Partitions), at, key, value, headers...)
}

// addTo appends a record to that partition.
func (b *esmBuilder) addTo(partition int32, at time.Time, key, value []byte, headers ...map[string][]int) {
	name := b.topic.Name + "-" + strconv.Itoa(int(partition))
	b.event.Records[name] = append(b.event.Records[name], esmRecord{
		Topic: b.topic.Name, Partition: partition, Offset: int64(100 + len(b.event.Records[name])),
		Timestamp: at.UnixMilli(), TimestampType: "CREATE_TIME",
		Key: encode64(key), Value: encode64(value), Headers: append([]map[string][]int{}, headers...),
	})
}

func encode64(data []byte) *string {
	if data == nil {
		return nil
	}
	text := base64.StdEncoding.EncodeToString(data)
	return &text
}

func decode64(t *testing.T, text *string) []byte {
	t.Helper()
	if text == nil {
		return nil
	}
	data, err := base64.StdEncoding.DecodeString(*text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// producerHeader returns a header as a producer adds it. The event holds the
// bytes of a header as numbers.
func producerHeader() map[string][]int {
	return map[string][]int{"producer": {'d', 'o', 'o', 'r'}}
}

// checkGolden fails the test unless the file of testdata holds made as JSON. With
// -update it writes the file first. It returns the content of the file.
func checkGolden(t *testing.T, name string, made any) []byte {
	t.Helper()
	want, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	path := "testdata/" + name
	if *update {
		writeGolden(t, path, want)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from the test's records; if the change is meant, run with -update", path)
	}
	return got
}

// readESM returns the records of a golden file by partition.
func readESM(t *testing.T, data []byte) map[string][]esmRecord {
	t.Helper()
	var e esmEvent
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	return e.Records
}

func heard(sensor SensorID, device DeviceID, rssi RSSI, at time.Time) *Sighting {
	return &Sighting{Business: cafe, Sensor: sensor, Device: device, RSSI: rssi, SeenAt: at}
}

// TestDetectFile: detect.json holds sightings that decode, each on the partition
// of its key. Two routers hear a guest strongly for 7 minutes, once as JSON;
// another device, on another partition, passes by; both partitions get a tick.
func TestDetectFile(t *testing.T) {
	b := newESM(t, Sightings)
	guestKey, passerKey := DeviceKey(cafe, guest), DeviceKey(cafe, passer)
	posted := func(at time.Time) time.Time { return at.Add(time.Second) }
	// The guest's sightings.
	for _, s := range []struct {
		after  time.Duration
		sensor SensorID
		rssi   RSSI
		asJSON bool
	}{
		{0, "cafe-1-door", -64, false},
		{2 * time.Minute, "cafe-1-door", -58, false},
		{4 * time.Minute, "cafe-1-bar", -55, true},
		{6 * time.Minute, "cafe-1-bar", -61, false},
		{7 * time.Minute, "cafe-1-bar", -60, false},
	} {
		at := after(s.after)
		event := heard(s.sensor, guest, s.rssi, at)
		if s.asJSON {
			b.add(posted(at), guestKey, mustJSON(t, event))
			continue
		}
		b.add(posted(at), guestKey, mustEncode(t, event), producerHeader())
	}
	// The device that passes by, and a tick on each of the two partitions.
	b.add(posted(after(3*time.Minute)), passerKey, mustEncode(t, heard("cafe-1-door", passer, -82, after(3*time.Minute))))
	tick := mustEncode(t, &Tick{At: after(8 * time.Minute)})
	for _, key := range [][]byte{guestKey, passerKey} {
		b.addTo(Partition(key, b.topic.Partitions), after(8*time.Minute), nil, tick)
	}

	// Every record of the file decodes, and lies on the right partition.
	records := readESM(t, checkGolden(t, "detect.json", b.event))
	if len(records) != 2 {
		t.Errorf("got %d partitions, want 2", len(records))
	}
	count := map[string]int{}
	for name, partition := range records {
		for _, r := range partition {
			got, err := decodeAs(Sightings, decode64(t, r.Key), decode64(t, r.Value))
			if err != nil {
				t.Errorf("%s, offset %d: %v", name, r.Offset, err)
			}
			switch e := got.(type) {
			case *Tick:
				count["tick"]++
			case *Sighting:
				count[string(e.Device)]++
				if want := Partition(DeviceKey(e.Business, e.Device), b.topic.Partitions); r.Partition != want {
					t.Errorf("%s, offset %d: got partition %d, want %d by its key", name, r.Offset, r.Partition, want)
				}
			}
		}
	}
	if want := map[string]int{"tick": 2, string(guest): 5, string(passer): 1}; !reflect.DeepEqual(count, want) {
		t.Errorf("got records %v, want %v", count, want)
	}
}

// TestStageFiles: each file of a later stage holds the record of the guest's visit
// that the stage before produces.
func TestStageFiles(t *testing.T) {
	visit := NewWalkInID(cafe, guest, start)
	files := []struct {
		name, topic string
		key         []byte
		event       keyed
		producedAt  time.Time
	}{
		{"identify.json", CRMEvents, BusinessKey(cafe), &PortalLogin{
			Business: cafe, Device: guest, Contact: regular, At: after(9 * time.Minute),
		}, after(9 * time.Minute)},
		{"enrich.json", WalkIns, DeviceKey(cafe, guest), &WalkIn{
			ID: visit, Business: cafe, Device: guest, StartedAt: start, ConfirmedAt: after(6 * time.Minute),
		}, after(6 * time.Minute)},
		{"count.json", EnrichedWalkIns, ContactKey(cafe, regular), &EnrichedWalkIn{
			ID: visit, Business: cafe, Device: guest, Contact: regular,
			StartedAt: start, BoundAt: after(9 * time.Minute), Late: true, Version: 1,
		}, after(9 * time.Minute)},
	}
	for _, f := range files {
		t.Run(f.name, func(t *testing.T) {
			b := newESM(t, f.topic)
			// The file holds one record, which decodes into the event.
			b.add(f.producedAt.Add(time.Second), f.key, mustEncode(t, f.event))
			for _, partition := range readESM(t, checkGolden(t, f.name, b.event)) {
				got, err := decodeAs(f.topic, decode64(t, partition[0].Key), decode64(t, partition[0].Value))
				if err != nil || !reflect.DeepEqual(got, any(f.event)) {
					t.Errorf("got %+v, %v, want %+v", got, err, f.event)
				}
			}
		})
	}
}

// TestBadRecordsFile: bad-records.json holds one of each record that detect can
// never process, all on one partition, and a good record behind them, which must
// not be held up.
func TestBadRecordsFile(t *testing.T) {
	key := DeviceKey(cafe, guest)
	good := mustEncode(t, heard("cafe-1-door", guest, -60, start))
	unknown := bytes.Clone(good)
	unknown[2] ^= 0xFF
	records := []struct {
		key, value []byte
		want       Reason // "" for the good one
	}{
		{key, nil, NullValue},
		{key, []byte{}, Undecodable},
		{key, good[:len(good)-7], Undecodable},
		{key, unknown, UnknownSchema},
		{key, mustEncode(t, heard("cafe-1-door", guest, 5, start)), InvalidField},
		{key, mustEncode(t, heard("cafe-1-door", guest, -60, time.UnixMilli(-1))), InvalidField},
		{DeviceKey(cafe, passer), good, KeyMismatch},
		{key, good, ""},
	}
	// All on one partition, whatever their keys are.
	b := newESM(t, Sightings)
	partition := Partition(key, b.topic.Partitions)
	for i, r := range records {
		b.addTo(partition, after(time.Duration(i)*time.Second), r.key, r.value)
	}
	// The decoder returns the reason of each.
	for name, got := range readESM(t, checkGolden(t, "bad-records.json", b.event)) {
		if len(got) != len(records) {
			t.Fatalf("%s holds %d records, want %d", name, len(got), len(records))
		}
		for i, r := range got {
			_, err := decodeAs(Sightings, decode64(t, r.Key), decode64(t, r.Value))
			if want := records[i].want; want != "" {
				wantReason(t, err, want)
			} else if err != nil {
				t.Errorf("offset %d: %v", r.Offset, err)
			}
		}
	}
}

// scheduledEvent is the event that a schedule sends (Amazon EventBridge user guide,
// "Creating a rule that runs on a schedule").
type scheduledEvent struct {
	Version    string         `json:"version"`
	ID         string         `json:"id"`
	DetailType string         `json:"detail-type"`
	Source     string         `json:"source"`
	Account    string         `json:"account"`
	Time       time.Time      `json:"time"`
	Region     string         `json:"region"`
	Resources  []string       `json:"resources"`
	Detail     map[string]any `json:"detail"`
}

// TestTickFile: the time in tick.json is the time of the ticks in detect.json.
func TestTickFile(t *testing.T) {
	data := checkGolden(t, "tick.json", scheduledEvent{
		Version: "0", ID: "7bf73129-1428-4cd3-a780-95db273d1602", DetailType: "Scheduled Event",
		Source: "aws.events", Account: "123456789012", Time: after(8 * time.Minute), Region: "eu-central-1",
		Resources: []string{"arn:aws:events:eu-central-1:123456789012:rule/footfall-tick"}, Detail: map[string]any{},
	})
	var e scheduledEvent
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	if tick := (Tick{At: e.Time}); e.DetailType != "Scheduled Event" || tick.Validate() != nil || !tick.At.Equal(after(8*time.Minute)) {
		t.Errorf("got %q at %v, want a Scheduled Event at the time of the tick", e.DetailType, e.Time)
	}
}
