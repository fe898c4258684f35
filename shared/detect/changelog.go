package detect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// generation is one life of the sightings topic: a recreated topic and a
// changed number of partitions begin a new one, each with chains of its own.
type generation struct {
	Topic      string `json:"topic"` // the broker's id of it
	Partitions int32  `json:"partitions"`
}

func (g generation) chain(partition int32) string {
	return fmt.Sprintf("%s/%d/%d", g.Topic, g.Partitions, partition)
}

// generationsChain lists the generations in the order of their beginning.
const generationsChain = "generations/" + events.Sightings

// tracked is a device in memory, with the item of the log that holds its state
// and that item's clock.
type tracked struct {
	presence.Device
	logged int64
	at     presence.Instant
}

// view is what an environment knows of a partition: the fold of its chain up to
// item seq.
type view struct {
	gen     generation
	seq     int64 // -1 for an empty chain
	offset  int64 // the last one covered, -1 for none
	clock   presence.Instant
	devices map[string]*tracked // by record key
	// perItem counts the devices whose state an item holds; from is the oldest
	// item that has any, or the next one to be written.
	perItem map[int64]int
	from    int64
	partial bool // the chain ends in an adoption that was not finished
	sealed  bool // a later generation has adopted it: nobody may write any more
	rules   rulebook
	// counts are the numbers of partitions that the topic has had so far.
	counts []int32
}

// owns says whether murmur2 of a key calls for the partition, now or when the
// topic had fewer.
func (v *view) owns(key []byte, partition int32) bool {
	return slices.ContainsFunc(v.counts, func(n int32) bool { return events.Partition(key, n) == partition })
}

func newView(g generation) *view {
	return &view{gen: g, seq: -1, offset: -1, devices: map[string]*tracked{}, perItem: map[int64]int{}}
}

// usable is an error for the view of a generation that a later one has adopted,
// though the broker still takes it for the present one.
func (v *view) usable() error {
	if v.sealed {
		return fmt.Errorf("topic %s with %d partitions is followed by another by now", v.gen.Topic, v.gen.Partitions)
	}
	return nil
}

// fold takes item seq into the view.
func (v *view) fold(seq int64, r *logRecord) {
	for i := range r.entries {
		v.take(&r.entries[i], seq, r.clock)
	}
	v.seq, v.offset, v.clock = seq, r.offset, r.clock
	v.partial, v.sealed = r.partial, r.sealed
	v.advance()
}

// take notes that item seq holds the device's state now. An entry without any
// says that nothing is left of the device.
func (v *view) take(e *logEntry, seq int64, clock presence.Instant) {
	d := v.devices[e.key]
	switch {
	case !e.device.Known():
		if d != nil {
			v.drop(e.key)
		}
		return
	case d == nil:
		d = &tracked{logged: -1}
		v.devices[e.key] = d
	}
	d.Device = e.device
	v.unlog(d)
	d.logged, d.at = seq, clock
	v.perItem[seq]++
}

func (v *view) unlog(d *tracked) {
	if d.logged < 0 {
		return
	}
	if v.perItem[d.logged]--; v.perItem[d.logged] == 0 {
		delete(v.perItem, d.logged)
	}
}

// drop forgets a device of which nothing is left.
func (v *view) drop(key string) {
	v.unlog(v.devices[key])
	delete(v.devices, key)
}

func (v *view) advance() {
	for v.from <= v.seq && v.perItem[v.from] == 0 {
		v.from++
	}
}

// chainReader loads views from the log.
type chainReader struct {
	log   stage.VisitLog
	rules stage.Businesses
}

