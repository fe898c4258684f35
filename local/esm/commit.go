package esm

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commit commits how far the partitions of the deliveries are done, and retries
// until it succeeds: if the last commit on a partition failed and no record
// followed, the group would show a lag for ever. While the broker rejects the
// commit because a rebalance has begun (ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID),
// the retries go on until onLost marks the partitions as lost, which leaves
// nothing to commit.
func (p *Poller) commit(ctx context.Context, ds []delivery) {
	for try := 0; ; try++ {
		err := p.tryCommit(ctx, ds)
		if err == nil || ctx.Err() != nil {
			return // if the poller ends before the commit, the records are redelivered, which is allowed
		}
		p.o.Log.WarnContext(ctx, "cannot commit", "error", err)
		sleep(ctx, p.backoff(try))
	}
}

// commitTimeout bounds one attempt. An attempt is not cancelled with the
// poller's context: a batch that succeeded is committed even if the poller ends
// at that moment.
const commitTimeout = 5 * time.Second

// tryCommit makes one attempt to commit the partitions that are still assigned
// to this poller. Holding p.committing keeps a partition from being lost
// between that check and the commit.
func (p *Poller) tryCommit(ctx context.Context, ds []delivery) error {
	p.committing <- struct{}{}
	defer func() { <-p.committing }()
	// The committed offset is that of the first record that is not done.
	offsets := map[int32]kgo.EpochOffset{}
	for _, d := range ds {
		if d.done > 0 && !p.isLost(d.p) {
			last := d.records[d.done-1]
			offsets[d.p.id] = kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1}
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	return p.commitOffsets(ctx, offsets)
}

// commitOffsets commits offsets by partition and returns the first error of the
// request or of a partition.
func (p *Poller) commitOffsets(ctx context.Context, offsets map[int32]kgo.EpochOffset) (err error) {
	p.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{p.o.Mapping.Topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, failure error) {
			if err = failure; err == nil {
				err = firstError(resp)
			}
		})
	if err != nil {
		return fmt.Errorf("commit on %s: %w", p.o.Mapping.Topic, err)
	}
	return nil
}

// firstError returns the first error that the response holds for a partition.
func firstError(resp *kmsg.OffsetCommitResponse) error {
	for _, t := range resp.Topics {
		for _, part := range t.Partitions {
			if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
				return fmt.Errorf("partition %d: %w", part.Partition, err)
			}
		}
	}
	return nil
}
