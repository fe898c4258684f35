package audit

import (
	"context"
	"hash/maphash"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/kafka"
)

// DeadLetters holds records that became dead letters. No stage has processed such a
// record, so it has no effect until a redrive puts it back.
type DeadLetters struct {
	records  map[deadRecord]bool
	walkIns  map[events.WalkInID]kafka.Position // dead letters of walk-ins
	unplaced int                                // dead letters without the position of their record
}

// deadTopics are the topics whose dead letters an audit needs.
var deadTopics = []string{
	events.Sightings, events.CRMEvents, events.CRMEventsBackfill, events.WalkIns, events.EnrichedWalkIns,
}

// ReadDeadLetters reads the dead letters of the topics from which counts are made.
// It includes dead letters that were put back: a redrive produces a new record, and
// the audit reads the new record.
func ReadDeadLetters(ctx context.Context, in Input) (*DeadLetters, error) {
	d := &DeadLetters{records: map[deadRecord]bool{}, walkIns: map[events.WalkInID]kafka.Position{}}
	for _, name := range deadTopics {
		t, _ := events.TopicByName(name)
		ranges, err := kafka.ListOffsetRanges(ctx, in.Client, t.DeadLetters)
		if err != nil {
			return nil, err
		}
		for _, held := range ranges {
			if err := in.read(ctx, held, func(r *kgo.Record) error { d.add(r); return nil }); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

// add adds one dead letter: a walk-in by its id, any other record by its
// position and content.
func (d *DeadLetters) add(r *kgo.Record) {
	l := kafka.ParseDeadLetter(r)
	switch l.Origin.Topic {
	case events.WalkIns:
		if w, err := events.DecodeWalkIn(l.Key, l.Value); err == nil {
			d.walkIns[w.ID] = l.Position
		}
		return
	case events.EnrichedWalkIns:
		if w, err := events.DecodeEnrichedWalkIn(l.Key, l.Value); err == nil {
			d.walkIns[w.ID] = l.Position
		}
		return
	}
	if l.Origin.Partition < 0 || l.Origin.Offset < 0 {
		d.unplaced++
		return
	}
	d.records[deadRecord{l.Origin, hashContent(l.Key, l.Value)}] = true
}

// deadRecord names a record by its original position and its content. The position
// alone is not enough: if a topic was deleted and created again, other records are
// at the offsets of older dead letters.
type deadRecord struct {
	kafka.Position
	content uint64
}

// seed is the seed of all hashes of this process.
var seed = maphash.MakeSeed()

// hashContent returns a hash of the key and the value of a record.
func hashContent(key, value []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.Write(key)
	_ = h.WriteByte(0)
	_, _ = h.Write(value)
	return h.Sum64()
}

// has reports whether a record is among the dead letters. A nil DeadLetters
// contains no record.
func (d *DeadLetters) has(r *kgo.Record) bool {
	return d != nil && len(d.records) > 0 &&
		d.records[deadRecord{kafka.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, hashContent(r.Key, r.Value)}]
}