// load reads a partition's chain from the oldest item that still matters. For a
// chain that has not begun it adopts what the former generation knew.
func (c chainReader) load(ctx context.Context, g generation, partition int32, expires time.Time) (*view, error) {
	v, err := c.read(ctx, g, partition)
	if err == nil && (v.seq < 0 || v.partial) {
		v, err = c.adopt(ctx, g, partition, v.seq+1, expires)
	}
	if err != nil {
		return nil, err
	}
	known, err := c.generations(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range known {
		if k.Topic == g.Topic {
			v.counts = append(v.counts, k.Partitions)
		}
	}
	return v, nil
}

// read folds a chain.
func (c chainReader) read(ctx context.Context, g generation, partition int32) (*view, error) {
	chain := g.chain(partition)
	last, ok, err := c.log.Last(ctx, chain, false)
	if err == nil && !ok {
		last, ok, err = c.log.Last(ctx, chain, true)
	}
	if err != nil {
		return nil, fmt.Errorf("last item of visit log %s: %w", chain, err)
	}
	v := newView(g)
	v.rules.source = c.rules
	if !ok {
		return v, nil
	}
	head, err := decodeLogRecord(last.Data)
	if err != nil {
		return nil, fmt.Errorf("visit log %s item %d: %w", chain, last.Seq, err)
	}
	v.seq, v.from = head.from-1, head.from
	if _, err := c.follow(ctx, v, partition, last.Seq-1); err != nil {
		return nil, err
	}
	v.fold(last.Seq, &head)
	return v, c.settle(ctx, v)
}

// settle learns by what the businesses of a view that was read decide, and
// forgets what an environment that was there all the time has forgotten.
//
// That one forgets without a word to the log, since who reads it forgets by the
// same clock. By the same rules it must: where a longer silence holds by now, a
// device that is read from the log would come back to life, and go on with a
// stay that nobody else knows of. So a device whose state was written before a
// boundary is told of each boundary since, by the rules that ended there. One
// that was told before is not changed by it: what the boundary has left of a
// device is only ever forgotten later.
func (c chainReader) settle(ctx context.Context, v *view) error {
	v.rules = rulebook{source: c.rules}
	if err := v.rules.renew(ctx, v.devices); err != nil {
		return err
	}
	for key, d := range v.devices {
		business, _, _ := events.SplitDeviceKey(key)
		for i := range v.rules.known[business] {
			if since := v.rules.known[business][i].Since; d.at < since && since <= v.clock {
				d.Forget(since, v.rules.at(business, since-1))
			}
		}
		if !d.Known() {
			v.drop(key)
		}
	}
	return nil
}

// follow folds the items after the view's last one, up to item to. whole is
// false where some are not there: an item comes after the one before it, so
// those have expired, which takes a partition that stood still for as long as
// items are kept. Then what lies behind the last hole is all there is.
func (c chainReader) follow(ctx context.Context, v *view, partition int32, to int64) (whole bool, err error) {
	chain, want := v.gen.chain(partition), to-v.seq
	if want <= 0 {
		return true, nil
	}
	items, err := c.log.Read(ctx, chain, v.seq+1, to, false)
	if err == nil && int64(len(items)) < want {
		// Not there, or not there yet where this reader looked.
		items, err = c.log.Read(ctx, chain, v.seq+1, to, true)
	}
	if err != nil {
		return false, fmt.Errorf("visit log %s items %d to %d: %w", chain, v.seq+1, to, err)
	}
	items = behindHoles(items, to)
	for _, item := range items {
		r, err := decodeLogRecord(item.Data)
		if err != nil {
			return false, fmt.Errorf("visit log %s item %d: %w", chain, item.Seq, err)
		}
		v.fold(item.Seq, &r)
	}
	return int64(len(items)) == want, nil
}

// behindHoles gives the items that lead up to number to without a hole.
func behindHoles(items []stage.LogItem, to int64) []stage.LogItem {
	n := len(items)
	for n > 0 && items[n-1].Seq == to {
		n, to = n-1, to-1
	}
	return items[n:]
}

// catchUp folds what others have written since. A view whose chain has expired
// under it, so that others have begun without what it knows, is out of date as
// if another had been first.
func (c chainReader) catchUp(ctx context.Context, v *view, partition int32) error {
	chain := v.gen.chain(partition)
	last, ok, err := c.log.Last(ctx, chain, true)
	if err != nil {
		return fmt.Errorf("last item of visit log %s: %w", chain, err)
	}
	if !ok {
		last.Seq = -1
	}
	whole := last.Seq >= v.seq
	if whole {
		whole, err = c.follow(ctx, v, partition, last.Seq)
	}
	if err == nil && !whole {
		err = fmt.Errorf("visit log %s: items after %d have expired: %w", chain, v.seq, stage.ErrConflict)
	}
	if err != nil {
		return err
	}
	return c.settle(ctx, v)
}

// adopt begins a chain with what the former generation knew of the keys that
// are this partition's now. The former chains must have been drained. What is
// written is the same whoever writes it, so an adoption that was cut short goes
// on at item seq.
func (c chainReader) adopt(ctx context.Context, g generation, partition int32, seq int64, expires time.Time) (*view, error) {
	former, err := c.former(ctx, g)
	if err != nil {
		return nil, err
	}
	if former == nil {
		v := newView(g)
		v.rules.source = c.rules
		return v, nil
	}
	whole, err := c.inherit(ctx, *former, g, partition, expires)
	if err != nil {
		return nil, err
	}
	parts := split(entriesOf(whole, maps.Keys(whole.devices)), whole.clock, flushBytes)
	for ; seq < int64(len(parts)); seq++ {
		r := logRecord{
			offset: whole.offset, clock: whole.clock, entries: parts[seq],
			partial: seq < int64(len(parts))-1,
		}
		item := stage.LogItem{Seq: seq, Data: r.encode()}
		if err := c.log.Append(ctx, g.chain(partition), item, expires); err != nil {
			return nil, fmt.Errorf("visit log %s item %d: %w", g.chain(partition), seq, err)
		}
	}
	return c.read(ctx, g, partition)
}

// inherit gathers from all chains of the former generation. One of those may
// not have begun, or not be whole, where that generation was short: it is made
// whole first, or what lies before it would be out of everyone's reach.
//
// A partition that was added has no clock before its first tick. One of another
// partition may be ahead: an environment that does not know of the change yet
// goes on there until the chain is sealed, and sightings would be late that are
// not.
func (c chainReader) inherit(ctx context.Context, former, g generation, partition int32, expires time.Time) (*view, error) {
	whole := newView(g)
	for p := range former.Partitions {
		v, err := c.seal(ctx, former, p, expires)
		if err != nil {
			return nil, err
		}
		if former.Topic != g.Topic {
			whole.clock = max(whole.clock, v.clock)
		}
		for key, d := range v.devices {
			if events.Partition([]byte(key), g.Partitions) == partition {
				whole.devices[key] = d
			}
		}
		if p == partition && former.Topic == g.Topic {
			whole.offset, whole.clock = v.offset, v.clock
		}
	}
	return whole, nil
}

// seal ends a chain of a former generation and gives what it came to. Whoever
// still takes that generation for the present one finds the next number taken,
// and asks the broker.
func (c chainReader) seal(ctx context.Context, g generation, partition int32, expires time.Time) (*view, error) {
	for {
		v, err := c.load(ctx, g, partition, expires)
		if err != nil || v.sealed {
			return v, err
		}
		end := logRecord{offset: v.offset, clock: v.clock, from: v.from, sealed: true}
		err = c.log.Append(ctx, g.chain(partition), stage.LogItem{Seq: v.seq + 1, Data: end.encode()}, expires)
		if err == nil {
			return v, nil
		}
		if !errors.Is(err, stage.ErrConflict) {
			return nil, fmt.Errorf("seal visit log %s: %w", g.chain(partition), err)
		}
	}
}

// former is the generation before g, nil if g is the first. A generation that
// is not listed yet is put at the end.
func (c chainReader) former(ctx context.Context, g generation) (*generation, error) {
	for {
		known, err := c.generations(ctx)
		if err != nil {
			return nil, err
		}
		switch i := slices.Index(known, g); {
		case i > 0:
			return &known[i-1], nil
		case i == 0:
			return nil, nil
		}
		data, err := json.Marshal(g)
		if err != nil {
			return nil, fmt.Errorf("generation %v: %w", g, err)
		}
		// It must outlive every chain: no expiry.
		err = c.log.Append(ctx, generationsChain, stage.LogItem{Seq: int64(len(known)), Data: data}, time.Time{})
		if err != nil && !errors.Is(err, stage.ErrConflict) {
			return nil, fmt.Errorf("generation %v: %w", g, err)
		}
	}
}

// generations lists all generations in the order of their beginning.
func (c chainReader) generations(ctx context.Context) ([]generation, error) {
	items, err := c.log.Read(ctx, generationsChain, 0, 1<<40, true)
	if err != nil {
		return nil, fmt.Errorf("generations of %s: %w", events.Sightings, err)
	}
	known := make([]generation, len(items))
	for i, item := range items {
		if err := json.Unmarshal(item.Data, &known[i]); err != nil {
			return nil, fmt.Errorf("generation %d of %s: %w", item.Seq, events.Sightings, err)
		}
	}
	return known, nil
}

// entriesOf gives the state of devices in the order of their keys.
func entriesOf(v *view, keys iter.Seq[string]) []logEntry {
	sorted := slices.Sorted(keys)
	entries := make([]logEntry, len(sorted))
	for i, key := range sorted {
		entries[i] = logEntry{key, v.devices[key].Device}
	}
	return entries
}

// SumTallies adds up what detect saw in one life of the sightings topic, as far
// back as the log is kept.
func SumTallies(ctx context.Context, log stage.VisitLog, info stage.TopicInfo) (Tally, error) {
	g := generation{info.ID, info.Partitions}
	var sum Tally
	for p := range info.Partitions {
		items, err := log.Read(ctx, g.chain(p), 0, 1<<40, true)
		if err != nil {
			return Tally{}, fmt.Errorf("visit log %s: %w", g.chain(p), err)
		}
		for _, item := range items {
			r, err := decodeLogRecord(item.Data)
			if err != nil {
				return Tally{}, fmt.Errorf("visit log %s item %d: %w", g.chain(p), item.Seq, err)
			}
			sum = sum.Plus(r.tally)
		}
	}
	return sum, nil
}
