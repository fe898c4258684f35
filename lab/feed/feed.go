// Package feed puts recorded items on the topics as their senders would have,
// with the recording's clock as ticks.
package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"footfall/events"
	"footfall/lab/recording"
	"footfall/shared/stage"
)

// Source gives items in the order of their arrival, and io.EOF after the last.
type Source interface {
	Next() (recording.Item, error)
}

// Options says where the items go and how fast.
type Options struct {
	Out        stage.Producer
	Partitions int32 // of sightings
	// Settle waits until the CRM events put so far are processed. A login is put
	// on sightings by identify, at its own time: a replay that ran on meanwhile
	// would make it late.
	Settle func(context.Context) error
	// Speed is how many seconds of the recording go into one of the wall clock;
	// 0 is as many as the machine can.
	Speed float64
	// Fed is called now and then with how many items were put.
	Fed func(Stats)
}

// Stats says what was put.
type Stats struct {
	Sightings, CRMEvents, Ticks int64 // a tick on every partition is one
	From, To                    time.Time
}

const (
	// chunk is how many records are produced at once.
	chunk = 5000
	// busy is how long after the last item the clock still ticks each minute.
	// After that it ticks each hour, which tells the same: no visit is so long
	// silent and still open by default, and one that is ends an hour late at most.
	busy = time.Hour
	// backfilled is how old a CRM event is on arrival that comes from an archive.
	backfilled = time.Hour
	// tail is how long the clock goes on after the last item: the longest silence
	// that rules allow, and more.
	tail = 13 * time.Hour
)

// Run puts all items of src and ticks on until every visit has ended.
func Run(ctx context.Context, src Source, o Options) (Stats, error) {
	f := &feeder{Options: o, began: time.Now()}
	for {
		it, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return f.stats, err
		}
		if err := f.put(ctx, &it); err != nil {
			return f.stats, fmt.Errorf("%v: %w", it.Source, err)
		}
	}
	if f.stats.From.IsZero() {
		return f.stats, nil
	}
	f.pace = false
	if err := f.tickUntil(ctx, f.stats.To.Add(tail)); err != nil {
		return f.stats, err
	}
	return f.stats, f.flush(ctx)
}

type feeder struct {
	Options
	buf    []stage.Record
	stats  Stats
	clock  time.Time // of the last tick
	began  time.Time
	pace   bool
	unread bool // CRM events were put since the last Settle
}

func (f *feeder) put(ctx context.Context, it *recording.Item) error {
	if f.stats.From.IsZero() {
		f.stats.From, f.clock = it.ArrivedAt, it.ArrivedAt.Truncate(time.Minute).Add(-time.Minute)
		f.pace = f.Speed > 0
	}
	if err := f.tickUntil(ctx, it.ArrivedAt); err != nil {
		return err
	}
	f.stats.To = it.ArrivedAt
	if err := f.wait(ctx, it.ArrivedAt); err != nil {
		return err
	}
	r, err := f.record(it)
	if err != nil {
		return err
	}
	f.buf = append(f.buf, r)
	if len(f.buf) >= chunk {
		return f.flush(ctx)
	}
	return nil
}

func (f *feeder) record(it *recording.Item) (stage.Record, error) {
	r := stage.Record{Partition: stage.AnyPartition}
	var event any = &it.Sighting
	if it.CRM == nil {
		r.Topic, r.Key = events.Sightings, events.DeviceKey(it.Sighting.Business, it.Sighting.Device)
		f.stats.Sightings++
	} else {
		r.Topic, r.Key = events.CRMEvents, events.BusinessKey(it.CRM.Business())
		if it.ArrivedAt.Sub(it.CRM.At()) > backfilled {
			r.Topic = events.CRMEventsBackfill
		}
		f.stats.CRMEvents++
		f.unread = true
		switch {
		case it.CRM.Login != nil:
			event = it.CRM.Login
		case it.CRM.Changed != nil:
			event = it.CRM.Changed
		default:
			event = it.CRM.Deleted
		}
	}
	var err error
	r.Value, err = events.Encode(nil, event)
	return r, err
}

// tickUntil puts the ticks that are due before something arrives at at. The last
// one is of that very minute, whatever pause was before: with an older clock a
// sighting that comes too late would count, and the ticks of the minutes between
// would follow what arrived after them.
func (f *feeder) tickUntil(ctx context.Context, at time.Time) error {
	for minute := at.Truncate(time.Minute); f.clock.Before(minute); {
		next := f.clock.Add(time.Minute)
		if next.Sub(f.stats.To) > busy {
			next = f.clock.Add(time.Hour)
		}
		if next.After(minute) {
			next = minute
		}
		if err := f.tick(ctx, next); err != nil {
			return err
		}
	}
	return nil
}

func (f *feeder) tick(ctx context.Context, at time.Time) error {
	if f.unread {
		if err := f.flush(ctx); err != nil {
			return err
		}
		if err := f.Settle(ctx); err != nil {
			return fmt.Errorf("wait for CRM events: %w", err)
		}
		f.unread = false
	}
	if err := f.wait(ctx, at); err != nil {
		return err
	}
	ticks, err := stage.TickRecords(at, f.Partitions)
	if err != nil {
		return err
	}
	if at.After(time.Now()) { // a recording of days to come, at which detect would take the ticks for a mistake
		for i := range ticks {
			ticks[i].Timestamp = at
		}
	}
	f.buf = append(f.buf, ticks...)
	f.clock = at
	f.stats.Ticks++
	if len(f.buf) >= chunk {
		return f.flush(ctx)
	}
	return nil
}

// wait keeps the pace: it puts what is due and sleeps until at has come.
func (f *feeder) wait(ctx context.Context, at time.Time) error {
	if !f.pace {
		return nil
	}
	due := f.began.Add(time.Duration(float64(at.Sub(f.stats.From)) / f.Speed))
	left := time.Until(due)
	if left < 10*time.Millisecond {
		return nil
	}
	if err := f.flush(ctx); err != nil {
		return err
	}
	select {
	case <-time.After(left):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *feeder) flush(ctx context.Context) error {
	if len(f.buf) == 0 {
		return nil
	}
	if err := f.Out.Produce(ctx, f.buf); err != nil {
		return fmt.Errorf("put %d records: %w", len(f.buf), err)
	}
	f.buf = f.buf[:0]
	if f.Fed != nil {
		f.Fed(f.stats)
	}
	return nil
}
