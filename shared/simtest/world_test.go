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

// world is everything around the stages, and the stages.
type world struct {
	scheduler
	broker     broker
	log        stage.VisitLog
	identities *memory.Identities
	pending    pendings
	counts     stage.Counts
	rules      stage.Businesses
	own        ruled // in mode rules

	pollers []*poller
	envs    []*env
	nextEnv int
	ticker  *env // of tick and of the tools people call
	make    func(*env) stage.Handler
	table   map[stage.CountKey]events.WalkInCount // of the sink

	script *script
	input  []item
	// floor is what no lost commit goes back behind, for the log that covers it has
	// expired.
	floor   map[groupKey]int
	outside int // tasks of tick and of people under way
	ticked  time.Time
	seen    *witness
	failure error

	// What differs from run to run.
	maxBatch, maxEnvs, coldEvery      int
	passUnreported, reportFirstOnly   bool
	infoMayBeOld, deploying, deployed bool
	over                              bool            // the former version is gone
	paused                            map[string]bool // stages whose mappings are switched off, or "stage/topic"
	allKnown, overlapping, ticksFirst bool
	maxSteps                          int
}

const sinkName = "sink"

// pendings is a table of walk-ins, with what its TTL does.
type pendings interface {
	stage.Pending
	Expire(now time.Time)
}

// newWorld makes an empty world with topics.
func newWorld(seed uint64, faults int) *world {
	w := &world{
		scheduler: scheduler{
			random: rand.New(rand.NewPCG(seed, 1)), faults: faults, throttle: map[string]int{},
		},
		log: memory.NewVisitLog(), identities: memory.NewIdentities(), pending: memory.NewPending(), counts: memory.NewCounts(),
		rules: stage.DefaultRules(), table: map[stage.CountKey]events.WalkInCount{}, paused: map[string]bool{}, maxSteps: 60_000,
	}
	w.every = 8 + w.random.IntN(40)
	w.maxBatch, w.maxEnvs, w.coldEvery = 1+w.random.IntN(12), 1+w.random.IntN(4), 2+w.random.IntN(20)
	w.passUnreported = w.random.IntN(2) == 0
	w.broker = broker{
		topics: map[string]*topic{}, committed: map[groupKey]int{}, now: epoch, holes: func() bool { return w.chance(24) },
	}
	w.make = w.handlerOf
	w.seen = newWitness(w)
	w.broker.sent = w.seen.sent
	w.infoMayBeOld = w.chance(2)
	for name, n := range map[string]int{
		events.Sightings: 2, events.CRMEvents: 1, events.CRMEventsBackfill: 1, events.WalkIns: 2, events.VisitsEnded: 1,
		events.EnrichedWalkIns: 2, events.WalkInCounts: 1, events.DeviceContacts: 1,
	} {
		w.broker.topics[name] = &topic{name: name, id: name, parts: make([][]stage.Record, n)}
		w.broker.topics[name+"-dead-letters"] = &topic{name: name + "-dead-letters", id: name, parts: make([][]stage.Record, 1)}
	}
	w.ticker = &env{stage: pipeline.Tick, infos: map[string]stage.TopicInfo{}}
	w.ticker.ports = &ports{w, w.ticker}
	for _, s := range pipeline.Default().Stages {
		for _, m := range s.Reads {
			w.follow(s.Name, m.Topic)
		}
	}
	w.follow(sinkName, events.WalkInCounts)
	return w
}

// follow makes pollers for the partitions of a topic that have none.
func (w *world) follow(stageName, topicName string) {
	for p := range w.broker.topics[topicName].parts {
		k := groupKey{stageName, topicName, int32(p)}
		if !slices.ContainsFunc(w.pollers, func(p *poller) bool { return p.key == k }) {
			w.pollers = append(w.pollers, &poller{key: k, leaving: -1})
		}
	}
}

func (w *world) fail(format string, args ...any) {
	if w.failure == nil {
		w.failure = fmt.Errorf(format, args...)
	}
}

