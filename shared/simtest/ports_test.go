package simtest

import (
	"context"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/memory"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// env is one environment of a function: a process with its memory.
type env struct {
	id      int
	stage   string
	handler stage.Handler
	ports   *ports
	dead    bool
	old     bool                       // the environment runs the former version
	tasks   int                        // that run now
	infos   map[string]stage.TopicInfo // the last answers of Info
}

// ports implements the ports of the stages for one environment. Every call is a
// turn of the scheduler; the answer comes from the world, or from a fault.
type ports struct {
	w   *world
	env *env
}

var (
	_ stage.VisitLog   = (*ports)(nil)
	_ stage.Identities = (*ports)(nil)
	_ stage.Pending    = (*ports)(nil)
	_ stage.Counts     = (*ports)(nil)
	_ stage.Producer   = (*ports)(nil)
	_ stage.TopicInfos = (*ports)(nil)
)

// background is the context of calls to package memory, which take no time.
var background = context.Background()

// Produce appends the records. If Produce fails, some records may be written: of
// each partition the first ones, since the client keeps their order. Records that
// the client repeats are written once if the producer is idempotent, else twice.
func (p *ports) Produce(ctx context.Context, records []stage.Record) error {
	s, w := &p.w.scheduler, p.w
	all := slices.Clone(records)
	key := ""
	if len(all) > 0 {
		key = all[0].Topic + " " + string(all[0].Key)
	}
	written := false
	write := func() {
		for _, r := range all {
			w.broker.append(r)
		}
		written = true
	}
	return s.call(ctx, call{
		port: "produce", op: "produce", key: key, n: int64(len(all)), write: true,
		do: func() error {
			write()
			return nil
		},
		again: func() error {
			if written && s.coin() {
				write()
			}
			return nil
		},
		part: func() {
			// Each partition stops at a drawn record, and takes none after it.
			stopped := map[groupKey]bool{}
			for _, r := range all {
				if r.Partition == stage.AnyPartition {
					r.Partition = events.Partition(r.Key, int32(len(w.broker.topics[r.Topic].parts)))
				}
				partition := groupKey{topic: r.Topic, partition: r.Partition}
				if stopped[partition] = stopped[partition] || s.coin(); !stopped[partition] {
					w.broker.append(r)
				}
			}
		},
	})
}

// Info may return an answer as old as maxAge allows. If maxAge is a minute, that
// is also the state before a topic was created again. If maxAge is seconds, it is
// only the state before partitions were added: a stage asks with seconds only if
// a batch begins at the very next offset, and no topic is deleted, created again
// and filled up to that offset within seconds.
func (p *ports) Info(ctx context.Context, name string, maxAge time.Duration) (stage.TopicInfo, error) {
	var info stage.TopicInfo
	err := p.w.call(ctx, call{port: "topics", op: "info", key: name, do: func() error {
		// A change that is young enough may be unknown to this environment.
		t := p.w.broker.topics[name]
		if known, ok := p.env.infos[name]; ok && maxAge > 0 && p.w.infoMayBeOld && p.w.broker.now.Sub(t.changed) <= maxInfoAge(maxAge) && (known.ID == t.id || maxAge >= time.Minute) {
			info = known
			return nil
		}
		info = stage.TopicInfo{ID: t.id, Partitions: int32(len(t.parts))}
		p.env.infos[name] = info
		return nil
	}})
	return info, err
}

// maxInfoAge returns how much time of the input may pass until a change of a topic
// is known. Seconds (detect asks with ten) become ten minutes, because a world has
// little input within seconds. Ten minutes are far from the time by which a
// watermark that is ahead does harm.
func maxInfoAge(maxAge time.Duration) time.Duration {
	if maxAge < time.Minute {
		return 10 * time.Minute
	}
	return time.Minute
}

// Last may return an older item, or none, unless consistent is true.
func (p *ports) Last(ctx context.Context, chain string, consistent bool) (item stage.LogItem, ok bool, err error) {
	err = p.w.call(ctx, call{port: pipeline.VisitLogTable, op: "last", key: chain, do: func() (err error) {
		item, ok, err = p.w.log.Last(background, chain, true)
		if ok && !consistent && p.w.chance(4) {
			older, err := p.w.log.Read(background, chain, max(0, item.Seq-int64(1+p.w.random.IntN(3))), item.Seq-1, true)
			if err != nil {
				return err
			}
			if item, ok = (stage.LogItem{}), len(older) > 0; ok {
				item = older[p.w.random.IntN(len(older))]
			}
		}
		return err
	}})
	return item, ok, err
}

// Read may miss the latest item unless consistent is true.
func (p *ports) Read(ctx context.Context, chain string, from, to int64, consistent bool) (items []stage.LogItem, err error) {
	err = p.w.call(ctx, call{port: pipeline.VisitLogTable, op: "read", key: chain, n: from, do: func() (err error) {
		items, err = p.w.log.Read(background, chain, from, to, true)
		if len(items) > 0 && !consistent && p.w.chance(4) {
			items = items[:len(items)-1]
		}
		return err
	}})
	return items, err
}

// Append is a write that fails if the sequence number is taken.
func (p *ports) Append(ctx context.Context, chain string, item stage.LogItem, expires time.Time) error {
	item.Data = slices.Clone(item.Data)
	return p.w.call(ctx, call{port: pipeline.VisitLogTable, op: "append", key: chain, n: item.Seq, write: true, do: func() error {
		return p.w.log.Append(background, chain, item, expires)
	}})
}

// Devices reads one key after another: DynamoDB answers a batch in parts, so the
// result is not a snapshot.
func (p *ports) Devices(ctx context.Context, keys []stage.IdentityKey) ([]presence.History, []int64, error) {
	histories, versions := make([]presence.History, 0, len(keys)), make([]int64, 0, len(keys))
	for _, key := range keys {
		var h []presence.History
		var v []int64
		err := p.w.call(ctx, call{port: pipeline.IdentitiesTable, op: "device", key: string(events.DeviceKey(key.Business, key.Device)), do: func() (err error) {
			h, v, err = p.w.identities.Devices(background, []stage.IdentityKey{key})
			return err
		}})
		if err != nil {
			return nil, nil, err
		}
		histories, versions = append(histories, h...), append(versions, v...)
	}
	return histories, versions, nil
}

// Each of the following methods is one call of package memory, as one turn.

// PutDevice is a conditional write.
func (p *ports) PutDevice(ctx context.Context, key stage.IdentityKey, h presence.History, version int64) error {
	return p.w.call(ctx, call{port: pipeline.IdentitiesTable, op: "put device", key: string(events.DeviceKey(key.Business, key.Device)), n: version, write: true, do: func() error {
		return p.w.identities.PutDevice(background, key, h, version)
	}})
}

// Contact is a consistent read.
func (p *ports) Contact(ctx context.Context, b events.BusinessID, c events.ContactID) (r stage.ContactRecord, v int64, err error) {
	err = p.w.call(ctx, call{port: pipeline.IdentitiesTable, op: "contact", key: string(events.ContactKey(b, c)), do: func() (err error) {
		r, v, err = p.w.identities.Contact(background, b, c)
		return err
	}})
	return r, v, err
}

// PutContact is a conditional write.
func (p *ports) PutContact(ctx context.Context, b events.BusinessID, c events.ContactID, r stage.ContactRecord, version int64) error {
	return p.w.call(ctx, call{port: pipeline.IdentitiesTable, op: "put contact", key: string(events.ContactKey(b, c)), n: version, write: true, do: func() error {
		return p.w.identities.PutContact(background, b, c, r, version)
	}})
}

// PutNew stores a walk-in unless it is stored already.
func (p *ports) PutNew(ctx context.Context, a stage.Attribution, expires time.Time) (stored stage.Attribution, err error) {
	err = p.w.call(ctx, call{port: pipeline.PendingTable, op: "put new", key: string(a.WalkIn.ID), write: true, do: func() (err error) {
		stored, err = p.w.pending.PutNew(background, a, expires)
		return err
	}})
	return stored, err
}

// Resolve sets the contact of a walk-in unless one is set.
func (p *ports) Resolve(ctx context.Context, a stage.Attribution) (stored stage.Attribution, err error) {
	err = p.w.call(ctx, call{port: pipeline.PendingTable, op: "resolve", key: string(a.WalkIn.ID), write: true, do: func() (err error) {
		stored, err = p.w.pending.Resolve(background, a)
		return err
	}})
	return stored, err
}

// End sets the end of a visit unless a later one is set.
func (p *ports) End(ctx context.Context, a stage.Attribution, expires time.Time) (stored stage.Attribution, err error) {
	err = p.w.call(ctx, call{port: pipeline.PendingTable, op: "end", key: string(a.WalkIn.ID), write: true, do: func() (err error) {
		stored, err = p.w.pending.End(background, a, expires)
		return err
	}})
	return stored, err
}

// Stored reads one walk-in after another: DynamoDB answers a batch in parts, so the
// result is not a snapshot.
func (p *ports) Stored(ctx context.Context, walkIns []events.WalkIn) ([]stage.Attribution, error) {
	all := make([]stage.Attribution, 0, len(walkIns))
	for _, w := range walkIns {
		err := p.w.call(ctx, call{port: pipeline.PendingTable, op: "stored", key: string(w.ID), do: func() error {
			one, err := p.w.pending.Stored(background, []events.WalkIn{w})
			all = append(all, one...)
			return err
		}})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// OfDevice is a consistent read.
func (p *ports) OfDevice(ctx context.Context, key stage.IdentityKey, from time.Time) (all []stage.Attribution, err error) {
	err = p.w.call(ctx, call{port: pipeline.PendingTable, op: "of device", key: string(events.DeviceKey(key.Business, key.Device)), n: from.Unix(), do: func() (err error) {
		all, err = p.w.pending.OfDevice(background, key, from)
		return err
	}})
	return all, err
}

// Add may store some of the facts if it fails, because the table takes a limited
// number at a time.
func (p *ports) Add(ctx context.Context, key stage.CountKey, month string, facts []presence.Fact) error {
	facts = slices.Clone(facts)
	add := func(some []presence.Fact) error {
		// Note the visits that the former version has counted.
		for _, f := range some {
			p.w.seen.byID[f.Visit] = p.w.seen.byID[f.Visit] || isIDOnly(f)
		}
		return p.w.counts.Add(background, key, month, some)
	}
	return p.w.call(ctx, call{
		port: pipeline.CountsTable, op: "add", key: string(events.ContactKey(key.Business, key.Contact)) + " " + month, n: int64(len(facts)), write: true,
		do: func() error { return add(facts) },
		part: func() {
			// memory accepts every valid month, so Add returns no error.
			_ = add(facts[:p.w.intn(len(facts))])
		},
	})
}

// Get reads the first months earlier than the others: a query is not a snapshot.
func (p *ports) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	read := func() (months []stage.MonthCount, err error) {
		err = p.w.call(ctx, call{port: pipeline.CountsTable, op: "get", key: string(events.ContactKey(key.Business, key.Contact)), do: func() (err error) {
			months, err = p.w.counts.Get(background, key)
			return err
		}})
		return months, err
	}
	first, err := read()
	if err != nil || len(first) < 2 {
		return first, err
	}
	second, err := read()
	if err != nil {
		return nil, err
	}
	// The first half of the months from the first read, the others from the second.
	n := len(first) / 2
	all := slices.Concat(first[:n], slices.DeleteFunc(second, func(m stage.MonthCount) bool { return m.Month <= first[n-1].Month }))
	if _, derived := p.w.counts.(*memory.Counts); derived {
		stage.SetTotals(all) // a mutant computes totals in another way
	}
	return all, nil
}

// SetBase is a conditional write.
func (p *ports) SetBase(ctx context.Context, key stage.CountKey, base, version int64) error {
	return p.w.call(ctx, call{port: pipeline.CountsTable, op: "set base", key: string(events.ContactKey(key.Business, key.Contact)), n: version, write: true, do: func() error {
		return p.w.counts.SetBase(background, key, base, version)
	}})
}
