package simtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/detect"
	"footfall/shared/memory"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// plainCounts keeps totals beside the facts, and adds to a total what given facts
// would make of it were they new.
type plainCounts struct {
	facts  *memory.Counts
	totals map[stage.CountKey]map[string]int64
	marks  map[string]int64 // what the doubles of count keep beside
}

func newPlainCounts() *plainCounts {
	return &plainCounts{memory.NewCounts(), map[stage.CountKey]map[string]int64{}, map[string]int64{}}
}

func (c *plainCounts) Add(ctx context.Context, key stage.CountKey, month string, facts []presence.Fact) error {
	before, err := c.facts.Get(ctx, key)
	if err != nil {
		return err
	}
	for i := range before {
		before[i].Facts = slices.DeleteFunc(before[i].Facts, func(f presence.Fact) bool { return slices.Contains(facts, f) })
	}
	stage.SetTotals(before)
	if err := c.facts.Add(ctx, key, month, facts); err != nil {
		return err
	}
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

func (c *plainCounts) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	all, err := c.facts.Get(ctx, key)
	for i := range all {
		all[i].Total = c.totals[key][all[i].Month]
	}
	return all, err
}

func (c *plainCounts) SetBase(context.Context, stage.CountKey, int64, int64) error {
	return errors.New("no base counts here")
}

// countDouble is count with another way to count a walk-in.
type countDouble struct {
	*ports
	table *plainCounts
	count func(c *countDouble, ctx context.Context, key stage.CountKey, e *events.EnrichedWalkIn, r *stage.Record) error
}

func countsWith(count func(*countDouble, context.Context, stage.CountKey, *events.EnrichedWalkIn, *stage.Record) error) func(*world) {
	return func(w *world) {
		table := newPlainCounts()
		w.counts = table
		replaces(pipeline.Count, func(_ *world, e *env) stage.Handler { return &countDouble{e.ports, table, count} })(w)
	}
}

// Handle counts and tells walk-in by walk-in.
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
		if err := c.tell(ctx, key, &e); err != nil {
			return err
		}
	}
	return nil
}

