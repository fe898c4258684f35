package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"footfall/shared/stage"
)

var _ stage.VisitLog = (*VisitLog)(nil)

// VisitLog is a stage.VisitLog in memory, for tests. Its reads are always
// consistent. It drops expired items only when Expire is called.
type VisitLog struct {
	mu sync.RWMutex
	// chains holds the items of each chain in ascending order of Seq. Writers are
	// responsible for numbering without a gap, so Append may also insert.
	chains  map[string][]stage.LogItem
	expires map[expiryKey]time.Time
}

type expiryKey struct {
	chain string
	seq   int64
}

// NewVisitLog returns an empty store.
func NewVisitLog() *VisitLog {
	return &VisitLog{chains: map[string][]stage.LogItem{}, expires: map[expiryKey]time.Time{}}
}

// Last returns the item with the highest sequence number of a chain. ok is false if
// the chain has no items.
func (l *VisitLog) Last(ctx context.Context, chain string, _ bool) (item stage.LogItem, ok bool, err error) {
	if err := ctx.Err(); err != nil {
		return stage.LogItem{}, false, fmt.Errorf("memory: read last item of chain %q: %w", chain, err)
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	items := l.chains[chain]
	if len(items) == 0 {
		return stage.LogItem{}, false, nil
	}
	return copyItem(items[len(items)-1]), true, nil
}

// Read returns the items with from <= Seq <= to in ascending order of Seq.
func (l *VisitLog) Read(ctx context.Context, chain string, from, to int64, _ bool) ([]stage.LogItem, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: read chain %q: %w", chain, err)
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	// Bounds are inclusive, and may lie outside of the chain.
	var found []stage.LogItem
	for _, item := range l.chains[chain] {
		if from <= item.Seq && item.Seq <= to {
			found = append(found, copyItem(item))
		}
	}
	return found, nil
}

// Append stores the item if its sequence number is free, and returns
// stage.ErrConflict otherwise. It fails if Data is longer than
// stage.MaxLogItemBytes.
func (l *VisitLog) Append(ctx context.Context, chain string, item stage.LogItem, expires time.Time) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: append to chain %q: %w", chain, err)
	}
	if len(item.Data) > stage.MaxLogItemBytes {
		return fmt.Errorf("memory: append to chain %q: item %d has %d bytes, more than %d",
			chain, item.Seq, len(item.Data), stage.MaxLogItemBytes)
	}
	// Compare and write under one lock: this is the fencing of the changelog.
	l.mu.Lock()
	defer l.mu.Unlock()
	items := l.chains[chain]
	index, taken := slices.BinarySearchFunc(items, item.Seq, func(i stage.LogItem, seq int64) int {
		return cmp.Compare(i.Seq, seq)
	})
	if taken {
		return fmt.Errorf("memory: append item %d to chain %q: %w", item.Seq, chain, stage.ErrConflict)
	}
	l.chains[chain] = slices.Insert(items, index, copyItem(item))
	// An item with a zero expiry never expires.
	if !expires.IsZero() {
		l.expires[expiryKey{chain, item.Seq}] = expires
	}
	return nil
}

// Expire drops the items with an expiry before now for which drop returns true. drop
// is called chain by chain, in ascending order. DynamoDB's TTL takes days and keeps
// no order, so a test may drop any part of the expired items.
func (l *VisitLog) Expire(now time.Time, drop func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// In a fixed order, so that a test with a seed can be repeated.
	for _, chain := range slices.Sorted(maps.Keys(l.chains)) {
		l.chains[chain] = slices.DeleteFunc(l.chains[chain], func(i stage.LogItem) bool {
			expires, ok := l.expires[expiryKey{chain, i.Seq}]
			return ok && expires.Before(now) && drop()
		})
	}
}

// copyItem returns a copy of i that shares no memory with i.
func copyItem(i stage.LogItem) stage.LogItem {
	return stage.LogItem{Seq: i.Seq, Data: bytes.Clone(i.Data)}
}
