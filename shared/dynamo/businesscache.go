package dynamo

import (
	"maps"
	"sync"
	"time"

	"footfall/shared/business"
	"footfall/shared/stage"
)

const (
	// maxAge bounds the age of an item that is used without regard to the marker,
	// and the age of the marker.
	maxAge = 20 * time.Second
	// Once pruneAbove items are remembered, items unused for maxIdle are dropped.
	maxIdle    = 10 * time.Minute
	pruneAbove = 10_000
	// maxAbsent bounds how many absent items are remembered: a client with the URL
	// of ingest can ask for any number of businesses. A pipeline has far fewer
	// businesses without settings. So many absent items take 15 MB.
	maxAbsent = 50_000
)

// knownItem is an item as read from the table, present or absent.
type knownItem struct {
	readAt time.Time // before the read began
	usedAt time.Time // to within maxAge
	rules  []stage.RulesSince
	door   *business.Door
}

// absent reports whether the table had no such item.
func (k knownItem) absent() bool { return k.rules == nil && k.door == nil }

// businessCache holds the items that an environment remembers of the table. The
// comment of Businesses has the rules.
type businessCache struct {
	readTurn chan struct{} // a semaphore of 1: one goroutine at a time reads the table

	mu            sync.Mutex
	items         map[string]knownItem // by partition key
	limit         int                  // drop idle items when there are so many
	absent        int                  // absent items put since they were last dropped
	markerReadAt  time.Time            // before the read of the marker began
	changingUntil time.Time            // the marker's time
}

// usable reports whether a remembered item can be used: if the item is young, or if
// the marker is young and the marker's time lies before the item was read.
//
// Neither is young if it was read in the future: the clock was set back after the
// read, so the age is unknown.
func (c *businessCache) usable(k knownItem, now time.Time) bool {
	young := func(at time.Time) bool { return !at.After(now) && now.Sub(at) < maxAge }
	return young(k.readAt) || young(c.markerReadAt) && c.changingUntil.Before(k.readAt)
}

// all returns the items of pks, or false if an item must be read.
func (c *businessCache) all(pks []string, now time.Time) ([]knownItem, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := make([]knownItem, len(pks))
	for i, pk := range pks {
		k, ok := c.items[pk]
		if !ok || !c.usable(k, now) {
			return nil, false
		}
		if now.Sub(k.usedAt) > maxAge { // not at each use, to write to the map less often
			k.usedAt = now
			c.items[pk] = k
		}
		got[i] = k
	}
	return got, true
}

// wantsMarker reports whether reading the marker may save reading an item: an item
// is remembered but old, and the marker is old too.
func (c *businessCache) wantsMarker(pks []string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, pk := range pks {
		if k, ok := c.items[pk]; ok && now.Sub(k.readAt) >= maxAge && now.Sub(c.markerReadAt) >= maxAge {
			return true
		}
	}
	return false
}

// setMarker remembers the marker's time.
func (c *businessCache) setMarker(readAt, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.markerReadAt, c.changingUntil = readAt, until
}

// missing returns the items of pks, and the indexes of the items that must be read:
// the unknown ones, and the ones that are no longer usable.
func (c *businessCache) missing(pks []string, now time.Time) (got []knownItem, missing []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got = make([]knownItem, len(pks))
	for i, pk := range pks {
		k, ok := c.items[pk]
		if !ok || !c.usable(k, now) {
			missing = append(missing, i)
		}
		got[i] = k
	}
	return got, missing
}

// put remembers an item. Its age counts from k.readAt.
func (c *businessCache) put(pk string, k knownItem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items == nil {
		c.items = map[string]knownItem{}
	}
	// Drop idle items, and again at twice as many items as are left, so that pruning
	// costs constant time per item put.
	if len(c.items) >= max(c.limit, pruneAbove) {
		maps.DeleteFunc(c.items, func(_ string, o knownItem) bool { return k.readAt.Sub(o.usedAt) > maxIdle })
		c.limit = 2 * len(c.items)
	}
	// Drop the absent items if there may be too many. A client that asks for one
	// unknown business after the other fills no environment, and does not push out
	// the businesses that exist.
	if _, known := c.items[pk]; k.absent() && !known {
		if c.absent++; c.absent > maxAbsent {
			maps.DeleteFunc(c.items, func(_ string, o knownItem) bool { return o.absent() })
			c.absent = 1
		}
	}
	k.usedAt = k.readAt
	c.items[pk] = k
}
