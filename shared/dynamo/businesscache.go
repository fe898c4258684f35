package dynamo

import (
	"maps"
	"sync"
	"time"

	"footfall/shared/business"
	"footfall/shared/stage"
)

const (
	// fresh is how old what was read may be without a look at the marker, and how
	// old that look.
	fresh = 20 * time.Second
	// unused is how long an item is remembered that nobody asks for, once there are
	// many of them.
	unused    = 10 * time.Minute
	manyItems = 10_000
	// manyAbsent is how many items are remembered that are not there: whoever knows
	// the address of ingest can ask for any number of businesses. It is far more
	// than a pipeline has that go by the defaults, and takes 15 MB.
	manyAbsent = 50_000
)

// knownItem is an item as it was read, or that there is none.
type knownItem struct {
	read  time.Time // begun then
	used  time.Time
	rules []stage.RulesSince
	door  *business.Door
}

// absent says whether the item was not there.
func (k knownItem) absent() bool { return k.rules == nil && k.door == nil }

// businessCache is what an environment remembers of the table.
type businessCache struct {
	turn chan struct{} // of the one that reads the table

	mu     sync.Mutex
	items  map[string]knownItem
	limit  int       // of items, before unused ones go
	absent int       // items put that were not there, since those went
	looked time.Time // at the marker
	until  time.Time // which said that
}

// good says whether an item can be used as it is remembered. What was read at a
// time to come was read before the clock was set back, nobody knows when.
func (c *businessCache) good(k knownItem, now time.Time) bool {
	young := func(at time.Time) bool { return !at.After(now) && now.Sub(at) < fresh }
	return young(k.read) || young(c.looked) && c.until.Before(k.read)
}

// all gives the items if every one of them can be used.
func (c *businessCache) all(pks []string, now time.Time) ([]knownItem, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := make([]knownItem, len(pks))
	for i, pk := range pks {
		k, ok := c.items[pk]
		if !ok || !c.good(k, now) {
			return nil, false
		}
		if now.Sub(k.used) > fresh {
			k.used = now
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
		if k, ok := c.items[pk]; ok && now.Sub(k.read) >= fresh && now.Sub(c.looked) >= fresh {
			return true
		}
	}
	return false
}

func (c *businessCache) marked(looked, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked, c.until = looked, until
}

// missing gives the items that can be used as they are remembered, and the
// numbers of those that must be read.
func (c *businessCache) missing(pks []string, now time.Time) (got []knownItem, missing []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got = make([]knownItem, len(pks))
	for i, pk := range pks {
		k, ok := c.items[pk]
		if !ok || !c.good(k, now) {
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
	if len(c.items) >= max(c.limit, manyItems) {
		maps.DeleteFunc(c.items, func(_ string, o knownItem) bool { return k.read.Sub(o.used) > unused })
		c.limit = 2 * len(c.items)
	}
	if _, known := c.items[pk]; k.absent() && !known {
		if c.absent++; c.absent > manyAbsent {
			maps.DeleteFunc(c.items, func(_ string, o knownItem) bool { return o.absent() })
			c.absent = 1
		}
	}
	k.used = k.read
	c.items[pk] = k
}
