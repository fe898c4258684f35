package esm

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// recordJSON is about what a record takes in an event beside its base64.
const recordJSON = 150

// dispatch starts an invocation whenever a batch is ready, until ctx is done,
// and returns when the last one has ended.
func (p *Poller) dispatch(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
		for {
			batch, ev, again := p.takeBatch(time.Now())
			if batch == nil {
				timer.Reset(again)
				break
			}
			wg.Go(func() { p.deliver(ctx, batch, ev) })
		}
	}
}

// takeBatch takes a batch out, or says after which time to look again unless
// something else happens.
func (p *Poller) takeBatch(now time.Time) (batch []share, ev *event, again time.Duration) {
	const never = time.Hour
	p.mu.Lock()
	defer p.mu.Unlock()
	ready := p.candidates()
	if len(ready) == 0 || len(p.freeBuffers) == 0 {
		return nil, nil, never // what frees a partition or a buffer wakes the dispatcher
	}
	batch, due := p.choose(ready, now)
	if batch == nil {
		return nil, nil, due.Sub(now)
	}
	for _, s := range batch {
		s.p.inFlight = true
	}
	ev = p.freeBuffers[len(p.freeBuffers)-1]
	p.freeBuffers = p.freeBuffers[:len(p.freeBuffers)-1]
	p.invocations++
	p.stats.Invocations++
	return batch, ev, 0
}

// candidates gives the partitions that have records and no batch in flight, the
// longest waiting first, so that none is passed over for ever. p.mu is held.
func (p *Poller) candidates() []*partition {
	var cs []*partition
	for _, part := range p.partitions {
		if !part.inFlight && len(part.records) > 0 {
			cs = append(cs, part)
		}
	}
	slices.SortFunc(cs, func(a, b *partition) int {
		return cmp.Or(a.waitingSince().Compare(b.waitingSince()), cmp.Compare(a.id, b.id))
	})
	return cs
}

// choose makes a batch of the candidates: the longest waiting failed one alone,
// or all the fresh ones together. Where neither is due it says when. p.mu is
// held.
func (p *Poller) choose(candidates []*partition, now time.Time) (batch []share, due time.Time) {
	size := p.o.Mapping.BatchSize
	var failed *partition
	var fresh []*partition
	for _, c := range candidates {
		if !c.isRetrying() {
			fresh = append(fresh, c)
		} else if failed == nil {
			failed = c
		}
	}
	failedDue, freshDue := now.Add(time.Hour), now.Add(time.Hour)
	if failed != nil {
		failedDue = failed.waitingSince()
	}
	if len(fresh) > 0 {
		freshDue = fresh[0].waitingSince()
		if !isFull(fresh, size) {
			freshDue = freshDue.Add(p.o.Mapping.Window)
		}
	}
	if due = freshDue; failedDue.Before(due) {
		due = failedDue
	}
	switch {
	case due.After(now):
		return nil, due
	case due.Equal(freshDue):
		return gather(fresh, size), due
	default:
		return []share{{failed, failed.nextBatch(size)}}, due
	}
}

// isFull says that waiting cannot make the batch larger: it has its records, its
// bytes, or comes from a partition that is not fetched any more.
func isFull(fresh []*partition, size int) bool {
	records, bytes := 0, 0
	for _, p := range fresh {
		if p.paused {
			return true
		}
		records += len(p.records)
		bytes += (p.bytes-len(p.records)*recordOverhead)*4/3 + len(p.records)*recordJSON
	}
	return records >= size || bytes >= maxEvent
}

// gather takes records from the partitions in turn, up to size.
func gather(fresh []*partition, size int) (batch []share) {
	for _, p := range fresh {
		if size == 0 {
			break
		}
		rs := p.nextBatch(size)
		batch = append(batch, share{p, rs})
		size -= len(rs)
	}
	return batch
}
