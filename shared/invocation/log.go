package invocation

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// NewLogger returns the logger of a function. It writes one JSON object per
// line to w, and names the time and the message as Lambda does (timestamp,
// message). Lines below level are dropped.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: lambdacontext.ReplaceAttr}))
}

// WithRequest returns log with the field requestId, which holds the id of the
// invocation that ctx belongs to. Lambda writes the same id into its own lines.
// It returns log itself if ctx belongs to no invocation.
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
