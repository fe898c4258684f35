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

// modes are all courses of events, by the names that docs/guarantees.md uses.
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

// normal has nothing beside the input and the faults.
func normal(w *world) { w.run(w.script.drawHours(w.script.begin), true) }

// replay sets all offsets back to 0: either in the middle of the work, with all
// tables there, or with all tables and derived topics gone. In the second case
// identify runs first.
func replay(w *world) {
	fromNothing := w.chance(3)
	w.run(w.script.drawHours(w.script.begin), fromNothing || w.chance(2))
	if w.failure != nil {
		return
	}
	if fromNothing {
		w.forget()
	}
	// Replace each poller by one that starts at 0.
	for _, p := range slices.Clone(w.pollers) {
		w.note("(world)", fmt.Sprintf("%s starts at 0 of %s/%d", p.key.stage, p.key.topic, p.key.partition), nil)
		w.retire(p)
		w.pollers = append(w.pollers, &poller{key: p.key, lastBatches: -1})
		w.broker.committed[p.key] = 0
		p.lastBatches = 0 // a batch in flight ends, and has no effect on the new poller
	}
	w.unique()
	if fromNothing {
		w.identifyFirst()
	}
	w.run(nil, true)
}

// unique removes all pollers of a partition but the first.
func (w *world) unique() {
	seen := map[groupKey]bool{}
	w.pollers = slices.DeleteFunc(w.pollers, func(p *poller) bool {
		again := seen[p.key]
		seen[p.key] = true
		return again
	})
}

// forget empties all tables and creates the derived topics again.
func (w *world) forget() {
	w.note("(world)", "all tables and all derived topics are empty", nil)
	w.log, w.identities, w.pending, w.counts = memory.NewVisitLog(), memory.NewIdentities(), memory.NewPending(), memory.NewCounts()
	w.sinkTable = map[stage.CountKey]events.WalkInCount{}
	for _, name := range []string{events.WalkIns, events.VisitsEnded, events.EnrichedWalkIns, events.WalkInCounts, events.DeviceContacts} {
		w.broker.create(name, len(w.broker.topics[name].parts))
		// Forget the records. The poison of the topic may be among the dead letters
		// already, or not.
		delete(w.seen.records, name)
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

// identifyFirst lets identify process all CRM events before the other stages run,
// as the documentation of a replay asks. Then every walk-in must be attributed to
// the contact that all CRM events together call for.
func (w *world) identifyFirst() {
	for _, s := range []string{pipeline.Detect, pipeline.Enrich, pipeline.Count, sinkName} {
		w.paused[s] = true
	}
	w.run(nil, true)
	clear(w.paused)
	w.allCRMKnown = true
}

// recreated creates some topics again while devices are in the store. Their offsets
// begin at 0 again.
func recreated(w *world) {
	rest := w.half(w.script.drawHours(w.script.begin))
	if w.failure != nil {
		return
	}
	// Sightings nearly always, each of the others in half of the runs.
	names := []string{events.Sightings, events.CRMEvents, events.WalkIns, events.EnrichedWalkIns, events.CRMEventsBackfill}
	for i, name := range names {
		if i == 0 && w.chance(8) || i > 0 && w.chance(2) {
			continue
		}
		w.note("(world)", "topic "+name+" is created again", nil)
		t := w.broker.create(name, len(w.broker.topics[name].parts))
		w.rewind(t.name)
		if name == events.Sightings {
			w.seen.newEpoch()
		}
	}
	// Go on, with some old sightings among the new ones.
	w.seen.logins = nil
	w.run(w.script.resend(w.script.items, rest), true)
}

// half feeds a first part of the input, runs the world until all is processed, and
// returns the rest of the input with a tick in front.
func (w *world) half(input []item) (rest []item) {
	// From here on the tick comes before all input that is later.
	n := 1 + w.random.IntN(len(input)-1)
	w.run(input[:n], true)
	w.ticksFirst = true
	clear(w.toolEnv.infos)
	return slices.Concat([]item{{at: input[n-1].at, tick: true}}, input[n:])
}

// rewind sets the groups of a topic back to its beginning.
func (w *world) rewind(topicName string) {
	w.pollers = slices.DeleteFunc(w.pollers, func(p *poller) bool { return p.lastBatches >= 0 })
	for _, p := range w.pollers {
		if p.key.topic == topicName {
			p.next, p.queue = 0, nil
			w.broker.committed[p.key] = 0
		}
	}
}

// resend adds some of the former sightings to the next items, as if their sender
// sent them again.
func (s *script) resend(former, next []item) []item {
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

// timeJump lets 13 to 120 days pass without a record. Some or all items that have
// expired are removed, and the input goes on. In half of the runs detect has a
// backlog of before.
func timeJump(w *world) {
	w.run(w.script.drawHours(w.script.begin), true)
	if w.failure == nil && w.chance(2) {
		w.paused[pipeline.Detect] = true
		// The backlog begins after the longest session: of a visit that is open when the
		// backlog begins, the expired items may hold the disassociation.
		w.run(w.script.drawHours(w.script.end.Add(13*time.Hour)), true)
	}
	if w.failure != nil {
		return
	}
	// Remove expired items.
	days := []int{13, 15, 20, 120}[w.random.IntN(4)]
	now := w.broker.now.AddDate(0, 0, days)
	gone := 1 + w.random.IntN(4)
	w.note("(world)", fmt.Sprintf("%d days pass, 1 in %d of the expired items stays", days, gone), nil)
	if log, ok := w.log.(*memory.VisitLog); ok {
		log.Expire(now, func() bool { return gone == 1 || !w.chance(gone) })
	}
	w.pending.Expire(now)
	w.expiredFrom = len(w.seen.records[events.EnrichedWalkIns])
	w.broker.now = now
	w.minCommitted = maps.Clone(w.broker.committed) // no commit of so long ago is lost
	for _, e := range w.envs {
		e.dead = true // no environment lives that long
	}
	delete(w.paused, pipeline.Detect)
	w.run(w.script.drawHours(now), true)
}

// partitionsAdded adds partitions once or twice, also twice at once, after all
// records are processed and while devices are in the store.
func partitionsAdded(w *world) {
	w.infoMayBeOld = true
	rest := w.script.drawHours(w.script.begin)
	for range 1 + w.random.IntN(2) {
		if rest = w.half(rest); w.failure != nil {
			return
		}
		for range 1 + w.random.IntN(2) {
			w.addPartitions()
		}
	}
	w.run(rest, true)
}

// addPartitions adds a partition to sightings, and in half of the draws to each of
// some other topics, and pollers for the new partitions.
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
			w.seen.newEpoch()
		}
	}
	// Pollers for the new partitions.
	for _, s := range pipeline.Default().Stages {
		for _, m := range s.Reads {
			w.follow(s.Name, m.Topic)
		}
	}
	w.follow(sinkName, events.WalkInCounts)
}