func (c *countDouble) tell(ctx context.Context, key stage.CountKey, e *events.EnrichedWalkIn) error {
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

// request is a call to the table that does something to it and gives a number.
func (c *countDouble) request(ctx context.Context, op, key string, do func() int64) (n int64, err error) {
	err = c.w.call(ctx, call{port: pipeline.CountsTable, op: op, key: key, write: true, do: func() error {
		n = do()
		return nil
	}})
	return n, err
}

// watermark counts what lies behind the last offset counted of the contact.
func (c *countDouble) watermark(ctx context.Context, key stage.CountKey, e *events.EnrichedWalkIn, r *stage.Record) error {
	_, err := c.request(ctx, "add behind mark", string(events.ContactKey(key.Business, key.Contact)), func() int64 {
		mark := fmt.Sprint(key)
		if r.Offset+1 > c.table.marks[mark] {
			c.table.marks[mark] = r.Offset + 1
			c.take(key, e)
		}
		return 0
	})
	return err
}

// take counts what the walk-in tells: its visit, or that it is over. That takes
// no visit for new which is there already.
func (c *countDouble) take(key stage.CountKey, e *events.EnrichedWalkIn) {
	facts := []presence.Fact{presence.Began(string(e.ID), string(e.Device), e.StartedAt)}
	// memory takes every valid key and month, so there is no error to tell.
	if e.Ended {
		known, _ := c.table.facts.Get(background, key)
		if slices.ContainsFunc(known, func(m stage.MonthCount) bool { return slices.Contains(m.Facts, facts[0]) }) {
			facts = nil
		}
		facts = append(facts, presence.LastSeen(string(e.ID), e.StartedAt.Add(time.Duration(e.DwellMillis)*time.Millisecond)))
	}
	_ = c.table.Add(background, key, presence.MonthOf(e.StartedAt), facts)
}

// name tells the walk-in from its end.
func name(e *events.EnrichedWalkIn) string { return fmt.Sprint(e.ID, e.DwellMillis, e.Ended) }

// markerThenCounter marks the walk-in as counted, and then counts it.
func (c *countDouble) markerThenCounter(ctx context.Context, key stage.CountKey, e *events.EnrichedWalkIn, _ *stage.Record) error {
	known, err := c.request(ctx, "mark", name(e), func() int64 {
		before := c.table.marks[name(e)]
		c.table.marks[name(e)] = 1
		return before
	})
	if err != nil || known == 1 {
		return err
	}
	return c.plus(ctx, key, e)
}

// plainAdd counts without asking whether it has counted before.
func (c *countDouble) plainAdd(ctx context.Context, key stage.CountKey, e *events.EnrichedWalkIn, _ *stage.Record) error {
	return c.plus(ctx, key, e)
}

func (c *countDouble) plus(ctx context.Context, key stage.CountKey, e *events.EnrichedWalkIn) error {
	_, err := c.request(ctx, "add", string(events.ContactKey(key.Business, key.Contact)), func() int64 {
		c.take(key, e)
		return 0
	})
	return err
}

// markerLock marks the walk-in as begun, counts it, and marks it as done.
func (c *countDouble) markerLock(ctx context.Context, key stage.CountKey, e *events.EnrichedWalkIn, _ *stage.Record) error {
	const begun, done = 1, 2
	mark := func(to int64) (int64, error) {
		return c.request(ctx, "mark", name(e), func() int64 {
			before := c.table.marks[name(e)]
			c.table.marks[name(e)] = max(to, before)
			return before
		})
	}
	former, err := mark(begun)
	if err != nil || former == done {
		return err
	}
	if err := c.plus(ctx, key, e); err != nil {
		return err
	}
	_, err = mark(done)
	return err
}

// overwrittenLog stores an item whether or not its number is free.
type overwrittenLog struct {
	chains map[string]map[int64][]byte
}

func newOverwrittenLog() *overwrittenLog { return &overwrittenLog{map[string]map[int64][]byte{}} }

func (l *overwrittenLog) Last(_ context.Context, chain string, _ bool) (stage.LogItem, bool, error) {
	last := int64(-1)
	for seq := range l.chains[chain] {
		last = max(last, seq)
	}
	return stage.LogItem{Seq: last, Data: l.chains[chain][last]}, last >= 0, nil
}

func (l *overwrittenLog) Read(_ context.Context, chain string, from, to int64, _ bool) ([]stage.LogItem, error) {
	var all []stage.LogItem
	for _, seq := range slices.Sorted(maps.Keys(l.chains[chain])) {
		if from <= seq && seq <= to {
			all = append(all, stage.LogItem{Seq: seq, Data: l.chains[chain][seq]})
		}
	}
	return all, nil
}

func (l *overwrittenLog) Append(_ context.Context, chain string, item stage.LogItem, _ time.Time) error {
	if l.chains[chain] == nil {
		l.chains[chain] = map[int64][]byte{}
	}
	l.chains[chain][item.Seq] = item.Data
	return nil
}

// detectWith makes detect over ports of which some are replaced.
func detectWith(w *world, log stage.VisitLog, topics stage.TopicInfos, out stage.Producer) stage.Handler {
	return detect.New(detect.Deps{Log: log, Topics: topics, Out: out, Rules: w.rules})
}

// heldBack produces only once the log is written.
type heldBack struct{ *ports }

const heldKey contextKey = "records held back"

func (h heldBack) Produce(ctx context.Context, records []stage.Record) error {
	held := of[[]stage.Record](ctx, heldKey)
	*held = append(*held, records...)
	return nil
}

func (h heldBack) Append(ctx context.Context, chain string, item stage.LogItem, expires time.Time) error {
	if err := h.ports.Append(ctx, chain, item, expires); err != nil {
		return err
	}
	return h.release(ctx, of[[]stage.Record](ctx, heldKey))
}

func (h heldBack) release(ctx context.Context, held *[]stage.Record) error {
	if len(*held) == 0 {
		return nil
	}
	records := *held
	*held = nil
	return h.ports.Produce(ctx, records)
}

func stateBeforeProduce(w *world, e *env) stage.Handler {
	h := heldBack{e.ports}
	return perBatch(heldKey, detectWith(w, h, h, h), h.release)
}

// nextFree appends under the next number that is free, whatever was written
// since the state was read.
type nextFree struct{ *ports }

func (n nextFree) Append(ctx context.Context, chain string, item stage.LogItem, expires time.Time) error {
	for {
		err := n.ports.Append(ctx, chain, item, expires)
		if !errors.Is(err, stage.ErrConflict) || chain == "generations/"+events.Sightings {
			return err
		}
		item.Seq++
	}
}

func decidesBehindTheLog(w *world, e *env) stage.Handler {
	return detectWith(w, nextFree{e.ports}, e.ports, e.ports)
}

// sameLife takes a topic that was made anew for the one before.
type sameLife struct{ *ports }

func (s sameLife) Info(ctx context.Context, name string, maxAge time.Duration) (stage.TopicInfo, error) {
	info, err := s.ports.Info(ctx, name, maxAge)
	info.ID = name
	return info, err
}

func ignoresGenerations(w *world, e *env) stage.Handler {
	return detectWith(w, e.ports, sameLife{e.ports}, e.ports)
}

// renamed gives each walk-in an id that is not made of data.
type renamed struct{ *ports }

func (n renamed) Produce(ctx context.Context, records []stage.Record) error {
	all := slices.Clone(records)
	for i, r := range all {
		e, err := events.DecodeWalkIn(r.Key, r.Value)
		if err != nil || r.Topic != events.WalkIns {
			continue
		}
		e.ID = events.NewWalkInID(e.Business, e.Device, time.UnixMilli(int64(n.w.calls)))
		if all[i].Value, err = events.Encode(nil, &e); err != nil {
			return err
		}
	}
	return n.ports.Produce(ctx, all)
}

func randomIDs(w *world, e *env) stage.Handler {
	return detectWith(w, e.ports, e.ports, renamed{e.ports})
}

// quiet tells a count only where it has added something.
type quiet struct{ *ports }

const addedKey contextKey = "whether something was added"

func (q quiet) Add(ctx context.Context, key stage.CountKey, month string, facts []presence.Fact) error {
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
	if added := of[bool](ctx, addedKey); err == nil && fresh {
		*added = true
	}
	return err
}

func (q quiet) Produce(ctx context.Context, records []stage.Record) error {
	var all []stage.Record
	for _, r := range records {
		if r.Topic != events.WalkInCounts || *of[bool](ctx, addedKey) {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return q.ports.Produce(ctx, all)
}

func silentOnDuplicates(_ *world, e *env) stage.Handler {
	q := quiet{e.ports}
	return perBatch[bool](addedKey, stage.NewCount(stage.CountDeps{Counts: q, Out: q}), nil)
}

// remembered reads a contact's counts once per batch, so that nothing is told
// again.
type remembered struct{ *ports }

const readKey contextKey = "what was read"

func (r remembered) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	r.w.mu.Lock()
	known, ok := (*of[map[stage.CountKey][]stage.MonthCount](ctx, readKey))[key]
	r.w.mu.Unlock()
	if ok {
		return known, nil
	}
	read, err := r.ports.Get(ctx, key)
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	all := of[map[stage.CountKey][]stage.MonthCount](ctx, readKey)
	if *all == nil {
		*all = map[stage.CountKey][]stage.MonthCount{}
	}
	if err == nil {
		(*all)[key] = read
	}
	return read, err
}

func toldOnce(_ *world, e *env) stage.Handler {
	r := remembered{e.ports}
	return perBatch[map[stage.CountKey][]stage.MonthCount](readKey, stage.NewCount(stage.CountDeps{Counts: r, Out: r}), nil)
}

// shortSighted lets enrich look at the identities once per batch.
type shortSighted struct{ *ports }

const lookedKey contextKey = "whether enrich has looked"

func (s shortSighted) Devices(ctx context.Context, keys []stage.IdentityKey) ([]presence.History, []int64, error) {
	looked := of[bool](ctx, lookedKey)
	if *looked {
		return make([]presence.History, len(keys)), make([]int64, len(keys)), nil
	}
	*looked = true
	return s.ports.Devices(ctx, keys)
}

func noSecondLook(_ *world, e *env) stage.Handler {
	s := shortSighted{e.ports}
	return perBatch[bool](lookedKey, stage.NewEnrich(stage.EnrichDeps{Identities: s, Pending: s, Out: s}), nil)
}

// lastWins is a sink that keeps whatever comes last.
type lastWins struct{ sink }

// Handle upserts a batch without a look at versions.
func (s *lastWins) Handle(ctx context.Context, b stage.Batch) error {
	for _, r := range b.Records {
		c, err := events.DecodeWalkInCount(r.Key, r.Value)
		if err != nil {
			return err
		}
		err = s.w.call(ctx, call{port: "sink", op: "upsert", key: string(events.ContactKey(c.Business, c.Contact)), n: c.Version, write: true, do: func() error {
			s.w.table[stage.CountKey{Business: c.Business, Contact: c.Contact}] = c
			return nil
		}})
		if err != nil {
			return err
		}
	}
	return nil
}
