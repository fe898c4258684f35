// Package memory implements the tables of shared/stage in memory, for tests. It is
// also the shortest description of a table: each file has one table.
//
// Every store is safe for concurrent use and shares no memory with its callers. A
// store returns times as DynamoDB's does: in UTC, truncated to milliseconds. Every
// call fails if its context is done.
package memory

import (
	"fmt"
	"time"

	"footfall/shared/presence"
)

// millis truncates t to milliseconds, the precision of a store. The zero time stays
// zero.
func millis(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// copyHistory returns a copy of h with truncated times.
func copyHistory(h presence.History) presence.History {
	c := presence.History{Randomised: h.Randomised, LastSeen: millis(h.LastSeen)}
	for _, b := range h.Bindings {
		c.Bindings = append(c.Bindings, presence.Binding{
			Contact: b.Contact, From: millis(b.From), Until: millis(b.Until), MergedFrom: b.MergedFrom,
		})
	}
	return c
}

// checkMonth returns an error unless month is written like "2026-11". Otherwise a
// typing error would start a count of its own.
func checkMonth(month string) error {
	if _, err := time.Parse("2006-01", month); err != nil {
		return fmt.Errorf("month %q is not like 2026-11", month)
	}
	return nil
}
