package detect

import (
	"context"
	"fmt"
	"time"

	"footfall/events"
	"footfall/shared/stage"
)

// maxSequence is greater than every sequence number that is ever used.
const maxSequence = 1 << 40

// changelogReader loads views from the changelogs in the table visit-log. When a
// topic epoch begins, it also writes the first items, see adopt.
type changelogReader struct {
	log   stage.VisitLog
	rules stage.Businesses
}

// load returns the view of a partition from the oldest item that still matters
// to the last one. If the changelog has not begun, or ends within an adoption
// that another environment did not finish, load adopts the devices of the
// former topic epoch first. The items of the adoption expire at expires.
func (c changelogReader) load(ctx context.Context, epoch topicEpoch, partition int32, expires time.Time) (*view, error) {
	v, err := c.read(ctx, epoch, partition)
	if err == nil && (v.seq < 0 || v.partial) {
		v, err = c.adopt(ctx, epoch, partition, v.seq+1, expires)
	}
	if err != nil {
		return nil, err
	}

	// The numbers of partitions that the topic had: a record from before partitions
	// were added is where murmur2 with the former number puts its key.
	epochs, err := c.epochs(ctx)
	if err != nil {
		return nil, err
	}
	for _, known := range epochs {
		if known.TopicID == epoch.TopicID {
			v.partitionCounts = append(v.partitionCounts, known.Partitions)
		}
	}
	return v, nil
}

// read returns the fold of a changelog, from the oldest item that the last item
// names as needed to the last item itself. The view is empty if the changelog has
// no items.
//
// The last item is read with eventual consistency first, at half the price. If
// another environment has appended since, the view is behind: either the batch
// begins further on, and prepare catches up, or its append meets a conflict.
func (c changelogReader) read(ctx context.Context, epoch topicEpoch, partition int32) (*view, error) {
	chain := epoch.chain(partition)
	last, ok, err := c.log.Last(ctx, chain, false)
	if err == nil && !ok {
		// No item, or none yet on the replica that was read.
		last, ok, err = c.log.Last(ctx, chain, true)
	}
	if err != nil {
		return nil, fmt.Errorf("read the last item of changelog %s: %w", chain, err)
	}
	v := newView(epoch, partition)
	v.rules.source = c.rules
	if !ok {
		return v, nil
	}

	// The last item names the oldest item that is needed. If some of the items in
	// between have expired, the view holds the devices of the rest.
	head, err := decodeItem(last.Data)
	if err != nil {
		return nil, fmt.Errorf("changelog %s item %d: %w", chain, last.Seq, err)
	}
	v.seq, v.oldestNeeded = head.oldestNeeded-1, head.oldestNeeded
	if _, err := c.follow(ctx, v, last.Seq-1); err != nil {
		return nil, err
	}
	v.fold(last.Seq, &head)
	return v, c.settle(ctx, v)
}

// follow folds the items after the last item of the view, up to the sequence
// number to. complete is false if some of these items do not exist.
//
// An item is appended only after the item before it. So if a consistent read does
// not find an item, the item has expired: the partition stood still for as long
// as items are kept. The table removes expired items in any order:
//
//  1. The view ends at item 37, to is 42, and item 40 is gone.
//  2. Items 41 and 42 are folded. Items 38 and 39 are ignored, although both
//     exist: item 40 may have changed or removed devices of items 38 and 39.
//  3. read goes on with the devices of items 41 and 42; catchUp has the view
//     loaded again.
func (c changelogReader) follow(ctx context.Context, v *view, to int64) (complete bool, err error) {
	chain, want := v.chain(), to-v.seq
	if want <= 0 {
		return true, nil
	}
	items, err := c.log.Read(ctx, chain, v.seq+1, to, false)
	if err == nil && int64(len(items)) < want {
		// Some have expired, or are not on the replica that was read yet.
		items, err = c.log.Read(ctx, chain, v.seq+1, to, true)
	}
	if err != nil {
		return false, fmt.Errorf("read items %d to %d of changelog %s: %w", v.seq+1, to, chain, err)
	}
	items = contiguousTail(items, to)
	for _, stored := range items {
		item, err := decodeItem(stored.Data)
		if err != nil {
			return false, fmt.Errorf("changelog %s item %d: %w", chain, stored.Seq, err)
		}
		v.fold(stored.Seq, &item)
	}
	return int64(len(items)) == want, nil
}

