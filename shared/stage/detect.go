package stage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"footfall/events"
	"footfall/shared/presence"
)

// DetectDeps is what detect works with. All fields are needed.
type DetectDeps struct {
	Log    VisitLog
	Topics TopicInfos
	Out    Producer
	Rules  func(events.BusinessID) *presence.Rules
}

// DefaultRules gives every business the default settings.
func DefaultRules() func(events.BusinessID) *presence.Rules {
	r := presence.DefaultRules()
	return func(events.BusinessID) *presence.Rules { return &r }
}

const (
	// topicAge is how old knowledge of the topic's life may be while offsets run
	// on without a hole. A topic cannot be deleted, made anew and filled to the
	// very next offset in that time.
	topicAge = 10 * time.Second
	// logRetention is how long an item is kept. A chain needs its items for the
	// longest visit silence; days leave room to look into what happened.
	logRetention = 14 * 24 * time.Hour
	// relogAfter is how many items a device's state may lie back. Its state is
	// written anew then, so that a cold start is never longer than that and never
	// meets items that have expired: at one item a minute, the least there are
	// while ticks come, it is half of logRetention.
	relogAfter = 10_000
	// maxAhead is how far in the future of its partition's clock a sighting may
	// lie. A router whose clock is a day off says nothing of use.
	maxAhead = presence.Instant(24 * time.Hour / time.Millisecond)
	// flushBytes is how much changed state goes into one log item. One record
	// more may follow before it is written, so it stays clear of the limit.
	flushBytes = MaxLogItemBytes / 2
	// maxStayBytes is the most that one stay takes, and more than what an entry
	// takes beside its key and its stays.
	maxStayBytes = 51
)

// NewDetect makes the stage that decides which devices are in the store.
//
// Of each partition it keeps the state of the devices in memory, and in the
// partition's chain of the visit log. A batch is decided in memory; then the
// walk-ins are produced; then one item with the changed state is appended on
// condition that its number is free. Whoever was first wins; who comes second
// forgets what it thought, reads on and decides again. Walk-in ids are made of
// data, so what both have produced is the same.
func NewDetect(deps DetectDeps) Handler {
	return &detect{deps: deps, chains: chainReader{deps.Log, deps.Topics}, partitions: map[int32]*partition{}}
}

type detect struct {
	deps   DetectDeps
	chains chainReader

	mu         sync.Mutex
	partitions map[int32]*partition
}

// partition is one partition's memory in this environment. view is nil until
// the chain is read, and again after anything went wrong.
type partition struct {
	mu   sync.Mutex
	view *view
	due  presence.Instant // no device has anything to do at a tick before
}

func (d *detect) partition(number int32) *partition {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.partitions[number]
	if p == nil {
		p = &partition{}
		d.partitions[number] = p
	}
	return p
}

// Handle decides on a batch of sightings and ticks.
func (d *detect) Handle(ctx context.Context, b Batch) error {
	p := d.partition(b.Partition)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		err := d.try(ctx, p, b)
		if err == nil {
			return nil
		}
		// What is in memory may be ahead of the log now.
		p.view = nil
		if !errors.Is(err, ErrConflict) || ctx.Err() != nil {
			return fmt.Errorf("detect on %s/%d: %w", b.Topic, b.Partition, err)
		}
	}
}

// try decides and writes the part of the batch that the log does not cover.
func (d *detect) try(ctx context.Context, p *partition, b Batch) error {
	if err := d.prepare(ctx, p, b); err != nil {
		return err
	}
	work := decision{detect: d, partition: p, batch: b, view: p.view, changed: map[string]struct{}{}, last: p.view.offset, written: p.view.clock}
	for i := range b.Records {
		r := &b.Records[i]
		if r.Offset <= p.view.offset {
			continue
		}
		if err := work.record(ctx, r); err != nil {
			return err
		}
	}
	if work.last == p.view.offset {
		return nil
	}
	return work.flush(ctx)
}

// flush produces what was decided, then appends it to the log.
//
// Where the changes of one tick take several items, all but the last say the
// former offset and clock. An environment that dies between two of them leaves
// the tick to be told again, and a device that has done what a tick calls for
// does nothing when it is told twice.
func (w *decision) flush(ctx context.Context) error {
	if len(w.out) > 0 {
		if err := w.deps.Out.Produce(ctx, w.out); err != nil {
			return fmt.Errorf("produce up to offset %d: %w", w.last, err)
		}
	}
	entries := sortedEntries(w.view, w.changed)
	parts := split(entries, w.view.clock, flushBytes)
	for i, part := range parts {
		r := logRecord{offset: w.view.offset, clock: w.written, entries: part}
		if i == len(parts)-1 {
			r.offset, r.clock, r.tally = w.last, w.view.clock, w.tally
		}
		if err := w.append(ctx, r); err != nil {
			return err
		}
	}
	w.written = w.view.clock
	clear(w.changed)
	w.size, w.out, w.tally = 0, w.out[:0], Tally{}
	return nil
}

