package simtest

import (
	"fmt"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/stage"
)

// topic is one topic epoch: a topic from its creation until the topic is created
// again.
type topic struct {
	name    string
	id      string
	parts   [][]stage.Record
	changed time.Time // when the topic was created or partitions were added
}

// broker holds the topics, and the positions that the consumer groups have
// committed. A position is an index into the records of a partition, unlike an
// offset, which may leave out numbers.
type broker struct {
	topics    map[string]*topic
	committed map[groupKey]int
	created   int       // topics created again, for their ids
	now       time.Time // timestamp of records that are produced now
	// skipOffset reports whether the next offset leaves out a number, as offsets
	// do because of transactions and compaction.
	skipOffset func() bool
	stored     func(t *topic, r *stage.Record) // called for every record that is stored
}

// groupKey names the consumer group of a stage on one partition.
type groupKey struct {
	stage, topic string
	partition    int32
}

// create creates a topic again, with a new id and no records.
func (b *broker) create(name string, partitions int) *topic {
	b.created++
	t := &topic{
		name: name, id: fmt.Sprintf("%s-life-%d", name, b.created), parts: make([][]stage.Record, partitions),
		changed: b.now,
	}
	b.topics[name] = t
	return t
}

// append stores a record. The record keeps its Timestamp if it has one.
func (b *broker) append(r stage.Record) {
	t := b.topics[r.Topic]
	if r.Partition == stage.AnyPartition {
		r.Partition = events.Partition(r.Key, int32(len(t.parts)))
	}
	// The offset follows that of the last record, or leaves out one number.
	part := t.parts[r.Partition]
	r.Offset = 0
	if len(part) > 0 {
		r.Offset = part[len(part)-1].Offset + 1
	}
	if b.skipOffset() {
		r.Offset++
	}
	if r.Timestamp.IsZero() {
		r.Timestamp = b.now
	}
	r.Key, r.Value = slices.Clone(r.Key), slices.Clone(r.Value)
	t.parts[r.Partition] = append(part, r)
	if b.stored != nil {
		b.stored(t, &r)
	}
}

// positionOf returns the position of the record with an offset, or the position
// that such a record would have.
func positionOf(part []stage.Record, offset int64) int {
	i, _ := slices.BinarySearchFunc(part, offset, func(r stage.Record, offset int64) int { return int(r.Offset - offset) })
	return i
}
