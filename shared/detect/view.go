package detect

import (
	"fmt"
	"iter"
	"slices"

	"footfall/events"
	"footfall/shared/presence"
)

// view is the state of one partition in the memory of an environment: the fold
// of the partition's changelog up to the item with the sequence number seq.
// While a batch is decided, watermark and devices are ahead of the changelog;
// after an error in between, the view is dropped and loaded again.
type view struct {
	epoch     topicEpoch
	partition int32

	seq       int64 // sequence number of the last item, -1 for an empty changelog
	offset    int64 // the last offset of sightings that an item covers, -1 for none
	watermark presence.Instant
	devices   map[string]*tracked // by record key

	// devicesPerItem holds, by sequence number, how many devices have their state in
	// the item. It has no entry of an item without any.
	devicesPerItem map[int64]int
	// oldestNeeded is the sequence number of the oldest item that holds the state
	// of a device, or of the next item if no item does.
	oldestNeeded int64

	partial bool // the changelog ends within an adoption that was not finished
	sealed  bool // a later topic epoch has adopted the devices: nothing may be appended

	rules rulebook
	// partitionCounts are the numbers of partitions that the topic has had so far.
	partitionCounts []int32
}

// tracked is a device in memory, and the changelog item that holds its state.
type tracked struct {
	presence.Device
	itemSeq       int64            // sequence number of the item, -1 for none
	itemWatermark presence.Instant // the watermark in the item
}

// newView returns the view of a changelog without items.
func newView(epoch topicEpoch, partition int32) *view {
	return &view{
		epoch: epoch, partition: partition, seq: -1, offset: -1,
		devices: map[string]*tracked{}, devicesPerItem: map[int64]int{},
	}
}

// chain returns the name of the changelog in the table visit-log.
func (v *view) chain() string { return v.epoch.chain(v.partition) }

// checkOpen returns an error if the changelog is sealed. The broker may still
// report its topic epoch as the present one:
//
//  1. Topic T has one partition, and the last item of T/1/0 is 41.
//  2. T gets four partitions. Environment B learns of the change first, seals
//     T/1/0 with item 42, and goes on in T/4/0.
//  3. Environment A asks a broker that still reports one partition. A reads T/1/0
//     up to item 42, and must not append item 43: no environment would read item
//     43.
func (v *view) checkOpen() error {
	if !v.sealed {
		return nil
	}
	return fmt.Errorf("changelog %s is sealed by item %d: a later topic epoch has begun, but the broker still reports the one with id %s and %d partitions; "+
		"the batch is redelivered until the metadata of the broker is current; if it is, restart this environment",
		v.chain(), v.seq, v.epoch.TopicID, v.epoch.Partitions)
}

// everOwned reports whether murmur2 puts the key into this partition, with the
// present number of partitions of the topic or with a former number.
func (v *view) everOwned(key []byte) bool {
	return slices.ContainsFunc(v.partitionCounts, func(count int32) bool { return events.Partition(key, count) == v.partition })
}

// fold takes over the item with the sequence number seq, which comes after the last
// item of the view.
func (v *view) fold(seq int64, item *changelogItem) {
	for i := range item.entries {
		v.apply(&item.entries[i], seq, item.watermark)
	}
	v.seq, v.offset, v.watermark = seq, item.offset, item.watermark
	v.partial, v.sealed = item.partial, item.sealed
	v.raiseOldestNeeded()
}

// apply takes over one entry of an item: the device has the state of the entry,
// and the item with the sequence number seq holds it. An entry without stays
// and habit removes the device.
func (v *view) apply(e *itemEntry, seq int64, watermark presence.Instant) {
	d := v.devices[e.key]
	switch {
	case !e.device.Known():
		if d != nil {
			v.drop(e.key)
		}
		return
	case d == nil:
		d = &tracked{itemSeq: -1}
		v.devices[e.key] = d
	}
	d.Device = e.device
	v.releaseItem(d)
	d.itemSeq, d.itemWatermark = seq, watermark
	v.devicesPerItem[seq]++
}

// releaseItem removes the device from the count of the item that held its state.
func (v *view) releaseItem(d *tracked) {
	if d.itemSeq < 0 {
		return
	}
	if v.devicesPerItem[d.itemSeq]--; v.devicesPerItem[d.itemSeq] == 0 {
		delete(v.devicesPerItem, d.itemSeq)
	}
}

// drop removes a device that has neither stays nor a habit any more.
func (v *view) drop(key string) {
	v.releaseItem(v.devices[key])
	delete(v.devices, key)
}

// raiseOldestNeeded moves oldestNeeded past the items that hold no state any
// more, up to the next item to be written.
func (v *view) raiseOldestNeeded() {
	for v.oldestNeeded <= v.seq && v.devicesPerItem[v.oldestNeeded] == 0 {
		v.oldestNeeded++
	}
}

// entries returns the present state of the devices with the keys, sorted by key.
// Each key must be in the view.
func (v *view) entries(keys iter.Seq[string]) []itemEntry {
	sorted := slices.Sorted(keys)
	all := make([]itemEntry, len(sorted))
	for i, key := range sorted {
		all[i] = itemEntry{key, v.devices[key].Device}
	}
	return all
}