// append writes one item and takes note of it.
func (w *decision) append(ctx context.Context, r logRecord) error {
	v, seq := w.view, w.view.seq+1
	for i := range r.entries {
		v.take(&r.entries[i], seq)
	}
	v.seq, v.offset = seq, r.offset
	v.advance()
	r.from = v.from
	chain := v.gen.chain(w.batch.Partition)
	err := w.deps.Log.Append(ctx, chain, LogItem{Seq: seq, Data: r.encode()}, expiry(w.batch))
	if err != nil {
		return fmt.Errorf("visit log %s item %d: %w", chain, seq, err)
	}
	return nil
}

// prepare sees to it that the view is the one that the batch is to be decided
// on: of the topic's present life and not behind the log.
func (d *detect) prepare(ctx context.Context, p *partition, b Batch) error {
	first := b.Records[0].Offset
	maxAge := topicAge
	if p.view != nil && first <= p.view.offset {
		maxAge = 0 // given again, or a new topic that counts from 0
	}
	info, err := d.deps.Topics.Info(ctx, b.Topic, maxAge)
	if err != nil {
		return fmt.Errorf("life of topic %s: %w", b.Topic, err)
	}
	g := generation{info.ID, info.Partitions}
	if p.view == nil || p.view.gen != g {
		if p.view, err = d.chains.load(ctx, g, b.Partition, expiry(b)); err != nil {
			return err
		}
		p.due = 0
		if first <= p.view.offset+1 {
			return nil
		}
	}
	if first == p.view.offset+1 {
		return nil
	}
	// Others may have gone on, or the offsets between are gone for good.
	p.due = 0
	return d.chains.catchUp(ctx, p.view, b.Partition)
}

// expiry is when log items of the batch may go. Time is that of the records.
func expiry(b Batch) time.Time {
	return b.Records[len(b.Records)-1].Timestamp.Add(logRetention)
}

// decision is the work on one batch up to the next item of the log.
type decision struct {
	*detect
	partition *partition
	batch     Batch
	view      *view

	changed map[string]struct{}
	size    int // of changed, packed, at the most
	last    int64
	written presence.Instant // the clock in the log
	out     []Record
	tally   Tally

	event   events.SightingsRecord
	scratch []presence.Event
}

// record decides on one record.
func (w *decision) record(ctx context.Context, r *Record) error {
	err := w.decide(ctx, r)
	if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
		w.out = append(w.out, DeadLetter(Detect, r, bad.Reason, bad.Err))
		w.tally.Dead++
		err = nil
	}
	if err != nil {
		return fmt.Errorf("offset %d: %w", r.Offset, err)
	}
	w.last = r.Offset
	if w.size >= flushBytes {
		return w.flush(ctx)
	}
	return nil
}

func (w *decision) decide(ctx context.Context, r *Record) error {
	if err := events.DecodeSightings(r.Key, r.Value, &w.event); err != nil {
		return err
	}
	if w.event.IsTick {
		return w.tick(ctx, presence.InstantOf(w.event.Tick.At))
	}
	return w.sighting(r)
}

// sighting decides on the sighting in event.
func (w *decision) sighting(r *Record) error {
	s := &w.event.Sighting
	in := presence.Sighting{
		At: presence.InstantOf(s.SeenAt), RSSI: int32(s.RSSI),
		Associated: s.Associated, Randomised: s.Randomised,
	}
	clock := w.view.clock
	if clock != 0 && in.At > clock+maxAhead {
		return events.Bad(events.AheadOfClock, "seen at %v, the partition's clock is at %v", s.SeenAt, clock.Time())
	}
	d := w.view.devices[string(r.Key)]
	if d == nil {
		d = &tracked{logged: -1}
	}
	rules := w.deps.Rules(s.Business)
	verdict, out := d.Next(in, clock, rules, w.scratch[:0])
	w.scratch = out
	w.tally.Sightings++
	if verdict.Late {
		w.tally.Late++
	}
	if verdict.PasserBy {
		w.tally.PassersBy++
	}
	if !verdict.Changed {
		return nil
	}
	key := string(r.Key)
	w.view.devices[key] = d
	w.note(key, d, rules)
	return w.emit(s.Business, s.Device, out)
}

