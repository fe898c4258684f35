package stage

import (
	"context"
	"time"

	"footfall/events"
)

// Header is one header of a Kafka record.
type Header struct {
	Key   string
	Value []byte
}

// Record is one Kafka record, as it was consumed or as it is to be produced.
type Record struct {
	Topic string
	// Partition is the partition that the record was consumed from. On a record to
	// be produced, it is the partition to produce to, or AnyPartition.
	Partition int32
	// Offset is the offset of a consumed record. A Producer ignores it.
	Offset int64
	// Timestamp is the record's timestamp. A Producer replaces the zero time by its
	// own clock.
	Timestamp time.Time
	Key       []byte
	Value     []byte // nil is a null (a tombstone on a compacted topic); an empty slice is an empty value
	Headers   []Header
}

// AnyPartition as the partition of a produced record means that the record's key
// decides the partition.
const AnyPartition int32 = -1

// EncodeRecord returns the record of an event, for any partition of topic. event
// is a pointer to a struct of package events. The error is that of
// events.Encode.
func EncodeRecord(topic string, key []byte, event any) (Record, error) {
	value, err := events.Encode(nil, event)
	if err != nil {
		return Record{}, err
	}
	return Record{Topic: topic, Partition: AnyPartition, Key: key, Value: value}, nil
}

// Batch holds consecutive records of one partition of one topic in ascending order
// of offsets. Offsets may have gaps, such as compaction and transactions leave. A
// Handler may use the slices of a batch until Handle returns, and not later.
type Batch struct {
	Topic     string
	Partition int32
	Records   []Record
}

// Handler is one stage. Handle processes a batch and returns nil if the whole
// batch is done. If it returns a *Failure, the records before the failure's
// offset are done and the others are redelivered; after any other error the whole
// batch is redelivered. Handle MUST be safe for concurrent calls with batches of
// different partitions.
type Handler interface {
	Handle(ctx context.Context, b Batch) error
}
