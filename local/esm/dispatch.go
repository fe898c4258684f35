package esm

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// recordJSON is the approximate size in bytes of a record's JSON without its
// base64.
const recordJSON = 150

// dispatch starts an invocation whenever a batch is ready, until ctx is done.
// It returns when the last invocation has ended.
func (p *Poller) dispatch(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	// Look for batches after each signal, and at the time that takeBatch
	// returned.
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
		for {
			// Start as many invocations as there are batches and free buffers.
			batch, ev, again := p.takeBatch(time.Now())
			if batch == nil {
				timer.Reset(again)
				break
			}
			wg.Go(func() { p.deliver(ctx, batch, ev) })
		}
	}
}

// takeBatch marks the partitions of the next batch as in flight and returns the
// batch with a buffer for its event. If no batch is ready, batch is nil and
// again is the time after which to look again, unless a signal comes first.
func (p *Poller) takeBatch(now time.Time) (batch []share, ev *event, again time.Duration) {
	const never = time.Hour
	p.mu.Lock()
	defer p.mu.Unlock()
	ready := p.candidates()
	if len(ready) == 0 || len(p.freeBuffers) == 0 {
		return nil, nil, never // deliver wakes the dispatcher when it frees a partition and a buffer
	}
	batch, readyAt := p.choose(ready, now)
	if batch == nil {
		return nil, nil, readyAt.Sub(now)
	}
	// Reserve the partitions, one buffer and one of the concurrent invocations.
	for _, s := range batch {
		s.p.inFlight = true
	}
	ev = p.freeBuffers[len(p.freeBuffers)-1]
	p.freeBuffers = p.freeBuffers[:len(p.freeBuffers)-1]
	p.invocations++
	p.stats.Invocations++
	return batch, ev, 0
}

// candidates returns the partitions that have records and no batch in flight,
// the longest waiting first, so that no partition is passed over for ever. p.mu
// must be held.
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

// choose makes a batch of the candidates: either the longest waiting one of the
// partitions that wait for a retry, alone, or all the other partitions
// together. If neither is ready, batch is nil and readyAt is when the first
// will be. p.mu must be held.
func (p *Poller) choose(candidates []*partition, now time.Time) (batch []share, readyAt time.Time) {
	size := p.o.Mapping.BatchSize
	var retry *partition
	var fresh []*partition
	for _, c := range candidates {
		if !c.isRetrying() {
			fresh = append(fresh, c)
		} else if retry == nil {
			retry = c
		}
	}
	// A retry is ready after its pause. Fresh records are ready when a batch is
	// full, its oldest record has waited for Window, or Rush is in effect.
	retryReady, freshReady := now.Add(time.Hour), now.Add(time.Hour)
	if retry != nil {
		retryReady = retry.waitingSince()
	}
	if len(fresh) > 0 {
		freshReady = fresh[0].waitingSince()
		if p.rushing == 0 && !isFull(fresh, size) {
			freshReady = freshReady.Add(p.o.Mapping.Window)
		}
	}
	// The earlier of the two goes first.
	if readyAt = freshReady; retryReady.Before(readyAt) {
		readyAt = retryReady
	}
	switch {
	case readyAt.After(now):
		return nil, readyAt
	case readyAt.Equal(freshReady):
		return gather(fresh, size), readyAt
	default:
		return []share{{retry, retry.nextBatch(size)}}, readyAt
	}
}

// isFull reports whether waiting cannot make the batch larger: the batch has
// its number of records or bytes, or a partition is paused, so that nothing
// more of it is fetched.
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
