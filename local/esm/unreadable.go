package esm

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// isUnreadable reports whether a fetch failed on the bytes of a partition: the
// checksum of a batch is wrong, or the batch cannot be decompressed. Every
// other failure passes without an operator: error codes of a broker, an offset
// that was reset, and connections that could not be opened or ended while the
// client asked for the partition's offsets.
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

// pauseUnreadable pauses fetching of the partitions whose next batch no client
// can read, and schedules another attempt after a pause that grows as it does
// for a failed batch. The other partitions go on. An operator has to skip the
// batch: see footfall offsets shift. pauseUnreadable must be called while
// rebalances are blocked, so that each partition is still assigned to this
// poller.
func (p *Poller) pauseUnreadable(ctx context.Context, fetches kgo.Fetches) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if ctx.Err() != nil || !p.isUnreadable(f) {
			return
		}
		part := p.partitionOf(f)
		// Nothing of the partition was read yet: the batch is at the offset at
		// which fetching began.
		if part.nextOffset < 0 {
			part.nextOffset = p.fetchStart(f)
		}
		// Log the offset for the operator, pause, and try again later.
		pause := p.backoff(part.unreadable)
		part.unreadable++
		p.o.Log.ErrorContext(ctx, "cannot read a batch",
			"partition", f.Partition, "offset", part.nextOffset, "pause", pause.String(), "error", f.Err)
		p.client.PauseFetchPartitions(map[string][]int32{f.Topic: {f.Partition}})
		time.AfterFunc(pause, func() { p.resumeUnreadable(ctx, part) })
	})
}

// resumeUnreadable resumes fetching of a partition whose batch could not be
// read. If the partition is also paused for another reason, pauseOrResume
// resumes it later.
func (p *Poller) resumeUnreadable(ctx context.Context, part *partition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() == nil && !part.lost && !part.paused {
		p.client.ResumeFetchPartitions(map[string][]int32{p.o.Mapping.Topic: {part.id}})
	}
}

// fetchStart returns the offset at which fetching of a partition began of which
// no record was fetched yet: the committed offset or, if there is none or it
// was deleted by retention, the start of the log. p.mu must be held.
func (p *Poller) fetchStart(f kgo.FetchTopicPartition) int64 {
	if o, ok := p.client.CommittedOffsets()[f.Topic][f.Partition]; ok && o.Offset >= f.LogStartOffset {
		return o.Offset
	}
	return f.LogStartOffset
}
