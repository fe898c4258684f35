package stage_test

import (
	"context"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// In whichever order a walk-in, a login and the end of the visit are processed, the
// enriched walk-in produced last has both the contact and the dwell time.
func TestLastEnrichedWalkInHasContactAndDwell(t *testing.T) {
	const hour, shorter = time.Hour, 40 * time.Minute
	for _, order := range []string{"wle", "wel", "lwe", "lew", "ewl", "elw"} {
		f := newFixture()
		for _, step := range order {
			var err error
			switch step {
			case 'w':
				err = f.enrich().Handle(t.Context(), walkInOf(t, "phone", noon).All())
			case 'l':
				err = f.identify().Handle(t.Context(), crmEvents(t, events.CRMEvents, login("phone", "ann", noon.Add(10*time.Minute))).All())
			case 'e':
				err = f.enrich().Handle(t.Context(), endsOf(t, "phone", noon, shorter, hour, shorter).All())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		all := stagetest.Decode(t, f.out.On(events.EnrichedWalkIns), events.DecodeEnrichedWalkIn)
		if len(all) == 0 {
			t.Fatalf("%s: no enriched walk-in", order)
		}
		if last := all[len(all)-1]; last.Contact != "ann" || !last.Ended || last.DwellMillis != hour.Milliseconds() {
			t.Errorf("%s: got last %+v, want contact ann and a dwell time of an hour", order, last)
		}
	}
}

// endCounter is a Pending that counts the calls of End.
type endCounter struct {
	stage.Pending
	calls int
}

func (e *endCounter) End(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	e.calls++
	return e.Pending.End(ctx, a, expires)
}

// Several ends of one visit in a batch cost one write. The end of a resident
// device's visit costs none.
func TestEndsOfAVisitCostOneWrite(t *testing.T) {
	f := newFixture()
	counter := &endCounter{Pending: f.pending}
	f.pending = counter
	l := endsOf(t, "phone", noon, time.Hour, 2*time.Hour, time.Minute)
	l.Records = append(l.Records, endsOf(t, "till", noon, time.Hour).Records...)
	l.PutRaw([]byte("cafe/phone"), nil)
	if err := f.enrich().Handle(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	if counter.calls != 1 {
		t.Errorf("%d calls, want 1", counter.calls)
	}
	if dead := f.out.On(events.VisitsEnded + "-dead-letters"); len(dead) != 1 {
		t.Errorf("%d dead letters, want the one of the null", len(dead))
	}
}
