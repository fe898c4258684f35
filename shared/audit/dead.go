package audit

import (
	"context"
	"hash/maphash"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/kafka"
)

// DeadLetters is what lies among the dead letters: records that were not processed, so
// that nothing is to be expected of them until they are put back.
type DeadLetters struct {
	records map[deadRecord]bool
	walkIns map[events.WalkInID]kafka.Position // whose record is a dead letter
	unknown int                                // letters that do not tell where they were
}

// deadTopics are those whose dead letters an audit has to know.
var deadTopics = []string{
	events.Sightings, events.CRMEvents, events.CRMEventsBackfill, events.WalkIns, events.EnrichedWalkIns,
}

// ReadDeadLetters reads the dead letters of the topics that counts come from. A letter
// whose record was put back is one all the same: what counts is the record that
// it was put back as.
func ReadDeadLetters(ctx context.Context, in Input) (*DeadLetters, error) {
	d := &DeadLetters{records: map[deadRecord]bool{}, walkIns: map[events.WalkInID]kafka.Position{}}
	for _, name := range deadTopics {
		t, _ := events.TopicByName(name)
		spans, err := kafka.ListOffsetRanges(ctx, in.Client, t.DeadLetters)
		if err != nil {
			return nil, err
		}
		for _, s := range spans {
			if err := in.read(ctx, s, func(r *kgo.Record) error { d.add(r); return nil }); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

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
		d.unknown++
		return
	}
	d.records[deadRecord{l.Origin, content(l.Key, l.Value)}] = true
}

// deadRecord is a record by where it was and what was in it: a topic that was
// made anew has other records at the offsets that older letters tell.
type deadRecord struct {
	kafka.Position
	content uint64
}

// seed is one for all hashes of a process.
var seed = maphash.MakeSeed()

// content tells records apart by what is in them.
func content(key, value []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.Write(key)
	_ = h.WriteByte(0)
	_, _ = h.Write(value)
	return h.Sum64()
}

// has says whether a record is among the dead letters. A nil Dead has none.
func (d *DeadLetters) has(r *kgo.Record) bool {
	return d != nil && len(d.records) > 0 &&
		d.records[deadRecord{kafka.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, content(r.Key, r.Value)}]
}
