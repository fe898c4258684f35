package kafka

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func headers(pairs ...string) []kgo.RecordHeader {
	var hs []kgo.RecordHeader
	for i := 0; i < len(pairs); i += 2 {
		hs = append(hs, kgo.RecordHeader{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return hs
}

// ParseDeadLetter accepts every record of a dead-letter topic, whatever headers the
// producer of the record wrote.
func TestParseDeadLetter(t *testing.T) {
	full := headers("own", "x", "footfall-reason", "undecodable", "footfall-error", "cut short", "footfall-topic", "sightings",
		"footfall-partition", "7", "footfall-offset", "4711", "footfall-stage", "detect")
	cases := []struct {
		name   string
		topic  string
		hs     []kgo.RecordHeader
		want   string // reason, stage, origin, redrives
		errors string
	}{
		{"as the stages write it", "sightings-dead-letters", full, "undecodable detect sightings/7/4711 0", "cut short"},
		{"as Lambda delivers it", "walk-ins-dead-letters", headers("own", "x"), "retries-exhausted  walk-ins/?/? 0", ""},
		{"as an older version wrote it", "walk-ins-dead-letters", headers("footfall-reason", "null-value", "footfall-offset", "3"), "null-value  walk-ins/?/3 0", ""},
		{"with a reason of a newer version", "walk-ins-dead-letters", headers("footfall-reason", "too-sad"), "too-sad  walk-ins/?/? 0", ""},
		{"put back twice, and then given up by Lambda", "walk-ins-dead-letters",
			headers("footfall-redriven-from", "walk-ins-dead-letters/0/1", "footfall-redrives", "2"), "retries-exhausted  walk-ins/?/? 2", ""},
		{"with headers of a foreign producer before those of the stage", "sightings-dead-letters",
			append(headers("footfall-reason", "mine", "footfall-redrives", "-5", "footfall-offset", "x"), full...), "undecodable detect sightings/7/4711 0", "cut short"},
		{"with a header that names another topic to go back to", "sightings-dead-letters", headers("footfall-topic", "crm-events", "footfall-reason", "x"), "x  sightings/?/? 0", ""},
		{"of a topic that is no dead-letter topic", "orders", headers("footfall-reason", "x"), "x  /?/? 0", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := ParseDeadLetter(&kgo.Record{Topic: c.topic, Partition: 1, Offset: 2, Timestamp: noon, Key: []byte("k"), Headers: c.hs})
			if got := fmt.Sprintf("%s %s %s %d", l.Reason, l.Stage, l.Origin, l.Redrives); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if l.Error != c.errors || l.Position != (Position{c.topic, 1, 2}) || !l.Time.Equal(noon) {
				t.Errorf("error %q at %s, %v, want error %q at the position and time of the record", l.Error, l.Position, l.Time, c.errors)
			}
		})
	}
}

func TestRedrivenRecord(t *testing.T) {
	encode := func(e any) []byte {
		v, err := events.Encode(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	sighting := encode(&events.Sighting{Business: "cafe", Sensor: "door", Device: "phone", RSSI: -60, SeenAt: noon})
	came := headers("trace", "1", "footfall-redriven-from", "old", "footfall-redrives", "1", "empty", "")
	dead := func(value []byte, partition int32, hs []kgo.RecordHeader) DeadLetter {
		r := stage.Record{Topic: events.Sightings, Partition: partition, Offset: 9, Timestamp: noon, Key: []byte("cafe/phone"), Value: value}
		for _, h := range hs {
			r.Headers = append(r.Headers, stage.Header(h))
		}
		d := stage.DeadLetter(pipeline.Detect, &r, events.WrongPartition, errors.New("misplaced"))
		k := kgo.Record{Topic: d.Topic, Partition: 2, Offset: 5, Timestamp: d.Timestamp, Key: d.Key, Value: d.Value}
		for _, h := range d.Headers {
			k.Headers = append(k.Headers, kgo.RecordHeader(h))
		}
		return ParseDeadLetter(&k)
	}
	l := dead(sighting, 7, came)
	r := l.RedrivenRecord()
	var hs []string
	for _, h := range r.Headers {
		hs = append(hs, h.Key+"="+string(h.Value))
	}
	if got, want := strings.Join(hs, " "), "trace=1 empty= footfall-redriven-from=sightings-dead-letters/2/5 footfall-redrives=2"; got != want {
		t.Errorf("headers %q, want %q", got, want)
	}
	if r.Topic != events.Sightings || r.Partition != stage.AnyPartition || string(r.Key) != "cafe/phone" || !slices.Equal(r.Value, sighting) || !r.Timestamp.IsZero() {
		t.Errorf("got %+v, want the key and the value of the failed record, any partition and no timestamp", r)
	}
	null := dead(nil, 7, nil)
	if null.RedrivenRecord().Value != nil {
		t.Error("a null value became a value")
	}
	tick := dead(encode(&events.Tick{At: noon}), 7, nil)
	if p := tick.RedrivenRecord().Partition; p != 7 {
		t.Errorf("a tick goes to partition %d, want 7", p)
	}
	tick.Origin.Partition = -1
	if p := tick.RedrivenRecord().Partition; p != stage.AnyPartition {
		t.Errorf("a tick of an unknown partition goes to partition %d, want any", p)
	}
}

// A dead letter has a size near the limit of its topic. If it fits, the broker
// accepts the redriven record. If it does not fit, Redrive puts nothing back, the
// other dead letters of the call included.
func TestDeadLettersThatDoNotFitAreNotPutBack(t *testing.T) {
	limit := int(events.Topics()[0].MaxMessage)
	for _, short := range []int{1 << 10, 300, 200, 100, 0} {
		c, cl := deadLetterCluster(t, 1)
		held, all := readDeadLetters(t, cl, 0)
		large := all[0]
		large.Offset, large.Value = 1, make([]byte, limit-short)
		if _, err := crand.Read(large.Value); err != nil { // bytes that do not compress
			t.Fatal(err)
		}
		n, err := newRedriver(t, cl).Redrive(t.Context(), held, append(all, large))
		back := redrivenFrom(t, c)
		switch {
		case large.Fits() && (n != 2 || err != nil):
			t.Errorf("%d bytes below the limit, which fits: %d put back (%v), want 2", short, n, err)
		case !large.Fits() && (n != 0 || !errors.Is(err, ErrTooLarge) || back != ""):
			t.Errorf("%d bytes below the limit, which does not fit: %d put back (%v), the topic holds %q, want nothing", short, n, err, back)
		}
		if want := short >= 200; large.Fits() != want {
			t.Errorf("%d bytes below the limit: Fits = %t, want %t", short, large.Fits(), want)
		}
	}
}

func TestDeadLetterFilter(t *testing.T) {
	l := DeadLetter{Position: Position{"sightings-dead-letters", 3, 0}, Time: noon, Key: []byte("cafe/phone"), Reason: events.TooLarge, Stage: "detect"}
	for _, c := range []struct {
		name string
		f    DeadLetterFilter
		want bool
	}{
		{"an empty filter", DeadLetterFilter{}, true},
		{"the reason among others", DeadLetterFilter{Reasons: []events.Reason{"x", events.TooLarge}}, true},
		{"another reason", DeadLetterFilter{Reasons: []events.Reason{"x"}}, false},
		{"the same stage", DeadLetterFilter{Stages: []string{"detect"}}, true},
		{"another stage", DeadLetterFilter{Stages: []string{"count"}}, false},
		{"the same partition", DeadLetterFilter{Partitions: []int32{0, 3}}, true},
		{"another partition", DeadLetterFilter{Partitions: []int32{0}}, false},
		{"since the time of the record", DeadLetterFilter{Since: noon}, true},
		{"since later", DeadLetterFilter{Since: noon.Add(1)}, false},
		{"until the time of the record", DeadLetterFilter{Until: noon}, false},
		{"until later", DeadLetterFilter{Until: noon.Add(1)}, true},
		{"the same key", DeadLetterFilter{Key: []byte("cafe/phone")}, true},
		{"another key", DeadLetterFilter{Key: []byte("cafe")}, false},
		{"the same stage and another key", DeadLetterFilter{Stages: []string{"detect"}, Key: []byte("")}, false},
	} {
		if got := c.f.Match(&l); got != c.want {
			t.Errorf("%s: Match = %t, want %t", c.name, got, c.want)
		}
	}
}

func TestParsePosition(t *testing.T) {
	for text, want := range map[string]Position{
		"sightings-dead-letters/3/4711": {"sightings-dead-letters", 3, 4711},
		"a/0/0":                         {"a", 0, 0},
	} {
		got, err := ParsePosition(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: got %+v (%v), want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a", "a/1", "/1/2", "a/1/2/3", "a/-1/2", "a/1/-2", "a/1/x", "a/4294967296/1", "a/1/9999999999999999999", "a/?/?"} {
		if got, err := ParsePosition(text); err == nil {
			t.Errorf("%q is read as %+v, want an error", text, got)
		}
	}
}
