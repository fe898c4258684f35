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

// VisitLog is a stage.VisitLog. Its reads are always consistent, and it drops an
// item only where Expire is called.
type VisitLog struct {
	mu sync.RWMutex
	// chains are in ascending order of Seq. Numbers without holes are the
	// writers' duty, so an item may also go in between.
	chains  map[string][]stage.LogItem
	expires map[expiryKey]time.Time
}

type expiryKey struct {
	chain string
	seq   int64
}

// NewVisitLog makes a log without chains.
func NewVisitLog() *VisitLog {
	return &VisitLog{chains: map[string][]stage.LogItem{}, expires: map[expiryKey]time.Time{}}
}

// Last gives the item with the highest Seq of a chain.
func (l *VisitLog) Last(ctx context.Context, chain string, _ bool) (stage.LogItem, bool, error) {
	if err := ctx.Err(); err != nil {
		return stage.LogItem{}, false, fmt.Errorf("memory: last of chain %q: %w", chain, err)
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	items := l.chains[chain]
	if len(items) == 0 {
		return stage.LogItem{}, false, nil
	}
	return copyItem(items[len(items)-1]), true, nil
}

// Read gives the items with from <= Seq <= to in ascending order.
func (l *VisitLog) Read(ctx context.Context, chain string, from, to int64, _ bool) ([]stage.LogItem, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memory: read chain %q: %w", chain, err)
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	var found []stage.LogItem
	for _, item := range l.chains[chain] {
		if from <= item.Seq && item.Seq <= to {
			found = append(found, copyItem(item))
		}
	}
	return found, nil
}

// Append stores the item if its Seq is free and answers stage.ErrConflict
// otherwise. Data over stage.MaxLogItemBytes is refused.
func (l *VisitLog) Append(ctx context.Context, chain string, item stage.LogItem, expires time.Time) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: append to chain %q: %w", chain, err)
	}
	if len(item.Data) > stage.MaxLogItemBytes {
		return fmt.Errorf("memory: append to chain %q: seq %d has %d bytes, more than %d",
			chain, item.Seq, len(item.Data), stage.MaxLogItemBytes)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	items := l.chains[chain]
	at, taken := slices.BinarySearchFunc(items, item.Seq, func(i stage.LogItem, seq int64) int {
		return cmp.Compare(i.Seq, seq)
	})
	if taken {
		return fmt.Errorf("memory: append to chain %q: seq %d: %w", chain, item.Seq, stage.ErrConflict)
	}
	l.chains[chain] = slices.Insert(items, at, copyItem(item))
	if !expires.IsZero() {
		l.expires[expiryKey{chain, item.Seq}] = expires
	}
	return nil
}

// Expire drops the items whose expiry is before now and of which drop says so,
// asked chain by chain. DynamoDB takes days for it and keeps no order.
func (l *VisitLog) Expire(now time.Time, drop func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, chain := range slices.Sorted(maps.Keys(l.chains)) {
		l.chains[chain] = slices.DeleteFunc(l.chains[chain], func(i stage.LogItem) bool {
			expires, ok := l.expires[expiryKey{chain, i.Seq}]
			return ok && expires.Before(now) && drop()
		})
	}
}

func copyItem(i stage.LogItem) stage.LogItem {
	return stage.LogItem{Seq: i.Seq, Data: bytes.Clone(i.Data)}
}
