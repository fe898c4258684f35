package esm

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// delivery is the result of an invocation for one share of its batch.
type delivery struct {
	share
	done  int   // records from the first one on that are done, dead letters included
	dead  int   // of done, the records sent to the dead letters
	err   error // why the rest is not done; nil if all records are
	joint bool  // the batch failed as a whole and held several partitions
}

// deliver invokes the function with a batch and settles the result. The
// partitions of the batch stay in flight until then.
func (p *Poller) deliver(ctx context.Context, batch []share, ev *event) {
	// Invoke the function. build may have shortened the shares.
	payload := ev.build(batch)
	answer, err := p.o.Invoke(context.WithValue(ctx, partitionsKey{}, partitionNames(batch)), payload)
	var ds []delivery
	// If ctx ended during the invocation and the invocation failed, the batch
	// has neither succeeded nor failed: it is redelivered at the next start.
	// Otherwise: first the dead letters, then the commit, so that no record is
	// committed without having been processed or dead-lettered.
	if err == nil || ctx.Err() == nil {
		ds = p.evaluate(batch, answer, err)
		p.deadLetterExhausted(ctx, ds)
		p.includeDoneAhead(ds)
		p.commit(ctx, ds)
	}
	// Update the partitions and release them, the buffer and the invocation.
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range ds {
		p.settle(d)
	}
	for _, s := range batch {
		s.p.inFlight = false // also shares that found no room in the event
		p.pauseOrResume(s.p)
	}
	p.freeBuffers = append(p.freeBuffers, ev)
	p.invocations--
	p.updateIdle()
	signal(p.wake)
	signal(p.roomFreed)
}

// partitionsKey is the context key of Partitions.
type partitionsKey struct{}

// Partitions returns the names of the partitions in an invocation's event, such
// as "topic-0". ctx is the context that Invoke was called with; for any other
// context, Partitions returns nil.
func Partitions(ctx context.Context) []string {
	names, _ := ctx.Value(partitionsKey{}).([]string)
	return names
}

// partitionNames returns the names of the partitions that have records in the
// event.
func partitionNames(batch []share) []string {
	var names []string
	for _, s := range batch {
		if len(s.records) > 0 {
			names = append(names, s.p.name)
		}
	}
	return names
}

// evaluate turns the answer or error of an invocation into one delivery for
// each share that went into the event, and counts a failed invocation.
func (p *Poller) evaluate(batch []share, answer []byte, err error) []delivery {
	// Shares that found no room in the event have no result.
	var in []share
	for _, s := range batch {
		if len(s.records) > 0 {
			in = append(in, s)
		}
	}
	// A malformed answer is an error of the whole batch, as an error of the
	// function is.
	var outcomes []outcome
	if err == nil {
		outcomes, err = readAnswer(in, answer)
	}
	// With an error of the whole batch, no record of it is done.
	ds := make([]delivery, len(in))
	failed := err != nil
	for i, s := range in {
		ds[i] = delivery{share: s, err: err, joint: err != nil && len(in) > 1}
		if err == nil {
			ds[i].done, ds[i].err = outcomes[i].done, outcomes[i].err
			failed = failed || ds[i].err != nil
			p.markUnreportedDone(s, outcomes[i])
		}
	}
	if failed {
		p.mu.Lock()
		p.stats.Errors++
		p.mu.Unlock()
	}
	return ds
}

