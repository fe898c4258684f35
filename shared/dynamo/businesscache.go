package dynamo

import (
	"maps"
	"sync"
	"time"

	"footfall/shared/business"
	"footfall/shared/stage"
)

const (
	// maxAge is how old what was read may be without a look at the marker, and how
	// old that look.
	maxAge = 20 * time.Second
	// maxIdle is how long an item is remembered that nobody asks for, once there are
	// many of them.
	maxIdle    = 10 * time.Minute
	pruneAbove = 10_000
	// maxAbsent is how many items are remembered that are not there: whoever knows
	// the address of ingest can ask for any number of businesses. It is far more
	// than a pipeline has that go by the defaults, and takes 15 MB.
	maxAbsent = 50_000
)

// knownItem is an item as it was read, or that there is none.
type knownItem struct {
	readAt time.Time // begun then
	usedAt time.Time
	rules  []stage.RulesSince
	door   *business.Door
}

// absent says whether the item was not there.
func (k knownItem) absent() bool { return k.rules == nil && k.door == nil }

// businessCache is what an environment remembers of the table.
type businessCache struct {
	readTurn chan struct{} // of the one that reads the table

	mu            sync.Mutex
	items         map[string]knownItem
	limit         int       // of items, before unused ones go
	absent        int       // items put that were not there, since those went
	markerReadAt  time.Time // at the marker
	changingUntil time.Time // which said that
}

// usable says whether an item can be used as it is remembered. What was read at a
// time to come was read before the clock was set back, nobody knows when.
func (c *businessCache) usable(k knownItem, now time.Time) bool {
	young := func(at time.Time) bool { return !at.After(now) && now.Sub(at) < maxAge }
	return young(k.readAt) || young(c.markerReadAt) && c.changingUntil.Before(k.readAt)
}

// all gives the items if every one of them can be used.
func (c *businessCache) all(pks []string, now time.Time) ([]knownItem, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := make([]knownItem, len(pks))
	for i, pk := range pks {
		k, ok := c.items[pk]
		if !ok || !c.usable(k, now) {
			return nil, false
		}
		if now.Sub(k.usedAt) > maxAge {
			k.usedAt = now
			c.items[pk] = k
		}
		got[i] = k
	}
	return got, true
}

// wantsMarker says whether a look at the marker may save reading an item.
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

func (c *businessCache) setMarker(looked, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.markerReadAt, c.changingUntil = looked, until
}

// missing gives the items that can be used as they are remembered, and the
// numbers of those that must be read.
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

// put remembers an item that was read.
func (c *businessCache) put(pk string, k knownItem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items == nil {
		c.items = map[string]knownItem{}
	}
	if len(c.items) >= max(c.limit, pruneAbove) {
		maps.DeleteFunc(c.items, func(_ string, o knownItem) bool { return k.readAt.Sub(o.usedAt) > maxIdle })
		c.limit = 2 * len(c.items)
	}
	if _, known := c.items[pk]; k.absent() && !known {
		if c.absent++; c.absent > maxAbsent {
			maps.DeleteFunc(c.items, func(_ string, o knownItem) bool { return o.absent() })
			c.absent = 1
		}
	}
	k.usedAt = k.readAt
	c.items[pk] = k
}
