package stage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
)

// EnrichDeps are the ports that enrich uses.
type EnrichDeps struct {
	Identities Identities
	Pending    Pending
	Out        Producer
}

// NewEnrich returns the stage for topics walk-ins and visits-ended. Enrich
// attributes walk-ins to contacts and produces an enriched walk-in: when the
// walk-in is attributed, and again, with the dwell time, when the visit has ended.
//
// Enrich stores a walk-in, with a contact if a binding exists and else as pending,
// and looks for bindings again after the write. Identify writes a binding, and
// looks for pending walk-ins after the write. So if a login and a walk-in are
// processed at the same time, at least one of the two stages sees the other's
// write.
//
// The stored attribution decides. A walk-in keeps its contact through retries and
// replays, even if later events would lead to another contact. A stored walk-in is
// produced on every delivery: the attempt at storing the walk-in may have failed
// before it could produce the record.
//
// The end of a visit is stored with the walk-in, and may be read before the
// walk-in. A write of the contact returns the stored end, and a write of the end
// returns the stored contact. So the later of the two writers has both the contact
// and the end, and produces them. If the later writer fails before it produces, its
// retry finds both stored. The earlier writer may produce after the later one: it
// reads again after producing, and records have versions.
func NewEnrich(deps EnrichDeps) Handler { return &enrich{deps} }

type enrich struct{ deps EnrichDeps }

// Handle stores a batch of walk-ins or, on topic visits-ended, a batch of ends,
// and produces the enriched walk-ins and the dead letters.
func (e *enrich) Handle(ctx context.Context, b Batch) error {
	// Store first: out holds the dead letters of the batch so far.
	var stored []Attribution
	var out []Record
	var err error
	if b.Topic == events.VisitsEnded {
		stored, out, err = e.storeEnds(ctx, b)
	} else {
		stored, out, err = e.storeWalkIns(ctx, b)
	}
	if err != nil {
		return fmt.Errorf("enrich %s/%d: %w", b.Topic, b.Partition, err)
	}
	// Produce what is stored, whether or not this attempt stored it. A pending walk-in
	// has no record: identify produces one if a login claims the walk-in.
	stored = slices.DeleteFunc(stored, func(a Attribution) bool { return a.Contact == "" })
	if err := e.produceUntilCurrent(ctx, stored, out); err != nil {
		return fmt.Errorf("enrich %s/%d: %w", b.Topic, b.Partition, err)
	}
	return nil
}

