package detect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/stage"
)

// topicEpoch is one life of topic sightings with one number of partitions. When
// the topic is recreated, its id changes; when partitions are added, their number
// changes. Either begins a new epoch, in which each partition has a changelog of
// its own. The table visit-log has a list of all epochs, each as JSON, in the
// order in which the epochs began.
type topicEpoch struct {
	TopicID    string `json:"topic"` // assigned by the broker
	Partitions int32  `json:"partitions"`
}

// epochsChain is the name under which the table visit-log holds the list of the
// topic epochs.
const epochsChain = "generations/" + events.Sightings

// chain returns the name of a partition's changelog in the table visit-log.
func (e topicEpoch) chain(partition int32) string {
	return fmt.Sprintf("%s/%d/%d", e.TopicID, e.Partitions, partition)
}

// adopt begins the changelog of a partition in a new topic epoch with the devices
// of the former epoch that murmur2 puts into the partition now. seq is the
// sequence number of the first item that is missing. The former partitions must
// have been processed to the end.
//
// Suppose that topic T has one partition, that the last item of its changelog
// T/1/0 is 41 and covers offset 900, and that T gets four partitions:
//
//  1. Environment B gets the first batch of partition 2. T/4/2 has no item, and
//     the list of epochs has no entry for T with four partitions. B appends the
//     entry. The entry before is T with one partition.
//  2. B seals T/1/0 with item 42, and takes the devices that murmur2 puts into
//     partition 2 of 4. Their states fill three items.
//  3. B appends items 0 and 1 to T/4/2, both marked as partial, and dies.
//  4. Environment C gets the batch, and reads T/4/2 up to item 1, which is
//     partial. T/1/0 is sealed, so C gathers the same devices as B and cuts their
//     states into the same three items. C appends item 2, which is not partial,
//     and decides the batch.
//
// The items of T/4/2 cover offset -1, so C decides the first offset of the added
// partition. The items of T/4/0 cover offset 900: partition 0 goes on with offset
// 901. If B and C adopt at the same time, the second append of an item is a
// conflict, and the environment that was second loads the changelog again.
func (c changelogReader) adopt(ctx context.Context, epoch topicEpoch, partition int32, seq int64, expires time.Time) (*view, error) {
	former, err := c.predecessor(ctx, epoch)
	if err != nil {
		return nil, err
	}
	if former == nil {
		// The first epoch of all begins without devices.
		v := newView(epoch, partition)
		v.rules.source = c.rules
		return v, nil
	}
	inherited, err := c.inherit(ctx, *former, epoch, partition, expires)
	if err != nil {
		return nil, err
	}

	// All items have the same offset and watermark. Only the last one is not
	// partial: load sees by that whether an adoption was cut short.
	parts := splitEntries(inherited.entries(maps.Keys(inherited.devices)), inherited.watermark, flushBytes)
	chain := epoch.chain(partition)
	for ; seq < int64(len(parts)); seq++ {
		item := changelogItem{
			offset: inherited.offset, watermark: inherited.watermark, entries: parts[seq],
			partial: seq < int64(len(parts))-1,
		}
		if err := c.log.Append(ctx, chain, stage.LogItem{Seq: seq, Data: item.encode()}, expires); err != nil {
			return nil, fmt.Errorf("adopt the devices of topic epoch %s/%d: append item %d to changelog %s: %w",
				former.TopicID, former.Partitions, seq, chain, err)
		}
	}
	return c.read(ctx, epoch, partition)
}

