package simtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// world holds the simulated surroundings of the stages, and the environments in
// which the stages run.
type world struct {
	scheduler
	broker        broker
	log           stage.VisitLog
	identities    *memory.Identities
	pending       pendings
	counts        stage.Counts
	rules         stage.Businesses
	businessRules rulesByBusiness // in mode rules, in place of rules

	pollers    []*poller
	envs       []*env
	nextEnv    int
	toolEnv    *env                     // of the stage tick and of the operator's tools
	newHandler func(*env) stage.Handler // makes the stage of an environment; some mutants replace it
	sinkTable  map[stage.CountKey]events.WalkInCount

	script *script
	input  []item // that has not arrived yet
	// minCommitted is the lowest position that a lost commit goes back to: the
	// changelog items of what lies before have expired.
	minCommitted map[groupKey]int
	// expiredFrom is the number of enriched walk-ins that were produced before items of
	// table pending expired, 0 if none have.
	expiredFrom  int
	toolsRunning int       // tasks of tick and of the operator's tools
	lastTick     time.Time // the latest tick of the input
	seen         *observations
	failure      error // the first one; it ends the run
	maxSteps     int

	// These differ from seed to seed.

	maxBatch     int  // records of a batch at most
	maxEnvs      int  // environments of a stage at most
	coldEvery    int  // below maxEnvs, 1 batch in coldEvery gets a new environment
	infoMayBeOld bool // an environment may know a topic as it was before a change
	// passUnreported is true if the mapping takes a record as done that lies
	// behind a reported failure and is not reported itself.
	passUnreported bool

	// Modes and mutants switch these.

	deploying       bool            // environments run the former version
	deployed        bool            // new environments may run the present version
	formerGone      bool            // no environment runs the former version any more
	paused          map[string]bool // mappings that are switched off: "stage" or "stage/topic"
	allCRMKnown     bool            // identify has read all CRM events before any walk-in was read
	overlapping     bool            // batches begin before the committed position, all the time
	ticksFirst      bool            // no input arrives while tick runs
	reportFirstOnly bool            // the first record that failed is redelivered, the others are not
}

// sinkName is the name of the reader of walk-in-counts among the stages.
const sinkName = "sink"

// pendings is the table pending with its TTL: Expire removes the items that have
// expired at now.
type pendings interface {
	stage.Pending
	Expire(now time.Time)
}

// newWorld returns a world of a seed with empty topics and tables, in which up to
// faults faults take place. The order of the draws is part of the seed: a draw
// that is added or moved changes every run.
func newWorld(seed uint64, faults int) *world {
	w := &world{
		scheduler: scheduler{
			random: rand.New(rand.NewPCG(seed, 1)), faults: faults, throttle: map[string]int{},
		},
		log: memory.NewVisitLog(), identities: memory.NewIdentities(), pending: memory.NewPending(), counts: memory.NewCounts(),
		rules: stage.DefaultRules(), sinkTable: map[stage.CountKey]events.WalkInCount{}, paused: map[string]bool{}, maxSteps: 60_000,
	}
	// How often faults happen, and the size of batches and environments.
	w.faultEvery = 8 + w.random.IntN(40)
	w.maxBatch, w.maxEnvs, w.coldEvery = 1+w.random.IntN(12), 1+w.random.IntN(4), 2+w.random.IntN(20)
	w.passUnreported = w.random.IntN(2) == 0
	w.broker = broker{
		topics: map[string]*topic{}, committed: map[groupKey]int{}, now: inputStart, skipOffset: func() bool { return w.chance(24) },
	}
	w.newHandler = w.handlerOf
	w.seen = newObservations(w)
	w.broker.stored = w.seen.store
	w.infoMayBeOld = w.chance(2)
	// Topics, with few partitions each.
	for name, n := range map[string]int{
		events.Sightings: 2, events.CRMEvents: 1, events.CRMEventsBackfill: 1, events.WalkIns: 2, events.VisitsEnded: 1,
		events.EnrichedWalkIns: 2, events.WalkInCounts: 1, events.DeviceContacts: 1,
	} {
		w.broker.topics[name] = &topic{name: name, id: name, parts: make([][]stage.Record, n)}
		w.broker.topics[name+"-dead-letters"] = &topic{name: name + "-dead-letters", id: name, parts: make([][]stage.Record, 1)}
	}
	// An environment for tick, and a poller for each partition that a stage or the
	// sink reads.
	w.toolEnv = &env{stage: pipeline.Tick, infos: map[string]stage.TopicInfo{}}
	w.toolEnv.ports = &ports{w, w.toolEnv}
	for _, s := range pipeline.Default().Stages {
		for _, m := range s.Reads {
			w.follow(s.Name, m.Topic)
		}
	}
	w.follow(sinkName, events.WalkInCounts)
	return w
}

