// Package memory keeps the state of the stages in maps: for tests, and as the
// shortest description of what a store has to do. Every store is safe for
// concurrent use and shares no memory with its callers. What a store was given
// it gives back as DynamoDB would: times in UTC, cut to milliseconds.
package memory

import (
	"fmt"
	"time"

	"footfall/shared/presence"
)

// millis cuts t to the precision that a store keeps. The zero time stays zero.
func millis(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// copyHistory gives a history that shares nothing with h.
func copyHistory(h presence.History) presence.History {
	c := presence.History{Randomised: h.Randomised, LastSeen: millis(h.LastSeen)}
	for _, b := range h.Bindings {
		c.Bindings = append(c.Bindings, presence.Binding{
			Contact: b.Contact, From: millis(b.From), Until: millis(b.Until), Of: b.Of,
		})
	}
	return c
}

// checkMonth refuses a month that is not like "2026-11", so that no typing
// error opens a count of its own.
func checkMonth(month string) error {
	if _, err := time.Parse("2006-01", month); err != nil {
		return fmt.Errorf("month %q is not like 2026-11", month)
	}
	return nil
}
