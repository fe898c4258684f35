package invocation

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

func TestMarginLength(t *testing.T) {
	long := Margin{Share: 5, Max: 10 * time.Second}
	for _, tt := range []struct {
		name   string
		margin Margin
		left   time.Duration
		want   time.Duration
	}{
		{"a tenth of the time left", AnswerMargin, 10 * time.Second, time.Second},
		{"at most 2 s", AnswerMargin, 14 * time.Minute, 2 * time.Second},
		{"nothing if the deadline has passed", AnswerMargin, -time.Second, 0},
		{"a fifth of the time left", long, 3 * time.Second, 600 * time.Millisecond},
		{"at most 10 s", long, 5 * time.Minute, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.margin.Length(tt.left); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestMarginWithDeadline(t *testing.T) {
	for _, tt := range []struct {
		name string
		left time.Duration // until the deadline of the invocation
		want time.Duration // until the deadline of the shortened context
	}{
		{"the margin before the invocation's deadline", 10 * time.Second, 9 * time.Second},
		{"the deadline itself if it has passed", -time.Second, -time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), tt.left)
				defer cancel()
				ctx, cancel = AnswerMargin.WithDeadline(ctx)
				defer cancel()
				if end, ok := ctx.Deadline(); !ok || end.Sub(now) != tt.want {
					t.Errorf("got a deadline in %v (%t), want in %v", end.Sub(now), ok, tt.want)
				}
			})
		})
	}
}

func TestMarginWithoutADeadline(t *testing.T) {
	ctx, cancel := AnswerMargin.WithDeadline(context.Background())
	if end, ok := ctx.Deadline(); ok {
		t.Errorf("got a deadline at %v, want none", end)
	}
	cancel()
	if ctx.Err() == nil {
		t.Error("cancel did not end the context")
	}
}

// The monotonic clock stands still while Lambda has the environment frozen.
func TestWallClockHasNoMonotonicReading(t *testing.T) {
	if now := WallClock(); strings.Contains(now.String(), "m=") {
		t.Errorf("%v has a reading of the monotonic clock", now)
	}
}

// Metric filters, Lambda's own lines and ours agree on these names.
func TestLogLine(t *testing.T) {
	var log bytes.Buffer
	logger := NewLogger(&log, slog.LevelInfo)
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "8476a536"})
	WithRequest(ctx, logger).DebugContext(ctx, "below the level")
	WithRequest(ctx, logger).LogAttrs(ctx, slog.LevelInfo, "event handled", Took(1234567*time.Nanosecond))
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("want one line of JSON, got %s: %v", &log, err)
	}
	for field, want := range map[string]any{
		"level": "INFO", "message": "event handled", "requestId": "8476a536", "durationMs": 1.234,
	} {
		if line[field] != want {
			t.Errorf("field %s: got %v, want %v", field, line[field], want)
		}
	}
	if line["timestamp"] == nil {
		t.Errorf("no timestamp in %s", &log)
	}
}

func TestLogOutsideAnInvocation(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	if got := WithRequest(t.Context(), logger); got != logger {
		t.Error("got another logger, want the same one")
	}
}
