package detect

import (
	"context"
	"fmt"
	"maps"

	"footfall/shared/presence"
	"footfall/shared/stage"
)

// flushBytes is the size of the changed states from which on they are appended as
// an item. The record that reaches it adds one entry more, so that the item stays
// well below the limit of the table.
const flushBytes = stage.MaxLogItemBytes / 2

// pendingItem collects the decisions since the last changelog item. flush
// produces and appends them, and clears the pendingItem.
type pendingItem struct {
	// sizes has an upper bound of the packed size of each changed device, by record
	// key. Their states are in the view.
	sizes map[string]int
	size  int // the sum of sizes

	records    []stage.Record // to be produced before the item is appended
	tally      Tally
	lastOffset int64 // of the last record that was decided
}

// markChanged notes that the state of a device changed, so that the item gets an
// entry of it.
func (p *pendingItem) markChanged(key string, d *presence.Device) {
	size := maxEntrySize(key, d)
	p.size += size - p.sizes[key]
	p.sizes[key] = size
}

// holds reports whether the state of the device changed.
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
// The changes of one tick may take several items. All but the last of them are
// written ahead, under the offset and the watermark of the item before:
//
//  1. Item 41 covers offset 900 and has the watermark 12:00. The tick at offset
//     901 carries 12:40 and ends visits whose states take three items.
//  2. All ends are produced. Items 42 and 43 are appended, still with offset 900
//     and watermark 12:00. The environment dies before item 44.
//  3. The next environment folds the changelog up to item 43. It covers offset
//     900, so the redelivered tick is decided again. The devices in items 42 and
//     43 have the tick behind them already, and a tick does not change a device
//     twice. The other visits end: their ends are produced again, with the same
//     ids.
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

// appendItem takes the item over into the view and appends it to the changelog.
// It leaves the watermark of the view alone, which may be ahead of that of the
// item. The error is stage.ErrConflict if another environment was first with the
// sequence number, or an append of this one whose answer was lost. After an
// error the view is ahead of the changelog, and attempt drops it.
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
