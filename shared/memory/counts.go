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

// Counts is a stage.Counts in memory, for tests. Unlike the table in DynamoDB it
// accepts any text as a walk-in id, which keeps the tests of stages readable.
type Counts struct {
	mu       sync.RWMutex
	contacts map[stage.CountKey]*contactCount
}

// contactCount is the stored state of one contact: the base, if one was set, and the
// facts of each month. Totals are computed from the facts and not stored, so totals
// and facts cannot differ.
type contactCount struct {
	base   stage.MonthCount // Version is 0 if no base was set
	months map[string]map[presence.Fact]struct{}
}

// NewCounts returns an empty store.
func NewCounts() *Counts { return &Counts{contacts: map[stage.CountKey]*contactCount{}} }

// Add adds facts to a month.
func (c *Counts) Add(ctx context.Context, key stage.CountKey, month string, facts []presence.Fact) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: add facts of %s/%s: %w", key.Business, key.Contact, err)
	}
	if err := checkMonth(month); err != nil {
		return fmt.Errorf("memory: add facts of %s/%s: %w", key.Business, key.Contact, err)
	}
	// Without facts, do not create a contact or a month.
	if len(facts) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// A month is a set, so a fact that was added before changes nothing.
	months := c.contact(key).months
	if months[month] == nil {
		months[month] = map[presence.Fact]struct{}{}
	}
	for _, f := range facts {
		months[month][f] = struct{}{}
	}
	return nil
}

// SetBase sets the base count if the version of the stored base equals version.
func (c *Counts) SetBase(ctx context.Context, key stage.CountKey, base, version int64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: set base count of %s/%s: %w", key.Business, key.Contact, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Compare and write under one lock: of two writers with one version, one succeeds.
	contact := c.contact(key)
	if contact.base.Version != version {
		return fmt.Errorf("memory: set base count of %s/%s: version %d, stored %d: %w",
			key.Business, key.Contact, version, contact.base.Version, stage.ErrConflict)
	}
	contact.base = stage.MonthCount{Total: base, Version: version + 1}
	return nil
}

// contact returns the state of a contact, which it creates if the contact has none.
// The caller holds the lock.
func (c *Counts) contact(key stage.CountKey) *contactCount {
	if c.contacts[key] == nil {
		c.contacts[key] = &contactCount{months: map[string]map[presence.Fact]struct{}{}}
	}
	return c.contacts[key]
}

// Get returns the base count, if one was set, and then the months in ascending
// order.
func (c *Counts) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: read counts of %s/%s: %w", key.Business, key.Contact, err)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	contact := c.contacts[key]
	if contact == nil {
		return nil, nil
	}
	// The base comes first, since its month is "".
	var counts []stage.MonthCount
	if contact.base.Version > 0 {
		counts = append(counts, contact.base)
	}
	for _, month := range slices.Sorted(maps.Keys(contact.months)) {
		counts = append(counts, stage.MonthCount{Month: month, Facts: slices.Collect(maps.Keys(contact.months[month]))})
	}
	// Compute the totals from the facts of all months together.
	stage.SetTotals(counts)
	return counts, nil
}