// pump runs the world until the input is used up and, where drain is set, all
// of it is processed.
func (w *world) pump(input []item, drain bool) {
	w.input = input
	for w.failure == nil {
		w.gather()
		w.bury()
		if len(w.input) == 0 && !drain {
			return
		}
		if !w.act() && !w.thaw() {
			break
		}
		if w.step++; w.step > w.maxSteps {
			w.fail("no end after %d steps", w.step)
		}
	}
	w.pollers = slices.DeleteFunc(w.pollers, func(p *poller) bool { return p.leaving >= 0 })
	if w.failure == nil {
		w.checkDrained()
	}
}

// act does one of what can be done now.
func (w *world) act() bool {
	type choice struct {
		call   *call
		poller *poller
		feed   bool
		land   bool
	}
	var buffer [48]choice
	choices := buffer[:0]
	for _, c := range w.waiting {
		if c.frozen <= w.step {
			choices = append(choices, choice{call: c})
		}
	}
	for _, p := range w.pollers {
		if w.ready(p) || p.leaving == 0 && p.task == nil {
			choices = append(choices, choice{poller: p})
		}
	}
	if len(w.input) > 0 && w.mayCome(&w.input[0]) {
		choices = append(choices, choice{feed: true})
	}
	if len(w.landing) > 0 && (len(choices) == 0 || w.explore != nil || w.chance(8)) {
		choices = append(choices, choice{land: true})
	}
	if len(choices) == 0 {
		return false
	}
	switch c := choices[w.intn(len(choices))]; {
	case c.call != nil:
		if w.chance(40) { // a slow environment
			c.call.frozen = w.step + w.random.IntN(100)
			break
		}
		w.waiting = slices.DeleteFunc(w.waiting, func(o *call) bool { return o == c.call })
		w.grant(c.call)
	case c.poller != nil:
		if c.poller.leaving == 0 {
			w.retire(c.poller)
		} else {
			w.poll(c.poller)
		}
	case c.feed:
		w.feed()
	case c.land:
		w.land(w.intn(len(w.landing)))
	}
	return true
}

// mayCome says whether the next item can arrive already.
func (w *world) mayCome(i *item) bool {
	if w.outside > 0 && (w.ticksFirst || i.tick || i.base != nil || i.at.After(w.ticked.Add(time.Minute))) {
		return false
	}
	for _, l := range w.seen.logins {
		if i.at.Sub(l.at) > time.Minute && w.broker.committed[l.key] <= l.index {
			return false
		}
	}
	return true
}

// feed takes in the next item.
func (w *world) feed() {
	i := &w.input[0]
	w.input = w.input[1:]
	w.broker.now = later(w.broker.now, i.at)
	switch {
	case i.tick:
		w.ticked = i.at
		w.outsider("tick "+i.at.Format("15:04"), func(ctx context.Context) error {
			return stage.NewTick(stage.TickDeps{Topics: w.ticker.ports, Out: w.ticker.ports}).Tick(ctx, i.at)
		})
	case i.base != nil:
		w.setBase(i.base)
	default:
		w.put(i)
	}
}

// put stores a record that comes from outside.
func (w *world) put(i *item) {
	r := i.record
	parts := len(w.broker.topics[r.Topic].parts)
	if r.Partition == -2 {
		if r.Partition = w.seen.strangePartition(r.Key, parts); r.Partition < 0 {
			return
		}
	}
	if r.Partition == stage.AnyPartition {
		r.Partition = events.Partition(r.Key, int32(parts))
	}
	w.broker.append(r)
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

// outsider runs what no mapping starts until it succeeds. Where its environment
// crashes the next try is by a new one.
func (w *world) outsider(name string, do func(context.Context) error) {
	w.outside++
	var ended func(error)
	try := func() { w.start(w.ticker, name, do, ended) }
	ended = func(err error) {
		w.outside--
		if err == nil {
			return
		}
		if w.ticker.dead {
			w.ticker = &env{stage: pipeline.Tick, infos: map[string]stage.TopicInfo{}}
			w.ticker.ports = &ports{w, w.ticker}
		}
		w.outside++
		try()
	}
	try()
}

// describe tells what a record says.
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
