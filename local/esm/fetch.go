package esm

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Bounds on the memory that fetched records take, as memoryBytes counts it. At
// totalBytes the poller stops fetching. Partitions that wait after a failure do
// not count towards totalBytes, or they would stop the others; such partitions
// are paused, so they do not grow. partitionBytes bounds how many bytes each of
// them can hold when its batch fails.
const (
	totalBytes     = 32 << 20
	partitionBytes = totalBytes / 2
)

// Sizes of one fetch, in compressed bytes as sent. The client holds one fetch,
// decompressed, in addition to the records that were polled.
const (
	fetchBytes          = 4 << 20
	fetchPartitionBytes = 1 << 20
	fetchWait           = 250 * time.Millisecond // if the broker has no records
)

// maxPoll is how many records are taken from a fetch at once. The memory bounds
// are checked between polls.
const maxPoll = 2000

// maxDeadLetterBatch is the largest batch, in bytes, that the client may
// produce: one record at its topic's size limit plus the headers of a dead
// letter.
const maxDeadLetterBatch = 1<<20 + 64<<10

// clientOptions returns the options of the Kafka client.
func (p *Poller) clientOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(p.o.Brokers...),
		kgo.ClientID("footfall-esm-" + p.o.Stage),
		kgo.ConsumerGroup(p.o.Group),
		kgo.ConsumeTopics(p.o.Mapping.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // TRIM_HORIZON
		kgo.DisableAutoCommit(),
		// Without it: records are polled, a rebalance takes the partition away
		// and later returns it at an earlier offset, and only then the polled
		// records are added.
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(p.onAssigned),
		kgo.OnPartitionsRevoked(p.onLost),
		kgo.OnPartitionsLost(p.onLost),
		kgo.SessionTimeout(10 * time.Second), // after a crash, the group keeps the dead member's partitions this long
		kgo.HeartbeatInterval(time.Second),
		kgo.FetchMaxBytes(fetchBytes),
		kgo.FetchMaxPartitionBytes(fetchPartitionBytes),
		kgo.FetchMaxWait(fetchWait),
		// With fetch sessions, kfake serves first the partitions that it served
		// last, and the others wait until those have no more records. Without
		// sessions, the client asks for the partitions in turn.
		kgo.DisableFetchSessions(),
		kgo.ProducerBatchMaxBytes(maxDeadLetterBatch),
		kgo.ProducerLinger(0), // all dead letters of a batch are produced in one call
	}
}

// onAssigned resumes fetching of partitions that this poller has paused when it
// was last assigned them: the client keeps pauses across assignments. The
// poller's own state of a partition is created when its first records arrive.
func (p *Poller) onAssigned(_ context.Context, client *kgo.Client, topics map[string][]int32) {
	client.ResumeFetchPartitions(topics)
}

// forgetPartitions drops all held records before a new client starts.
func (p *Poller) forgetPartitions() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.partitions)
	p.updateIdle()
}

// onLost forgets partitions that the group has taken away. A batch of such a
// partition may be in flight: its invocation goes on, its result is not
// committed, and the next owner is delivered the same records again.
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

// fetch adds records to the partitions until ctx is done, as long as memory
// allows. It returns earlier in three cases, in which a new session that starts
// from the committed offsets with no records held is the way out:
//
//   - The topic was deleted and created again. The client never follows a topic
//     into its next topic epoch.
//   - A partition has a new leader whose log is shorter than the records that
//     were fetched. The client then goes back, and the records that it fetches
//     next would be placed behind held records that no longer exist.
//   - The client has left a partition out after an error of an offset fetch;
//     see offsetFetchErrors.
func (p *Poller) fetch(ctx context.Context) {
	for stale := false; !stale && ctx.Err() == nil; {
		// Memory is full: wait until records are done.
		if p.memoryIsFull() {
			select {
			case <-p.roomFreed:
			case <-ctx.Done():
			}
			continue
		}
		fetches := p.client.PollRecords(ctx, maxPoll)
		stale = isStale(fetches)
		// Add the records and pause unreadable partitions while rebalances are
		// blocked, so that every partition here is still assigned to this
		// poller.
		if n := fetches.NumRecords(); n > 0 && !stale {
			p.addFetched(fetches)
		}
		p.pauseUnreadable(ctx, fetches)
		p.client.AllowRebalance()
		p.report(ctx, fetches)
	}
}

// isStale reports whether the client, or the records that the poller holds,
// must be dropped and a new session started; fetch lists the cases.
func isStale(fetches kgo.Fetches) (stale bool) {
	fetches.EachError(func(topic string, _ int32, err error) {
		var reset *kgo.ErrDataLoss
		stale = stale || errors.Is(err, kerr.UnknownTopicID) || errors.As(err, &reset)
		for _, code := range offsetFetchErrors {
			stale = stale || topic != "" && errors.Is(err, code)
		}
	})
	return stale
}

// offsetFetchErrors are errors that a broker returns for a partition instead of
// its committed offset. After such an error the client (franz-go 1.22,
// groupConsumer.fetchOffsets) leaves the partition out until the group
// rebalances. The same errors for the whole group, which come without a topic,
// are retried by the client itself.
var offsetFetchErrors = []error{
	kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.TopicAuthorizationFailed,
}

// memoryIsFull reports whether the partitions that are not waiting for a retry
// hold enough records.
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

// addFetched appends fetched records to their partitions and wakes the
// dispatcher.
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

// partitionOf returns the state of a partition, which is new and empty if
// nothing of the partition was fetched yet. p.mu must be held.
func (p *Poller) partitionOf(f kgo.FetchTopicPartition) *partition {
	part := p.partitions[f.Partition]
	if part == nil {
		part = &partition{id: f.Partition, name: f.Topic + "-" + strconv.Itoa(int(f.Partition)), nextOffset: -1}
		p.partitions[f.Partition] = part
	}
	return part
}

// pauseOrResume pauses fetching of a partition that holds too many bytes or
// waits for a retry, and resumes it when neither is the case any more. Both are
// exceptions: a pause discards the records that the client has fetched ahead,
// and a resumed partition has to wait for the fetch under way, up to fetchWait.
// p.mu must be held.
func (p *Poller) pauseOrResume(part *partition) {
	pause := part.isRetrying() || part.bytes >= partitionBytes ||
		part.paused && part.bytes > partitionBytes/2
	if pause == part.paused || part.lost {
		return
	}
	part.paused = pause
	partitions := map[string][]int32{p.o.Mapping.Topic: {part.id}}
	if pause {
		p.client.PauseFetchPartitions(partitions)
	} else {
		p.client.ResumeFetchPartitions(partitions)
	}
}

// report logs the errors of a poll other than unreadable batches, which
// pauseUnreadable logs. In most cases the client retries by itself.
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
		sleep(ctx, time.Second) // an error that persists would fill the log
	}
}

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
