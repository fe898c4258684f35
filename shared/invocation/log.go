package invocation

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// NewLogger returns the logger of a function. Each line is one JSON object on w,
// with Lambda's names for the time and the message (timestamp, message). Lines
// below level are dropped.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: lambdacontext.ReplaceAttr}))
}

// WithRequest returns log with the field requestId, the id of ctx's invocation.
// Lambda's own lines hold the same id. If ctx belongs to no invocation, WithRequest
// returns log itself.
func WithRequest(ctx context.Context, log *slog.Logger) *slog.Logger {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return log.With("requestId", lc.AwsRequestID)
	}
	return log
}

// Took returns the field durationMs: d in milliseconds, with whole microseconds
// as the fraction.
func Took(d time.Duration) slog.Attr {
	return slog.Float64("durationMs", float64(d.Microseconds())/1000)
}
