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

// Every stage sends a bad record to the dead letters, with the reason, and processes
// the good record behind it.
func TestEveryStageSendsBadRecordsToTheDeadLetters(t *testing.T) {
	cases := map[string]struct {
		handler func(*fixture) stage.Handler
		good    *stagetest.Partition
		writes  string
	}{
		pipeline.Identify: {(*fixture).identify, crmEvents(t, events.CRMEvents, login("phone", "ann", noon)), events.DeviceContacts},
		pipeline.Enrich: {func(f *fixture) stage.Handler {
			known := crmEvents(t, events.CRMEvents, login("phone", "ann", noon.AddDate(0, 0, -1))).All()
			if err := f.identify().Handle(t.Context(), known); err != nil {
				t.Fatal(err)
			}
			return f.enrich()
		}, walkInOf(t, "phone", noon), events.EnrichedWalkIns},
		pipeline.Count: {func(f *fixture) stage.Handler {
			return stage.NewCount(stage.CountDeps{Counts: memory.NewCounts(), Out: f.out})
		}, enrichedWalkIns(t, "ann", noon), events.WalkInCounts},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f, l := newFixture(), &stagetest.Partition{Topic: c.good.Topic}
			l.PutRaw([]byte("key"), nil)
			l.PutRaw([]byte("key"), []byte("garbage"))
			l.Put(t, []byte("tick"), &events.Tick{At: noon})
			l.PutRaw(c.good.Records[0].Key, c.good.Records[0].Value)
			if err := c.handler(f).Handle(t.Context(), l.All()); err != nil {
				t.Fatal(err)
			}
			if got := len(f.out.On(c.writes)); got == 0 {
				t.Errorf("got no record on %s: the good record was not processed", c.writes)
			}
			topic, _ := events.TopicByName(l.Topic)
			var reasons []string
			for _, r := range f.out.On(topic.DeadLetters) {
				reasons = append(reasons, stagetest.Header(r, stage.HeaderReason)+" by "+stagetest.Header(r, stage.HeaderStage))
			}
			want := "null-value by " + name + ", undecodable by " + name + ", unknown-schema by " + name
			if got := strings.Join(reasons, ", "); got != want {
				t.Errorf("got dead letters %s\nwant %s", got, want)
			}
		})
	}
}

// A long error text must not make a dead letter too large to be written, and the
// record's own headers stay.
func TestADeadLetterStaysSmall(t *testing.T) {
	r := stage.Record{Topic: events.Sightings, Value: []byte("v"), Headers: []stage.Header{{Key: "came", Value: []byte("with")}}}
	d := stage.DeadLetter(pipeline.Detect, &r, events.Undecodable, errors.New(strings.Repeat("x", 1<<20)))
	size := 0
	for _, h := range d.Headers {
		size += len(h.Key) + len(h.Value)
	}
	if size > 4<<10 {
		t.Errorf("got %d bytes of headers, want 4096 or fewer", size)
	}
	if stagetest.Header(d, "came") != "with" || len(r.Headers) != 1 {
		t.Error("the record's own header is missing, or the record was changed")
	}
}
