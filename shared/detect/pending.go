package detect

import (
	"context"
	"fmt"
	"maps"

	"footfall/shared/presence"
	"footfall/shared/stage"
)

// flushBytes is how large the changed states may grow before they are appended as an
// item. The record that exceeds flushBytes still goes into the item: half of the
// limit of the table leaves room for it.
const flushBytes = stage.MaxLogItemBytes / 2

// pendingItem collects the decisions since the last changelog item. flush
// produces and appends them, and clears the pendingItem.
type pendingItem struct {
	// sizes holds an upper bound of the packed size of each changed device, by record
	// key. The states are in the view.
	sizes map[string]int
	size  int // the sum of sizes

	records    []stage.Record // to be produced before the item is appended
	tally      Tally
	lastOffset int64 // of the last record that was decided
}

// markChanged adds the device to the entries of the item.
func (p *pendingItem) markChanged(key string, d *presence.Device) {
	size := maxEntrySize(key, d)
	p.size += size - p.sizes[key]
	p.sizes[key] = size
}

// holds reports whether the device is among the entries of the item.
func (p *pendingItem) holds(key string) bool {
	_, changed := p.sizes[key]
	return changed
}

// clear empties all but lastOffset. The map and the slice are used again.
func (p *pendingItem) clear() {
	clear(p.sizes)
	p.size, p.records, p.tally = 0, p.records[:0], Tally{}
}

// flush produces the pending records, then appends the pending item.
//
// If the changes of a tick do not fit into one item, all items but the last are
// written ahead, with the offset and the watermark of the item before:
//
//  1. Item 41 covers offset 900 and has the watermark 12:00. The tick at offset
//     901 carries 12:40 and ends visits whose states take three items.
//  2. All ends are produced. Items 42 and 43 are appended, still with offset 900
//     and watermark 12:00. The environment dies before item 44.
//  3. The next environment folds the changelog up to item 43. Offset 900 is the last
//     that is covered, so the redelivered tick is decided again. The tick was
//     applied to the devices in items 42 and 43, and does not change a device
//     twice. The other visits end, and their ends are produced again, with the
//     same ids.
//  4. Item 44 holds the rest, with offset 901, watermark 12:40 and the tally.
func (d *decider) flush(ctx context.Context) error {
	if len(d.pending.records) > 0 {
		if err := d.deps.Out.Produce(ctx, d.pending.records); err != nil {
			return fmt.Errorf("produce the decisions up to offset %d: %w", d.pending.lastOffset, err)
		}
	}

	parts := splitEntries(d.view.entries(maps.Keys(d.pending.sizes)), d.view.watermark, flushBytes)
	for i, part := range parts {
		item := changelogItem{offset: d.view.offset, watermark: d.writtenWatermark, entries: part}
		if i == len(parts)-1 {
			item.offset, item.watermark, item.tally = d.pending.lastOffset, d.view.watermark, d.pending.tally
		}
		if err := d.appendItem(ctx, item); err != nil {
			return err
		}
	}
	d.writtenWatermark = d.view.watermark
	d.pending.clear()
	return nil
}

// appendItem appends the item to the changelog, with the next sequence number, and
// takes it over into the view. It leaves the watermark of the view alone, which
// may be ahead of the watermark of the item. The error is stage.ErrConflict if the
// sequence number is taken: another environment was first, or this one was, and
// the answer to its append was lost. After an error the view is ahead of the
// changelog, and attempt drops the view.
func (d *decider) appendItem(ctx context.Context, item changelogItem) error {
	v, seq := d.view, d.view.seq+1
	for i := range item.entries {
		v.apply(&item.entries[i], seq, item.watermark)
	}
	v.seq, v.offset = seq, item.offset
	v.raiseOldestNeeded()
	item.oldestNeeded = v.oldestNeeded
	err := d.deps.Log.Append(ctx, v.chain(), stage.LogItem{Seq: seq, Data: item.encode()}, itemExpiry(d.batch))
	if err != nil {
		return fmt.Errorf("append item %d to changelog %s, up to offset %d: %w", seq, v.chain(), item.offset, err)
	}
	return nil
}
