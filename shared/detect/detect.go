// Package detect is the stage that decides which devices are in the store. It
// keeps the state of a partition in memory and in a changelog: each batch is
// caught up with the changelog, decided by package presence, produced, and
// appended to the changelog on condition that the next sequence number is free.
//
// Start with New and detect.Handle in detect.go.
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

// Deps is what detect works with. All fields are needed.
type Deps struct {
	Log    stage.VisitLog
	Topics stage.TopicInfos
	Out    stage.Producer
	Rules  stage.Businesses
}

const (
	// topicAge is how old knowledge of the topic's life may be while offsets run
	// on without a hole. A topic cannot be deleted, made anew and filled to the
	// very next offset in that time.
	topicAge = 10 * time.Second
	// logRetention is how long an item is kept. State is written anew within it, see
	// relogAfter; days leave room to look into what happened.
	logRetention = 14 * 24 * time.Hour
	// relogAfter is how many items a device's state may lie back. Its state is
	// written anew then, so that a cold start is never longer than that and never
	// meets items that have expired: at one item a minute, the least there are
	// while ticks come, it is half of logRetention.
	relogAfter = 10_000
	// maxAhead is how far in the future of its partition's clock a sighting may
	// lie, and a tick in that of its own record's timestamp. A router whose clock is
	// a day off says nothing of use. A clock set that far ahead would make all that
	// follows late, for it never goes back.
	maxAhead = presence.Instant(24 * time.Hour / time.Millisecond)
	// flushBytes is how much changed state goes into one log item. One record
	// more may follow before it is written, so it stays clear of the limit.
	flushBytes = stage.MaxLogItemBytes / 2
	// maxStayBytes is the most that one stay takes, and more than what an entry
	// takes beside its key and its stays.
	maxStayBytes = 51
	// maxDayBytes is the most that one day of a habit takes, and what a habit takes
	// beside its days.
	maxDayBytes = 10
)

// New makes the stage that decides which devices are in the store.
//
// Of each partition it keeps the state of the devices in memory, and in the
// partition's chain of the visit log. A batch is decided in memory; then the
// walk-ins are produced; then one item with the changed state is appended on
// condition that its number is free. Whoever was first wins; who comes second
// forgets what it thought, reads on and decides again. Walk-in ids are made of
// data, so what both have produced is the same.
//
// The rules of a business are data as well: they hold from a moment of event
// time on, and the clock of the partition says which. At that moment each device
// of the business is told the time by the rules that end there.
func New(deps Deps) stage.Handler {
	return &detect{deps: deps, chains: chainReader{deps.Log, deps.Rules}, partitions: map[int32]*partition{}}
}

type detect struct {
	deps   Deps
	chains chainReader

	mu         sync.Mutex
	partitions map[int32]*partition
}

// partition is one partition's memory in this environment. view is nil until
// the chain is read, and again after anything went wrong.
type partition struct {
	mu   sync.Mutex
	view *view
	due  presence.Instant // no device has anything to do at a tick before
}

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

// Handle decides on a batch of sightings and ticks.
func (d *detect) Handle(ctx context.Context, b stage.Batch) error {
	p := d.partition(b.Partition)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		err := d.try(ctx, p, b)
		if err == nil {
			return nil
		}
		if !errors.Is(err, stage.ErrConflict) || ctx.Err() != nil {
			return fmt.Errorf("detect on %s/%d: %w", b.Topic, b.Partition, err)
		}
	}
}

// try decides and writes the part of the batch that the log does not cover.
func (d *detect) try(ctx context.Context, p *partition, b stage.Batch) error {
	done := false
	defer func() {
		// What is in memory may be ahead of the log now. A panic ends the batch and
		// not the environment, so it counts as well.
		if !done {
			p.view = nil
		}
	}()
	if err := d.prepare(ctx, p, b); err != nil {
		return err
	}
	work := decision{detect: d, partition: p, batch: b, view: p.view, changed: map[string]int{}, last: p.view.offset, written: p.view.clock}
	for i := range b.Records {
		r := &b.Records[i]
		if r.Offset <= p.view.offset {
			continue
		}
		if err := work.record(ctx, r); err != nil {
			return err
		}
	}
	if work.last > p.view.offset {
		if err := work.flush(ctx); err != nil {
			return err
		}
	}
	done = true
	return nil
}

// prepare sees to it that the view is the one that the batch is to be decided
// on: of the topic's present life and not behind the log.
func (d *detect) prepare(ctx context.Context, p *partition, b stage.Batch) error {
	first := b.Records[0].Offset
	maxAge := time.Duration(0) // given again, a new topic that counts from 0, or a partition that was added
	if p.view != nil && first == p.view.offset+1 {
		maxAge = topicAge
	}
	info, err := d.deps.Topics.Info(ctx, b.Topic, maxAge)
	if err != nil {
		return fmt.Errorf("life of topic %s: %w", b.Topic, err)
	}
	if b.Partition >= info.Partitions {
		// A broker that does not know yet what was added. A chain under the former
		// number is one that nobody adopts.
		return fmt.Errorf("topic %s has %d partitions by what the broker says", b.Topic, info.Partitions)
	}
	g := generation{info.ID, info.Partitions}
	if p.view == nil || p.view.gen != g {
		if p.view, err = d.chains.load(ctx, g, b.Partition, expiry(b)); err != nil {
			return err
		}
		p.due = 0
		if err := p.view.rules.learn(ctx, businessesOf(b.Records)); err != nil {
			return err
		}
		if first <= p.view.offset+1 {
			return p.view.usable()
		}
	}
	if first == p.view.offset+1 {
		return nil
	}
	// Others may have gone on, or the offsets between are gone for good.
	p.due = 0
	if err := d.chains.catchUp(ctx, p.view, b.Partition); err != nil {
		return err
	}
	return p.view.usable()
}

// expiry is when log items of the batch may go. Time is that of the records.
func expiry(b stage.Batch) time.Time {
	return b.Records[len(b.Records)-1].Timestamp.Add(logRetention)
}
