package esm

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commit stores how far the shares' partitions are done, trying again until it
// works: a commit left out would show only when nothing follows it.
func (p *Poller) commit(ctx context.Context, ds []delivery) {
	for try := 0; ; try++ {
		err := p.tryCommit(ctx, ds)
		if err == nil || ctx.Err() != nil {
			return // at the end of the poller the records come again, which is allowed
		}
		p.o.Log.WarnContext(ctx, "cannot commit", "error", err)
		sleep(ctx, p.backoff(try))
	}
}

// commitTimeout bounds one try. What succeeded is committed also when the
// poller ends at that moment.
const commitTimeout = 5 * time.Second

func (p *Poller) tryCommit(ctx context.Context, ds []delivery) error {
	p.committing <- struct{}{}
	defer func() { <-p.committing }()
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

// commitOffsets commits and looks at the answer for every partition.
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
