package stage_test

import (
	"errors"
	"strings"
	"testing"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// Whatever stage a bad record comes to, it is put aside with its reason and the
// good one behind it is processed.
func TestEveryStagePutsBadRecordsAside(t *testing.T) {
	cases := map[string]struct {
		handler func(*people) stage.Handler
		good    *stagetest.Partition
		writes  string
	}{
		pipeline.Identify: {(*people).identify, crm(t, events.CRMEvents, login("phone", "ann", noon)), events.DeviceContacts},
		pipeline.Enrich: {func(p *people) stage.Handler {
			known := crm(t, events.CRMEvents, login("phone", "ann", noon.AddDate(0, 0, -1))).All()
			if err := p.identify().Handle(t.Context(), known); err != nil {
				t.Fatal(err)
			}
			return p.enrich()
		}, walkInsAt(t, "phone", noon), events.EnrichedWalkIns},
		pipeline.Count: {func(p *people) stage.Handler {
			return stage.NewCount(stage.CountDeps{Counts: memory.NewCounts(), Out: p.out})
		}, enrichedLog(t, "ann", noon), events.WalkInCounts},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p, l := newPeople(), &stagetest.Partition{Topic: c.good.Topic}
			l.PutRaw([]byte("key"), nil)
			l.PutRaw([]byte("key"), []byte("garbage"))
			l.Put(t, []byte("tick"), &events.Tick{At: noon})
			l.PutRaw(c.good.Records[0].Key, c.good.Records[0].Value)
			if err := c.handler(p).Handle(t.Context(), l.All()); err != nil {
				t.Fatal(err)
			}
			if got := len(p.out.On(c.writes)); got == 0 {
				t.Errorf("nothing on %s: the good record was not processed", c.writes)
			}
			topic, _ := events.TopicByName(l.Topic)
			var reasons []string
			for _, r := range p.out.On(topic.DeadLetters) {
				reasons = append(reasons, stagetest.Header(r, stage.HeaderReason)+" by "+stagetest.Header(r, stage.HeaderStage))
			}
			want := "null-value by " + name + ", undecodable by " + name + ", unknown-schema by " + name
			if got := strings.Join(reasons, ", "); got != want {
				t.Errorf("dead letters: %s\nwant %s", got, want)
			}
		})
	}
}

// What an error says of a foreign record must not make a dead letter too large
// to be written.
func TestADeadLetterStaysSmall(t *testing.T) {
	r := stage.Record{Topic: events.Sightings, Value: []byte("v"), Headers: []stage.Header{{Key: "came", Value: []byte("with")}}}
	d := stage.DeadLetter(pipeline.Detect, &r, events.Undecodable, errors.New(strings.Repeat("x", 1<<20)))
	size := 0
	for _, h := range d.Headers {
		size += len(h.Key) + len(h.Value)
	}
	if size > 4<<10 {
		t.Errorf("%d bytes of headers", size)
	}
	if stagetest.Header(d, "came") != "with" || len(r.Headers) != 1 {
		t.Error("the headers it came with are not there, or the record was changed")
	}
}