// note marks a device as changed.
func (w *decision) note(key string, d *tracked, rules *presence.Rules) {
	if _, ok := w.changed[key]; !ok {
		w.changed[key] = struct{}{}
		w.size += len(key) + max(2, len(d.Stays))*maxStayBytes
	}
	w.due(d.Due(rules))
}

// due notes when a device has something to do next; 0 is never.
func (w *decision) due(at presence.Instant) {
	if at != 0 {
		w.partition.due = min(w.partition.due, at)
	}
}

// tick moves the clock and does what the time that has passed calls for.
func (w *decision) tick(ctx context.Context, at presence.Instant) error {
	if at <= w.view.clock {
		return nil
	}
	if w.view.seq-w.view.from > relogAfter {
		w.relog()
	}
	if at < w.partition.due {
		w.view.clock = at
		return nil
	}
	keys, next := w.dueAt(at)
	if w.size > 0 && w.size+len(keys)*2*maxStayBytes > flushBytes {
		// One tick may change more than an item holds; then flush writes parts of
		// it ahead, and nothing else may be in those. See flush.
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	w.view.clock, w.partition.due = at, next
	for _, key := range keys {
		if err := w.tickDevice(key, at); err != nil {
			return err
		}
	}
	return nil
}

// relog marks the devices as changed whose state lies far back in the log: those
// that a router with a wrong clock has put into the future, if there are any.
func (w *decision) relog() {
	for key, d := range w.view.devices {
		if w.view.seq-d.logged > relogAfter/2 {
			business, _, _ := events.SplitDeviceKey(key)
			w.note(key, d, w.deps.Rules(business))
		}
	}
}

// dueAt lists the devices that have something to do, in the order of their
// keys, so that whoever decides produces the same. next is when the others have.
func (w *decision) dueAt(at presence.Instant) (keys []string, next presence.Instant) {
	next = presence.Instant(math.MaxInt64)
	for key, d := range w.view.devices {
		business, _, _ := events.SplitDeviceKey(key)
		switch due := d.Due(w.deps.Rules(business)); {
		case due <= at:
			keys = append(keys, key)
		default:
			next = min(next, due)
		}
	}
	slices.Sort(keys)
	return keys, next
}

func (w *decision) tickDevice(key string, at presence.Instant) error {
	d := w.view.devices[key]
	business, device, ok := events.SplitDeviceKey(key)
	if !ok {
		return fmt.Errorf("device key %q has no business", key)
	}
	rules := w.deps.Rules(business)
	changed, out := d.Tick(at, rules, w.scratch[:0])
	w.scratch = out
	_, unwritten := w.changed[key]
	switch {
	case changed || unwritten:
		w.note(key, d, rules)
	case len(d.Stays) == 0:
		// The log still has its last state, of which nothing is left to be told:
		// whoever reads it forgets it by the same clock.
		w.view.drop(key)
	}
	w.due(d.Due(rules))
	return w.emit(business, device, out)
}

// emit makes the records of what was decided on one device.
func (w *decision) emit(b events.BusinessID, device events.DeviceID, decided []presence.Event) error {
	for i := range decided {
		r, err := recordOf(b, device, &decided[i])
		if err != nil {
			return fmt.Errorf("visit of %s/%s from %v: %w", b, device, decided[i].WalkIn.Time(), err)
		}
		w.out = append(w.out, r)
		if decided[i].Ended {
			continue
		}
		w.tally.WalkIns++
		if decided[i].Anonymous {
			w.tally.Anonymous++
		}
	}
	return nil
}

// recordOf makes the walk-in or the end of a visit.
func recordOf(b events.BusinessID, device events.DeviceID, e *presence.Event) (Record, error) {
	id, key := events.NewWalkInID(b, device, e.WalkIn.Time()), events.DeviceKey(b, device)
	if e.Ended {
		return encoded(events.VisitsEnded, key, &events.VisitEnded{
			ID: id, Business: b, Device: device, Anonymous: e.Anonymous,
			StartedAt: e.WalkIn.Time(), LastSeenAt: e.Last.Time(), DwellMillis: int64(e.Last - e.WalkIn),
		})
	}
	return encoded(events.WalkIns, key, &events.WalkIn{
		ID: id, Business: b, Device: device, Anonymous: e.Anonymous,
		StartedAt: e.WalkIn.Time(), ConfirmedAt: e.At.Time(),
	})
}
