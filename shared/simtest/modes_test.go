package simtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// modes are all ways the world may go.
var modes = []mode{
	{"normal", normal},
	{"replay", replay},
	{"recreated", recreated},
	{"time-jump", timeJump},
	{"partitions-added", partitionsAdded},
	{"base-counts", baseCounts},
	{"deployment", deployment},
	{"environments", environments},
	{"overlap", overlap},
	{"rules", ownRules},
}

func normal(w *world) { w.pump(w.script.hours(w.script.begin), true) }

// replay sets all offsets to 0, either with all state there, in the middle of
// the work, or with none of it: then identify goes first.
func replay(w *world) {
	fromNothing := w.chance(3)
	w.pump(w.script.hours(w.script.begin), fromNothing || w.chance(2))
	if w.failure != nil {
		return
	}
	if fromNothing {
		w.forget()
	}
	for _, p := range slices.Clone(w.pollers) {
		w.note("(world)", fmt.Sprintf("%s starts at 0 of %s/%d", p.key.stage, p.key.topic, p.key.partition), nil)
		w.retire(p)
		w.pollers = append(w.pollers, &poller{key: p.key, leaving: -1})
		w.broker.committed[p.key] = 0
		p.leaving = 0 // what it has in flight ends without it
	}
	w.unique()
	if fromNothing {
		w.identifyFirst()
	}
	w.pump(nil, true)
}

// unique leaves one poller of each partition.
func (w *world) unique() {
	seen := map[groupKey]bool{}
	w.pollers = slices.DeleteFunc(w.pollers, func(p *poller) bool {
		again := seen[p.key]
		seen[p.key] = true
		return again
	})
}

// forget empties all tables and what was made from the input.
func (w *world) forget() {
	w.note("(world)", "all state and all derived topics are gone", nil)
	w.log, w.identities, w.pending, w.counts = memory.NewVisitLog(), memory.NewIdentities(), memory.NewPending(), memory.NewCounts()
	w.table = map[stage.CountKey]events.WalkInCount{}
	for _, name := range []string{events.WalkIns, events.VisitsEnded, events.EnrichedWalkIns, events.WalkInCounts, events.DeviceContacts} {
		w.broker.create(name, len(w.broker.topics[name].parts))
		delete(w.seen.all, name)
		delete(w.seen.writers, name)
		w.seen.poison = slices.DeleteFunc(w.seen.poison, func(p poisoned) bool {
			if p.record.Topic == name {
				w.seen.excused = append(w.seen.excused, p)
			}
			return p.record.Topic == name
		})
	}
	for _, e := range w.envs {
		e.dead = true
	}
}

// identifyFirst lets identify take in all CRM events before anything else goes
// on: that is the documented order, and everything is attributed as it would be
// with all of them known.
func (w *world) identifyFirst() {
	for _, s := range []string{pipeline.Detect, pipeline.Enrich, pipeline.Count, sinkName} {
		w.paused[s] = true
	}
	w.pump(nil, true)
	clear(w.paused)
	w.allKnown = true
}

// recreated makes some topics anew, with people in the store: their offsets begin
// at 0 again.
func recreated(w *world) {
	rest := w.half(w.script.hours(w.script.begin))
	if w.failure != nil {
		return
	}
	names := []string{events.Sightings, events.CRMEvents, events.WalkIns, events.EnrichedWalkIns, events.CRMEventsBackfill}
	for i, name := range names {
		if i == 0 && w.chance(8) || i > 0 && w.chance(2) {
			continue
		}
		w.note("(world)", "topic "+name+" is made anew", nil)
		t := w.broker.create(name, len(w.broker.topics[name].parts))
		w.rewind(t.name)
		if name == events.Sightings {
			w.seen.newLife()
		}
	}
	w.seen.logins = nil
	w.pump(w.script.again(w.script.items, rest), true)
}

// half lets some of the input be worked off and gives the rest, beginning with a
// tick.
func (w *world) half(input []item) (rest []item) {
	n := 1 + w.random.IntN(len(input)-1)
	w.pump(input[:n], true)
	w.ticksFirst = true
	clear(w.ticker.infos)
	return slices.Concat([]item{{at: input[n-1].at, tick: true}}, input[n:])
}

// rewind lets the groups of a topic begin at its beginning.
func (w *world) rewind(topicName string) {
	w.pollers = slices.DeleteFunc(w.pollers, func(p *poller) bool { return p.leaving >= 0 })
	for _, p := range w.pollers {
		if p.key.topic == topicName {
			p.next, p.queue = 0, nil
			w.broker.committed[p.key] = 0
		}
	}
}

// again mixes some of the former sightings into what comes next: somebody sends
// them anew.
func (s *script) again(former, next []item) []item {
	all := slices.Clone(next)
	for _, i := range former {
		if i.record.Topic == events.Sightings && i.poison == "" && s.chance(8) {
			i.at = later(i.at, next[s.random.IntN(len(next))].at).Add(70 * time.Minute)
			i.record.Timestamp = i.at
			all = append(all, i)
		}
	}
	slices.SortStableFunc(all, func(a, b item) int { return a.at.Compare(b.at) })
	return all
}

