package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// StoredBatch is one record batch as the broker stores it. Kafka writes,
// compresses and checks records batch by batch, so either all records of a batch
// can be read or none.
type StoredBatch struct {
	First, Last int64 // offsets
	Bytes       int
	Err         error // the reason why a client cannot read the batch, or nil
}

// The positions of fields in a record batch (Kafka protocol, "Record Batch"), and
// the length of its header.
const (
	batchLengthAt    = 8
	batchLastDeltaAt = 23
	batchHeaderBytes = 61
)

// storedBytes is the size of the response to one request. The broker sends a
// larger batch as a whole.
const storedBytes = 1 << 20

// StoredBatches returns the batches with the offsets of a range. The first batch
// may begin before the range. StoredBatches requests raw bytes and decodes each
// batch on its own, so a damaged batch, which stops every consumer, does not stop
// StoredBatches. A batch without a readable length is returned as the last.
func StoredBatches(ctx context.Context, client *kgo.Client, r OffsetRange) ([]StoredBatch, error) {
	var batches []StoredBatch
	for next := r.From; next < r.To; {
		raw, err := fetchRaw(ctx, client, r, next)
		if err != nil {
			return nil, fmt.Errorf("kafka: fetch the batches of %s from offset %d: %w", r, next, err)
		}
		before := len(batches)
		for len(raw) > 0 && next < r.To {
			b, size := parseBatch(r, raw)
			if size == 0 {
				break // the response ends in the middle of this batch
			}
			raw = raw[size:]
			if b.Last >= next {
				batches = append(batches, b)
				next = b.Last + 1
			}
		}
		// The response begins with bytes that are no batch. Without a length the
		// next batch cannot be found, so stop here.
		if len(batches) == before {
			return append(batches, StoredBatch{First: next, Last: next, Bytes: len(raw), Err: errNoBatch}), nil
		}
	}
	return batches, nil
}

// errNoBatch is the Err of a StoredBatch whose bytes are no record batch.
var errNoBatch = errors.New("no whole record batch at this offset")

// parseBatch decodes the first batch in raw and returns its size in bytes, or 0 if
// raw does not hold the whole batch.
func parseBatch(r OffsetRange, raw []byte) (StoredBatch, int) {
	if len(raw) < batchHeaderBytes {
		return StoredBatch{}, 0
	}
	size := int64(binary.BigEndian.Uint32(raw[batchLengthAt:])) + batchLengthAt + 4
	if size < batchHeaderBytes || size > int64(len(raw)) {
		return StoredBatch{}, 0
	}

	// Read the offsets from the header. A damaged delta may be negative.
	raw = raw[:size]
	b := StoredBatch{First: int64(binary.BigEndian.Uint64(raw)), Bytes: len(raw)}
	delta := int32(binary.BigEndian.Uint32(raw[batchLastDeltaAt:]))
	b.Last = b.First + int64(max(delta, 0))

	// Let the client decode the records, for the error of a consumer.
	part := kmsg.NewFetchResponseTopicPartition()
	part.Partition, part.RecordBatches = r.Partition, raw
	got, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Topic: r.Topic, Partition: r.Partition, Offset: b.First,
	}, &part, kgo.DefaultDecompressor(), nil)
	b.Err = got.Err
	return b, len(raw)
}

// fetchRaw returns the bytes of a partition from an offset on, up to storedBytes,
// as its leader stores them.
func fetchRaw(ctx context.Context, client *kgo.Client, r OffsetRange, from int64) ([]byte, error) {
	leader, id, err := findLeader(ctx, client, r)
	if err != nil {
		return nil, err
	}

	// Ask for one partition, without a fetch session (epoch -1).
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = r.Partition, from, storedBytes
	part.CurrentLeaderEpoch = -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID, topic.Partitions = r.Topic, id, append(topic.Partitions, part)
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.SessionEpoch = math.MaxInt32, -1
	req.Topics = append(req.Topics, topic)
	answer, err := client.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}

	// An error of the whole request comes without partitions.
	resp, ok := answer.(*kmsg.FetchResponse)
	if !ok || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		if ok && resp.ErrorCode != 0 {
			return nil, kerr.ErrorForCode(resp.ErrorCode)
		}
		return nil, errors.New("the response of the broker does not hold exactly the requested partition")
	}
	got := resp.Topics[0].Partitions[0]
	return got.RecordBatches, kerr.ErrorForCode(got.ErrorCode)
}

// findLeader returns the leading broker of a partition and the id of the topic.
func findLeader(ctx context.Context, client *kgo.Client, r OffsetRange) (leader int32, id [16]byte, err error) {
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = &r.Topic
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = append(req.Topics, one)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return 0, id, err
	}
	// Either the topic or the partition may have an error of its own.
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return 0, id, err
		}
		for _, p := range t.Partitions {
			if p.Partition == r.Partition {
				return p.Leader, t.TopicID, kerr.ErrorForCode(p.ErrorCode)
			}
		}
	}
	return 0, id, kerr.UnknownTopicOrPartition
}