// follow adds a poller of the stage for each partition of a topic that has none.
func (w *world) follow(stageName, topicName string) {
	for p := range w.broker.topics[topicName].parts {
		k := groupKey{stageName, topicName, int32(p)}
		if !slices.ContainsFunc(w.pollers, func(p *poller) bool { return p.key == k }) {
			w.pollers = append(w.pollers, &poller{key: k, lastBatches: -1})
		}
	}
}

// fail notes the failure that ends the run, unless one is noted already.
func (w *world) fail(format string, args ...any) {
	if w.failure == nil {
		w.failure = fmt.Errorf(format, args...)
	}
}

// run runs the world with more input until all of the input has arrived. If
// drain is true, it runs on until all records are processed and checks that every
// group has reached the end of its topics.
func (w *world) run(input []item, drain bool) {
	w.input = input
	for w.failure == nil {
		w.gather()
		w.endCallsOfDead()
		if len(w.input) == 0 && !drain {
			return
		}
		// Nothing can be done: go on with the slow calls, or all is done.
		if !w.takeTurn() && !w.unfreeze() {
			break
		}
		if w.step++; w.step > w.maxSteps {
			w.fail("no end after %d steps", w.step)
		}
	}
	// Pollers that had lost their partition are done with their last batches.
	w.pollers = slices.DeleteFunc(w.pollers, func(p *poller) bool { return p.lastBatches >= 0 })
	if w.failure == nil {
		w.checkDrained()
	}
}

// takeTurn draws one of the things that can happen now, and lets it happen: a
// call of a stage goes on, a poller delivers a batch, an item of the input
// arrives, or a late request is carried out. It returns false if nothing can
// happen.
func (w *world) takeTurn() bool {
	type choice struct {
		call    *call
		poller  *poller
		feed    bool
		runLate bool
	}
	// Collect the choices, in an order that the seed alone decides.
	var buffer [48]choice
	choices := buffer[:0]
	for _, c := range w.waiting {
		if c.frozen <= w.step {
			choices = append(choices, choice{call: c})
		}
	}
	for _, p := range w.pollers {
		if w.ready(p) || p.lastBatches == 0 && p.task == nil {
			choices = append(choices, choice{poller: p})
		}
	}
	if len(w.input) > 0 && w.mayArrive(&w.input[0]) {
		choices = append(choices, choice{feed: true})
	}
	if len(w.lateRequests) > 0 && (len(choices) == 0 || w.explore != nil || w.chance(8)) {
		choices = append(choices, choice{runLate: true})
	}
	if len(choices) == 0 {
		return false
	}
	// Draw one.
	switch c := choices[w.intn(len(choices))]; {
	case c.call != nil:
		if w.chance(40) { // a slow environment: the call waits for up to 100 steps
			c.call.frozen = w.step + w.random.IntN(100)
			break
		}
		w.waiting = slices.DeleteFunc(w.waiting, func(o *call) bool { return o == c.call })
		w.grant(c.call)
	case c.poller != nil:
		if c.poller.lastBatches == 0 {
			w.retire(c.poller)
		} else {
			w.poll(c.poller)
		}
	case c.feed:
		w.feed()
	case c.runLate:
		w.runLate(w.intn(len(w.lateRequests)))
	}
	return true
}

