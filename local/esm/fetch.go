package esm

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Bounds of what is held in memory, as cost counts it. At totalBytes nothing
// more is taken in. Partitions that wait after a failure do not count there, or
// they would stop the others; they are not fetched from, so that they do not
// grow. partitionBytes bounds what each can bring along into that state.
const (
	totalBytes     = 32 << 20
	partitionBytes = totalBytes / 2
)

// What one fetch brings, in bytes as they are on the wire, compressed. The
// client holds one fetch, decompressed, beside what was polled.
const (
	fetchBytes          = 4 << 20
	fetchPartitionBytes = 1 << 20
	fetchWait           = 250 * time.Millisecond // where there is nothing
)

// maxPoll is how many records are taken from a fetch at once: the bounds above
// are looked at in between.
const maxPoll = 2000

// maxDeadLetterBatch is what the client may send in one batch: a record at the
// limit of its topic with the headers of a dead letter.
const maxDeadLetterBatch = 1<<20 + 64<<10

func (p *Poller) clientOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(p.o.Brokers...),
		kgo.ClientID("footfall-esm-" + p.o.Stage),
		kgo.ConsumerGroup(p.o.Group),
		kgo.ConsumeTopics(p.o.Mapping.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // TRIM_HORIZON
		kgo.DisableAutoCommit(),
		// Without it, records polled before a rebalance could be taken in after
		// it, when the partition has been given back at an earlier offset.
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(p.onAssigned),
		kgo.OnPartitionsRevoked(p.onLost),
		kgo.OnPartitionsLost(p.onLost),
		kgo.SessionTimeout(10 * time.Second), // after a crash the group waits this long for the dead member
		kgo.HeartbeatInterval(time.Second),
		kgo.FetchMaxBytes(fetchBytes),
		kgo.FetchMaxPartitionBytes(fetchPartitionBytes),
		kgo.FetchMaxWait(fetchWait),
		// With fetch sessions kfake serves those partitions first that it served
		// last, and the others wait until these have no more. Without, the client
		// asks for them in turn.
		kgo.DisableFetchSessions(),
		kgo.ProducerBatchMaxBytes(maxDeadLetterBatch),
		kgo.ProducerLinger(0), // dead letters come all at once
	}
}

// onAssigned undoes the pauses of a former time with the partitions, which the
// client would keep. What is held of them begins with the first records.
func (p *Poller) onAssigned(_ context.Context, client *kgo.Client, topics map[string][]int32) {
	client.ResumeFetchPartitions(topics)
}

// forgetPartitions drops what is held before there is a client.
func (p *Poller) forgetPartitions() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.partitions)
	p.updateIdle()
}

// onLost forgets partitions. What is in flight of them runs on, and what becomes
// of it is for the next owner to find out.
func (p *Poller) onLost(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
	p.committing <- struct{}{}
	defer func() { <-p.committing }()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ids := range topics {
		for _, id := range ids {
			if part := p.partitions[id]; part != nil {
				part.lost = true
				delete(p.partitions, id)
			}
		}
	}
	p.updateIdle()
	signal(p.roomFreed)
}

// fetch takes records in until ctx is done, as long as there is room for them.
// It returns before that where a new session, which goes on from the committed
// offsets with nothing held, is the way out: for a topic that was deleted and
// created again, since the client never follows it into its next life; for a new
// leader whose log is shorter than what was fetched, when the client goes back,
// and the records it brings would follow those held, which are gone; and for a
// partition that the client left out.
func (p *Poller) fetch(ctx context.Context) {
	for stale := false; !stale && ctx.Err() == nil; {
		if p.memoryIsFull() {
			select {
			case <-p.roomFreed:
			case <-ctx.Done():
			}
			continue
		}
		fetches := p.client.PollRecords(ctx, maxPoll)
		stale = isStale(fetches)
		if n := fetches.NumRecords(); n > 0 && !stale {
			p.addFetched(fetches)
		}
		p.holdUnreadable(ctx, fetches)
		p.client.AllowRebalance()
		p.report(ctx, fetches)
	}
}

// isStale says that the client is of no use any more, or what is held is not.
func isStale(fetches kgo.Fetches) (stale bool) {
	fetches.EachError(func(topic string, _ int32, err error) {
		var reset *kgo.ErrDataLoss
		stale = stale || errors.Is(err, kerr.UnknownTopicID) || errors.As(err, &reset)
		for _, refusal := range offsetFetchErrors {
			stale = stale || topic != "" && errors.Is(err, refusal)
		}
	})
	return stale
}

// offsetFetchErrors are what a broker answers for a partition instead of its
// committed offset. The client (franz-go 1.22, groupConsumer.fetchOffsets) then
// leaves the partition out until the group rebalances. The same errors for the
// whole group, which have no topic, it overcomes by itself.
var offsetFetchErrors = []error{
	kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.TopicAuthorizationFailed,
}

// memoryIsFull says that the partitions that can go on have enough.
func (p *Poller) memoryIsFull() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := 0
	for _, part := range p.partitions {
		if !part.isRetrying() {
			total += part.bytes
		}
	}
	return total >= totalBytes
}

func (p *Poller) addFetched(fetches kgo.Fetches) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 {
			return
		}
		part := p.partitionOf(f)
		part.add(f.Records, now)
		p.pauseOrResume(part)
	})
	p.updateIdle()
	signal(p.wake)
}

// partitionOf is what is partitionOf of a partition, at first nothing. p.mu is partitionOf.
func (p *Poller) partitionOf(f kgo.FetchTopicPartition) *partition {
	part := p.partitions[f.Partition]
	if part == nil {
		part = &partition{id: f.Partition, name: f.Topic + "-" + strconv.Itoa(int(f.Partition)), nextOffset: -1}
		p.partitions[f.Partition] = part
	}
	return part
}

// pauseOrResume stops fetching a partition that has too much or cannot go on.
// That is for exceptions: a pause throws away what the client has fetched ahead,
// and a resumed partition waits for the fetch under way, up to fetchWait. p.mu
// is held.
func (p *Poller) pauseOrResume(part *partition) {
	pause := part.isRetrying() || part.bytes >= partitionBytes ||
		part.paused && part.bytes > partitionBytes/2
	if pause == part.paused || part.lost {
		return
	}
	part.paused = pause
	which := map[string][]int32{p.o.Mapping.Topic: {part.id}}
	if pause {
		p.client.PauseFetchPartitions(which)
	} else {
		p.client.ResumeFetchPartitions(which)
	}
}

// report logs what a poll brought besides records. Mostly the client goes on
// trying by itself.
func (p *Poller) report(ctx context.Context, fetches kgo.Fetches) {
	failed := false
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		switch {
		case f.Err == nil || ctx.Err() != nil || p.isUnreadable(f):
		default:
			failed = true
			p.o.Log.WarnContext(ctx, "cannot fetch", "partition", f.Partition, "error", f.Err)
		}
	})
	if failed {
		sleep(ctx, time.Second) // an error that stays would fill the log
	}
}

// sleep waits for d, or less if ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
