package stage

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"footfall/events"
	"footfall/shared/pipeline"
)

// EnrichDeps is what enrich works with.
type EnrichDeps struct {
	Identities Identities
	Pending    Pending
	Out        Producer
}

// NewEnrich makes the stage that finds whose walk-in it is, and tells it again
// when its visit is over.
//
// A walk-in is stored first, with its contact if that is known, else as
// pending, and then the identities are looked at again. Identify writes a
// binding first and looks for pending walk-ins then. So of a login and a
// walk-in that meet, at least one sees the other. What is stored decides: a
// walk-in that has a contact keeps it, through retries and replays, whatever
// was learnt since. Nothing that is stored keeps a walk-in from being produced
// again.
//
// The end of a visit is stored with its walk-in, which it may be read before.
// Whoever writes a contact gets the end that is stored then, and whoever writes
// the end gets the contact: of the two the second one knows both and tells them,
// and where it dies before it can, its retry finds them stored.
func NewEnrich(deps EnrichDeps) Handler { return &enrich{deps} }

type enrich struct{ deps EnrichDeps }

const (
	// attributionRetention keeps what a walk-in was attributed to for longer than
	// history can be replayed.
	attributionRetention = 100 * 24 * time.Hour
	// writers is how many writes of one batch are under way at once.
	writers = 16
)

// Handle attributes a batch of walk-ins, or takes in a batch of ends.
func (e *enrich) Handle(ctx context.Context, b Batch) error {
	var stored []Attribution
	var out []Record
	var err error
	if b.Topic == events.VisitsEnded {
		stored, out, err = e.ends(ctx, b)
	} else {
		stored, out, err = e.walkIns(ctx, b)
	}
	if err != nil {
		return fmt.Errorf("enrich %s/%d: %w", b.Topic, b.Partition, err)
	}
	for i := range stored {
		if stored[i].Contact == "" {
			continue
		}
		r, err := enriched(&stored[i])
		if err != nil {
			return err
		}
		out = append(out, r)
	}
	if err := produce(ctx, e.deps.Out, out); err != nil {
		return fmt.Errorf("enrich %s/%d: %w", b.Topic, b.Partition, err)
	}
	return nil
}

// walkIns gives what is stored of a batch of walk-ins, and the dead letters.
func (e *enrich) walkIns(ctx context.Context, b Batch) ([]Attribution, []Record, error) {
	walkIns, dead, err := decodeAll(pipeline.Enrich, b, events.DecodeWalkIn)
	if err != nil {
		return nil, nil, err
	}
	stored, err := e.attribute(ctx, walkIns, expiresAfter(b))
	return stored, dead, err
}

// ends is walkIns for a batch of ends. Those of anonymous visits count too: a
// randomised address may be somebody's although it did not associate this time.
func (e *enrich) ends(ctx context.Context, b Batch) ([]Attribution, []Record, error) {
	ended, dead, err := decodeAll(pipeline.Enrich, b, events.DecodeVisitEnded)
	if err != nil {
		return nil, nil, err
	}
	all, expires := latestEnds(ended), expiresAfter(b)
	err = each(ctx, len(all), func(ctx context.Context, i int) (err error) {
		all[i], err = e.deps.Pending.End(ctx, all[i], expires)
		return err
	})
	return all, dead, err
}

// latestEnds folds ends, of each visit the latest. Those of no customer's device
// have no walk-in.
func latestEnds(ended []events.VisitEnded) []Attribution {
	var all []Attribution
	at := map[events.WalkInID]int{}
	for i := range ended {
		v := &ended[i]
		if v.Resident {
			continue
		}
		n, ok := at[v.ID]
		if !ok {
			n = len(all)
			at[v.ID] = n
			all = append(all, Attribution{WalkIn: events.WalkIn{
				ID: v.ID, Business: v.Business, Device: v.Device, StartedAt: v.StartedAt,
			}})
		}
		if v.LastSeenAt.After(all[n].LastSeen) {
			all[n].LastSeen = v.LastSeenAt
		}
	}
	return all
}

