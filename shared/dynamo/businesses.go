package dynamo

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

var _ stage.Businesses = (*Businesses)(nil)

// Businesses is a stage.Businesses in the table businesses, and keeps there what
// ingest goes by. What it reads it remembers, also that there is nothing, and is
// at most half a minute behind the table.
//
// A business is two items, its rules with those that held before, and its door;
// a third item, the marker, is there once for all of them:
//
//	<business>       v version N, d history of settings S
//	<business>/door  v version N, d door S
//	/changed         u until N
//
// An environment would have to read each business every half minute to see the
// one that changes now and then. Instead it reads the marker, and takes what it
// read of a business for good as long as the marker's time lies before that. So a
// writer
//
//  1. moves the marker to a minute and a half from now, never back, then
//  2. puts the item, on condition of its version, and
//  3. looks at the clock: the put must have ended within half a minute.
//
// In that order, since an environment that reads the item just before the put,
// and the marker before it is moved, would take the old item for good. Moved
// first, the marker has everybody read again until it is past, twenty seconds
// after each reading: also whoever had read that there is no such item. A minute
// is left for clocks that differ. A writer that dies in between, or loses a
// condition, has cost some reads. One whose answer was lost meets its own version,
// and sees by the item that it has won. One that took too long may have been
// overtaken by the marker, so it moves the marker and puts again; see SetRules for
// the time from which on its rules hold.
type Businesses struct {
	table table
	now   func() time.Time
	cache businessCache
}

// NewBusinesses uses the table prefix + pipeline.BusinessesTable.
func NewBusinesses(client *dynamodb.Client, prefix string) *Businesses {
	return &Businesses{
		table: table{client, prefix + pipeline.BusinessesTable}, now: wallClock,
		cache: businessCache{readTurn: make(chan struct{}, 1)},
	}
}

// wallClock leaves the monotonic clock out, which stands still while Lambda has an
// environment frozen, nearly all of the minute between two ticks: by that clock
// what was read hours ago would be young.
func wallClock() time.Time { return time.Now().Round(0) }

const (
	markerPK   = "/changed" // no business is called so
	doorSuffix = "/door"
)

func doorPK(id events.BusinessID) string { return string(id) + doorSuffix }

// Rules gives the rules of each business, in the order of ids.
func (b *Businesses) Rules(ctx context.Context, ids []events.BusinessID) ([][]stage.RulesSince, error) {
	pks := make([]string, len(ids))
	for i, id := range ids {
		pks[i] = string(id)
	}
	known, err := b.load(ctx, pks)
	if err != nil {
		return nil, err
	}
	all := make([][]stage.RulesSince, len(ids))
	for i := range known {
		all[i] = known[i].rules
	}
	return all, nil
}

// Entrance gives what ingest goes by for a business now; ok is false for one that
// nothing is stored of.
func (b *Businesses) Entrance(ctx context.Context, id events.BusinessID) (e business.Entrance, ok bool, err error) {
	known, err := b.load(ctx, []string{string(id), doorPK(id)})
	if err != nil {
		return e, false, err
	}
	rules, door := known[0].rules, known[1].door
	if rules == nil && door == nil {
		return e, false, nil
	}
	inForce := presence.DefaultRules()
	now := presence.InstantOf(b.now())
	for i := range rules {
		if rules[i].Since <= now {
			inForce = rules[i].Rules
		}
	}
	if door == nil {
		door = &business.Door{}
	}
	return business.NewEntrance(*door, &inForce), true, nil
}

// load gives what is remembered of items, and reads what is not.
func (b *Businesses) load(ctx context.Context, pks []string) ([]knownItem, error) {
	if got, ok := b.cache.all(pks, b.now()); ok {
		return got, nil
	}
	// One asks, whoever else needs the same waits for what it finds.
	select {
	case b.cache.readTurn <- struct{}{}:
		defer func() { <-b.cache.readTurn }()
	case <-ctx.Done():
		return nil, b.table.wrap("read", pks[0], ctx.Err())
	}
	if b.cache.wantsMarker(pks, b.now()) {
		at := b.now()
		until, err := b.readMarker(ctx)
		if err != nil {
			return nil, err
		}
		b.cache.setMarker(at, until)
	}
	now := b.now()
	got, missing := b.cache.missing(pks, now)
	ask := make([]string, len(missing))
	for n, i := range missing {
		ask[n] = pks[i]
	}
	items, err := b.table.readAll(ctx, keyPK, ask)
	if err != nil {
		return nil, err
	}
	for _, i := range missing {
		if got[i], err = decodeItem(items[pks[i]]); err != nil {
			return nil, b.table.wrap("read", pks[i], err)
		}
		got[i].readAt = now
		b.cache.put(pks[i], got[i])
	}
	return got, nil
}

// decodeItem reads an item; nil gives what is known of none.
func decodeItem(i item) (k knownItem, err error) {
	r := reader{item: i}
	text := r.str(attrData)
	switch {
	case r.err != nil || i == nil:
		return k, r.err
	case isDoor(r.str(keyPK)):
		k.door, err = decodeDoor(text)
	default:
		var h business.History
		if h, err = business.DecodeHistory([]byte(text)); err == nil {
			k.rules, err = h.Rules()
		}
	}
	return k, err
}

// readMarker reads until when businesses change.
func (b *Businesses) readMarker(ctx context.Context) (time.Time, error) {
	row, err := b.table.read(ctx, item{keyPK: str(markerPK)})
	if err != nil {
		return time.Time{}, b.table.wrap("read", markerPK, err)
	}
	r := reader{item: row}
	until := r.time(attrUntil)
	return until, b.table.wrap("read", markerPK, r.err)
}
