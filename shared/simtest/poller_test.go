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

// poller is an event source mapping's work on one partition. There may be more
// than one of a partition, of which all but the last are on their way out.
type poller struct {
	key   groupKey
	next  int              // the next record to fetch
	queue [][]stage.Record // batches to give before another is fetched
	task  *task
	// leaving is how many batches a poller gives still that has lost its
	// partition; -1 for one that has not.
	leaving int
	fails   int // in a row
}

// maxFails is how often a batch may fail before the run is given up as stuck.
// Faults are few, so that only a mistake can make as many.
const maxFails = 60

func (w *world) partition(k groupKey) []stage.Record {
	t := w.broker.topics[k.topic]
	if t == nil || int(k.partition) >= len(t.parts) {
		return nil
	}
	return t.parts[k.partition]
}

// ready says whether the poller has a batch to give.
func (w *world) ready(p *poller) bool {
	return p.task == nil && !w.isPaused(p.key) && (len(p.queue) > 0 || p.next < len(w.partition(p.key)))
}

// poll gives the next batch to an environment, unless the fault is that the
// partition goes to another poller or back to an earlier offset.
func (w *world) poll(p *poller) {
	if p.leaving < 0 && w.explore == nil && w.pollerFault(p) {
		return
	}
	if p.leaving == 0 {
		w.retire(p)
		return
	}
	if p.leaving > 0 {
		p.leaving--
	}
	if w.overlapping && p.leaving < 0 && w.chance(5) {
		p.queue, p.next = nil, max(0, w.broker.committed[p.key]-w.random.IntN(8))
	}
	if len(p.queue) == 0 {
		part := w.partition(p.key)
		n := min(w.batchSize(), len(part)-p.next)
		p.queue = append(p.queue, part[p.next:p.next+n])
		p.next += n
	}
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
	}, func(err error) { w.answered(p, err) })
	p.task.key = p.key
}

func (w *world) batchSize() int {
	if w.explore != nil {
		return w.maxBatch
	}
	return 1 + w.random.IntN(w.maxBatch)
}

// pollerFault may take the partition from the poller.
func (w *world) pollerFault(p *poller) bool {
	if w.faults == 0 || w.random.IntN(w.every) > 0 {
		return false
	}
	w.faults--
	key, committed := p.key, w.broker.committed[p.key]
	if w.chance(2) { // commits were lost too
		committed = w.floor[key] + w.random.IntN(committed-w.floor[key]+1)
	}
	switch w.random.IntN(2) {
	case 0:
		w.note("poller of "+key.stage, fmt.Sprintf("*** starts again at %d of %s/%d", committed, key.topic, key.partition), nil)
		p.queue, p.next = nil, committed
	default:
		w.note("poller of "+key.stage, fmt.Sprintf("*** has a rival on %s/%d from %d on", key.topic, key.partition, committed), nil)
		p.leaving = 1 + w.random.IntN(3)
		w.pollers = append(w.pollers, &poller{key: key, next: committed, leaving: -1})
	}
	return true
}

func (w *world) retire(p *poller) {
	w.pollers = slices.DeleteFunc(w.pollers, func(o *poller) bool { return o == p })
}

// answered takes in what became of the batch in flight.
func (w *world) answered(p *poller, err error) {
	p.task = nil
	if len(p.queue) == 0 { // it started again meanwhile
		return
	}
	batch := p.queue[0]
	p.queue = p.queue[1:]
	if err != nil {
		if p.fails++; p.fails > maxFails {
			w.fail("%s/%d is stuck at offset %d: %v", p.key.topic, p.key.partition, batch[0].Offset, err)
		}
		p.queue = slices.Insert(p.queue, 0, w.givenAgain(batch, err)...)
		return
	}
	p.fails = 0
	if len(p.queue) == 0 && p.leaving < 0 {
		w.broker.committed[p.key] = p.next
	}
}

// givenAgain cuts what a failed batch leaves to do. All of it from the first
// failure on is reported, so that it does not matter whether the mapping takes
// unreported records behind a reported one for done (passUnreported) or not. A
// batch that failed as a whole may be halved.
func (w *world) givenAgain(batch []stage.Record, err error) [][]stage.Record {
	rest := batch
	if f := (*stage.Failure)(nil); errors.As(err, &f) {
		rest = batch[index(batch, f.Offset):]
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

// environment picks one for a partition: a warm one, however far behind, or a
// new one.
func (w *world) environment(k groupKey) *env {
	w.envs = slices.DeleteFunc(w.envs, func(e *env) bool { return e.dead })
	var warm []*env
	for _, e := range w.envs {
		if e.stage == k.stage && !w.has(e, k) {
			warm = append(warm, e)
		}
	}
	if len(warm) == 0 || len(warm) < w.maxEnvs && w.chance(w.coldEvery) {
		return w.newEnv(k.stage)
	}
	return warm[w.intn(len(warm))]
}

// has says whether an environment is at work on the partition already.
func (w *world) has(e *env, k groupKey) bool {
	if e.tasks == 0 {
		return false
	}
	return slices.ContainsFunc(w.tasks, func(t *task) bool { return t.env == e && t.key == k })
}

func (w *world) newEnv(name string) *env {
	w.nextEnv++
	e := &env{id: w.nextEnv, stage: name, infos: map[string]stage.TopicInfo{}}
	e.old = w.deploying && (!w.deployed || !w.over && w.chance(3))
	e.ports = &ports{w, e}
	e.handler = w.make(e)
	w.envs = append(w.envs, e)
	return e
}

// isPaused says whether the mapping of a stage, or one of its topics, is switched
// off.
func (w *world) isPaused(k groupKey) bool { return w.paused[k.stage] || w.paused[k.stage+"/"+k.topic] }

// handlerOf makes the real stage of an environment.
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
