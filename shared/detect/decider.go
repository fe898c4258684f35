package detect

import (
	"context"
	"errors"
	"fmt"

	"footfall/events"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// decider does the work of one attempt at a batch. It decides record after record
// on the view and collects the decisions in pending. It flushes pending when the
// decisions fill an item, at a rule boundary, and at the end of the batch.
type decider struct {
	deps      Deps
	batch     stage.Batch
	partition *partition // for nextDue
	view      *view

	pending          pendingItem
	writtenWatermark presence.Instant // the watermark in the last changelog item
	epochChecked     bool             // the broker has confirmed the topic epoch of the view

	// Memory that each record uses again, so that a sighting of a passer-by
	// allocates nothing.
	event   events.SightingsRecord
	scratch []presence.Event
	spare   *tracked
}

// record decides one record. If no retry can decide the record, it goes to the dead
// letters, and the batch goes on.
func (d *decider) record(ctx context.Context, r *stage.Record) error {
	err := d.decide(ctx, r)
	if bad := (*events.BadRecord)(nil); errors.As(err, &bad) {
		d.pending.records = append(d.pending.records, stage.DeadLetter(pipeline.Detect, r, bad.Reason, bad.Err))
		d.pending.tally.Dead++
		err = nil
	}
	if err != nil {
		return fmt.Errorf("offset %d: %w", r.Offset, err)
	}
	d.pending.lastOffset = r.Offset
	if d.pending.size >= flushBytes {
		return d.flush(ctx)
	}
	return nil
}

// decide decides a sighting or a tick. The error is an *events.BadRecord if no
// retry can succeed.
func (d *decider) decide(ctx context.Context, r *stage.Record) error {
	if err := events.DecodeSightings(r.Key, r.Value, &d.event); err != nil {
		return err
	}
	if d.event.IsTick {
		now := presence.InstantOf(d.event.Tick.At)
		if now > presence.InstantOf(r.Timestamp)+maxAhead {
			return events.Bad(events.AheadOfWatermark, "tick of %v in a record with timestamp %v", d.event.Tick.At, r.Timestamp)
		}
		return d.tick(ctx, now)
	}
	return d.sighting(ctx, r)
}

// sighting decides the sighting in d.event, which was decoded from r.
func (d *decider) sighting(ctx context.Context, r *stage.Record) error {
	s := &d.event.Sighting
	in := stage.PresenceSighting(s)

	// Before the first tick there is no watermark to compare with.
	watermark := d.view.watermark
	if watermark != 0 && in.SeenAt > watermark+maxAhead {
		return events.Bad(events.AheadOfWatermark, "sighting seen at %v, but the watermark of the partition is %v", s.SeenAt, watermark.Time())
	}
	if events.Partition(r.Key, d.view.epoch.Partitions) != d.batch.Partition {
		if err := d.checkPartition(ctx, r); err != nil {
			return err
		}
	}
	rules, err := d.rulesFor(ctx, s.Business, r)
	if err != nil {
		return err
	}
	if stage.Excluded(rules, s) {
		d.pending.tally.Sightings++
		d.pending.tally.Excluded++
		return nil
	}

	// Decide. If the state did not change, nothing is stored: a passer-by leaves no
	// state.
	device := d.view.devices[string(r.Key)]
	if device == nil {
		device = d.blankDevice()
	}
	verdict, decided := device.Next(in, watermark, rules, d.scratch[:0])
	d.scratch = decided
	d.pending.tally.Sightings++
	if verdict.Late {
		d.pending.tally.Late++
	}
	if verdict.PasserBy {
		d.pending.tally.PassersBy++
	}
	if !verdict.Changed {
		return nil
	}

	if device == d.spare {
		d.spare = nil // it is stored now
	}
	key := string(r.Key)
	d.view.devices[key] = device
	d.markChanged(key, device, rules)
	return d.emit(s.Business, s.Device, decided)
}

// rulesFor returns the rules that decide a sighting, which are in force at the
// watermark. Before the first tick the timestamp of the record replaces the
// watermark: a timestamp is data as well, so a replay selects the same rules. The
// watermark 0 would select the oldest rules, which the business has given up.
func (d *decider) rulesFor(ctx context.Context, id events.BusinessID, r *stage.Record) (*presence.Rules, error) {
	watermark := d.view.watermark
	if watermark == 0 {
		watermark = max(0, presence.InstantOf(r.Timestamp))
	}
	return d.view.rules.load(ctx, id, watermark)
}

// checkPartition returns an error if murmur2 never put the record's key into this
// partition. The key of a record from before partitions were added was put here.
func (d *decider) checkPartition(ctx context.Context, r *stage.Record) error {
	if err := d.checkEpoch(ctx); err != nil {
		return err
	}
	if !d.view.everOwned(r.Key) {
		count := d.view.epoch.Partitions
		return events.Bad(events.WrongPartition, "murmur2 puts key %.80q into partition %d of %d, not into partition %d: the producer uses another partitioner",
			r.Key, events.Partition(r.Key, count), count, d.batch.Partition)
	}
	return nil
}

// checkEpoch asks the broker, once in a batch, whether the topic epoch of the
// view is still the present one. If not, the error is stage.ErrConflict, so that
// the batch is decided again in the present epoch:
//
//  1. Topic T has two partitions. The view of environment A is that of T/2/1.
//  2. T gets five partitions. The producer learns of the change before A, and sends
//     a sighting to partition 1: of five partitions murmur2 selects number 1 for
//     its key, of two partitions number 0.
//  3. A asks the broker, which reports five partitions, and loads T/5/1. If A did
//     not ask, the sighting would be a dead letter. Or, if the key once was in
//     partition 1, with an earlier number of partitions, A would decide the
//     sighting as an old record, without the state of its device.
func (d *decider) checkEpoch(ctx context.Context) error {
	if d.epochChecked {
		return nil
	}
	info, err := d.deps.Topics.Info(ctx, d.batch.Topic, 0)
	if err != nil {
		return fmt.Errorf("look up id and partitions of topic %s: %w", d.batch.Topic, err)
	}
	if epoch := (topicEpoch{info.ID, info.Partitions}); epoch != d.view.epoch {
		return fmt.Errorf("changelog %s: the broker now reports topic %s with id %s and %d partitions: %w",
			d.view.chain(), d.batch.Topic, info.ID, info.Partitions, stage.ErrConflict)
	}
	d.epochChecked = true
	return nil
}

// blankDevice returns a device without state. Until the device is stored in the
// view, the next call returns the same device: most unknown devices are
// passers-by and are never stored.
func (d *decider) blankDevice() *tracked {
	if d.spare == nil {
		d.spare = &tracked{itemSeq: -1}
	}
	return d.spare
}

// markChanged notes that the state of a device changed.
func (d *decider) markChanged(key string, device *tracked, rules *presence.Rules) {
	d.pending.markChanged(key, &device.Device)
	d.lowerNextDue(device.Due(rules))
}

// lowerNextDue notes that a tick changes a device at the watermark due, or never if
// due is 0.
func (d *decider) lowerNextDue(due presence.Instant) {
	if due != 0 {
		d.partition.nextDue = min(d.partition.nextDue, due)
	}
}

// emit collects the records of the decisions on one device. When the visit of a
// resident device is confirmed, it is counted, without a record.
func (d *decider) emit(business events.BusinessID, device events.DeviceID, decided []presence.Event) error {
	for i := range decided {
		e := &decided[i]
		if e.Resident && !e.Ended {
			d.pending.tally.Residents++
			continue
		}
		r, err := visitRecord(business, device, e)
		if err != nil {
			return fmt.Errorf("encode the visit of %s/%s that began at %v: %w", business, device, e.Start.Time(), err)
		}
		d.pending.records = append(d.pending.records, r)
		if e.Ended {
			continue
		}
		d.pending.tally.WalkIns++
		if e.Anonymous {
			d.pending.tally.Anonymous++
		}
	}
	return nil
}

// visitRecord returns the record of a walk-in, or of the end of a visit. Both
// have the id of the visit, the hash of business, device and start.
func visitRecord(business events.BusinessID, device events.DeviceID, e *presence.Event) (stage.Record, error) {
	id, key := events.NewWalkInID(business, device, e.Start.Time()), events.DeviceKey(business, device)
	if e.Ended {
		return stage.EncodeRecord(events.VisitsEnded, key, &events.VisitEnded{
			ID: id, Business: business, Device: device, Anonymous: e.Anonymous, Resident: e.Resident,
			StartedAt: e.Start.Time(), LastSeenAt: e.Last.Time(), DwellMillis: int64(e.Last - e.Start),
		})
	}
	return stage.EncodeRecord(events.WalkIns, key, &events.WalkIn{
		ID: id, Business: business, Device: device, Anonymous: e.Anonymous,
		StartedAt: e.Start.Time(), ConfirmedAt: e.ConfirmedAt.Time(),
	})
}
