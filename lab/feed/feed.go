// Package feed produces recorded items to the topics as their senders would
// have, with ticks that carry the recording's clock as the watermark.
//
// Start reading at Run.
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

// Source is a stream of items in the order of their arrival. Next returns
// io.EOF after the last item.
type Source interface {
	Next() (recording.Item, error)
}

// Options says where the items go and how fast.
type Options struct {
	Out        stage.Producer
	Partitions int32 // number of partitions of sightings: each gets every tick
	// Settle returns when the CRM events produced so far are processed. Stage
	// identify produces a sighting from a login with the login's time: if the
	// replay continued meanwhile, that sighting would be late.
	Settle func(context.Context) error
	// Speed is the number of seconds of the recording per second of the wall
	// clock; 0 is as fast as the machine can.
	Speed float64
	// Fed, if set, is called after each produced batch, for progress.
	Fed func(Stats)
}

// Stats counts the produced items.
type Stats struct {
	Sightings, CRMEvents, Ticks int64 // a tick counts once for all partitions
	// From and To are the arrival of the first and of the last item.
	From, To time.Time
}

const (
	// chunk is the number of records produced at once.
	chunk = 5000
	// busy is how long after the last item a tick follows every minute. After
	// that a tick follows every hour, which emits the same: by default no visit
	// is silent for so long and still open, and a visit that is ends an hour
	// late at most.
	busy = time.Hour
	// backfilled is the age on arrival from which a CRM event counts as one
	// from an archive.
	backfilled = time.Hour
	// tail is how long ticks go on after the last item: the longest session gap
	// that rules allow, and more.
	tail = 13 * time.Hour
)

// Run produces all items of src, then ticks until every visit has ended. It
// returns what it produced, also with an error. Errors name the item's file and
// line.
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
		if err := f.add(ctx, &it); err != nil {
			return f.stats, fmt.Errorf("%v: %w", it.Source, err)
		}
	}
	// Without items there is no clock to advance.
	if f.stats.From.IsZero() {
		return f.stats, nil
	}
	// End the open visits, as fast as possible whatever the speed.
	f.pace = false
	if err := f.tickUntil(ctx, f.stats.To.Add(tail)); err != nil {
		return f.stats, err
	}
	return f.stats, f.flush(ctx)
}

// feeder is the state of Run.
type feeder struct {
	Options
	buf       []stage.Record
	stats     Stats
	watermark time.Time // of the last tick
	began     time.Time // wall clock at the start
	pace      bool      // whether to wait for the wall clock
	unread    bool      // CRM events were produced since the last Settle
}

// add adds one item behind the ticks up to its arrival.
func (f *feeder) add(ctx context.Context, it *recording.Item) error {
	// The first item starts the clock: its own minute is the first tick.
	if f.stats.From.IsZero() {
		f.stats.From, f.watermark = it.ArrivedAt, it.ArrivedAt.Truncate(time.Minute).Add(-time.Minute)
		f.pace = f.Speed > 0
	}
	// Ticks first: the item must meet the watermark of its minute of arrival.
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
	// Sightings that arrived before a CRM event are acknowledged before it is
	// produced. In one call, the broker could store the login first: identify would
	// produce its sighting ahead of sightings that arrived minutes earlier.
	if n := len(f.buf); it.CRM != nil && n > 0 && f.buf[n-1].Topic == events.Sightings {
		if err := f.flush(ctx); err != nil {
			return err
		}
	}
	f.buf = append(f.buf, r)
	if len(f.buf) >= chunk {
		return f.flush(ctx)
	}
	return nil
}

// record encodes an item for the topic that its sender would have produced to.
func (f *feeder) record(it *recording.Item) (stage.Record, error) {
	r := stage.Record{Partition: stage.AnyPartition}
	var event any = &it.Sighting
	// Choose topic and key, and count the item.
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
		// The record holds the kind of event that is set.
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

// tickUntil adds the ticks that precede an item that arrives at arrival. The
// last one is of the minute of the arrival, however long the pause before it.
// With an older watermark a sighting that is too late would count, and the
// ticks of the minutes between would follow records that arrived after them.
func (f *feeder) tickUntil(ctx context.Context, arrival time.Time) error {
	for minute := arrival.Truncate(time.Minute); f.watermark.Before(minute); {
		next := f.watermark.Add(time.Minute)
		if next.Sub(f.stats.To) > busy {
			next = f.watermark.Add(time.Hour)
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

// tick adds a tick on every partition.
func (f *feeder) tick(ctx context.Context, at time.Time) error {
	// A CRM event is processed before the watermark advances beyond it.
	if f.unread {
		if err := f.flush(ctx); err != nil {
			return err
		}
		if err := f.Settle(ctx); err != nil {
			return fmt.Errorf("waiting until the stages have processed the CRM events: %w", err)
		}
		f.unread = false
	}
	if err := f.wait(ctx, at); err != nil {
		return err
	}
	// A recording may lie in the future. Detect takes a tick that is ahead of
	// its record's timestamp for a mistake, so the timestamp is set to the
	// tick's moment.
	ticks, err := stage.TickRecords(at, f.Partitions)
	if err != nil {
		return err
	}
	if at.After(time.Now()) {
		for i := range ticks {
			ticks[i].Timestamp = at
		}
	}
	f.buf = append(f.buf, ticks...)
	f.watermark = at
	f.stats.Ticks++
	if len(f.buf) >= chunk {
		return f.flush(ctx)
	}
	return nil
}

// wait returns when moment at of the recording has come by the wall clock, at
// the wanted speed. It produces the collected records before it sleeps.
func (f *feeder) wait(ctx context.Context, at time.Time) error {
	if !f.pace {
		return nil
	}
	dueAt := f.began.Add(time.Duration(float64(at.Sub(f.stats.From)) / f.Speed))
	left := time.Until(dueAt)
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

// flush produces the collected records.
func (f *feeder) flush(ctx context.Context) error {
	if len(f.buf) == 0 {
		return nil
	}
	if err := f.Out.Produce(ctx, f.buf); err != nil {
		return fmt.Errorf("producing %d records: %w", len(f.buf), err)
	}
	f.buf = f.buf[:0]
	if f.Fed != nil {
		f.Fed(f.stats)
	}
	return nil
}
