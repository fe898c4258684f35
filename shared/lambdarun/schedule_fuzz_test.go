package lambdarun

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

// FuzzSchedule checks that an event without a time never runs the stage, and that
// an event with a time runs it once, for the time in UTC.
func FuzzSchedule(f *testing.F) {
	for _, seed := range []string{
		`{"time":"2026-11-21T16:05:00+02:00"}`, `{"time":null}`, `{"time":1}`, `{}`, `null`, `{"Time":"2026-11-21T16:05:00Z","time":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var ran []time.Time
		s := &schedule{stage: "tick", log: slog.New(slog.DiscardHandler), run: func(_ context.Context, at time.Time) error {
			ran = append(ran, at)
			return nil
		}}
		_, err := s.Invoke(t.Context(), payload)
		if (err == nil) != (len(ran) == 1) || len(ran) > 1 {
			t.Fatalf("ran for %v with error %v", ran, err)
		}
		if len(ran) == 1 && ran[0].Location() != time.UTC {
			t.Fatalf("ran for %v, want UTC", ran[0])
		}
	})
}