// markUnreportedDone marks the records behind a reported one that the answer
// does not name as done ahead, if Options.UnreportedDone is set.
func (p *Poller) markUnreportedDone(s share, o outcome) {
	if !p.o.UnreportedDone || o.err == nil {
		return
	}
	var rs []*kgo.Record
	for i := o.done; i < len(s.records); i++ {
		if !o.reported[i] {
			rs = append(rs, s.records[i])
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.p.markDoneAhead(rs)
}

// includeDoneAhead extends the shares that are done by the records directly
// behind them that were done ahead, so that these are committed and removed
// too.
func (p *Poller) includeDoneAhead(ds []delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range ds {
		if d := &ds[i]; d.err == nil && !d.p.lost {
			d.records = d.p.withDoneAhead(d.done)
			d.done = len(d.records)
		}
	}
}

// splits reports whether the rest of a failed share is redelivered as a smaller
// batch, which does not count as a retry.
func (p *Poller) splits(d delivery) bool {
	return p.o.Mapping.Bisect && (d.joint || d.done > 0 || len(d.records)-d.done > 1)
}

// failures returns how often the rest of a failed share has failed as a batch
// of its own. If records before the rest are done, the rest is a new batch that
// has failed once.
func (d delivery) failures() int {
	if d.done > 0 {
		return 1
	}
	return d.p.failures + 1
}

// deadLetterExhausted sends records whose retries are used up to the dead
// letters, and marks them as done only when the broker has acknowledged all of
// them.
func (p *Poller) deadLetterExhausted(ctx context.Context, ds []delivery) {
	for i := range ds {
		d := &ds[i]
		// Only shares that failed, have limited retries, cannot be split
		// further and have used up their retries.
		if d.err == nil || p.o.Mapping.Retries < 0 || p.splits(*d) || d.failures() <= p.o.Mapping.Retries {
			continue
		}
		rest := p.withoutDoneAhead(d.p, d.records[d.done:])
		p.o.Log.ErrorContext(ctx, "retries are used up", "records", describe(rest), "error", d.err)
		// The dead-letter topic may be unavailable for long. Try again until
		// the write succeeds, the partition is lost or the poller ends: the
		// records must not be lost. A try that was acknowledged in part writes
		// some dead letters twice.
		for try := 0; !p.isLost(d.p); try++ {
			err := p.writeDeadLetters(ctx, rest, d.err)
			if err == nil {
				d.dead, d.done, d.err = len(rest), len(d.records), nil
				break
			}
			if ctx.Err() != nil {
				return
			}
			p.o.Log.ErrorContext(ctx, "cannot write dead letters", "records", describe(rest), "error", err)
			sleep(ctx, p.backoff(try))
		}
	}
}

// withoutDoneAhead returns the records of rs that are not done ahead.
func (p *Poller) withoutDoneAhead(part *partition, rs []*kgo.Record) []*kgo.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(rs), func(r *kgo.Record) bool { return part.doneAhead[r.Offset] })
}

// isLost reports whether the group has assigned the partition to another
// member.
func (p *Poller) isLost(part *partition) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return part.lost
}

// settle brings a partition's state up to date after a delivery: it removes the
// records that are done and, if the rest failed, sets the bounds and the time
// of its redelivery. p.mu must be held.
func (p *Poller) settle(d delivery) {
	p.stats.Records += int64(d.done)
	p.stats.DeadLetters += int64(d.dead)
	part := d.p
	// A rebalance took the partition away while the batch was in flight, and
	// onLost has forgotten the records. The next owner is delivered the batch
	// again.
	if part.lost {
		return
	}
	// Read the counters before removeDone resets them.
	rest, split := len(d.records)-d.done, d.err != nil && p.splits(d)
	failures, backoffs := d.failures(), part.backoffs
	part.removeDone(d.done)
	if d.err == nil {
		return
	}
	p.stats.Retries++
	// The rest is redelivered without any later record. That alone makes a
	// smaller batch if the batch held several partitions or if records before
	// the rest are done. With Bisect, a batch of one partition without progress
	// is also halved, and a smaller batch starts with no counted failures.
	part.cutAfter(rest)
	if split {
		failures = 0
		if !d.joint && d.done == 0 {
			part.cutAfter((rest + 1) / 2)
		}
	}
	// The pause grows only while there is no progress.
	if d.done > 0 {
		backoffs = 0
	}
	part.failures, part.backoffs = failures, backoffs+1
	part.retryAt = time.Now().Add(p.backoff(backoffs))
	p.o.Log.Warn("batch failed", "records", describe(part.records[:rest]), "failures", backoffs+1, "error", d.err)
}

// backoff returns the pause after the n-th consecutive failure, counted from 0.
func (p *Poller) backoff(n int) time.Duration {
	return min(p.o.MinBackoff<<min(n, 20), p.o.MaxBackoff)
}
