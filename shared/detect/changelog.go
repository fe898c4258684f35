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

// changelogReader loads views from the changelogs in the table visit-log. For a
// topic epoch that has just begun it also writes the first items, see adopt.
type changelogReader struct {
	log   stage.VisitLog
	rules stage.Businesses
}

// load returns the view of a partition from the oldest item that still matters
// to the last one. If the changelog has not begun, or ends within an adoption
// that another environment did not finish, load adopts the devices of the
// former topic epoch first. Items that it writes expire at expires.
func (c changelogReader) load(ctx context.Context, epoch topicEpoch, partition int32, expires time.Time) (*view, error) {
	v, err := c.read(ctx, epoch, partition)
	if err == nil && (v.seq < 0 || v.partial) {
		v, err = c.adopt(ctx, epoch, partition, v.seq+1, expires)
	}
	if err != nil {
		return nil, err
	}

	// The numbers of partitions that the topic had: records from before partitions
	// were added lie where the former number puts them.
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

// read folds a changelog, from the oldest item that the last one names to the
// last one itself. The view is empty if there are no items.
//
// The last item is read with eventual consistency first, since that costs half.
// If another environment has appended since, the view is behind: the batch
// either begins further on, so that prepare catches up, or its append meets a
// conflict.
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

	// The last item names the oldest one that is needed. If a part of the items
	// between has expired, the view holds the devices of the rest.
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

// follow folds the items after the last one of the view, up to the sequence
// number to. complete is false if some of them do not exist.
//
// An item is appended only after the one before, so an item that a consistent
// read does not find has expired. That takes a partition that stood still for
// as long as items are kept. The table removes expired items in any order:
//
//  1. The view ends at item 37, to is 42, and item 40 is gone.
//  2. Items 41 and 42 are folded. Items 38 and 39 are not, although they are
//     there: item 40 may have changed or removed the devices that they hold.
func (c changelogReader) follow(ctx context.Context, v *view, to int64) (complete bool, err error) {
	chain, want := v.chain(), to-v.seq
	if want <= 0 {
		return true, nil
	}
	items, err := c.log.Read(ctx, chain, v.seq+1, to, false)
	if err == nil && int64(len(items)) < want {
		// Some are gone, or are not there yet on the replica that was read.
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
// to without a gap. items must be in ascending order. The result is empty if
// the last of them is not to.
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
//     decides the batch on the same state as B would.
//
// The error is stage.ErrConflict if the items after the view's last one have
// expired, so that the view must be loaded again:
//
//  1. Environment A appends item 41. The partition stands still for weeks, and
//     items 0 to 41 expire.
//  2. Environment B loads an empty changelog and appends item 0.
//  3. The next batch is delivered to A. The last item is 0 and not 41 or later:
//     the changelog goes on without the devices in A's memory.
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

// settle loads the rules of the businesses of a view that was read from the
// changelog. Then it forgets the devices that a warm environment has forgotten
// at a rule boundary, the moment from which on other rules of a business hold.
//
// A warm environment forgets a device without writing an entry, because a
// reader of the changelog forgets the device by the same watermark. The rules
// must be the same too. Say that the session gap of cafe-1 is 15 minutes until
// 13:00 and 3 hours from then on:
//
//  1. A phone was last heard at 12:00. The tick of 12:18 ends its visit.
//     Environment A appends item 41, which holds the ended visit, and the state
//     of another device, which stays inside.
//  2. At the tick of 12:33 the allowed lateness [15 min] has passed as well. A
//     forgets the phone and writes no entry of it.
//  3. The ticks go on over the rule boundary of 13:00.
//  4. At 13:20 the phone is heard again, and a cold environment B reads the
//     changelog. Item 41 is still needed, for the other device. By the new
//     rules B would keep the visit of 12:00 until 15:19, and the sighting would
//     extend that visit. In A the sighting opens a candidate.
//
// So a device is taken over each rule boundary that lies after the watermark of
// its item, by the rules that ended there: B drops the phone, because item 41
// has the watermark 12:18, and by the rules before 13:00 the stay is forgotten
// by then. In a view that has just caught up, devices that its environment took
// over the boundary itself are not changed by that: the stays that a boundary
// leaves can only be forgotten at a later watermark.
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