// timeJump lets everything rest until some or all that can expire has, and
// goes on, in some seeds with a backlog from before.
func timeJump(w *world) {
	w.pump(w.script.hours(w.script.begin), true)
	if w.failure == nil && w.chance(2) {
		w.paused[pipeline.Detect] = true
		w.pump(w.script.hours(w.script.end.Add(time.Hour)), true)
	}
	if w.failure != nil {
		return
	}
	days := []int{13, 15, 20, 120}[w.random.IntN(4)]
	now := w.broker.now.AddDate(0, 0, days)
	gone := 1 + w.random.IntN(4)
	w.note("(world)", fmt.Sprintf("%d days pass, 1 in %d of what has expired stays", days, gone), nil)
	if log, ok := w.log.(*memory.VisitLog); ok {
		log.Expire(now, func() bool { return gone == 1 || !w.chance(gone) })
	}
	w.pending.Expire(now)
	w.broker.now = now
	w.floor = maps.Clone(w.broker.committed) // commits that long ago are not lost any more
	for _, e := range w.envs {
		e.dead = true // no environment lives as long as an item of the log
	}
	if days > 45 {
		// A binding on a randomised address has expired, which the oracle does not know.
		for i := range w.script.people {
			if p := &w.script.people[i]; p.randomised {
				p.device += "-new"
			}
		}
	}
	delete(w.paused, pipeline.Detect)
	w.pump(w.script.hours(now), true)
}

// partitionsAdded adds partitions, once or twice at once, after everything was
// drained, with people in the store.
func partitionsAdded(w *world) {
	w.infoMayBeOld = true
	rest := w.script.hours(w.script.begin)
	for range 1 + w.random.IntN(2) {
		if rest = w.half(rest); w.failure != nil {
			return
		}
		for range 1 + w.random.IntN(2) {
			w.addPartitions()
		}
	}
	w.pump(rest, true)
}

func (w *world) addPartitions() {
	for _, name := range []string{events.Sightings, events.WalkIns, events.EnrichedWalkIns, events.CRMEvents, events.WalkInCounts} {
		if name != events.Sightings && w.chance(2) {
			continue
		}
		t := w.broker.topics[name]
		t.parts = append(t.parts, nil)
		t.changed = w.broker.now
		w.note("(world)", fmt.Sprintf("topic %s has %d partitions", name, len(t.parts)), nil)
		if name == events.Sightings {
			w.seen.newLife()
		}
	}
	for _, s := range pipeline.Default().Stages {
		for _, m := range s.Reads {
			w.follow(s.Name, m.Topic)
		}
	}
	w.follow(sinkName, events.WalkInCounts)
}

// baseCounts sets base counts, higher and lower, while counting goes on.
func baseCounts(w *world) {
	input := w.script.hours(w.script.begin)
	for range 2 + w.random.IntN(4) {
		p := w.script.people[w.random.IntN(len(w.script.people))]
		at := input[w.random.IntN(len(input))].at
		input = append(input, item{at: at, base: &baseChange{
			key: stage.CountKey{Business: p.business, Contact: p.contacts[w.random.IntN(2)]}, base: int64(w.random.IntN(30)),
		}})
	}
	slices.SortStableFunc(input, func(a, b item) int { return a.at.Compare(b.at) })
	w.pump(input, true)
}

// setBase runs what a person's tool runs, until it succeeds.
func (w *world) setBase(c *baseChange) {
	w.outsider(fmt.Sprintf("base of %s = %d", c.key.Contact, c.base), func(ctx context.Context) error {
		return stage.SetBase(ctx, stage.CountDeps{Counts: w.ticker.ports, Out: w.ticker.ports}, c.key, c.base)
	})
	w.seen.bases[c.key] = c.base
}

// deployment runs two versions at once: the one from before counted by ids alone,
// did not read the ends of visits, and told counts in the first version of their
// schema. What it counted or told last is put right once the visits have ended.
func deployment(w *world) {
	ends := pipeline.Enrich + "/" + events.VisitsEnded
	w.deploying, w.paused[ends] = true, true
	w.pump(w.script.hours(w.script.begin), false)
	if w.failure != nil {
		return
	}
	w.note("(world)", "a new version is deployed", nil)
	w.deployed = true
	w.pump(w.script.hours(w.script.end), true)
	w.note("(world)", "the former version is gone, the ends of visits are read", nil)
	w.over = true
	for _, e := range w.envs {
		e.dead = e.dead || e.old
	}
	delete(w.paused, ends)
	w.pump(nil, w.failure == nil)
}

// environments has many of them, each soon behind the log.
func environments(w *world) {
	w.maxEnvs, w.coldEvery = 6, 2
	w.pump(w.script.hours(w.script.begin), true)
}

// overlap gives batches again, cut differently, at any time.
func overlap(w *world) {
	w.overlapping = true
	w.pump(w.script.hours(w.script.begin), true)
}