// contiguousTail returns the longest run of items that ends at sequence number
// to without a gap. items must be in ascending order. The result is empty if the
// last of items has another sequence number than to.
func contiguousTail(items []stage.LogItem, to int64) []stage.LogItem {
	n := len(items)
	for n > 0 && items[n-1].Seq == to {
		n, to = n-1, to-1
	}
	return items[n:]
}

// catchUp folds the items that other environments have appended since the last
// item of the view:
//
//  1. Environment A appends item 41, which covers offset 900.
//  2. The next batches are delivered to environment B, which appends items 42
//     and 43, up to offset 1000.
//  3. The batch from offset 1001 is delivered to A. A folds items 42 and 43, and
//     decides the batch on the state that B left.
//
// The error is stage.ErrConflict if the changelog has expired under the view. Then
// the view must be loaded again:
//
//  1. Environment A appends item 41. The partition stands still for weeks, and
//     items 0 to 41 expire.
//  2. Environment B loads an empty changelog and appends item 0.
//  3. The next batch is delivered to A. The last item is 0, and not 41 or later:
//     the changelog has begun again without the devices in the memory of A.
func (c changelogReader) catchUp(ctx context.Context, v *view) error {
	last, ok, err := c.log.Last(ctx, v.chain(), true)
	if err != nil {
		return fmt.Errorf("read the last item of changelog %s: %w", v.chain(), err)
	}
	if !ok {
		last.Seq = -1
	}
	seqBefore := v.seq
	complete := last.Seq >= v.seq
	if complete {
		complete, err = c.follow(ctx, v, last.Seq)
	}
	if err == nil && !complete {
		err = fmt.Errorf("changelog %s: items after %d have expired: %w", v.chain(), seqBefore, stage.ErrConflict)
	}
	if err != nil {
		return err
	}
	return c.settle(ctx, v)
}

// settle completes a view that was read from the changelog. It loads the rules of
// the businesses, and forgets the devices that a warm environment has forgotten
// before a rule boundary, the moment from which on other rules of a business hold.
//
// A warm environment forgets a device without an entry in the changelog, because
// a reader of the changelog forgets the device by the same watermark. The reader
// must do so by the same rules. Suppose that the session gap of cafe-1 is 15
// minutes until 13:00 and 3 hours from then on:
//
//  1. A phone is heard at 12:00 for the last time. The tick of 12:18 ends its
//     visit. Environment A appends item 41. The item holds the ended visit, and
//     the state of another device that stays inside.
//  2. At the tick of 12:33 the allowed lateness [15 min] has passed as well. A
//     forgets the phone, without an entry.
//  3. The ticks go on over the rule boundary of 13:00.
//  4. At 13:20 the phone is heard again, and a cold environment B reads the
//     changelog. Item 41 is still needed, for the other device. By the new
//     rules B would keep the visit of 12:00 until 15:19, and the sighting would
//     extend the visit. In A the sighting opens a candidate.
//
// So settle takes each device over the rule boundaries after the watermark of its
// item, by the rules that end at the boundary. Item 41 has the watermark 12:18,
// and by the rules before 13:00 the stay of the phone is forgotten at 12:33: B
// drops the phone at the boundary.
//
// If an environment took a device over a boundary at a tick, and the view has
// caught up since, settle applies the boundary a second time. That changes
// nothing: a stay that is left after the boundary is only forgotten at a later
// watermark.
func (c changelogReader) settle(ctx context.Context, v *view) error {
	v.rules = rulebook{source: c.rules}
	if err := v.rules.renew(ctx, v.devices); err != nil {
		return err
	}
	for key, d := range v.devices {
		business, _, _ := events.SplitDeviceKey(key)
		revisions, err := v.rules.revisions(business)
		if err != nil {
			return fmt.Errorf("changelog %s item %d: %w", v.chain(), d.itemSeq, err)
		}
		for i := range revisions {
			since := revisions[i].Since
			if d.itemWatermark < since && since <= v.watermark {
				d.Forget(since, inForce(revisions, since-1))
			}
		}
		if !d.Known() {
			v.drop(key)
		}
	}
	return nil
}
