package detect

import (
	"context"
	"fmt"
	"math"
	"slices"

	"footfall/events"
	"footfall/shared/presence"
)

// tick moves the watermark to now and applies the tick to the devices that are
// due: it ends visits, confirms candidates that had to wait, and forgets.
func (d *decider) tick(ctx context.Context, now presence.Instant) error {
	// The watermark never moves back. A tick that is equal to the watermark may have
	// work to do all the same:
	//
	//  1. The rules of cafe-1 change at 12:40, and the tick at offset 901 carries
	//     12:40 as well. The rule boundary is appended as item 42, with the
	//     watermark 12:40 and still offset 900. The environment dies.
	//  2. The tick is redelivered. It has not been applied by the new rules yet.
	if now < d.view.watermark {
		return nil
	}
	if err := d.view.rules.renew(ctx, d.view.devices); err != nil {
		return err
	}
	if d.view.seq-d.view.oldestNeeded > rewriteAfter {
		if err := d.flushBeforeTick(ctx); err != nil {
			return err
		}
		if err := d.rewriteOldStates(); err != nil {
			return err
		}
	}
	if err := d.crossBoundaries(ctx, now); err != nil {
		return err
	}

	// Most ticks change no device.
	if now < d.partition.nextDue {
		d.view.watermark = now
		return nil
	}
	keys, nextDue, err := d.devicesDueAt(now)
	if err != nil {
		return err
	}
	if err := d.makeRoom(ctx, keys); err != nil {
		return err
	}
	d.view.watermark, d.partition.nextDue = now, nextDue
	for _, key := range keys {
		if err := d.tickDevice(key, now, now); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom flushes the decisions on the records before a tick if they and the
// changes of the tick may not fit into one item. keys are the devices that the
// tick may change.
func (d *decider) makeRoom(ctx context.Context, keys []string) error {
	size := d.pending.size
	for _, key := range keys {
		size += maxEntrySize(key, &d.view.devices[key].Device)
	}
	if size <= flushBytes {
		return nil
	}
	return d.flushBeforeTick(ctx)
}

// flushBeforeTick flushes the decisions on the records before a tick that may take
// several items. Parts of such a tick are written ahead, see flush, and must hold
// no change of another record:
//
//  1. Item 41 covers offset 900 and holds the visit of an associated phone that
//     came at 12:00. In the next batch, offset 901 is a sighting of the phone at
//     12:10. Offset 902 is a tick of 15:00, and its changes take three items.
//  2. Without a flush in between, item 42 would hold the phone under offset 900,
//     in the state after the tick: the visit has ended and is forgotten. The
//     environment dies before item 44.
//  3. Offset 901 is redelivered. By the changelog the phone is unknown, so the
//     sighting of 12:10 would begin a second visit.
func (d *decider) flushBeforeTick(ctx context.Context) error {
	if d.pending.lastOffset == d.view.offset {
		return nil // no record before the tick is pending
	}
	return d.flush(ctx)
}

// rewriteOldStates marks the devices as changed whose state lies far back in the
// changelog, so that the next item holds their state:
//
//  1. A router with a clock that is years ahead reports a device before the first
//     tick, when there is no watermark to compare with. Item 7 holds the device,
//     and no tick ends its stay. Batches with ticks go on, and each appends an
//     item.
//  2. After item 10,008, item 7 is more than 10,000 items back. The next tick marks
//     all devices with their state more than 5,000 items back, in item 5,007 or
//     before.
//  3. The next item holds these states, and names item 5,008 or a later one as the
//     oldest needed. Item 7 may expire.
//
// The state of a device that was not inside for days, and has nothing but a habit,
// is rewritten in the same way.
func (d *decider) rewriteOldStates() error {
	for key, device := range d.view.devices {
		if d.view.seq-device.itemSeq <= rewriteAfter/2 {
			continue
		}
		business, _, _ := events.SplitDeviceKey(key)
		rules, err := d.view.rules.loaded(business, d.view.watermark)
		if err != nil {
			return fmt.Errorf("rewrite the state of device %q in item %d: %w", key, device.itemSeq, err)
		}
		d.markChanged(key, device, rules)
	}
	return nil
}

// devicesDueAt returns the keys of the devices that a tick changes, and the
// earliest watermark at which a tick changes any other device. The keys are
// sorted, so that every environment produces the same records in the same order.
func (d *decider) devicesDueAt(now presence.Instant) (keys []string, nextDue presence.Instant, err error) {
	nextDue = presence.Instant(math.MaxInt64)
	for key, device := range d.view.devices {
		business, _, _ := events.SplitDeviceKey(key)
		rules, err := d.view.rules.loaded(business, now)
		if err != nil {
			return nil, 0, fmt.Errorf("tick of device %q at %v: %w", key, now.Time(), err)
		}
		// If a sighting has left a device without any state, Due is 0, and the tick
		// drops the device.
		switch due := device.Due(rules); {
		case due <= now:
			keys = append(keys, key)
		default:
			nextDue = min(nextDue, due)
		}
	}
	slices.Sort(keys)
	return keys, nextDue, nil
}

// tickDevice applies a tick to one device, by the rules in force at rulesAt. At a
// rule boundary, rulesAt is the moment before now.
func (d *decider) tickDevice(key string, now, rulesAt presence.Instant) error {
	device := d.view.devices[key]
	business, deviceID, ok := events.SplitDeviceKey(key)
	if !ok {
		return fmt.Errorf("tick of device %q at %v: its key has no business", key, now.Time())
	}
	rules, err := d.view.rules.loaded(business, rulesAt)
	if err != nil {
		return fmt.Errorf("tick of device %q at %v: %w", key, now.Time(), err)
	}
	changed, decided := device.Tick(now, rules, d.scratch[:0])
	d.scratch = decided
	switch {
	case changed || d.pending.holds(key):
		d.markChanged(key, device, rules)
	case !device.Known():
		// The tick has only forgotten the state that the changelog holds. No entry is
		// needed: a reader forgets the state by the same watermark. But if the device
		// changed since the last item, the case above adds an entry without state:
		//
		//  1. Item 41 holds an open visit of a phone that was last heard at 12:00.
		//  2. In one batch the phone is heard at 12:10, and ticks end and forget the
		//     visit.
		//  3. Without an entry, a reader would end the visit of item 41 again, and
		//     report that the phone was last seen at 12:00.
		d.view.drop(key)
	}
	d.lowerNextDue(device.Due(rules))
	return d.emit(business, deviceID, decided)
}
