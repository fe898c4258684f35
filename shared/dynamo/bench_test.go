package dynamo

import (
	"fmt"
	"sync/atomic"
	"testing"

	"footfall/events"
	"footfall/shared/stage"
)

// BenchmarkAdd counts one walk-in per call, with 1 and 16 callers at once. The calls
// go round 1,000 contacts. The table server is the limit.
func BenchmarkAdd(b *testing.B) {
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			counts := NewCounts(tables(b))
			var n atomic.Int64
			b.ResetTimer()
			done := make(chan error, callers)
			for range callers {
				go func() { done <- addUntil(b, counts, &n) }()
			}
			for range callers {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "adds/s")
		})
	}
}

func addUntil(b *testing.B, counts *Counts, n *atomic.Int64) error {
	for {
		i := n.Add(1)
		if i > int64(b.N) {
			return nil
		}
		key := stage.CountKey{Business: "shop", Contact: events.ContactID(fmt.Sprint("contact-", i%1000))}
		id := events.WalkInID(fmt.Sprintf("%032x", i))
		if err := counts.Add(b.Context(), key, "2026-11", began(id)); err != nil {
			return err
		}
	}
}
