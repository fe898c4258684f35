// Package esm feeds a function from a Kafka topic as an AWS Lambda event source
// mapping does. It keeps these rules (AWS Lambda developer guide, "Using Lambda
// with Amazon MSK" and "Configuring error handling controls for Kafka event
// sources"):
//
//   - Records of a partition are handed over in their order, with one batch of a
//     partition in flight at a time. An event may hold several partitions.
//   - An event has at most BatchSize records and 6 MB of JSON; it is handed over
//     when it is full or its oldest record has waited for Window. A record too
//     large for that goes alone.
//   - {}, null and nothing are a success. A partial answer names failed records:
//     those before the lowest named offset of a partition are done, and the rest
//     of the batch is given again, or those of the rest that are named; see
//     Options.PassUnreported.
//   - A function error, a malformed answer or one that names a record which was
//     not in the event fails the whole batch.
//   - A failed batch is given again, with growing pauses, up to Retries times.
//     With Bisect it is split first, which does not count: by partition, at the
//     reported offset, or in halves.
//   - Once the retries are used up the records go to the dead-letter topic and
//     the partition goes on. Endless retries are 10 where there is such a topic.
//   - Offsets are committed after success only, in their order, and never for a
//     partition that was assigned to somebody else meanwhile.
//
// A batch of several partitions that failed is given again partition by
// partition also without Bisect, so that one partition's failure does not count
// against another's. AWS does not say what it does there.
package esm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/pipeline"
)

// Options of a poller. Brokers, Stage, Mapping and Invoke are needed, and
// DeadLetters unless Mapping retries for ever.
type Options struct {
	Brokers []string
	// Client is added to the options of the Kafka client, for authentication.
	Client []kgo.Opt
	// Stage names the function in dead letters and logs.
	Stage   string
	Mapping pipeline.Mapping
	// Group is the consumer group; "" means "footfall-<stage>-<topic>".
	Group string
	// DeadLetters is the topic for records whose retries are used up. With one,
	// a Mapping that retries for ever retries 10 times, as on AWS.
	DeadLetters string
	// UnreportedDone is for what AWS does not document: what becomes of records
	// behind a reported one of their partition that the answer does not name.
	// They come again with it, or, if this is set, they are done, and only what
	// was named comes again, before anything later. A function that names every
	// record from the first failure on is right either way.
	UnreportedDone bool
	// Invoke hands an event to the function and gives its answer. It is called
	// from several goroutines and must not keep payload. Partitions tells from
	// its context what the event holds.
	Invoke func(ctx context.Context, payload []byte) ([]byte, error)
	// Concurrency is how many invocations may run side by side, on disjoint
	// partitions; 0 means one.
	Concurrency int
	// MinBackoff is the pause after a first failure, which doubles with each
	// further one up to MaxBackoff; 0 means 100 ms and 10 s.
	MinBackoff, MaxBackoff time.Duration
	Log                    *slog.Logger // nil drops everything
}

// retriesWithDestination is what endless retries become where there is a failure
// destination (AWS Lambda developer guide, "Capturing discarded batches for
// Kafka event sources").
const retriesWithDestination = 10

// check fills in what was left out and reports every mistake at once.
func (o *Options) check() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	need(len(o.Brokers) > 0, "no brokers")
	need(o.Stage != "", "no stage")
	need(o.Mapping.Topic != "", "no topic")
	need(o.Mapping.BatchSize > 0, "batch size is not positive")
	need(o.Invoke != nil, "nothing to invoke")
	need(o.DeadLetters != "" || o.Mapping.Retries < 0, "retries end, but there is no topic for dead letters")
	if o.Group == "" {
		o.Group = pipeline.Group(pipeline.LocalDeployment, o.Stage, o.Mapping.Topic)
	}
	if o.Mapping.Retries < 0 && o.DeadLetters != "" {
		o.Mapping.Retries = retriesWithDestination
	}
	o.Concurrency = max(o.Concurrency, 1)
	if o.MinBackoff <= 0 {
		o.MinBackoff = 100 * time.Millisecond
	}
	if o.MaxBackoff <= 0 {
		o.MaxBackoff = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("stage", o.Stage, "topic", o.Mapping.Topic)
	return errors.Join(errs...)
}

// Stats are counters of a poller since its start.
type Stats struct {
	Records     int64 // done: processed or put among the dead letters
	Invocations int64
	Errors      int64 // invocations that failed, wholly or in part
	Retries     int64 // batches and parts of batches to be given again
	DeadLetters int64 // records among the dead letters
}

// Poller is one event source mapping.
type Poller struct {
	o      Options
	client *kgo.Client

	// committing is full over a commit together with the check that its partitions
	// are still ours, and while the callbacks lose partitions: without it a commit
	// on its way could rewind what the next owner has committed. It is no mutex,
	// since the clock of a synctest bubble stands still while one is waited for.
	committing chan struct{}

	mu         sync.Mutex
	partitions map[int32]*partition
	invocations    int      // invocations in flight
	freeBuffers       []*event // buffers not in use
	idle       chan struct{}
	isIdle     bool
	stats      Stats
	wake       chan struct{} // for the dispatcher: something may be ready
	roomFreed       chan struct{} // for the fetcher: something was done
}

// New checks the options. Nothing is started.
func New(o Options) (*Poller, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("event source mapping of %s on %s: %w", o.Stage, o.Mapping.Topic, err)
	}
	p := &Poller{
		o:          o,
		committing: make(chan struct{}, 1),
		partitions: map[int32]*partition{},
		idle:       make(chan struct{}),
		wake:       make(chan struct{}, 1),
		roomFreed:       make(chan struct{}, 1),
	}
	for range o.Concurrency {
		p.freeBuffers = append(p.freeBuffers, newEvent(
			"arn:aws:kafka:us-east-1:000000000000:cluster/footfall/local", strings.Join(o.Brokers, ",")))
	}
	p.updateIdle()
	return p, nil
}

// Run joins the group and feeds the function until ctx is done. It returns when
// nothing of it runs any more; batches in flight are given up and, unless they
// had succeeded, delivered again at the next start. A poller runs once.
func (p *Poller) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := p.session(ctx); err != nil {
			return fmt.Errorf("event source mapping of %s on %s: %w", p.o.Stage, p.o.Mapping.Topic, err)
		}
	}
	return nil
}

// session runs with one client, until ctx is done or the client is of no use
// any more.
func (p *Poller) session(ctx context.Context) error {
	p.forgetPartitions()
	client, err := kgo.NewClient(append(p.clientOptions(), p.o.Client...)...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	p.client = client
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { p.dispatch(ctx) })
	p.fetch(ctx)
	cancel()
	wg.Wait()
	return nil
}

// Stats gives the counters.
func (p *Poller) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Group gives the consumer group.
func (p *Poller) Group() string { return p.o.Group }

// Topic gives the topic.
func (p *Poller) Topic() string { return p.o.Mapping.Topic }

// WhenIdle is closed while the poller holds no record and no invocation is in
// flight. Records that the broker has and the poller has not fetched yet are
// not seen: whoever drains compares offsets too.
func (p *Poller) WhenIdle() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.idle
}

// updateIdle closes or replaces the idle channel. p.mu is held, or p is new.
func (p *Poller) updateIdle() {
	idle := p.invocations == 0
	for _, part := range p.partitions {
		idle = idle && len(part.records) == 0
	}
	switch {
	case idle && !p.isIdle:
		close(p.idle)
	case !idle && p.isIdle:
		p.idle = make(chan struct{})
	}
	p.isIdle = idle
}

// signal wakes whoever waits on c, now or next.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
