package detect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"footfall/events"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// decision is the work on one batch up to the next item of the log.
type decision struct {
	*detect
	partition *partition
	batch     stage.Batch
	view      *view

	changed map[string]int // the size of each, packed, at the most
	size    int            // of all of changed
	last    int64
	written presence.Instant // the clock in the log
	asked   bool             // whether the topic is still what the view takes it for
	out     []stage.Record
	tally   Tally

	event   events.SightingsRecord
	scratch []presence.Event
	spare   *tracked
}

// record decides on one record.
func (w *decision) record(ctx context.Context, r *stage.Record) error {
	err := w.decide(ctx, r)
	if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
		w.out = append(w.out, stage.DeadLetter(pipeline.Detect, r, bad.Reason, bad.Err))
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

func (w *decision) decide(ctx context.Context, r *stage.Record) error {
	if err := events.DecodeSightings(r.Key, r.Value, &w.event); err != nil {
		return err
	}
	if w.event.IsTick {
		at := presence.InstantOf(w.event.Tick.At)
		if at > presence.InstantOf(r.Timestamp)+maxAhead {
			return events.Bad(events.AheadOfWatermark, "tick of %v in a record of %v", w.event.Tick.At, r.Timestamp)
		}
		return w.tick(ctx, at)
	}
	return w.sighting(ctx, r)
}

// sighting decides on the sighting in event.
func (w *decision) sighting(ctx context.Context, r *stage.Record) error {
	s := &w.event.Sighting
	in := presence.Sighting{
		SeenAt: presence.InstantOf(s.SeenAt), RSSI: int32(s.RSSI),
		Associated: s.Associated, Randomised: s.Randomised,
	}
	clock := w.view.clock
	if clock != 0 && in.SeenAt > clock+maxAhead {
		return events.Bad(events.AheadOfWatermark, "seen at %v, the partition's clock is at %v", s.SeenAt, clock.Time())
	}
	if events.Partition(r.Key, w.view.gen.Partitions) != w.batch.Partition {
		if err := w.misplaced(ctx, r); err != nil {
			return err
		}
	}
	rules, err := w.rulesFor(ctx, s.Business, r)
	if err != nil {
		return err
	}
	if stage.Excluded(rules, s) {
		w.tally.Sightings++
		w.tally.Excluded++
		return nil
	}
	d := w.view.devices[string(r.Key)]
	if d == nil {
		d = w.stranger()
	}
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
	if d == w.spare {
		w.spare = nil
	}
	key := string(r.Key)
	w.view.devices[key] = d
	w.note(key, d, rules)
	return w.emit(s.Business, s.Device, out)
}

// rulesFor gives the rules that decide on a sighting: those in force at the
// partition's clock. Before the first tick there is none; then the record's own
// timestamp says, which is data too, and no business begins with rules that it
// has given up.
func (w *decision) rulesFor(ctx context.Context, id events.BusinessID, r *stage.Record) (*presence.Rules, error) {
	clock := w.view.clock
	if clock == 0 {
		clock = max(0, presence.InstantOf(r.Timestamp))
	}
	return w.view.rules.of(ctx, id, clock)
}

// misplaced is an error for a record that was never in its place. One from before
// partitions were added was.
func (w *decision) misplaced(ctx context.Context, r *stage.Record) error {
	if err := w.current(ctx); err != nil {
		return err
	}
	if !w.view.owns(r.Key, w.batch.Partition) {
		return events.Bad(events.WrongPartition, "key %.80q is not partition %d's by murmur2", r.Key, w.batch.Partition)
	}
	return nil
}

// current is an error where the topic has another number of partitions than the
// view takes it to have: a producer may know of those that were added before we
// do.
func (w *decision) current(ctx context.Context) error {
	if w.asked {
		return nil
	}
	info, err := w.deps.Topics.Info(ctx, w.batch.Topic, 0)
	if err != nil {
		return fmt.Errorf("life of topic %s: %w", w.batch.Topic, err)
	}
	if g := (generation{info.ID, info.Partitions}); g != w.view.gen {
		return fmt.Errorf("topic %s has %d partitions by now: %w", w.batch.Topic, info.Partitions, stage.ErrConflict)
	}
	w.asked = true
	return nil
}

// stranger gives an unknown device. It is the same one again until it is
// stored: most sightings are of passers-by, who never are.
func (w *decision) stranger() *tracked {
	if w.spare == nil {
		w.spare = &tracked{logged: -1}
	}
	return w.spare
}

// note marks a device as changed.
func (w *decision) note(key string, d *tracked, rules *presence.Rules) {
	size := entrySize(key, d)
	w.size += size - w.changed[key]
	w.changed[key] = size
	w.due(d.Due(rules))
}

// entrySize is the most that a device takes in an item. It is entered with room
// for a second stay.
func entrySize(key string, d *tracked) int {
	return len(key) + max(2, len(d.Stays))*maxStayBytes + len(d.Habit)*maxDayBytes
}

// due notes when a device has something to do next; 0 is never.
func (w *decision) due(at presence.Instant) {
	if at != 0 {
		w.partition.due = min(w.partition.due, at)
	}
}

// tick moves the clock and does what the time that has passed calls for. One that
// the clock has reached may have more to do: where it comes on a boundary, the
// item that ends there has its clock, and the try that wrote it may have died
// before it did the rest.
func (w *decision) tick(ctx context.Context, at presence.Instant) error {
	if at < w.view.clock {
		return nil
	}
	if err := w.view.rules.renew(ctx, w.view.devices); err != nil {
		return err
	}
	if w.view.seq-w.view.from > relogAfter {
		if err := w.flushEarlier(ctx); err != nil {
			return err
		}
		w.relog()
	}
	if err := w.cross(ctx, at); err != nil {
		return err
	}
	if at < w.partition.due {
		w.view.clock = at
		return nil
	}
	keys, next := w.dueAt(at)
	if err := w.makeRoom(ctx, keys); err != nil {
		return err
	}
	w.view.clock, w.partition.due = at, next
	for _, key := range keys {
		if err := w.tickDevice(key, at, at); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom writes what is decided so far if a tick of the devices may change more
// than fits an item together with that.
func (w *decision) makeRoom(ctx context.Context, keys []string) error {
	size := w.size
	for _, key := range keys {
		size += entrySize(key, w.view.devices[key])
	}
	if size <= flushBytes {
		return nil
	}
	return w.flushEarlier(ctx)
}

// flushEarlier writes what is decided on the records before a tick that may
// change more than an item holds. Then flush writes parts of the tick ahead,
// and nothing else may be in those: given again, a record from before the tick
// would meet devices that have the tick behind them, or are gone from the log.
func (w *decision) flushEarlier(ctx context.Context) error {
	if w.last == w.view.offset {
		return nil
	}
	return w.flush(ctx)
}

// relog marks the devices as changed whose state lies far back in the log: those
// whose habits are remembered though they were not here for days, and those that a
// router with a wrong clock has put into the future.
func (w *decision) relog() {
	for key, d := range w.view.devices {
		if w.view.seq-d.logged > relogAfter/2 {
			business, _, _ := events.SplitDeviceKey(key)
			w.note(key, d, w.view.rules.at(business, w.view.clock))
		}
	}
}

// dueAt lists the devices that have something to do, in the order of their
// keys, so that whoever decides produces the same. next is when the others have.
func (w *decision) dueAt(at presence.Instant) (keys []string, next presence.Instant) {
	next = presence.Instant(math.MaxInt64)
	for key, d := range w.view.devices {
		business, _, _ := events.SplitDeviceKey(key)
		switch due := d.Due(w.view.rules.at(business, at)); {
		case due <= at:
			keys = append(keys, key)
		default:
			next = min(next, due)
		}
	}
	slices.Sort(keys)
	return keys, next
}

// tickDevice tells a device the time, by the rules that were in force at another.
func (w *decision) tickDevice(key string, at, inForce presence.Instant) error {
	d := w.view.devices[key]
	business, device, ok := events.SplitDeviceKey(key)
	if !ok {
		return fmt.Errorf("device key %q has no business", key)
	}
	rules := w.view.rules.at(business, inForce)
	changed, out := d.Tick(at, rules, w.scratch[:0])
	w.scratch = out
	_, unwritten := w.changed[key]
	switch {
	case changed || unwritten:
		w.note(key, d, rules)
	case !d.Known():
		// The log still has its last state, of which nothing is left to be told:
		// whoever reads it forgets it by the same clock.
		w.view.drop(key)
	}
	w.due(d.Due(rules))
	return w.emit(business, device, out)
}

// emit makes the records of what was decided on one device. That a resident came
// in is told to nobody.
func (w *decision) emit(b events.BusinessID, device events.DeviceID, decided []presence.Event) error {
	for i := range decided {
		e := &decided[i]
		if e.Resident && !e.Ended {
			w.tally.Residents++
			continue
		}
		r, err := recordOf(b, device, e)
		if err != nil {
			return fmt.Errorf("visit of %s/%s from %v: %w", b, device, e.Start.Time(), err)
		}
		w.out = append(w.out, r)
		if e.Ended {
			continue
		}
		w.tally.WalkIns++
		if e.Anonymous {
			w.tally.Anonymous++
		}
	}
	return nil
}

// recordOf makes the walk-in or the end of a visit.
func recordOf(b events.BusinessID, device events.DeviceID, e *presence.Event) (stage.Record, error) {
	id, key := events.NewWalkInID(b, device, e.Start.Time()), events.DeviceKey(b, device)
	if e.Ended {
		return stage.EncodeRecord(events.VisitsEnded, key, &events.VisitEnded{
			ID: id, Business: b, Device: device, Anonymous: e.Anonymous, Resident: e.Resident,
			StartedAt: e.Start.Time(), LastSeenAt: e.Last.Time(), DwellMillis: int64(e.Last - e.Start),
		})
	}
	return stage.EncodeRecord(events.WalkIns, key, &events.WalkIn{
		ID: id, Business: b, Device: device, Anonymous: e.Anonymous,
		StartedAt: e.Start.Time(), ConfirmedAt: e.ConfirmedAt.Time(),
	})
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
	parts := split(entriesOf(w.view, maps.Keys(w.changed)), w.view.clock, flushBytes)
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
		v.take(&r.entries[i], seq, r.clock)
	}
	v.seq, v.offset = seq, r.offset
	v.advance()
	r.from = v.from
	chain := v.gen.chain(w.batch.Partition)
	err := w.deps.Log.Append(ctx, chain, stage.LogItem{Seq: seq, Data: r.encode()}, expiry(w.batch))
	if err != nil {
		return fmt.Errorf("visit log %s item %d: %w", chain, seq, err)
	}
	return nil
}
