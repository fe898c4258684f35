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

// Options of a poller. Brokers, Stage, Mapping and Invoke are required.
// DeadLetters is required unless Mapping retries for ever.
type Options struct {
	Brokers []string
	// Client is appended to the options of the Kafka client, for
	// authentication.
	Client []kgo.Opt
	// Stage names the function in dead letters and logs.
	Stage   string
	Mapping pipeline.Mapping
	// Group is the consumer group. If empty, it is "footfall-<stage>-<topic>".
	Group string
	// DeadLetters is the topic for records whose retries are used up. If it is
	// set, a Mapping that retries for ever retries 10 times, as on AWS.
	DeadLetters string
	// UnreportedDone decides a case that AWS does not document: the answer
	// names one record of a partition as failed and does not name some records
	// behind that record. If UnreportedDone is false, the unnamed records are
	// redelivered with the named one. If it is true, the unnamed records are
	// done, and only the named records are redelivered, before anything later.
	// A function that names every record from the first failure on works under
	// either setting.
	UnreportedDone bool
	// Invoke passes an event to the function and returns the function's answer.
	// Invoke is called from several goroutines and must not keep payload.
	// Partitions returns, from Invoke's context, the partitions in the event.
	Invoke func(ctx context.Context, payload []byte) ([]byte, error)
	// Concurrency is how many invocations may run at the same time, on disjoint
	// partitions. 0 means one.
	Concurrency int
	// MinBackoff is the pause after a first failure. Each further failure
	// doubles the pause, up to MaxBackoff. 0 means 100 ms and 10 s.
	MinBackoff, MaxBackoff time.Duration
	Log                    *slog.Logger // nil discards all messages
}

// retriesWithDestination replaces endless retries if there is a failure
// destination (AWS Lambda developer guide, "Capturing discarded batches for
// Kafka event sources").
const retriesWithDestination = 10

// check fills in the defaults and returns every mistake at once.
func (o *Options) check() error {
	var errs []error
	require := func(ok bool, mistake string) {
		if !ok {
			errs = append(errs, errors.New(mistake))
		}
	}
	require(len(o.Brokers) > 0, "Brokers is empty")
	require(o.Stage != "", "Stage is empty")
	require(o.Mapping.Topic != "", "Mapping.Topic is empty")
	require(o.Mapping.BatchSize > 0, "Mapping.BatchSize is not positive")
	require(o.Invoke != nil, "Invoke is nil")
	require(o.DeadLetters != "" || o.Mapping.Retries < 0, "Mapping.Retries is limited, so DeadLetters must name a topic")
	// Defaults.
	if o.Group == "" {
		o.Group = GroupName(o.Stage, o.Mapping.Topic)
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

// Stats are the counters of a poller since its start.
type Stats struct {
	Records     int64 // done: processed or sent to the dead letters
	Invocations int64 // started, failed ones included
	Errors      int64 // invocations that failed, wholly or in part
	Retries     int64 // shares of batches that failed and are to be redelivered
	DeadLetters int64 // records sent to the dead letters
}

// Poller is one event source mapping: a member of a consumer group that invokes
// the function with batches. Two goroutines work on it, fetch and dispatch,
// with one more for each invocation.
type Poller struct {
	o      Options
	client *kgo.Client

	// committing is a mutex: it is held during a commit together with the check
	// that the partitions are still assigned to this poller, and while onLost
	// forgets partitions. Without it: the check passes, the group assigns the
	// partition to another member, that member commits, and then this poller's
	// commit arrives and rewinds the other's offset. A channel stands in for
	// sync.Mutex because the clock of a synctest bubble stands still while a
	// goroutine waits for a mutex.
	committing chan struct{}

	mu          sync.Mutex
	partitions  map[int32]*partition
	invocations int           // in flight
	freeBuffers []*event      // not in use by an invocation
	idle        chan struct{} // closed while isIdle
	isIdle      bool
	rushing     int // calls of Rush that have not ended
	stats       Stats
	wake        chan struct{} // signals the dispatcher: a batch may be ready
	roomFreed   chan struct{} // signals the fetcher: records are done and left memory
}

// New checks the options and returns a poller that is not yet running. The
// error lists every mistake in the options.
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
		roomFreed:  make(chan struct{}, 1),
	}
	for range o.Concurrency {
		p.freeBuffers = append(p.freeBuffers, newEvent(
			"arn:aws:kafka:us-east-1:000000000000:cluster/footfall/local", strings.Join(o.Brokers, ",")))
	}
	p.updateIdle()
	return p, nil
}

// Run joins the group and feeds the function until ctx is done. Run returns
// when every goroutine of the poller has ended. Batches still in flight are
// abandoned: unless their offsets were committed, they are redelivered at the
// next start. Run must be called at most once.
func (p *Poller) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := p.session(ctx); err != nil {
			return fmt.Errorf("event source mapping of %s on %s: %w", p.o.Stage, p.o.Mapping.Topic, err)
		}
	}
	return nil
}

// session runs with one Kafka client, until ctx is done or the client has to be
// replaced (see fetch). The next session goes on from the committed offsets.
func (p *Poller) session(ctx context.Context) error {
	p.forgetPartitions()
	client, err := kgo.NewClient(append(p.clientOptions(), p.o.Client...)...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	p.client = client
	// The dispatcher starts no invocation after fetch has returned; invocations
	// in flight end before the client is closed.
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { p.dispatch(ctx) })
	p.fetch(ctx)
	cancel()
	wg.Wait()
	return nil
}

// Stats returns the counters since New.
func (p *Poller) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// GroupName returns the name of the consumer group that a stage reads a topic with,
// unless Options.Group has another.
func GroupName(stage, topic string) string {
	return pipeline.Group(pipeline.LocalDeployment, stage, topic)
}

// Group returns the name of the consumer group.
func (p *Poller) Group() string { return p.o.Group }

// Topic returns the topic that the poller reads.
func (p *Poller) Topic() string { return p.o.Mapping.Topic }

// WhenIdle returns a channel that is closed while the poller holds no record
// and no invocation is in flight. The poller does not see records that it has
// not fetched yet: to find out whether a topic is drained, compare offsets too.
func (p *Poller) WhenIdle() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.idle
}

// Rush delivers records without waiting for the window of the mapping until end
// is called: more records are not expected, so a batch would wait in vain.
func (p *Poller) Rush() (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rushing++
	signal(p.wake)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.rushing--
	}
}

// updateIdle closes or replaces the idle channel. p.mu must be held, except for
// a new poller.
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

// signal wakes the goroutine that waits on c, or the next one that will.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
