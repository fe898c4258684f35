package stage_test

import (
	"context"
	"math/rand/v2"
	"time"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// turns lets some workers run one call of a port at a time, in an order that a
// seed decides, and loses some of the calls and of their answers.
type turns struct {
	random *rand.Rand
	faults int // left to inject
	events chan turn
}

// turn is a worker that waits for leave to make a call, or has ended where
// leave is nil.
type turn struct{ leave chan fate }

// fate is what becomes of a call.
type fate int

const (
	answered fate = iota
	notMade
	answerLost
)

// run starts the workers and returns when all have ended. Between two calls of
// the ports only one worker runs.
func (s *turns) run(workers ...func()) {
	s.events = make(chan turn)
	running := len(workers)
	for _, work := range workers {
		go func() {
			work()
			s.events <- turn{}
		}()
	}
	var waiting []turn
	for {
		for ; running > 0; running-- {
			if e := <-s.events; e.leave != nil {
				waiting = append(waiting, e)
			}
		}
		if len(waiting) == 0 {
			return
		}
		i := s.random.IntN(len(waiting))
		next := waiting[i]
		waiting = append(waiting[:i], waiting[i+1:]...)
		running++
		next.leave <- s.fate()
	}
}

func (s *turns) fate() fate {
	if s.faults == 0 || s.random.IntN(4) > 0 {
		return answered
	}
	s.faults--
	return fate(1 + s.random.IntN(2))
}

// call waits for the worker's turn, then makes the call.
func (s *turns) call(do func() error) error {
	leave := make(chan fate)
	s.events <- turn{leave}
	f := <-leave
	if f == notMade {
		return errInjected
	}
	if err := do(); err != nil {
		return err
	}
	if f == answerLost {
		return errInjected
	}
	return nil
}

// inTurns are the ports of identify, enrich and count with each call a turn.
type inTurns struct {
	*turns
	people
	counts stage.Counts
}

func (p inTurns) Devices(ctx context.Context, keys []stage.IdentityKey) (h []presence.History, v []int64, err error) {
	err = p.call(func() (err error) {
		h, v, err = p.identities.Devices(ctx, keys)
		return err
	})
	return h, v, err
}

func (p inTurns) PutDevice(ctx context.Context, key stage.IdentityKey, h presence.History, version int64) error {
	return p.call(func() error { return p.identities.PutDevice(ctx, key, h, version) })
}

func (p inTurns) Contact(ctx context.Context, b events.BusinessID, c events.ContactID) (r stage.ContactRecord, v int64, err error) {
	err = p.call(func() (err error) {
		r, v, err = p.identities.Contact(ctx, b, c)
		return err
	})
	return r, v, err
}

func (p inTurns) PutContact(ctx context.Context, b events.BusinessID, c events.ContactID, r stage.ContactRecord, version int64) error {
	return p.call(func() error { return p.identities.PutContact(ctx, b, c, r, version) })
}

func (p inTurns) PutNew(ctx context.Context, a stage.Attribution, expires time.Time) (stored stage.Attribution, err error) {
	err = p.call(func() (err error) {
		stored, err = p.pending.PutNew(ctx, a, expires)
		return err
	})
	return stored, err
}

func (p inTurns) Resolve(ctx context.Context, a stage.Attribution) (stored stage.Attribution, err error) {
	err = p.call(func() (err error) {
		stored, err = p.pending.Resolve(ctx, a)
		return err
	})
	return stored, err
}

func (p inTurns) OfDevice(ctx context.Context, key stage.IdentityKey, from time.Time) (all []stage.Attribution, err error) {
	err = p.call(func() (err error) {
		all, err = p.pending.OfDevice(ctx, key, from)
		return err
	})
	return all, err
}

func (p inTurns) Produce(ctx context.Context, records []stage.Record) error {
	return p.call(func() error { return p.out.Produce(ctx, records) })
}

func (p inTurns) Add(ctx context.Context, key stage.CountKey, month string, ids []events.WalkInID) error {
	return p.call(func() error { return p.counts.Add(ctx, key, month, ids) })
}

func (p inTurns) Get(ctx context.Context, key stage.CountKey) (m []stage.MonthCount, err error) {
	err = p.call(func() (err error) {
		m, err = p.counts.Get(ctx, key)
		return err
	})
	return m, err
}

// poller gives the records of a partition to a stage one by one, each until it
// is done.
func (p inTurns) poller(h stage.Handler, l *partitionLog) func() {
	return func() {
		for i := range l.records {
			for h.Handle(context.Background(), l.batch(i, i+1)) != nil {
				continue
			}
		}
	}
}

func (p inTurns) identify() stage.Handler {
	return stage.NewIdentify(stage.IdentifyDeps{Identities: p, Pending: p, Out: p})
}

func (p inTurns) enrich() stage.Handler {
	return stage.NewEnrich(stage.EnrichDeps{Identities: p, Pending: p, Out: p})
}

func (p inTurns) count() stage.Handler { return stage.NewCount(stage.CountDeps{Counts: p, Out: p}) }
