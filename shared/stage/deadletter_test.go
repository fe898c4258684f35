package stage_test

import (
	"errors"
	"strings"
	"testing"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/stage"
)

// Whatever stage a bad record comes to, it is put aside with its reason and the
// good one behind it is processed.
func TestEveryStagePutsBadRecordsAside(t *testing.T) {
	cases := map[string]struct {
		handler func(*people) stage.Handler
		good    *partitionLog
		writes  string
	}{
		stage.Identify: {(*people).identify, crm(t, events.CRMEvents, login("phone", "ann", noon)), events.DeviceContacts},
		stage.Enrich: {func(p *people) stage.Handler {
			known := crm(t, events.CRMEvents, login("phone", "ann", noon.AddDate(0, 0, -1))).all()
			if err := p.identify().Handle(t.Context(), known); err != nil {
				t.Fatal(err)
			}
			return p.enrich()
		}, walkInsAt(t, "phone", noon), events.EnrichedWalkIns},
		stage.Count: {func(p *people) stage.Handler {
			return stage.NewCount(stage.CountDeps{Counts: memory.NewCounts(), Out: p.out})
		}, enrichedLog(t, "ann", noon), events.WalkInCounts},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p, l := newPeople(), &partitionLog{topic: c.good.topic}
			l.raw([]byte("key"), nil)
			l.raw([]byte("key"), []byte("garbage"))
			l.put(t, []byte("tick"), &events.Tick{At: noon})
			l.raw(c.good.records[0].Key, c.good.records[0].Value)
			if err := c.handler(p).Handle(t.Context(), l.all()); err != nil {
				t.Fatal(err)
			}
			if got := len(p.out.on(c.writes)); got == 0 {
				t.Errorf("nothing on %s: the good record was not processed", c.writes)
			}
			topic, _ := events.TopicByName(l.topic)
			var reasons []string
			for _, r := range p.out.on(topic.DeadLetters) {
				reasons = append(reasons, header(r, stage.HeaderReason)+" by "+header(r, stage.HeaderStage))
			}
			want := "null-value by " + name + ", undecodable by " + name + ", unknown-schema by " + name
			if got := strings.Join(reasons, ", "); got != want {
				t.Errorf("dead letters: %s\nwant %s", got, want)
			}
		})
	}
}

func header(r stage.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// What an error says of a foreign record must not make a dead letter too large
// to be written.
func TestADeadLetterStaysSmall(t *testing.T) {
	r := stage.Record{Topic: events.Sightings, Value: []byte("v"), Headers: []stage.Header{{Key: "came", Value: []byte("with")}}}
	d := stage.DeadLetter(stage.Detect, &r, events.Undecodable, errors.New(strings.Repeat("x", 1<<20)))
	size := 0
	for _, h := range d.Headers {
		size += len(h.Key) + len(h.Value)
	}
	if size > 4<<10 {
		t.Errorf("%d bytes of headers", size)
	}
	if header(d, "came") != "with" || len(r.Headers) != 1 {
		t.Error("the headers it came with are not there, or the record was changed")
	}
}
