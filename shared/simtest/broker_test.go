package simtest

import (
	"fmt"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/stage"
)

// topic is one life of a topic.
type topic struct {
	name    string
	id      string
	parts   [][]stage.Record
	changed time.Time // when it was made anew or partitions were added
}

// broker keeps topics and what consumer groups have committed.
type broker struct {
	topics map[string]*topic
	// committed is by stage, topic and partition an index into the partition.
	committed map[groupKey]int
	lives     int
	now       time.Time // of what is produced now
	// holes makes offsets leave some numbers out, as transactions and compaction do.
	holes func() bool
	sent  func(t *topic, r *stage.Record) // sees every record that is stored
}

type groupKey struct {
	stage, topic string
	partition    int32
}

// create makes a topic, or makes it anew.
func (b *broker) create(name string, partitions int) *topic {
	b.lives++
	t := &topic{
		name: name, id: fmt.Sprintf("%s-life-%d", name, b.lives), parts: make([][]stage.Record, partitions),
		changed: b.now,
	}
	b.topics[name] = t
	return t
}

// append stores a record, which keeps its Timestamp if it has one.
func (b *broker) append(r stage.Record) {
	t := b.topics[r.Topic]
	if r.Partition == stage.AnyPartition {
		r.Partition = events.Partition(r.Key, int32(len(t.parts)))
	}
	part := t.parts[r.Partition]
	r.Offset = 0
	if len(part) > 0 {
		r.Offset = part[len(part)-1].Offset + 1
	}
	if b.holes() {
		r.Offset++
	}
	if r.Timestamp.IsZero() {
		r.Timestamp = b.now
	}
	r.Key, r.Value = slices.Clone(r.Key), slices.Clone(r.Value)
	t.parts[r.Partition] = append(part, r)
	if b.sent != nil {
		b.sent(t, &r)
	}
}

// index gives where the record with an offset is, or would be.
func index(part []stage.Record, offset int64) int {
	i, _ := slices.BinarySearchFunc(part, offset, func(r stage.Record, offset int64) int { return int(r.Offset - offset) })
	return i
}
