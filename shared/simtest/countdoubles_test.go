package simtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// The doubles of the stage count: broken ways to count a walk-in.

// plainCounts is a table of counters. Each Add raises the totals as if the facts
// were new, also if the table holds the facts already.
type plainCounts struct {
	facts  *memory.Counts
	totals map[stage.CountKey]map[string]int64
	marks  map[string]int64 // markers of the doubles below
}

func newPlainCounts() *plainCounts {
	return &plainCounts{memory.NewCounts(), map[stage.CountKey]map[string]int64{}, map[string]int64{}}
}

// Add raises the totals by the visits that the facts stand for.
func (c *plainCounts) Add(ctx context.Context, key stage.CountKey, month string, facts []presence.Fact) error {
	before, err := c.facts.Get(ctx, key)
	if err != nil {
		return err
	}
	// The totals without the facts.
	for i := range before {
		before[i].Facts = slices.DeleteFunc(before[i].Facts, func(f presence.Fact) bool { return slices.Contains(facts, f) })
	}
	stage.SetTotals(before)
	if err := c.facts.Add(ctx, key, month, facts); err != nil {
		return err
	}
	// The difference goes to the counters, each time that the facts come.
	after, err := c.facts.Get(ctx, key)
	if c.totals[key] == nil {
		c.totals[key] = map[string]int64{}
	}
	for _, m := range after {
		c.totals[key][m.Month] += m.Total
	}
	for _, m := range before {
		c.totals[key][m.Month] -= m.Total
	}
	return err
}

// Get returns the totals of the counters.
func (c *plainCounts) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	all, err := c.facts.Get(ctx, key)
	for i := range all {
		all[i].Total = c.totals[key][all[i].Month]
	}
	return all, err
}

// SetBase fails: no mutant of count runs in a mode with base counts.
func (c *plainCounts) SetBase(context.Context, stage.CountKey, int64, int64) error {
	return errors.New("plainCounts has no base counts")
}

// countDouble is the stage count with another way to count a walk-in.
type countDouble struct {
	*ports
	table *plainCounts
	count func(c *countDouble, ctx context.Context, key stage.CountKey, e *events.EnrichedWalkIn, r *stage.Record) error
}

// countsWith replaces count by a countDouble.
func countsWith(count func(*countDouble, context.Context, stage.CountKey, *events.EnrichedWalkIn, *stage.Record) error) func(*world) {
	return func(w *world) {
		table := newPlainCounts()
		w.counts = table
		replaces(pipeline.Count, func(_ *world, e *env) stage.Handler { return &countDouble{e.ports, table, count} })(w)
	}
}

// Handle counts walk-in by walk-in, and produces the count after each.
func (c *countDouble) Handle(ctx context.Context, b stage.Batch) error {
	for i := range b.Records {
		r := &b.Records[i]
		e, err := events.DecodeEnrichedWalkIn(r.Key, r.Value)
		if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
			if err := c.Produce(ctx, []stage.Record{stage.DeadLetter(pipeline.Count, r, bad.Reason, bad.Err)}); err != nil {
				return err
			}
			continue
		}
		key := stage.CountKey{Business: e.Business, Contact: e.Contact}
		if err := c.count(c, ctx, key, &e, r); err != nil {
			return err
		}
		if err := c.produceCount(ctx, key, &e); err != nil {
			return err
		}
	}
	return nil
}

// produceCount produces the count of a contact as the table has it.
func (c *countDouble) produceCount(ctx context.Context, key stage.CountKey, e *events.EnrichedWalkIn) error {
	months, err := c.Get(ctx, key)
	if err != nil {
		return err
	}
	n := events.WalkInCount{Business: key.Business, Contact: key.Contact, WalkIn: e.ID, WalkInAt: e.StartedAt, Month: presence.MonthOf(e.StartedAt)}
	for _, m := range months {
		n.Total += m.Total
		n.Version += m.Version
	}
	value, err := events.Encode(nil, &n)
	if err != nil {
		return err
	}
	return c.Produce(ctx, []stage.Record{{
		Topic: events.WalkInCounts, Partition: stage.AnyPartition, Key: events.ContactKey(key.Business, key.Contact), Value: value,
	}})
}

// request is one call that changes the table and returns a number.
func (c *countDouble) request(ctx context.Context, op, key string, do func() int64) (n int64, err error) {
	err = c.w.call(ctx, call{port: pipeline.CountsTable, op: op, key: key, write: true, do: func() error {
		n = do()
		return nil
	}})
	return n, err
}

// offsetMark counts a walk-in if its offset is higher than the last offset that was
// counted for the contact.
func (c *countDouble) offsetMark(ctx context.Context, key stage.CountKey, e *events.EnrichedWalkIn, r *stage.Record) error {
	_, err := c.request(ctx, "add behind mark", string(events.ContactKey(key.Business, key.Contact)), func() int64 {
		mark := fmt.Sprint(key)
		if r.Offset+1 > c.table.marks[mark] {
			c.table.marks[mark] = r.Offset + 1
			c.addFacts(key, e)
		}
		return 0
	})
	return err
}

// addFacts adds the fact of a walk-in that its visit began, or of an ended walk-in
// that the visit has ended. If the table has the beginning already, an ended
// walk-in does not add it again.
func (c *countDouble) addFacts(key stage.CountKey, e *events.EnrichedWalkIn) {
	facts := []presence.Fact{presence.Began(string(e.ID), string(e.Device), e.StartedAt)}
	// memory accepts every valid key and month, so there is no error to return.
	if e.Ended {
		known, _ := c.table.facts.Get(background, key)
		if slices.ContainsFunc(known, func(m stage.MonthCount) bool { return slices.Contains(m.Facts, facts[0]) }) {
			facts = nil
		}
		facts = append(facts, presence.LastSeen(string(e.ID), e.StartedAt.Add(time.Duration(e.DwellMillis)*time.Millisecond)))
	}
	_ = c.table.Add(background, key, presence.MonthOf(e.StartedAt), facts)
}

