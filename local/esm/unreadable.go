package esm

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// isUnreadable says that what failed are the bytes of a partition: a batch whose
// checksum is wrong or that cannot be decompressed. What a broker answers passes
// by itself, and so does an offset that was reset, and a connection that could
// not be made or ended while the client asked where the partition begins.
func (p *Poller) isUnreadable(f kgo.FetchTopicPartition) bool {
	var fromBroker *kerr.Error
	var reset *kgo.ErrDataLoss
	var ended *kgo.ErrFirstReadEOF
	var network net.Error
	return f.Topic == p.o.Mapping.Topic && f.Err != nil &&
		!errors.As(f.Err, &fromBroker) && !errors.As(f.Err, &reset) &&
		!errors.As(f.Err, &ended) && !errors.As(f.Err, &network) && !kgo.IsRetryableBrokerErr(f.Err) &&
		!errors.Is(f.Err, context.Canceled) && !errors.Is(f.Err, kgo.ErrClientClosed)
}

// holdUnreadable stops fetching those partitions whose next batch no client can
// read, and has each tried again after a pause that grows as it does for a
// failed batch. The others go on. It takes a person to get past it: see footfall
// offsets shift. It comes before partitions can be lost to a rebalance.
func (p *Poller) holdUnreadable(ctx context.Context, fetches kgo.Fetches) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if ctx.Err() != nil || !p.isUnreadable(f) {
			return
		}
		part := p.partitionOf(f)
		if part.nextOffset < 0 {
			part.nextOffset = p.fetchStart(f)
		}
		pause := p.backoff(part.unreadable)
		part.unreadable++
		p.o.Log.ErrorContext(ctx, "cannot read a batch",
			"partition", f.Partition, "offset", part.nextOffset, "pause", pause.String(), "error", f.Err)
		p.client.PauseFetchPartitions(map[string][]int32{f.Topic: {f.Partition}})
		time.AfterFunc(pause, func() { p.resumeUnreadable(ctx, part) })
	})
}

// resumeUnreadable resumes fetching a partition that could not be read, unless it is
// paused for another reason: then it is resumed when that is over.
func (p *Poller) resumeUnreadable(ctx context.Context, part *partition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() == nil && !part.lost && !part.paused {
		p.client.ResumeFetchPartitions(map[string][]int32{p.o.Mapping.Topic: {part.id}})
	}
}

// fetchStart is where fetching of a partition began of which nothing was fetched: at
// the committed offset, or at the start of the log. p.mu is held.
func (p *Poller) fetchStart(f kgo.FetchTopicPartition) int64 {
	if o, ok := p.client.CommittedOffsets()[f.Topic][f.Partition]; ok && o.Offset >= f.LogStartOffset {
		return o.Offset
	}
	return f.LogStartOffset
}
