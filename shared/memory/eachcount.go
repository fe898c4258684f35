package memory

import (
	"context"
	"fmt"

	"footfall/shared/stage"
)

// Each calls handle with the parts that Get returns for every contact, in no order.
// It stops at the first error of handle and returns it.
func (c *Counts) Each(ctx context.Context, handle func(key stage.CountKey, parts []stage.MonthCount) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: read all counts: %w", err)
	}
	// Do not hold the lock during the calls: handle may use the store.
	c.mu.RLock()
	var keys []stage.CountKey
	for key := range c.contacts {
		keys = append(keys, key)
	}
	c.mu.RUnlock()
	for _, key := range keys {
		parts, err := c.Get(ctx, key)
		if err == nil {
			err = handle(key, parts)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