// markOf returns the name of a walk-in's marker, which differs for its end.
func markOf(e *events.EnrichedWalkIn) string { return fmt.Sprint(e.ID, e.DwellMillis, e.Ended) }

// markerThenCounter marks the walk-in as counted, and then counts it. A crash in
// between loses the walk-in.
func (c *countDouble) markerThenCounter(ctx context.Context, key stage.CountKey, e *events.EnrichedWalkIn, _ *stage.Record) error {
	known, err := c.request(ctx, "mark", markOf(e), func() int64 {
		before := c.table.marks[markOf(e)]
		c.table.marks[markOf(e)] = 1
		return before
	})
	if err != nil || known == 1 {
		return err
	}
	return c.addPlain(ctx, key, e)
}

// plainAdd counts every walk-in that comes, also if it was counted before.
func (c *countDouble) plainAdd(ctx context.Context, key stage.CountKey, e *events.EnrichedWalkIn, _ *stage.Record) error {
	return c.addPlain(ctx, key, e)
}

// addPlain adds the facts of a walk-in as one call.
func (c *countDouble) addPlain(ctx context.Context, key stage.CountKey, e *events.EnrichedWalkIn) error {
	_, err := c.request(ctx, "add", string(events.ContactKey(key.Business, key.Contact)), func() int64 {
		c.addFacts(key, e)
		return 0
	})
	return err
}

// markerLock marks the walk-in as begun, counts it, and marks it as done. A crash
// between the last two counts the walk-in again.
func (c *countDouble) markerLock(ctx context.Context, key stage.CountKey, e *events.EnrichedWalkIn, _ *stage.Record) error {
	const begun, done = 1, 2
	mark := func(to int64) (int64, error) {
		return c.request(ctx, "mark", markOf(e), func() int64 {
			before := c.table.marks[markOf(e)]
			c.table.marks[markOf(e)] = max(to, before)
			return before
		})
	}
	former, err := mark(begun)
	if err != nil || former == done {
		return err
	}
	if err := c.addPlain(ctx, key, e); err != nil {
		return err
	}
	_, err = mark(done)
	return err
}

// producesIfAdded produces a count only if an Add of the batch has added something.
// If the try that added the facts crashed before its produce, the next try adds
// nothing, and the count is never produced.
type producesIfAdded struct{ *ports }

// addedKey is the key of the flag that the batch has added something.
const addedKey contextKey = "whether something was added"

// Add sets the flag if a version changes.
func (q producesIfAdded) Add(ctx context.Context, key stage.CountKey, month string, facts []presence.Fact) error {
	var fresh bool
	err := q.w.call(ctx, call{port: pipeline.CountsTable, op: "add", key: string(events.ContactKey(key.Business, key.Contact)) + " " + month, write: true, do: func() error {
		before, err := q.w.counts.Get(background, key)
		if err != nil {
			return err
		}
		if err := q.w.counts.Add(background, key, month, facts); err != nil {
			return err
		}
		after, err := q.w.counts.Get(background, key)
		fresh = !slices.EqualFunc(before, after, func(a, b stage.MonthCount) bool { return a.Version == b.Version })
		return err
	}})
	// An error leaves the flag as it is.
	if added := batchValue[bool](ctx, addedKey); err == nil && fresh {
		*added = true
	}
	return err
}

// Produce leaves out counts if the flag is not set.
func (q producesIfAdded) Produce(ctx context.Context, records []stage.Record) error {
	var all []stage.Record
	for _, r := range records {
		if r.Topic != events.WalkInCounts || *batchValue[bool](ctx, addedKey) {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return q.ports.Produce(ctx, all)
}

// silentOnDuplicates returns count with producesIfAdded.
func silentOnDuplicates(_ *world, e *env) stage.Handler {
	q := producesIfAdded{e.ports}
	return perBatch[bool](addedKey, stage.NewCount(stage.CountDeps{Counts: q, Out: q}), nil)
}

// cachedCounts reads the counts of a contact once per batch. So count does not see
// that another writer has overtaken it, and does not produce the count again.
type cachedCounts struct{ *ports }

// readKey is the key of the counts that the batch has read.
const readKey contextKey = "what was read"

// Get returns the counts of the first read of the batch.
func (r cachedCounts) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	r.w.mu.Lock()
	known, ok := (*batchValue[map[stage.CountKey][]stage.MonthCount](ctx, readKey))[key]
	r.w.mu.Unlock()
	if ok {
		return known, nil
	}
	// The first read: other goroutines of the batch may read other contacts.
	read, err := r.ports.Get(ctx, key)
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	all := batchValue[map[stage.CountKey][]stage.MonthCount](ctx, readKey)
	if *all == nil {
		*all = map[stage.CountKey][]stage.MonthCount{}
	}
	if err == nil {
		(*all)[key] = read
	}
	return read, err
}

// producesOnce returns count with cachedCounts.
func producesOnce(_ *world, e *env) stage.Handler {
	r := cachedCounts{e.ports}
	return perBatch[map[stage.CountKey][]stage.MonthCount](readKey, stage.NewCount(stage.CountDeps{Counts: r, Out: r}), nil)
}
