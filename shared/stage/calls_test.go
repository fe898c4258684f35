package stage_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
	"footfall/shared/stage/stagetest"
)

// callCounter counts the calls of the tables identities and pending by method. A call
// with many keys counts once: one request reads up to 100.
type callCounter struct {
	stage.Identities
	stage.Pending
	mu    sync.Mutex // enrich writes the walk-ins of a batch concurrently
	calls map[string]int
}

func (c *callCounter) count(method string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[method]++
}

func (c *callCounter) Devices(ctx context.Context, keys []stage.IdentityKey) ([]presence.History, []int64, error) {
	if len(keys) > 0 {
		c.count("Devices")
	}
	return c.Identities.Devices(ctx, keys)
}

func (c *callCounter) PutDevice(ctx context.Context, key stage.IdentityKey, h presence.History, version int64) error {
	c.count("PutDevice")
	return c.Identities.PutDevice(ctx, key, h, version)
}

func (c *callCounter) PutNew(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	c.count("PutNew")
	return c.Pending.PutNew(ctx, a, expires)
}

func (c *callCounter) End(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	c.count("End")
	return c.Pending.End(ctx, a, expires)
}

func (c *callCounter) Resolve(ctx context.Context, a stage.Attribution) (stage.Attribution, error) {
	c.count("Resolve")
	return c.Pending.Resolve(ctx, a)
}

func (c *callCounter) Stored(ctx context.Context, walkIns []events.WalkIn) ([]stage.Attribution, error) {
	c.count("Stored")
	return c.Pending.Stored(ctx, walkIns)
}

func (c *callCounter) OfDevice(ctx context.Context, key stage.IdentityKey, from time.Time) ([]stage.Attribution, error) {
	c.count("OfDevice")
	return c.Pending.OfDevice(ctx, key, from)
}

// The table calls that a walk-in, its end and a login cost, by class. Reading again
// what was produced is one call for a batch, and none for walk-ins without a contact.
func TestTableCallsByClass(t *testing.T) {
	week := noon.AddDate(0, 0, -7)
	known := func() []any { return []any{login("phone", "ann", week)} }
	randomised := login("phone", "ann", week)
	randomised.Randomised = true
	// visits returns walk-ins of the phone in one batch, an hour apart.
	visits := func(n int) *stagetest.Partition {
		l := &stagetest.Partition{Topic: events.WalkIns}
		for i := range n {
			one := walkInOf(t, "phone", noon.Add(time.Duration(i)*time.Hour)).Records[0]
			l.PutRaw(one.Key, one.Value)
		}
		return l
	}
	cases := map[string]struct {
		crm     []any                // processed before
		earlier *stagetest.Partition // processed before, by enrich
		batch   *stagetest.Partition
		want    map[string]int
	}{
		"walk-in, known device":             {known(), nil, visits(1), map[string]int{"Devices": 1, "PutNew": 1, "Stored": 1}},
		"50 walk-ins, known device":         {known(), nil, visits(50), map[string]int{"Devices": 1, "PutNew": 50, "Stored": 1}},
		"walk-in, known randomised address": {[]any{randomised}, nil, visits(1), map[string]int{"Devices": 2, "PutDevice": 1, "PutNew": 1, "Stored": 1}},
		"walk-in, unknown device":           {nil, nil, visits(1), map[string]int{"Devices": 2, "PutNew": 1}},
		"50 walk-ins, unknown device":       {nil, nil, visits(50), map[string]int{"Devices": 2, "PutNew": 50}},
		"end, attributed":                   {known(), visits(1), endsOf(t, "phone", noon, time.Hour), map[string]int{"End": 1, "Stored": 1}},
		"end, pending":                      {nil, visits(1), endsOf(t, "phone", noon, time.Hour), map[string]int{"End": 1}},
		"login that claims a walk-in":       {nil, visits(1), crmEvents(t, events.CRMEventsBackfill, known()...), map[string]int{"Devices": 2, "PutDevice": 1, "OfDevice": 1, "Resolve": 1, "Stored": 1}},
		"backfilled login, randomised":      {nil, visits(1), crmEvents(t, events.CRMEventsBackfill, randomised), map[string]int{"Devices": 3, "PutDevice": 2, "OfDevice": 3, "Resolve": 1, "Stored": 1}},
		"login without a walk-in":           {nil, nil, crmEvents(t, events.CRMEventsBackfill, known()...), map[string]int{"Devices": 2, "PutDevice": 1, "OfDevice": 1}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			handleAll(t, f.identify(), crmEvents(t, events.CRMEvents, c.crm...))
			if c.earlier != nil {
				handleAll(t, f.enrich(), c.earlier)
			}
			counter := &callCounter{Identities: f.identities, Pending: f.pending, calls: map[string]int{}}
			h := stage.NewEnrich(stage.EnrichDeps{Identities: counter, Pending: counter, Out: f.out})
			if c.batch.Topic == events.CRMEventsBackfill {
				h = stage.NewIdentify(stage.IdentifyDeps{Identities: counter, Pending: counter, Out: f.out})
			}
			handleAll(t, h, c.batch)
			if !maps.Equal(counter.calls, c.want) {
				t.Errorf("got calls %v, want %v", counter.calls, c.want)
			}
		})
	}
}
