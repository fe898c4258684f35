package simtest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"footfall/shared/detect"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// poller is a poller of an event source mapping on one partition. A partition may
// have several: then all but the last have lost the partition, and deliver a few
// more batches before they notice.
type poller struct {
	key   groupKey
	next  int              // position of the next record to fetch
	queue [][]stage.Record // batches to deliver before another is fetched
	task  *task            // that handles the first batch of the queue, or nil
	// lastBatches is the number of batches that a poller still delivers after it
	// has lost its partition. It is -1 for a poller that has the partition.
	lastBatches int
	failures    int // in a row
}

// maxFailures is the number of failures in a row after which a run counts as
// stuck. A seed has few faults, so only a mistake in a stage causes as many.
const maxFailures = 60

// partition returns the records of a partition, or none if it does not exist.
func (w *world) partition(k groupKey) []stage.Record {
	t := w.broker.topics[k.topic]
	if t == nil || int(k.partition) >= len(t.parts) {
		return nil
	}
	return t.parts[k.partition]
}

// ready reports whether the poller can deliver a batch.
func (w *world) ready(p *poller) bool {
	return p.task == nil && !w.isPaused(p.key) && (len(p.queue) > 0 || p.next < len(w.partition(p.key)))
}

// poll delivers the next batch to an environment, unless the poller has a fault or
// no last batch left.
func (w *world) poll(p *poller) {
	if p.lastBatches < 0 && w.explore == nil && w.pollerFault(p) {
		return
	}
	if p.lastBatches == 0 {
		w.retire(p)
		return
	}
	if p.lastBatches > 0 {
		p.lastBatches--
	}
	// Mode overlap: begin anywhere in the last eight records that are done.
	if w.overlapping && p.lastBatches < 0 && w.chance(5) {
		p.queue, p.next = nil, max(0, w.broker.committed[p.key]-w.random.IntN(8))
	}
	// Fetch a batch, unless one is to be redelivered.
	if len(p.queue) == 0 {
		part := w.partition(p.key)
		n := min(w.batchSize(), len(part)-p.next)
		p.queue = append(p.queue, part[p.next:p.next+n])
		p.next += n
	}
	// Deliver the first batch of the queue. The task calls batchEnded.
	batch := p.queue[0]
	e := w.environment(p.key)
	name := fmt.Sprintf("%s#%d %s/%d [%d-%d]", p.key.stage, e.id, p.key.topic, p.key.partition,
		batch[0].Offset, batch[len(batch)-1].Offset)
	if w.history != nil {
		w.note(name, "begins", nil)
	}
	h := e.handler
	p.task = w.start(e, name, func(ctx context.Context) error {
		return h.Handle(ctx, stage.Batch{Topic: p.key.topic, Partition: p.key.partition, Records: batch})
	}, func(err error) { w.batchEnded(p, err) })
	p.task.key = p.key
}

// batchSize draws the number of records of a batch.
func (w *world) batchSize() int {
	if w.explore != nil {
		return w.maxBatch
	}
	return 1 + w.random.IntN(w.maxBatch)
}

// pollerFault draws a fault of the poller, if any, and returns true after a fault.
// Either the poller starts again at a committed position, or a second poller
// starts there because this poller has lost the partition.
func (w *world) pollerFault(p *poller) bool {
	if w.faults == 0 || w.random.IntN(w.faultEvery) > 0 {
		return false
	}
	w.faults--
	key, committed := p.key, w.broker.committed[p.key]
	if w.chance(2) { // and commits were lost
		committed = w.minCommitted[key] + w.random.IntN(committed-w.minCommitted[key]+1)
	}
	switch w.random.IntN(2) {
	case 0:
		w.note("poller of "+key.stage, fmt.Sprintf("*** starts again at %d of %s/%d", committed, key.topic, key.partition), nil)
		p.queue, p.next = nil, committed
	default:
		w.note("poller of "+key.stage, fmt.Sprintf("*** has a rival on %s/%d from %d on", key.topic, key.partition, committed), nil)
		p.lastBatches = 1 + w.random.IntN(3)
		w.pollers = append(w.pollers, &poller{key: key, next: committed, lastBatches: -1})
	}
	return true
}

