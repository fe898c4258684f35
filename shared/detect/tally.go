package detect

import (
	"context"
	"fmt"

	"footfall/shared/stage"
)

// Tally counts the decisions of detect. Each changelog item holds the tally of
// the records that it covers, so the sum over a changelog is exact however often
// a batch was retried. Package lab/check compares that sum with the topics.
type Tally struct {
	Sightings int64 // decided, among them late ones, passers-by and excluded ones
	Late      int64 // further behind the watermark than the allowed lateness
	PassersBy int64 // sightings of passers-by
	WalkIns   int64
	Anonymous int64 // of WalkIns
	Dead      int64 // records sent to the dead letters
	Residents int64 // visits of resident devices, which have no walk-in
	Excluded  int64 // sightings of a listed device, or by a sensor that does not count
}

// Plus returns the sum of two tallies.
func (t Tally) Plus(u Tally) Tally {
	return Tally{
		t.Sightings + u.Sightings, t.Late + u.Late, t.PassersBy + u.PassersBy,
		t.WalkIns + u.WalkIns, t.Anonymous + u.Anonymous, t.Dead + u.Dead,
		t.Residents + u.Residents, t.Excluded + u.Excluded,
	}
}

// numbers returns pointers to the numbers in the order in which an item holds
// them. A later version of the format may only append to them.
func (t *Tally) numbers() []*int64 {
	return []*int64{
		&t.Sightings, &t.Late, &t.PassersBy, &t.WalkIns, &t.Anonymous, &t.Dead, &t.Residents, &t.Excluded,
	}
}

// SumTallies returns the sum of the tallies in the changelogs of one epoch of
// topic sightings, which info names. It covers the items that are still kept:
// 14 days of records, and some days more until they are removed.
func SumTallies(ctx context.Context, log stage.VisitLog, info stage.TopicInfo) (Tally, error) {
	epoch := topicEpoch{info.ID, info.Partitions}
	var sum Tally
	for partition := range info.Partitions {
		chain := epoch.chain(partition)
		items, err := log.Read(ctx, chain, 0, maxSequence, true)
		if err != nil {
			return Tally{}, fmt.Errorf("read changelog %s: %w", chain, err)
		}
		for _, stored := range items {
			item, err := decodeItem(stored.Data)
			if err != nil {
				return Tally{}, fmt.Errorf("changelog %s item %d: %w", chain, stored.Seq, err)
			}
			sum = sum.Plus(item.tally)
		}
	}
	return sum, nil
}
