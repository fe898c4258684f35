package memory

import (
	"context"
	"fmt"

	"footfall/shared/stage"
)

// Each gives what Get gives of every contact, in no order. What each returns ends
// it.
func (c *Counts) Each(ctx context.Context, each func(key stage.CountKey, parts []stage.MonthCount) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: all counts: %w", err)
	}
	c.mu.RLock()
	var keys []stage.CountKey
	for key := range c.contacts {
		keys = append(keys, key)
	}
	c.mu.RUnlock()
	for _, key := range keys {
		parts, err := c.Get(ctx, key)
		if err == nil {
			err = each(key, parts)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