// retire removes a poller.
func (w *world) retire(p *poller) {
	w.pollers = slices.DeleteFunc(w.pollers, func(o *poller) bool { return o == p })
}

// batchEnded processes the outcome of the batch that the poller delivered last.
// After a failure the poller redelivers the records that are undone. When the queue
// is empty, the poller commits.
func (w *world) batchEnded(p *poller, err error) {
	p.task = nil
	if len(p.queue) == 0 { // the poller started again meanwhile
		return
	}
	batch := p.queue[0]
	p.queue = p.queue[1:]
	if err != nil {
		if p.failures++; p.failures > maxFailures {
			w.fail("%s/%d is stuck at offset %d: %v", p.key.topic, p.key.partition, batch[0].Offset, err)
		}
		// The records that are undone come before other batches of the queue.
		p.queue = slices.Insert(p.queue, 0, w.toRedeliver(batch, err)...)
		return
	}
	p.failures = 0
	if len(p.queue) == 0 && p.lastBatches < 0 {
		w.broker.committed[p.key] = p.next
	}
}

// toRedeliver returns the batches to redeliver after a failure. A stage reports
// every record from the first failure on. So passUnreported makes no difference:
// no unreported record lies behind a reported failure. The batch may be cut in
// halves.
func (w *world) toRedeliver(batch []stage.Record, err error) [][]stage.Record {
	rest := batch
	if f := (*stage.Failure)(nil); errors.As(err, &f) {
		rest = batch[positionOf(batch, f.Offset):]
		if w.passUnreported && w.reportFirstOnly {
			rest = rest[:1]
		}
	}
	if len(rest) > 1 && w.chance(3) {
		half := len(rest) / 2
		return [][]stage.Record{rest[:half], rest[half:]}
	}
	return [][]stage.Record{rest}
}

// environment draws the environment for a batch: a warm one, which may be any
// number of batches behind the changelog, or a new one.
func (w *world) environment(k groupKey) *env {
	w.envs = slices.DeleteFunc(w.envs, func(e *env) bool { return e.dead })
	var warm []*env
	for _, e := range w.envs {
		if e.stage == k.stage && !w.worksOn(e, k) {
			warm = append(warm, e)
		}
	}
	if len(warm) == 0 || len(warm) < w.maxEnvs && w.chance(w.coldEvery) {
		return w.newEnv(k.stage)
	}
	return warm[w.intn(len(warm))]
}

// worksOn reports whether an environment handles a batch of the partition now.
func (w *world) worksOn(e *env, k groupKey) bool {
	if e.tasks == 0 {
		return false
	}
	return slices.ContainsFunc(w.tasks, func(t *task) bool { return t.env == e && t.key == k })
}

// newEnv adds an environment. During a deployment it may run the former version.
func (w *world) newEnv(name string) *env {
	w.nextEnv++
	e := &env{id: w.nextEnv, stage: name, infos: map[string]stage.TopicInfo{}}
	e.old = w.deploying && (!w.deployed || !w.formerGone && w.chance(3))
	e.ports = &ports{w, e}
	e.handler = w.newHandler(e)
	w.envs = append(w.envs, e)
	return e
}

// isPaused reports whether the mapping is switched off, for the stage or for the
// topic.
func (w *world) isPaused(k groupKey) bool { return w.paused[k.stage] || w.paused[k.stage+"/"+k.topic] }

// handlerOf returns the real stage of an environment, with the ports of that
// environment.
func (w *world) handlerOf(e *env) stage.Handler {
	p := e.ports
	switch e.stage {
	case pipeline.Detect:
		return detect.New(detect.Deps{Log: p, Topics: p, Out: p, Rules: w.rulesFor(p)})
	case pipeline.Identify:
		return stage.NewIdentify(stage.IdentifyDeps{Identities: p, Pending: p, Out: p})
	case pipeline.Enrich:
		return stage.NewEnrich(stage.EnrichDeps{Identities: p, Pending: p, Out: p})
	case pipeline.Count:
		if e.old {
			return stage.NewCount(stage.CountDeps{Counts: formerCounts{p}, Out: formerProducer{p}})
		}
		return stage.NewCount(stage.CountDeps{Counts: p, Out: p})
	case sinkName:
		return &sink{w}
	default:
		panic("no stage " + e.stage)
	}
}
