package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"footfall/shared/presence"
	"footfall/shared/stage"
)

var _ stage.Counts = (*Counts)(nil)

// Counts is a stage.Counts. Unlike the one in DynamoDB it takes any text as an
// id, which keeps the tests of stages readable.
type Counts struct {
	mu       sync.RWMutex
	contacts map[stage.CountKey]*contactCount
}

// contactCount is what one contact has: a base where one was set, and the facts
// of each month. A total is what they come to and is kept nowhere else, so the
// two cannot differ.
type contactCount struct {
	base   stage.MonthCount // Version 0 for none
	months map[string]map[presence.Fact]struct{}
}

// NewCounts makes a store where nobody has come.
func NewCounts() *Counts { return &Counts{contacts: map[stage.CountKey]*contactCount{}} }

// Add adds facts to those of month.
func (c *Counts) Add(ctx context.Context, key stage.CountKey, month string, facts []presence.Fact) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: count of %s/%s: %w", key.Business, key.Contact, err)
	}
	if err := checkMonth(month); err != nil {
		return fmt.Errorf("memory: count of %s/%s: %w", key.Business, key.Contact, err)
	}
	if len(facts) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	months := c.of(key).months
	if months[month] == nil {
		months[month] = map[presence.Fact]struct{}{}
	}
	for _, f := range facts {
		months[month][f] = struct{}{}
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
		c.contacts[key] = &contactCount{months: map[string]map[presence.Fact]struct{}{}}
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
		counts = append(counts, stage.MonthCount{Month: month, Facts: slices.Collect(maps.Keys(contact.months[month]))})
	}
	stage.SetTotals(counts)
	return counts, nil
}