// mayArrive reports whether the next item can arrive now.
func (w *world) mayArrive(i *item) bool {
	// While tick or a tool runs, the next one waits, and so does input of more
	// than a minute after the last tick.
	if w.toolsRunning > 0 && (w.ticksFirst || i.tick || i.base != nil || i.at.After(w.lastTick.Add(time.Minute))) {
		return false
	}
	// A login becomes a sighting when identify has processed it. Items of more
	// than a minute later wait, or that sighting would be too far out of order.
	for _, l := range w.seen.logins {
		if i.at.Sub(l.at) > time.Minute && w.broker.committed[l.key] <= l.index {
			return false
		}
	}
	return true
}

// feed lets the next item of the input arrive.
func (w *world) feed() {
	i := &w.input[0]
	w.input = w.input[1:]
	w.broker.now = later(w.broker.now, i.at)
	switch {
	case i.tick:
		w.lastTick = i.at
		w.startTool("tick "+i.at.Format("15:04"), func(ctx context.Context) error {
			return stage.NewTick(stage.TickDeps{Topics: w.toolEnv.ports, Out: w.toolEnv.ports}).Tick(ctx, i.at)
		})
	case i.base != nil:
		w.setBase(i.base)
	default:
		w.put(i)
	}
}

// put appends a record of the input to its topic, and notes it for the checks.
func (w *world) put(i *item) {
	r := i.record
	// Find the partition.
	parts := len(w.broker.topics[r.Topic].parts)
	if r.Partition == notOfKey {
		if r.Partition = w.seen.wrongPartition(r.Key, parts); r.Partition < 0 {
			return
		}
	}
	if r.Partition == stage.AnyPartition {
		r.Partition = events.Partition(r.Key, int32(parts))
	}
	w.broker.append(r)
	// Note the record: in the history, as poison that must become a dead letter,
	// and as a login that later input waits for.
	part := w.broker.topics[r.Topic].parts[r.Partition]
	if w.history != nil {
		w.note("(input)", fmt.Sprintf("%s/%d [%d] %s %s", r.Topic, r.Partition, part[len(part)-1].Offset, r.Key, describe(&r)), nil)
	}
	if i.poison != "" {
		w.seen.poison = append(w.seen.poison, poisoned{part[len(part)-1], i.poison})
	}
	if !i.login.IsZero() {
		w.seen.logins = append(w.seen.logins, loginAt{i.login, groupKey{pipeline.Identify, r.Topic, r.Partition}, len(part) - 1})
	}
}

// startTool runs tick or an operator's tool, which no mapping starts. A run that
// fails is repeated until one succeeds, in a new environment if the last one has
// crashed.
func (w *world) startTool(name string, do func(context.Context) error) {
	w.toolsRunning++
	var ended func(error)
	try := func() { w.start(w.toolEnv, name, do, ended) }
	ended = func(err error) {
		w.toolsRunning--
		if err == nil {
			return
		}
		// Try again, in a new environment if a fault ended this one.
		if w.toolEnv.dead {
			w.toolEnv = &env{stage: pipeline.Tick, infos: map[string]stage.TopicInfo{}}
			w.toolEnv.ports = &ports{w, w.toolEnv}
		}
		w.toolsRunning++
		try()
	}
	try()
}

// describe returns the content of a record of the input, for the history.
func describe(r *stage.Record) string {
	if r.Topic == events.Sightings {
		var s events.SightingsRecord
		if events.DecodeSightings(r.Key, r.Value, &s) == nil && !s.IsTick {
			return fmt.Sprintf("seen %s %d dBm associated=%v", s.Sighting.SeenAt.UTC().Format("02 15:04:05"), s.Sighting.RSSI, s.Sighting.Associated)
		}
	}
	if e, err := events.DecodeCRM(r.Key, r.Value); err == nil && strings.HasPrefix(r.Topic, "crm") {
		at := e.At().UTC().Format("02 15:04:05")
		switch {
		case e.Login != nil:
			return fmt.Sprintf("login of %s as %s at %s", e.Login.Device, e.Login.Contact, at)
		case e.Changed != nil:
			return fmt.Sprintf("%s merged into %q at %s", e.Changed.Contact, e.Changed.MergedInto, at)
		default:
			return fmt.Sprintf("%s deleted at %s", e.Deleted.Contact, at)
		}
	}
	return fmt.Sprintf("%d bytes", len(r.Value))
}
