package local

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"footfall/shared/pipeline"
)

// scheduled is the event that EventBridge Scheduler invokes a function with,
// reduced to the fields that the functions read.
type scheduled struct {
	Time       time.Time `json:"time"`
	DetailType string    `json:"detail-type"`
	Source     string    `json:"source"`
}

// startSchedules invokes the functions that have a schedule, at once and then
// at every full period of the wall clock. Periods that pass while the machine
// sleeps are skipped.
func (s *Stack) startSchedules(_ context.Context, g pipeline.Graph) error {
	if !s.o.Schedule {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	s.onClose(func() error { stop(); wg.Wait(); return nil })
	for _, spec := range g.Stages {
		if spec.Schedule > 0 {
			wg.Go(func() { s.startEvery(ctx, spec.Name, spec.Schedule) })
		}
	}
	return nil
}

// startEvery invokes a function at each period until ctx is done. An invocation
// that fails is not retried: the next period makes up for it.
func (s *Stack) startEvery(ctx context.Context, function string, period time.Duration) {
	for due := time.Now().Truncate(period); ; due = nextPeriod(due, time.Now(), period) {
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return
		}
		if err := s.startScheduled(ctx, function, due); err != nil && ctx.Err() == nil {
			s.o.Log.ErrorContext(ctx, "scheduled invocation failed", "stage", function, "time", due, "error", err)
		}
	}
}

// nextPeriod returns the start of the period after last, or the start of the
// period that now falls into if that is later.
func nextPeriod(last, now time.Time, period time.Duration) time.Time {
	if next := last.Add(period); next.After(now.Truncate(period)) {
		return next
	}
	return now.Truncate(period)
}

// startScheduled invokes a function with the event of a schedule for the given
// time.
func (s *Stack) startScheduled(ctx context.Context, function string, scheduledFor time.Time) error {
	payload, err := json.Marshal(scheduled{scheduledFor.UTC(), "Scheduled Event", "aws.scheduler"})
	if err == nil {
		_, err = s.runtime.Invoke(ctx, function, payload)
	}
	if err != nil {
		return fmt.Errorf("invoke %s as scheduled for %v: %w", function, scheduledFor, err)
	}
	return nil
}
