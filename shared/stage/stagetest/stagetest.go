// Package stagetest holds doubles for the tests of stages: a producer that keeps
// its records (Sink), topics with a fixed description (Topics), and a partition
// handed out in batches (Partition).
package stagetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"footfall/events"
	"footfall/shared/stage"
)

// TB is the part of testing.TB that the helpers use. A *rapid.T implements TB too.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// ErrInjected is the error of a fault that a test injects.
var ErrInjected = errors.New("injected fault")

// Sink is a Producer that keeps the records of all calls.
type Sink struct {
	// Fail returns the error of the nth call, from 1 on. If Fail is nil, no call
	// fails.
	Fail func(call int) error
	// KeepFailed keeps the records of a failing call too: the broker wrote the
	// records, but the answer was lost.
	KeepFailed bool
	Records    []stage.Record // of all topics, in the order in which they were produced

	mu    sync.Mutex
	calls int
}

// Produce keeps the records, unless Fail returns an error for the call.
func (s *Sink) Produce(_ context.Context, records []stage.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A failing call keeps its records only if KeepFailed is set.
	s.calls++
	var err error
	if s.Fail != nil {
		err = s.Fail(s.calls)
	}
	if err == nil || s.KeepFailed {
		s.Records = append(s.Records, slices.Clone(records)...)
	}
	return err
}

// On returns the records of one topic in the order in which they were produced.
func (s *Sink) On(topic string) []stage.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []stage.Record
	for _, r := range s.Records {
		if r.Topic == topic {
			found = append(found, r)
		}
	}
	return found
}

// Topics is a TopicInfos that returns the same description for every topic.
type Topics struct{ Description stage.TopicInfo }

// Info returns the description.
func (t *Topics) Info(context.Context, string, time.Duration) (stage.TopicInfo, error) {
	return t.Description, nil
}

// Partition is one partition of a topic. Batch and All hand its records out.
type Partition struct {
	Topic   string
	Number  int32
	Records []stage.Record
}

// RecordTime is the timestamp of every record that Put and PutRaw append.
var RecordTime = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// Put encodes an event and appends its record.
func (p *Partition) Put(t TB, key []byte, event any) {
	t.Helper()
	value, err := events.Encode(nil, event)
	if err != nil {
		t.Fatalf("encode %+v: %v", event, err)
	}
	p.PutRaw(key, value)
}

// PutRaw appends a record with any key and value, such as a value that cannot be
// decoded.
func (p *Partition) PutRaw(key, value []byte) {
	p.Records = append(p.Records, stage.Record{
		Topic: p.Topic, Partition: p.Number, Offset: int64(len(p.Records)), Timestamp: RecordTime, Key: key, Value: value,
	})
}

// Batch returns the records with from <= offset < to.
func (p *Partition) Batch(from, to int) stage.Batch {
	return stage.Batch{Topic: p.Topic, Partition: p.Number, Records: p.Records[from:to]}
}

// All returns all records as one batch.
func (p *Partition) All() stage.Batch { return p.Batch(0, len(p.Records)) }

// Decode decodes the records with a decoder of package events.
func Decode[T any](t TB, records []stage.Record, decode func(key, value []byte) (T, error)) []T {
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

// Distinct returns the text of each different value once, sorted.
func Distinct[T any](values []T) []string {
	seen := map[string]bool{}
	for _, v := range values {
		seen[fmt.Sprintf("%+v", v)] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// Header returns the value of a record's header, or "" if there is no header with
// the key.
func Header(r stage.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
