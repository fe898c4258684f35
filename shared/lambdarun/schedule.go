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
// ends; it does not return. It calls run with the time that the event carries,
// that the schedule was due at, and with a context that ends before the
// invocation does. An error of run, or an event without a time, fails the
// invocation; its caller then tries again with the same event.
func StartSchedule(stageName string, run func(ctx context.Context, at time.Time) error, log *slog.Logger) {
	lambda.Start(&schedule{stage: stageName, run: run, log: log.With("stage", stageName)})
}

// schedule is a lambda.Handler for the events of EventBridge schedules.
type schedule struct {
	stage string
	run   func(ctx context.Context, at time.Time) error
	log   *slog.Logger
}

var _ lambda.Handler = (*schedule)(nil)

// Invoke runs the schedule once.
func (s *schedule) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	began := time.Now()
	var event struct {
		// A pointer, since a tick for the year 1 would do harm.
		Time *time.Time `json:"time"` // RFC 3339
	}
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, fmt.Errorf("stage %s: decode the schedule's event: %w", s.stage, err)
	}
	if event.Time == nil {
		return nil, fmt.Errorf("stage %s: the schedule's event has no time", s.stage)
	}
	at := event.Time.UTC()
	soft, _ := budget(ctx)
	ctx, cancel := context.WithDeadline(ctx, soft)
	defer cancel()
	if err := s.run(ctx, at); err != nil {
		return nil, fmt.Errorf("stage %s for %s: %w", s.stage, at.Format(time.RFC3339), err)
	}
	invocation.WithRequest(ctx, s.log).LogAttrs(ctx, slog.LevelInfo, "schedule handled",
		slog.Time("at", at), invocation.Took(time.Since(began)))
	return []byte("{}"), nil
}
