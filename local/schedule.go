package local

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"footfall/shared/pipeline"
)

// scheduled is the event that EventBridge Scheduler starts a function with, as
// far as functions look at it.
type scheduled struct {
	Time       time.Time `json:"time"`
	DetailType string    `json:"detail-type"`
	Source     string    `json:"source"`
}

// startSchedules starts the functions that a schedule starts, once now and then
// at every full period of the wall clock. Periods that passed while the machine
// slept are left out.
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

// startEvery starts a function at each period until ctx is done. A start that fails
// is not repeated: the next one makes up for it.
func (s *Stack) startEvery(ctx context.Context, function string, period time.Duration) {
	for at := time.Now().Truncate(period); ; at = nextPeriod(at, time.Now(), period) {
		select {
		case <-time.After(time.Until(at)):
		case <-ctx.Done():
			return
		}
		if err := s.startScheduled(ctx, function, at); err != nil && ctx.Err() == nil {
			s.o.Log.ErrorContext(ctx, "a scheduled start failed", "stage", function, "time", at, "error", err)
		}
	}
}

// nextPeriod is the period after at, or the one that now falls into if that is
// later.
func nextPeriod(at, now time.Time, period time.Duration) time.Time {
	if next := at.Add(period); next.After(now.Truncate(period)) {
		return next
	}
	return now.Truncate(period)
}

func (s *Stack) startScheduled(ctx context.Context, function string, at time.Time) error {
	payload, err := json.Marshal(scheduled{at.UTC(), "Scheduled Event", "aws.scheduler"})
	if err == nil {
		_, err = s.runtime.Invoke(ctx, function, payload)
	}
	if err != nil {
		return fmt.Errorf("start %s for %v: %w", function, at, err)
	}
	return nil
}
