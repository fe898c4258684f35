package dynamo

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/invocation"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

var _ stage.Businesses = (*Businesses)(nil)

// Businesses is a stage.Businesses in the table businesses, which also holds the
// doors that ingest reads. It remembers every item it reads, absent items too, and
// is at most half a minute behind the table.
//
// A business has two items: its rules, present and former, and its door. A third
// item, the marker, exists once for all businesses:
//
//	<business>       v version N, d history of settings S
//	<business>/door  v version N, d door S
//	/changed         u until N
//
// Businesses change now and then, and an environment must see a change within half
// a minute. Reading each business every half minute would do, but an environment
// reads the marker instead: while the marker's time lies before the moment at which
// an item was read, the item is unchanged. A writer therefore
//
//  1. moves the marker to a minute and a half from now, never back, then
//  2. puts the item, on condition of its version, and
//  3. looks at the clock: the put must have ended within half a minute of step 1.
//
// The marker must move first. With the put first, an environment could read the
// item just before the put, and would use the old item until the writer gets to
// moving the marker; for good if the writer died in between. Once the marker has
// moved, each environment reads every item again 20 s after the last time, absent
// items too, until the marker's time has passed. The put may take half a minute,
// and a minute is left for differences between clocks.
//
// What can go wrong in a write:
//
//   - The writer dies between the steps, or another writer changes the item first.
//     The marker has moved for nothing, which costs some reads.
//   - DynamoDB applied the put but the answer was lost. The client sends the put
//     again, and the condition fails on the version of the first attempt. The
//     writer begins again with step 1, reads the item, and finds its own text.
//   - The put took longer than half a minute. If the marker's time passed before the
//     put, an environment may have read the old item in between, and would use the
//     old item for good. The writer begins again with step 1; SetRules also lets the
//     rules begin later.
//
// calls.ByTable lists the DynamoDB actions of the methods that stages call.
type Businesses struct {
	table table
	now   func() time.Time
	cache businessCache
}

// NewBusinesses returns the store in the table prefix + pipeline.BusinessesTable,
// which remembers nothing yet.
func NewBusinesses(client *dynamodb.Client, prefix string) *Businesses {
	return &Businesses{
		table: table{client, prefix + pipeline.BusinessesTable}, now: invocation.WallClock,
		cache: businessCache{readTurn: make(chan struct{}, 1)},
	}
}

const (
	markerPK   = "/changed" // no business has a '/' in its id
	doorSuffix = "/door"
)

// doorPK returns the partition key of the door of a business.
func doorPK(id events.BusinessID) string { return string(id) + doorSuffix }

// Rules returns the rules of each business, in the order of ids. The rules of a
// business come by ascending Since; a business that goes by the defaults has none.
// All rules stored half a minute ago are included. The slices are for reading.
func (b *Businesses) Rules(ctx context.Context, ids []events.BusinessID) ([][]stage.RulesSince, error) {
	pks := make([]string, len(ids))
	for i, id := range ids {
		pks[i] = string(id)
	}
	known, err := b.load(ctx, pks)
	if err != nil {
		return nil, err
	}
	all := make([][]stage.RulesSince, len(ids)) // nil if the item is absent
	for i := range known {
		all[i] = known[i].rules
	}
	return all, nil
}

// Entrance returns the door of a business, with the settings in force now that
// ingest needs; ok is false if nothing is stored of the business. The answer is at
// most half a minute behind the table.
func (b *Businesses) Entrance(ctx context.Context, id events.BusinessID) (e business.Entrance, ok bool, err error) {
	known, err := b.load(ctx, []string{string(id), doorPK(id)})
	if err != nil {
		return e, false, err
	}
	rules, door := known[0].rules, known[1].door
	if rules == nil && door == nil {
		return e, false, nil
	}
	// The last revision to have begun is in force, the defaults before the first.
	inForce := presence.DefaultRules()
	now := presence.InstantOf(b.now())
	for i := range rules {
		if rules[i].Since <= now {
			inForce = rules[i].Rules
		}
	}
	if door == nil { // the business has rules, and no sender may post for it
		door = &business.Door{}
	}
	return business.NewEntrance(*door, &inForce), true, nil
}

// load returns the items of pks, in that order, from the cache or from the table.
func (b *Businesses) load(ctx context.Context, pks []string) ([]knownItem, error) {
	if got, ok := b.cache.all(pks, b.now()); ok {
		return got, nil
	}
	// One goroutine at a time reads; the others wait, and then find the items in the
	// cache.
	select {
	case b.cache.readTurn <- struct{}{}:
		defer func() { <-b.cache.readTurn }()
	case <-ctx.Done():
		return nil, b.table.wrap("read", pks[0], ctx.Err())
	}
	// Read the marker if that may save reading items. Ages count from before a read
	// begins: a change during the read may or may not be seen.
	if b.cache.wantsMarker(pks, b.now()) {
		readAt := b.now()
		until, err := b.readMarker(ctx)
		if err != nil {
			return nil, err
		}
		b.cache.setMarker(readAt, until)
	}
	// Read the items that are unknown or may have changed.
	now := b.now()
	got, missing := b.cache.missing(pks, now)
	ask := make([]item, len(missing))
	for n, i := range missing {
		ask[n] = item{keyPK: str(pks[i])}
	}
	items, err := b.table.readAll(ctx, ask)
	if err != nil {
		return nil, err
	}
	for n, i := range missing { // an absent item is nil, and is remembered too
		if got[i], err = decodeItem(items[n]); err != nil {
			return nil, b.table.wrap("read", pks[i], err)
		}
		got[i].readAt = now
		b.cache.put(pks[i], got[i])
	}
	return got, nil
}

// decodeItem decodes the rules or the door of a business; nil is an absent item.
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

// readMarker returns the marker's time, zero if the marker was never set.
func (b *Businesses) readMarker(ctx context.Context) (time.Time, error) {
	row, err := b.table.read(ctx, item{keyPK: str(markerPK)})
	if err != nil {
		return time.Time{}, b.table.wrap("read", markerPK, err)
	}
	r := reader{item: row}
	until := r.time(attrUntil)
	return until, b.table.wrap("read", markerPK, r.err)
}
