package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"footfall/events"
	"footfall/shared/stage"
)

// Each gives what is stored of every contact and month, and the base counts as
// month "", in no order. What each returns ends it.
func (c *Counts) Each(ctx context.Context, each func(key stage.CountKey, month string, total int64, ids []events.WalkInID) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: all counts: %w", err)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for key, contact := range c.contacts {
		if contact.base.Version > 0 {
			if err := each(key, "", contact.base.Total, nil); err != nil {
				return err
			}
		}
		for month, ids := range contact.months {
			if err := each(key, month, int64(len(ids)), slices.Collect(maps.Keys(ids))); err != nil {
				return err
			}
		}
	}
	return nil
}