// produceUntilCurrent produces the records of attributed walk-ins and the dead
// letters of the batch, and then the records of walk-ins again that have changed
// since; changedSince states why.
func (e *enrich) produceUntilCurrent(ctx context.Context, attributed []Attribution, dead []Record) error {
	for out := dead; len(attributed)+len(out) > 0; out = nil {
		records, err := enrichedRecords(attributed)
		if err == nil {
			err = e.deps.Out.Produce(ctx, append(out, records...))
		}
		if err == nil {
			attributed, err = changedSince(ctx, e.deps.Pending, attributed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// storeWalkIns stores a batch of walk-ins. It returns the stored attributions and
// the dead letters of the batch.
func (e *enrich) storeWalkIns(ctx context.Context, b Batch) ([]Attribution, []Record, error) {
	walkIns, dead, err := decodeBatch(pipeline.Enrich, b, events.DecodeWalkIn)
	if err != nil {
		return nil, nil, err
	}
	stored, err := e.attribute(ctx, walkIns, attributionExpiry(b))
	return stored, dead, err
}

// storeEnds stores a batch of ends of visits. It returns the stored attributions
// and the dead letters of the batch. The ends of anonymous visits are stored too: a
// randomised address may be bound to a contact although the device did not
// associate in this visit.
func (e *enrich) storeEnds(ctx context.Context, b Batch) ([]Attribution, []Record, error) {
	ended, dead, err := decodeBatch(pipeline.Enrich, b, events.DecodeVisitEnded)
	if err != nil {
		return nil, nil, err
	}
	all, expires := latestEnds(ended), attributionExpiry(b)
	err = concurrently(ctx, len(all), func(ctx context.Context, i int) (err error) {
		all[i], err = e.deps.Pending.End(ctx, all[i], expires)
		return err
	})
	return all, dead, err
}

// latestEnds returns the latest end of each visit, without the visits of resident
// devices, which have no walk-in.
func latestEnds(ended []events.VisitEnded) []Attribution {
	var all []Attribution
	index := map[events.WalkInID]int{} // into all
	for i := range ended {
		v := &ended[i]
		if v.Resident {
			continue
		}
		n, ok := index[v.ID]
		if !ok {
			n = len(all)
			index[v.ID] = n
			all = append(all, Attribution{WalkIn: events.WalkIn{
				ID: v.ID, Business: v.Business, Device: v.Device, StartedAt: v.StartedAt,
			}})
		}
		// A visit may end several times: a late sighting extends an ended visit.
		if v.LastSeenAt.After(all[n].LastSeen) {
			all[n].LastSeen = v.LastSeenAt
		}
	}
	return all
}

// attribute stores walk-ins with their contacts, or as pending, and returns the
// stored attributions.
func (e *enrich) attribute(ctx context.Context, walkIns []events.WalkIn, expires time.Time) ([]Attribution, error) {
	all := distinctWalkIns(walkIns)
	if err := e.lookUpContacts(ctx, all); err != nil {
		return nil, err
	}
	// PutNew returns the stored attribution: on a redelivery, the earlier decision.
	err := concurrently(ctx, len(all), func(ctx context.Context, i int) (err error) {
		all[i], err = e.deps.Pending.PutNew(ctx, all[i], expires)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, e.resolvePending(ctx, all)
}

// distinctWalkIns returns one attribution without contact per walk-in: a batch may
// hold a walk-in several times.
func distinctWalkIns(walkIns []events.WalkIn) []Attribution {
	all := make([]Attribution, 0, len(walkIns))
	known := make(map[events.WalkInID]bool, len(walkIns))
	for i := range walkIns {
		if w := &walkIns[i]; !known[w.ID] {
			known[w.ID] = true
			all = append(all, Attribution{WalkIn: *w})
		}
	}
	return all
}

// lookUpContacts sets the contact of each walk-in from the stored history of its
// device, and stores in the histories when the devices were seen.
func (e *enrich) lookUpContacts(ctx context.Context, all []Attribution) error {
	keys := make([]IdentityKey, len(all))
	for i := range all {
		keys[i] = IdentityKey{all[i].WalkIn.Business, all[i].WalkIn.Device}
	}
	histories, _, err := e.deps.Identities.Devices(ctx, keys)
	if err != nil {
		return err
	}
	// The binding at the start of the walk-in decides, or a login soon after. A batch
	// may hold several walk-ins of a device, weeks apart after a lag or in a replay:
	// each renews the binding for those after it, as if it came in a batch of its own.
	renewed := map[IdentityKey]presence.History{}
	var changed []IdentityKey // the keys of renewed, in the order of the batch
	for i, key := range keys {
		h, known := renewed[key]
		if !known {
			h = histories[i]
		}
		start := all[i].WalkIn.StartedAt
		b, ok := h.Attribute(start)
		if !ok {
			continue
		}
		all[i].Contact, all[i].BoundAt = events.ContactID(b.Contact), b.From
		next, changes := h.Seen(start)
		if changes && !known {
			changed = append(changed, key)
		}
		if changes {
			renewed[key] = next
		}
	}
	// One write per device, and none if its history has not changed.
	return concurrently(ctx, len(changed), func(ctx context.Context, i int) error {
		_, err := recordSeen(ctx, e.deps.Identities, changed[i], renewed[changed[i]].LastSeen)
		return err
	})
}

// resolvePending looks up the contacts of pending walk-ins after they were stored,
// and stores the contacts. This second look-up is needed if a login is processed at
// the same time:
//
//  1. Enrich looks up the contact of a walk-in: the device has no binding.
//  2. Identify writes the binding and looks for pending walk-ins: none is stored.
//  3. Enrich stores the walk-in as pending. No later event would attribute the
//     walk-in.
func (e *enrich) resolvePending(ctx context.Context, all []Attribution) error {
	var pending []Attribution
	var index []int // of each pending walk-in in all
	for i := range all {
		if all[i].Contact == "" {
			pending, index = append(pending, all[i]), append(index, i)
		}
	}
	if len(pending) == 0 {
		return nil
	}
	if err := e.lookUpContacts(ctx, pending); err != nil {
		return err
	}
	// Identify may store a contact at the same time. Resolve keeps and returns the
	// contact stored first.
	return concurrently(ctx, len(pending), func(ctx context.Context, i int) (err error) {
		if pending[i].Contact != "" {
			all[index[i]], err = e.deps.Pending.Resolve(ctx, pending[i])
		}
		return err
	})
}
