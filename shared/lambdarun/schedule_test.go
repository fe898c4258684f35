package lambdarun

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"footfall/shared/invocation"
)

func TestScheduleRunsForTheTimeOfTheEvent(t *testing.T) {
	var log bytes.Buffer
	var got []time.Time
	s := &schedule{stage: "tick", log: invocation.NewLogger(&log, slog.LevelInfo), run: func(_ context.Context, at time.Time) error {
		got = append(got, at)
		return nil
	}}
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "8476a536"})
	answer, err := s.Invoke(ctx, []byte(`{"version":"0","detail-type":"Scheduled Event","time":"2026-11-21T16:05:00+02:00","detail":{}}`))
	if err != nil || string(answer) != `{}` {
		t.Fatalf("got %s, %v", answer, err)
	}
	if want := time.Date(2026, 11, 21, 14, 5, 0, 0, time.UTC); len(got) != 1 || got[0] != want {
		t.Errorf("ran at %v, want %v", got, want)
	}
	all := lines(t, &log)
	if len(all) != 1 {
		t.Fatalf("got %d lines, want 1: %s", len(all), &log)
	}
	wantLine(t, all[0], map[string]any{"level": "INFO", "message": "schedule handled", "requestId": "8476a536", "at": "2026-11-21T14:05:00Z"})
}

func TestScheduleSample(t *testing.T) {
	payload, err := os.ReadFile("../../events/testdata/tick.json")
	if err != nil {
		t.Fatal(err)
	}
	var got time.Time
	s := &schedule{stage: "tick", log: discard(), run: func(_ context.Context, at time.Time) error {
		got = at
		return nil
	}}
	if _, err := s.Invoke(t.Context(), payload); err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 11, 2, 10, 8, 0, 0, time.UTC); got != want {
		t.Errorf("ran at %v, want %v", got, want)
	}
}

func TestScheduleFails(t *testing.T) {
	for _, tt := range []struct{ name, event, err string }{
		{"no time, which must not be the year 1", `{}`, "stage tick: the schedule's event has no time"},
		{"time of another form", `{"time":"21 November 2026"}`, "stage tick: decode the schedule's event: "},
		{"no JSON", `tick`, "stage tick: decode the schedule's event: "},
		{"the stage fails", `{"time":"2026-11-21T14:05:00Z"}`, "stage tick for 2026-11-21T14:05:00Z: no leader"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noLeader := errors.New("no leader")
			s := &schedule{stage: "tick", log: discard(), run: func(context.Context, time.Time) error { return noLeader }}
			_, err := s.Invoke(t.Context(), []byte(tt.event))
			if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
				t.Errorf("got %v, want %s", err, tt.err)
			}
		})
	}
}

// The stage ends before the invocation, so that its error reaches the caller, which
// tries again.
func TestScheduleEndsBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &schedule{stage: "tick", log: discard(), run: func(ctx context.Context, _ time.Time) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		withTimeout(t, 30*time.Second, func(ctx context.Context) {
			if _, err := s.Invoke(ctx, []byte(`{"time":"2026-11-21T14:05:00Z"}`)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want that the deadline is exceeded", err)
			}
		})
		if took := time.Since(began); took != 28*time.Second {
			t.Errorf("ended after %v, want 28 s", took)
		}
	})
}