func (e *enrich) attribute(ctx context.Context, walkIns []events.WalkIn, expires time.Time) ([]Attribution, error) {
	all := distinct(walkIns)
	if err := e.look(ctx, all); err != nil {
		return nil, err
	}
	err := each(ctx, len(all), func(ctx context.Context, i int) (err error) {
		all[i], err = e.deps.Pending.PutNew(ctx, all[i], expires)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, e.lookAgain(ctx, all)
}

// distinct folds walk-ins that were told more than once.
func distinct(walkIns []events.WalkIn) []Attribution {
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

// look fills in the contacts that the identities tell, and notes that the
// devices were seen.
func (e *enrich) look(ctx context.Context, all []Attribution) error {
	keys := make([]IdentityKey, len(all))
	for i := range all {
		keys[i] = IdentityKey{all[i].WalkIn.Business, all[i].WalkIn.Device}
	}
	histories, _, err := e.deps.Identities.Devices(ctx, keys)
	if err != nil {
		return err
	}
	for i := range all {
		start := all[i].WalkIn.StartedAt
		if b, ok := histories[i].Attribute(start); ok {
			all[i].Contact, all[i].BoundAt = events.ContactID(b.Contact), b.From
		}
	}
	last := map[IdentityKey]time.Time{}
	var moved []IdentityKey // the keys of last, as they came
	for i, key := range keys {
		at := all[i].WalkIn.StartedAt
		if _, moves := histories[i].Seen(at); !moves || all[i].Contact == "" {
			continue
		}
		if _, ok := last[key]; !ok {
			moved = append(moved, key)
		}
		if at.After(last[key]) {
			last[key] = at
		}
	}
	return each(ctx, len(moved), func(ctx context.Context, i int) error {
		return seen(ctx, e.deps.Identities, moved[i], last[moved[i]])
	})
}

// lookAgain looks for the contacts of what was stored as pending.
func (e *enrich) lookAgain(ctx context.Context, all []Attribution) error {
	var pending []Attribution
	var at []int
	for i := range all {
		if all[i].Contact == "" {
			pending, at = append(pending, all[i]), append(at, i)
		}
	}
	if len(pending) == 0 {
		return nil
	}
	if err := e.look(ctx, pending); err != nil {
		return err
	}
	return each(ctx, len(pending), func(ctx context.Context, i int) (err error) {
		if pending[i].Contact != "" {
			all[at[i]], err = e.deps.Pending.Resolve(ctx, pending[i])
		}
		return err
	})
}

// expiresAfter is when what a batch left may go.
func expiresAfter(b Batch) time.Time {
	return b.Records[len(b.Records)-1].Timestamp.Add(attributionRetention)
}

// enriched makes the record of a walk-in that has a contact.
func enriched(a *Attribution) (Record, error) {
	w := &a.WalkIn
	told := events.EnrichedWalkIn{
		ID: w.ID, Business: w.Business, Device: w.Device, Contact: a.Contact,
		StartedAt: w.StartedAt, BoundAt: a.BoundAt, Late: a.BoundAt.After(w.StartedAt),
	}
	if !a.LastSeen.IsZero() {
		told.Ended, told.DwellMillis = true, max(0, a.LastSeen.Sub(w.StartedAt).Milliseconds())
	}
	r, err := EncodeRecord(events.EnrichedWalkIns, events.ContactKey(w.Business, a.Contact), &told)
	if err != nil {
		return Record{}, fmt.Errorf("enriched walk-in %s: %w", w.ID, err)
	}
	return r, nil
}

// each calls do for 0 to n-1, some at once, and gives the first error. A panic
// is an error too: in a goroutine nobody else could catch it, and it would take
// the other partitions of the invocation with it.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for i := range n {
		g.Go(func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
				}
			}()
			return do(ctx, i)
		})
	}
	return g.Wait()
}

func produce(ctx context.Context, out Producer, records []Record) error {
	if len(records) == 0 {
		return nil
	}
	return out.Produce(ctx, records)
}