// inherit returns the view with which a partition of a new topic epoch begins. It
// seals all changelogs of the former epoch, and takes the devices that murmur2
// puts into the partition now.
//
// A former changelog is completed before it is sealed. Suppose that topic T goes
// from 1 partition to 2 and, before partition 0 of 2 gets a batch, to 8:
//
//  1. T/2/0 has no item. Its devices are still in T/1/0.
//  2. Partition 5 of 8 gets a batch in environment A. To seal T/2/0, A loads T/2/0
//     first. So A adopts the devices from T/1/0 into T/2/0.
//  3. A seals T/2/0 with the next item, and takes from T/2/0 the devices of
//     partition 5. If A took T/2/0 for empty, the devices would be lost in T/1/0.
//
// The offset and the watermark go on only in the partition with the same number
// of the same topic. A partition that was added has no watermark before its first
// tick, because the watermark of another partition may be too far ahead:
//
//  1. Partition 0 of T has an hour of sightings, from 12:00 to 13:00, that are not
//     processed. T gets four partitions.
//  2. Environment A has not learnt of the change. It decides the hour and appends
//     to T/1/0, with the watermark 13:00.
//  3. Environment B seals T/1/0 for partition 1. The first sighting in partition 1
//     is of 12:10. With the watermark 13:00 the sighting would be late.
//
// A recreated topic begins with the latest watermark of all former partitions.
func (c changelogReader) inherit(ctx context.Context, former, epoch topicEpoch, partition int32, expires time.Time) (*view, error) {
	inherited := newView(epoch, partition)
	for p := range former.Partitions {
		v, err := c.seal(ctx, former, p, expires)
		if err != nil {
			return nil, err
		}
		if former.TopicID != epoch.TopicID {
			inherited.watermark = max(inherited.watermark, v.watermark)
		}
		for key, d := range v.devices {
			if events.Partition([]byte(key), epoch.Partitions) == partition {
				inherited.devices[key] = d
			}
		}
		if p == partition && former.TopicID == epoch.TopicID {
			inherited.offset, inherited.watermark = v.offset, v.watermark
		}
	}
	return inherited, nil
}

// seal ends a changelog of a former topic epoch and returns the view of it. The
// sealing item takes the sequence number that another environment would use next:
//
//  1. Topic T has one partition. The view of environment A ends at item 41 of
//     T/1/0. A may rely on knowledge of the topic that is up to ten seconds old.
//  2. T gets four partitions, and environment B seals T/1/0 with item 42.
//  3. A decides the next batch of partition 0 and appends item 42: a conflict. A
//     drops its view and asks the broker, which reports four partitions. Then A
//     decides the batch again, in T/4/0.
//
// If A is first with item 42, the append of B is the conflict: B loads T/1/0 again
// and seals it with item 43.
func (c changelogReader) seal(ctx context.Context, epoch topicEpoch, partition int32, expires time.Time) (*view, error) {
	for {
		v, err := c.load(ctx, epoch, partition, expires)
		if err != nil || v.sealed {
			return v, err
		}
		end := changelogItem{offset: v.offset, watermark: v.watermark, oldestNeeded: v.oldestNeeded, sealed: true}
		err = c.log.Append(ctx, v.chain(), stage.LogItem{Seq: v.seq + 1, Data: end.encode()}, expires)
		if err == nil {
			return v, nil
		}
		if !errors.Is(err, stage.ErrConflict) {
			return nil, fmt.Errorf("seal changelog %s with item %d: %w", v.chain(), v.seq+1, err)
		}
	}
}

// predecessor returns the topic epoch before epoch, or nil if epoch is the
// first. If epoch is not in the list, it is appended to the end:
//
//  1. The list holds entry 0, T with one partition. T gets four partitions.
//  2. Environments A and B read the list, and both append T with four partitions
//     as entry 1. The append of B is a conflict.
//  3. B reads the list again and finds the entry of A. Both return entry 0.
func (c changelogReader) predecessor(ctx context.Context, epoch topicEpoch) (*topicEpoch, error) {
	for {
		known, err := c.epochs(ctx)
		if err != nil {
			return nil, err
		}
		switch i := slices.Index(known, epoch); {
		case i > 0:
			return &known[i-1], nil
		case i == 0:
			return nil, nil
		}

		data, err := json.Marshal(epoch)
		if err != nil {
			return nil, fmt.Errorf("encode topic epoch %s/%d: %w", epoch.TopicID, epoch.Partitions, err)
		}
		// The entry must outlive every changelog: no expiry.
		err = c.log.Append(ctx, epochsChain, stage.LogItem{Seq: int64(len(known)), Data: data}, time.Time{})
		if err != nil && !errors.Is(err, stage.ErrConflict) {
			return nil, fmt.Errorf("append topic epoch %s/%d as entry %d of %s: %w", epoch.TopicID, epoch.Partitions, len(known), epochsChain, err)
		}
	}
}

// epochs returns all topic epochs in the order in which they began.
func (c changelogReader) epochs(ctx context.Context) ([]topicEpoch, error) {
	items, err := c.log.Read(ctx, epochsChain, 0, maxSequence, true)
	if err != nil {
		return nil, fmt.Errorf("read the topic epochs in %s: %w", epochsChain, err)
	}
	known := make([]topicEpoch, len(items))
	for i, stored := range items {
		if err := json.Unmarshal(stored.Data, &known[i]); err != nil {
			return nil, fmt.Errorf("decode entry %d of %s: %w", stored.Seq, epochsChain, err)
		}
	}
	return known, nil
}
