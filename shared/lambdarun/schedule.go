package lambdarun

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"footfall/shared/invocation"
)

// StartSchedule serves the invocations of a schedule until the environment
// ends. It does not return.
//
// Each event carries the time that it was scheduled for, which may lie before the
// invocation. StartSchedule calls run with this time, in UTC. The context of run
// ends before the invocation does. If run returns an error, or the event carries
// no time, the invocation fails, and the caller tries again with the same event.
func StartSchedule(stageName string, run func(ctx context.Context, scheduled time.Time) error, log *slog.Logger) {
	lambda.Start(&schedule{stage: stageName, run: run, log: log.With("stage", stageName)})
}

// schedule is a lambda.Handler for the events of EventBridge schedules.
type schedule struct {
	stage string
	run   func(ctx context.Context, scheduled time.Time) error
	log   *slog.Logger
}

var _ lambda.Handler = (*schedule)(nil)

// Invoke runs the schedule once and returns {}.
func (s *schedule) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	began := time.Now()
	var event struct {
		// A pointer, to find an event without a time: a tick for the zero time, in
		// the year 1, would do harm.
		Time *time.Time `json:"time"` // RFC 3339
	}
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, fmt.Errorf("stage %s: decode the schedule's event: %w", s.stage, err)
	}
	if event.Time == nil {
		return nil, fmt.Errorf("stage %s: the schedule's event has no time", s.stage)
	}
	scheduled := event.Time.UTC()

	// Run until the soft deadline, so that an error still reaches the caller.
	soft, _ := budget(ctx)
	ctx, cancel := context.WithDeadline(ctx, soft)
	defer cancel()
	if err := s.run(ctx, scheduled); err != nil {
		return nil, fmt.Errorf("stage %s for %s: %w", s.stage, scheduled.Format(time.RFC3339), err)
	}
	invocation.WithRequest(ctx, s.log).LogAttrs(ctx, slog.LevelInfo, "schedule handled",
		slog.Time("at", scheduled), invocation.Took(time.Since(began)))
	return []byte("{}"), nil
}
