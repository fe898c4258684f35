package stage

import (
	"context"
	"time"
)

// LogItem is one changelog item of a partition.
type LogItem struct {
	Seq  int64  // sequence number of the item in its chain, from 0 on
	Data []byte // opaque to the store; MaxLogItemBytes or fewer
}

// MaxLogItemBytes bounds LogItem.Data, so that an item with its keys stays below
// DynamoDB's 400 KB.
const MaxLogItemBytes = 380 << 10

// VisitLog stores changelogs. The key of a changelog is its chain, an attribute of
// every item. The writers number the items from 0 on without a gap. A read may miss
// recent items unless consistent is true, but an item that was returned once MUST
// NOT change later.
type VisitLog interface {
	// Last returns the item with the highest sequence number of a chain. ok is
	// false if the chain has no items.
	Last(ctx context.Context, chain string, consistent bool) (item LogItem, ok bool, err error)
	// Read returns the stored items with from <= Seq <= to in ascending order of
	// Seq.
	Read(ctx context.Context, chain string, from, to int64, consistent bool) ([]LogItem, error)
	// Append MUST store the item only if its sequence number is free in the chain,
	// and MUST return ErrConflict otherwise. A store MAY drop the item some days
	// after expires.
	Append(ctx context.Context, chain string, item LogItem, expires time.Time) error
}
