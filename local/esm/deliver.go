package esm

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// delivery is what became of one share.
type delivery struct {
	share
	done  int   // records from the first on that are done, dead letters included
	dead  int   // of which went to the dead letters
	err   error // why the rest was not; nil where there was none
	joint bool  // the batch failed as a whole and held several partitions
}

// deliver invokes the function with a batch and settles what came of it. Only
// then may the next batch of its partitions go.
func (p *Poller) deliver(ctx context.Context, batch []share, ev *event) {
	payload := ev.build(batch)
	answer, err := p.o.Invoke(context.WithValue(ctx, partitionsKey{}, partitionNames(batch)), payload)
	var ds []delivery
	// A batch given up at the end of the poller has neither failed nor succeeded.
	if err == nil || ctx.Err() == nil {
		ds = p.evaluate(batch, answer, err)
		p.deadLetterExhausted(ctx, ds)
		p.includeDoneAhead(ds)
		p.commit(ctx, ds)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range ds {
		p.settle(d)
	}
	for _, s := range batch {
		s.p.inFlight = false // shares that found no room in the event among them
		p.pauseOrResume(s.p)
	}
	p.freeBuffers = append(p.freeBuffers, ev)
	p.invocations--
	p.updateIdle()
	signal(p.wake)
	signal(p.roomFreed)
}

type partitionsKey struct{}

// Partitions names the partitions in the event of an invocation, "topic-0",
// whose context is ctx; none for another context.
func Partitions(ctx context.Context) []string {
	names, _ := ctx.Value(partitionsKey{}).([]string)
	return names
}

func partitionNames(batch []share) []string {
	var names []string
	for _, s := range batch {
		if len(s.records) > 0 {
			names = append(names, s.p.name)
		}
	}
	return names
}

// evaluate turns an answer or error into what it means for each share that went
// in.
func (p *Poller) evaluate(batch []share, answer []byte, err error) []delivery {
	var in []share
	for _, s := range batch {
		if len(s.records) > 0 {
			in = append(in, s)
		}
	}
	var outcomes []outcome
	if err == nil {
		outcomes, err = readAnswer(in, answer)
	}
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

// markUnreportedDone notes which records behind a reported one count as done.
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

// includeDoneAhead takes into the shares that are done what was passed before right
// behind them.
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

// splits says that the rest of a failed share is to be given again as a smaller
// batch, which does not count as a retry.
func (p *Poller) splits(d delivery) bool {
	return p.o.Mapping.Bisect && (d.joint || d.done > 0 || len(d.records)-d.done > 1)
}

// failures is how often the rest of a failed share has failed by now, as a
// batch of its own.
func (d delivery) failures() int {
	if d.done > 0 {
		return 1
	}
	return d.p.failures + 1
}

// deadLetterExhausted puts records whose retries are used up among the dead letters,
// however often that takes: they must not be lost. Only then are they done.
func (p *Poller) deadLetterExhausted(ctx context.Context, ds []delivery) {
	for i := range ds {
		d := &ds[i]
		if d.err == nil || p.o.Mapping.Retries < 0 || p.splits(*d) || d.failures() <= p.o.Mapping.Retries {
			continue
		}
		rest := p.withoutDoneAhead(d.p, d.records[d.done:])
		p.o.Log.ErrorContext(ctx, "retries are used up", "records", describe(rest), "error", d.err)
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

// withoutDoneAhead gives those of a partition's records that are not done.
func (p *Poller) withoutDoneAhead(part *partition, rs []*kgo.Record) []*kgo.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(rs), func(r *kgo.Record) bool { return part.doneAhead[r.Offset] })
}

func (p *Poller) isLost(part *partition) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return part.lost
}

// settle brings a partition's state up to date. p.mu is held.
func (p *Poller) settle(d delivery) {
	p.stats.Records += int64(d.done)
	p.stats.DeadLetters += int64(d.dead)
	part := d.p
	if part.lost {
		return
	}
	rest, split := len(d.records)-d.done, d.err != nil && p.splits(d)
	failures, backoffs := d.failures(), part.backoffs
	part.removeDone(d.done)
	if d.err == nil {
		return
	}
	p.stats.Retries++
	part.cutAfter(rest)
	if split {
		failures = 0
		if !d.joint && d.done == 0 {
			part.cutAfter((rest + 1) / 2)
		}
	}
	if d.done > 0 {
		backoffs = 0
	}
	part.failures, part.backoffs = failures, backoffs+1
	part.retryAt = time.Now().Add(p.backoff(backoffs))
	p.o.Log.Warn("batch failed", "records", describe(part.records[:rest]), "failures", backoffs+1, "error", d.err)
}

// backoff is the pause after the n-th failure in a row, counted from 0.
func (p *Poller) backoff(n int) time.Duration {
	return min(p.o.MinBackoff<<min(n, 20), p.o.MaxBackoff)
}
