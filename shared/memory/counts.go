package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"footfall/events"
	"footfall/shared/stage"
)

var _ stage.Counts = (*Counts)(nil)

// Counts is a stage.Counts. Unlike the one in DynamoDB it takes any text as an
// id, which keeps the tests of stages readable.
type Counts struct {
	mu       sync.RWMutex
	contacts map[stage.CountKey]*contactCount
}

// contactCount is what one contact has: a base where one was set, and the ids
// counted in each month. A total is the number of its ids and is kept nowhere
// else, so the two cannot differ.
type contactCount struct {
	base   stage.MonthCount // Version 0 for none
	months map[string]map[events.WalkInID]struct{}
}

// NewCounts makes a store where nobody has come.
func NewCounts() *Counts { return &Counts{contacts: map[stage.CountKey]*contactCount{}} }

// Add counts ids in month, each of them once for ever.
func (c *Counts) Add(ctx context.Context, key stage.CountKey, month string, ids []events.WalkInID) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: count of %s/%s: %w", key.Business, key.Contact, err)
	}
	if err := checkMonth(month); err != nil {
		return fmt.Errorf("memory: count of %s/%s: %w", key.Business, key.Contact, err)
	}
	if len(ids) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	months := c.of(key).months
	if months[month] == nil {
		months[month] = map[events.WalkInID]struct{}{}
	}
	for _, id := range ids {
		months[month][id] = struct{}{}
	}
	return nil
}

// SetBase sets the base count if its version is still version.
func (c *Counts) SetBase(ctx context.Context, key stage.CountKey, base, version int64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: base count of %s/%s: %w", key.Business, key.Contact, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	contact := c.of(key)
	if contact.base.Version != version {
		return fmt.Errorf("memory: base count of %s/%s: version %d is not the stored one: %w",
			key.Business, key.Contact, version, stage.ErrConflict)
	}
	contact.base = stage.MonthCount{Total: base, Version: version + 1}
	return nil
}

// of gives the entry of key and makes it where there is none; the caller holds
// the lock.
func (c *Counts) of(key stage.CountKey) *contactCount {
	if c.contacts[key] == nil {
		c.contacts[key] = &contactCount{months: map[string]map[events.WalkInID]struct{}{}}
	}
	return c.contacts[key]
}

// Get gives the base count, where one was set, and then the months.
func (c *Counts) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: counts of %s/%s: %w", key.Business, key.Contact, err)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	contact := c.contacts[key]
	if contact == nil {
		return nil, nil
	}
	var counts []stage.MonthCount
	if contact.base.Version > 0 {
		counts = append(counts, contact.base)
	}
	for _, month := range slices.Sorted(maps.Keys(contact.months)) {
		n := int64(len(contact.months[month]))
		counts = append(counts, stage.MonthCount{Month: month, Total: n, Version: n})
	}
	return counts, nil
}
