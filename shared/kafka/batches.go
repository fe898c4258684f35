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
// compresses and checks records by batch, so it is what can be read or not.
type StoredBatch struct {
	First, Last int64 // offsets
	Bytes       int
	Err         error // why a client cannot read it; nil where it can
}

// Where fields of a record batch lie (Kafka protocol, "Record Batch"), and how
// long its header is.
const (
	batchLengthAt    = 8
	batchLastDeltaAt = 23
	batchHeaderBytes = 61
)

// storedBytes is how much of a partition one request brings; a larger batch
// comes whole all the same.
const storedBytes = 1 << 20

// StoredBatches gives the batches that hold the offsets of a span, the first of
// which may begin before it. It asks the broker for bytes and looks at each
// batch by itself, so it goes on behind one that no consumer gets past. Where a
// batch does not even tell its length it is the last one given.
func StoredBatches(ctx context.Context, client *kgo.Client, s OffsetRange) ([]StoredBatch, error) {
	var batches []StoredBatch
	for next := s.From; next < s.To; {
		raw, err := fetchRaw(ctx, client, s, next)
		if err != nil {
			return nil, fmt.Errorf("kafka: batches of %s from offset %d: %w", s, next, err)
		}
		before := len(batches)
		for len(raw) > 0 && next < s.To {
			b, size := storedBatch(s, raw)
			if size == 0 {
				break // cut short by the size of the answer
			}
			raw = raw[size:]
			if b.Last >= next {
				batches = append(batches, b)
				next = b.Last + 1
			}
		}
		if len(batches) == before {
			return append(batches, StoredBatch{First: next, Last: next, Bytes: len(raw), Err: errNoBatch}), nil
		}
	}
	return batches, nil
}

// errNoBatch is about bytes that are no batch at all.
var errNoBatch = errors.New("no whole record batch lies there")

// storedBatch looks at the first batch in raw and gives its size, 0 where it is
// not whole.
func storedBatch(s OffsetRange, raw []byte) (StoredBatch, int) {
	if len(raw) < batchHeaderBytes {
		return StoredBatch{}, 0
	}
	size := int64(binary.BigEndian.Uint32(raw[batchLengthAt:])) + batchLengthAt + 4
	if size < batchHeaderBytes || size > int64(len(raw)) {
		return StoredBatch{}, 0
	}
	raw = raw[:size]
	b := StoredBatch{First: int64(binary.BigEndian.Uint64(raw)), Bytes: len(raw)}
	delta := int32(binary.BigEndian.Uint32(raw[batchLastDeltaAt:]))
	b.Last = b.First + int64(max(delta, 0))
	part := kmsg.NewFetchResponseTopicPartition()
	part.Partition, part.RecordBatches = s.Partition, raw
	got, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Topic: s.Topic, Partition: s.Partition, Offset: b.First,
	}, &part, kgo.DefaultDecompressor(), nil)
	b.Err = got.Err
	return b, len(raw)
}

// fetchRaw asks the leader of a partition for what it holds from an offset on.
func fetchRaw(ctx context.Context, client *kgo.Client, s OffsetRange, from int64) ([]byte, error) {
	leader, id, err := leaderOf(ctx, client, s)
	if err != nil {
		return nil, err
	}
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = s.Partition, from, storedBytes
	part.CurrentLeaderEpoch = -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID, topic.Partitions = s.Topic, id, append(topic.Partitions, part)
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.SessionEpoch = math.MaxInt32, -1
	req.Topics = append(req.Topics, topic)
	answer, err := client.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp, ok := answer.(*kmsg.FetchResponse)
	if !ok || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		if ok && resp.ErrorCode != 0 {
			return nil, kerr.ErrorForCode(resp.ErrorCode)
		}
		return nil, errors.New("the broker answers for other partitions")
	}
	got := resp.Topics[0].Partitions[0]
	return got.RecordBatches, kerr.ErrorForCode(got.ErrorCode)
}

func leaderOf(ctx context.Context, client *kgo.Client, s OffsetRange) (leader int32, id [16]byte, err error) {
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = &s.Topic
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = append(req.Topics, one)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return 0, id, err
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return 0, id, err
		}
		for _, p := range t.Partitions {
			if p.Partition == s.Partition {
				return p.Leader, t.TopicID, kerr.ErrorForCode(p.ErrorCode)
			}
		}
	}
	return 0, id, kerr.UnknownTopicOrPartition
}
