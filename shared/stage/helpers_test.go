package stage_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"pgregory.net/rapid"

	"footfall/events"
	"footfall/shared/stage"
)

// sink is a Producer that keeps what it is given.
type sink struct {
	mu      sync.Mutex
	records []stage.Record
	fail    func(call int) error // asked before each call
	after   bool                 // the failing call's records are kept all the same: its answer was lost
	calls   int
}

var errInjected = errors.New("injected fault")

func (s *sink) Produce(_ context.Context, records []stage.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	var err error
	if s.fail != nil {
		err = s.fail(s.calls)
	}
	if err == nil || s.after {
		s.records = append(s.records, slices.Clone(records)...)
	}
	return err
}

func (s *sink) on(topic string) []stage.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []stage.Record
	for _, r := range s.records {
		if r.Topic == topic {
			found = append(found, r)
		}
	}
	return found
}

// topics is a TopicInfos that says what it is told to.
type topics struct{ info stage.TopicInfo }

func (t *topics) Info(context.Context, string, time.Duration) (stage.TopicInfo, error) {
	return t.info, nil
}

// partitionLog is one partition of a topic, to be handed out in batches.
type partitionLog struct {
	topic     string
	partition int32
	records   []stage.Record
}

var wall = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func (l *partitionLog) put(t rapid.TB, key []byte, event any) {
	t.Helper()
	value, err := events.Encode(nil, event)
	if err != nil {
		t.Fatalf("encode %+v: %v", event, err)
	}
	l.raw(key, value)
}

func (l *partitionLog) raw(key, value []byte) {
	l.records = append(l.records, stage.Record{
		Topic: l.topic, Partition: l.partition, Offset: int64(len(l.records)), Timestamp: wall, Key: key, Value: value,
	})
}

// batch gives the records with from <= offset < to.
func (l *partitionLog) batch(from, to int) stage.Batch {
	return stage.Batch{Topic: l.topic, Partition: l.partition, Records: l.records[from:to]}
}

func (l *partitionLog) all() stage.Batch { return l.batch(0, len(l.records)) }

func decodeRecords[T any](t rapid.TB, records []stage.Record, decode func(k, v []byte) (T, error)) []T {
	t.Helper()
	all := make([]T, len(records))
	for i, r := range records {
		v, err := decode(r.Key, r.Value)
		if err != nil {
			t.Fatalf("record %d on %s: %v", i, r.Topic, err)
		}
		all[i] = v
	}
	return all
}
