package detect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"footfall/shared/presence"
	"footfall/shared/stage"
)

// Deps are the ports that the stage works with. All fields are required.
type Deps struct {
	Log    stage.VisitLog   // holds the changelogs
	Topics stage.TopicInfos // reports id and number of partitions of topic sightings
	Out    stage.Producer   // gets walk-ins, visits ended and dead letters
	Rules  stage.Businesses // holds the rules of the businesses, now and before
}

const (
	// topicInfoAge is how old knowledge of the topic may be if a batch begins right
	// after the last offset. In ten seconds a topic cannot be deleted, recreated and
	// filled to the very next offset.
	topicInfoAge = 10 * time.Second
	// itemRetention is how long an item is kept, measured from the timestamp of the
	// last record of its batch. A state is written again within half of that time,
	// see rewriteAfter. The days beyond leave room to look into an incident.
	itemRetention = 14 * 24 * time.Hour
	// rewriteAfter is how many items back the state of a device may lie before the
	// state is written again. So a cold start reads no more than 10,000 items, and
	// needs no expired item: at one item a minute, the slowest rate while ticks come,
	// 10,000 items are half of itemRetention.
	rewriteAfter = 10_000
	// maxAhead is how far a sighting may lie ahead of the watermark, and a tick ahead
	// of the timestamp of its own record. A router with a clock that is a day off
	// reports nothing of use. A watermark never moves back, so if a tick moved it a
	// day ahead, all records of the day would be late.
	maxAhead = presence.Instant(24 * time.Hour / time.Millisecond)
)

// New returns the stage that decides which devices are in the store. The package
// comment describes the life of a batch.
func New(deps Deps) stage.Handler {
	return &detect{deps: deps, changelogs: changelogReader{deps.Log, deps.Rules}, partitions: map[int32]*partition{}}
}

// detect is the stage in one environment.
type detect struct {
	deps       Deps
	changelogs changelogReader

	mu         sync.Mutex
	partitions map[int32]*partition
}

// partition is what an environment holds of one partition in memory.
type partition struct {
	mu sync.Mutex // held while a batch of the partition is handled
	// view is nil until the changelog is read, and again after an error.
	view *view
	// nextDue is the watermark before which a tick changes no device of the view. A
	// tick before nextDue need not look at the devices. 0 if it is not known.
	nextDue presence.Instant
}

// partition returns the memory of a partition, without a view if the partition
// is new to this environment.
func (d *detect) partition(number int32) *partition {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.partitions[number]
	if p == nil {
		p = &partition{}
		d.partitions[number] = p
	}
	return p
}

// Handle decides a batch of sightings and ticks. After nil, a changelog item
// covers each record of the batch. After an error the whole batch must be
// redelivered. If an item covers a part of it already, that part is skipped.
func (d *detect) Handle(ctx context.Context, b stage.Batch) error {
	p := d.partition(b.Partition)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		err := d.attempt(ctx, p, b)
		if err == nil {
			return nil
		}
		// After a conflict the view is dropped, so the next attempt reads what the
		// other environment has appended and decides the rest of the batch on that.
		if !errors.Is(err, stage.ErrConflict) || ctx.Err() != nil {
			return fmt.Errorf("detect on %s/%d: %w", b.Topic, b.Partition, err)
		}
	}
}

// attempt decides and appends the records of the batch that no changelog item
// covers.
func (d *detect) attempt(ctx context.Context, p *partition, b stage.Batch) error {
	done := false
	defer func() {
		// After an error or a panic, the view may hold decisions that are not in the
		// changelog. A panic fails the batch, and the environment lives on.
		if !done {
			p.view = nil
		}
	}()
	if err := d.prepare(ctx, p, b); err != nil {
		return err
	}

	v := p.view
	work := decider{
		deps: d.deps, batch: b, partition: p, view: v,
		writtenWatermark: v.watermark,
		pending:          pendingItem{sizes: map[string]int{}, lastOffset: v.offset},
	}
	for i := range b.Records {
		r := &b.Records[i]
		if r.Offset <= v.offset {
			continue // redelivered: an item covers the record
		}
		if err := work.record(ctx, r); err != nil {
			return err
		}
	}
	if work.pending.lastOffset > v.offset {
		if err := work.flush(ctx); err != nil {
			return err
		}
	}
	done = true
	return nil
}

// prepare makes p.view the state on which the batch is to be decided: that of
// the present topic epoch, and not behind the changelog.
func (d *detect) prepare(ctx context.Context, p *partition, b stage.Batch) error {
	// Usually a batch begins right after the last offset. If not, it is redelivered,
	// or follows a batch of another environment, or comes from a recreated topic,
	// which counts from 0 again, or from an added partition. Then the broker is asked
	// for the present epoch of the topic.
	first := b.Records[0].Offset
	maxAge := time.Duration(0)
	if p.view != nil && first == p.view.offset+1 {
		maxAge = topicInfoAge
	}
	info, err := d.deps.Topics.Info(ctx, b.Topic, maxAge)
	if err != nil {
		return fmt.Errorf("look up id and partitions of topic %s: %w", b.Topic, err)
	}
	if b.Partition >= info.Partitions {
		// Partitions were added, and this broker does not know the number yet. A
		// changelog under the former number would not be adopted by any later epoch.
		return fmt.Errorf("the broker reports %d partitions of topic %s, but the batch is of partition %d: "+
			"the metadata of the broker is behind, so the batch is redelivered", info.Partitions, b.Topic, b.Partition)
	}

	// A cold environment, or a new epoch.
	epoch := topicEpoch{info.ID, info.Partitions}
	if p.view == nil || p.view.epoch != epoch {
		if p.view, err = d.changelogs.load(ctx, epoch, b.Partition, itemExpiry(b)); err != nil {
			return err
		}
		p.nextDue = 0
		if err := p.view.rules.loadAll(ctx, businessesOf(b.Records)); err != nil {
			return err
		}
		if first <= p.view.offset+1 {
			return p.view.checkOpen()
		}
	}
	if first == p.view.offset+1 {
		return nil
	}

	// If the batch begins further on, another environment had the partition in
	// between, or the records in between have expired. If the batch begins further
	// back, another environment may have gone on.
	p.nextDue = 0
	if err := d.changelogs.catchUp(ctx, p.view); err != nil {
		return err
	}
	return p.view.checkOpen()
}

// itemExpiry returns the time at which the items of a batch expire. It counts
// from the timestamp of the last record and not from the wall clock.
func itemExpiry(b stage.Batch) time.Time {
	return b.Records[len(b.Records)-1].Timestamp.Add(itemRetention)
}
