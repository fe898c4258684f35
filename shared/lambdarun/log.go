package lambdarun

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"footfall/shared/stage"
)

// NewLogger makes the logger of a function: one JSON object per line, with
// Lambda's names for the time and the message.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: lambdacontext.ReplaceAttr}))
}

// withRequest names the invocation in every line of log.
func withRequest(ctx context.Context, log *slog.Logger) *slog.Logger {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return log.With("requestId", lc.AwsRequestID)
	}
	return log
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// report logs what became of an event.
func (r *Runner) report(ctx context.Context, parts []Partition, errs []error, undoneRecords int, took time.Duration) {
	log := withRequest(ctx, r.log)
	records, failed := 0, 0
	for i, p := range parts {
		records += len(p.Batch.Records)
		if errs[i] != nil {
			failed++
			reportFailure(ctx, log, p.Batch, errs[i])
		}
	}
	log.LogAttrs(ctx, slog.LevelInfo, "event handled",
		slog.Int("records", records), slog.Int("partitions", len(parts)),
		slog.Int("failedPartitions", failed), slog.Int("undoneRecords", undoneRecords),
		slog.Float64("durationMs", milliseconds(took)))
}

func reportFailure(ctx context.Context, log *slog.Logger, b stage.Batch, err error) {
	attrs := []slog.Attr{
		slog.String("topic", b.Topic), slog.Int64("partition", int64(b.Partition)),
		slog.Int64("firstOffset", b.Records[0].Offset),
		slog.Int64("lastOffset", b.Records[len(b.Records)-1].Offset),
		slog.Int64("retryFrom", undone(b.Records, err)[0].Offset),
		slog.String("error", err.Error()),
	}
	if p, ok := errors.AsType[*panicError](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	log.LogAttrs(ctx, slog.LevelError, "partition failed", attrs...)
}