// baseCounts sets base counts, higher and lower ones, while walk-ins are counted.
func baseCounts(w *world) {
	input := w.script.drawHours(w.script.begin)
	for range 2 + w.random.IntN(4) {
		d := w.script.devices[w.random.IntN(len(w.script.devices))]
		at := input[w.random.IntN(len(input))].at
		input = append(input, item{at: at, base: &baseChange{
			key: stage.CountKey{Business: d.business, Contact: d.contacts[w.random.IntN(2)]}, base: int64(w.random.IntN(30)),
		}})
	}
	slices.SortStableFunc(input, func(a, b item) int { return a.at.Compare(b.at) })
	w.run(input, true)
}

// setBase runs the operator's tool that sets a base count.
func (w *world) setBase(c *baseChange) {
	w.startTool(fmt.Sprintf("base of %s = %d", c.key.Contact, c.base), func(ctx context.Context) error {
		return stage.SetBase(ctx, stage.CountDeps{Counts: w.toolEnv.ports, Out: w.toolEnv.ports}, c.key, c.base)
	})
	w.seen.bases[c.key] = c.base
}

// deployment runs two versions at once. The former version counts by ids alone,
// does not read the ends of visits, and produces counts in version 1 of their
// schema. The present version corrects the counts when the visits have ended.
func deployment(w *world) {
	// Only the former version runs, which does not read the ends of visits.
	ends := pipeline.Enrich + "/" + events.VisitsEnded
	w.deploying, w.paused[ends] = true, true
	w.run(w.script.drawHours(w.script.begin), false)
	if w.failure != nil {
		return
	}
	// Environments of both versions run.
	w.note("(world)", "a new version is deployed", nil)
	w.deployed = true
	w.run(w.script.drawHours(w.script.end), true)
	w.note("(world)", "the former version is gone, and the ends of visits are read", nil)
	// Only the present version runs.
	w.formerGone = true
	for _, e := range w.envs {
		e.dead = e.dead || e.old
	}
	delete(w.paused, ends)
	w.run(nil, w.failure == nil)
}

// environments runs up to six environments of each stage, drawn at random, so that
// most of them are behind the changelog.
func environments(w *world) {
	w.maxEnvs, w.coldEvery = 6, 2
	w.run(w.script.drawHours(w.script.begin), true)
}

// overlap redelivers records all the time, in batches that are cut differently.
func overlap(w *world) {
	w.overlapping = true
	w.run(w.script.drawHours(w.script.begin), true)
}
