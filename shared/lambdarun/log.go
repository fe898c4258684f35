package lambdarun

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"footfall/shared/invocation"
	"footfall/shared/stage"
)

// received logs the offsets of an event's records by topic, as
// "partition:first-last", before the first record is handled. If the process is
// killed, for lack of memory or otherwise, no other line of ours is written.
//
// A line has 219 bytes for one partition and 986 for 32. At $0.50 a GB of
// CloudWatch Logs a deployment with 20 events of all 32 partitions a second,
// which at 5,000 records each are 100,000 sightings a second, pays $26 a month.
func (r *Runner) received(ctx context.Context, parts []Partition) {
	records := 0
	var topics []string // in the order of the event, nearly always one
	offsets := map[string][]byte{}
	for _, p := range parts {
		b := p.Batch
		records += len(b.Records)
		list, known := offsets[b.Topic]
		if known {
			list = append(list, ' ')
		} else {
			topics = append(topics, b.Topic)
		}
		// partition:first-last
		list = append(strconv.AppendInt(list, int64(b.Partition), 10), ':')
		list = append(strconv.AppendInt(list, b.Records[0].Offset, 10), '-')
		offsets[b.Topic] = strconv.AppendInt(list, b.Records[len(b.Records)-1].Offset, 10)
	}
	var attrs []slog.Attr
	for _, topic := range topics {
		attrs = append(attrs, slog.String(topic, string(offsets[topic])))
	}
	invocation.WithRequest(ctx, r.log).LogAttrs(ctx, slog.LevelInfo, "event received",
		slog.Int("records", records), slog.GroupAttrs("offsets", attrs...))
}

// report logs the result of an event that arrived at began: a line per failed
// partition, and a line for the event. undoneRecords is how many records the
// answer names.
func (r *Runner) report(ctx context.Context, parts []Partition, errs []error, undoneRecords int, began time.Time) {
	log := invocation.WithRequest(ctx, r.log)
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
		invocation.Took(time.Since(began)),
		slog.Int64("oldestMs", oldestAge(parts, began).Milliseconds()))
}

// oldestAge returns the age of the oldest record of an event at the moment of
// arrival, by the records' Kafka timestamps. It returns 0 if no record has a
// timestamp, or all timestamps lie in the future.
func oldestAge(parts []Partition, arrived time.Time) time.Duration {
	age := time.Duration(0)
	for _, p := range parts {
		for i := range p.Batch.Records {
			if t := p.Batch.Records[i].Timestamp; !t.IsZero() {
				age = max(age, arrived.Sub(t))
			}
		}
	}
	return age
}

// reportFailure logs a partition that failed with err, and the first offset to be
// redelivered.
func reportFailure(ctx context.Context, log *slog.Logger, b stage.Batch, err error) {
	attrs := []slog.Attr{
		slog.String("topic", b.Topic), slog.Int64("partition", int64(b.Partition)),
		slog.Int64("firstOffset", b.Records[0].Offset),
		slog.Int64("lastOffset", b.Records[len(b.Records)-1].Offset),
		slog.Int64("retryFrom", toRedeliver(b.Records, err)[0].Offset),
		slog.String("error", err.Error()),
	}
	if p, ok := errors.AsType[*panicError](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	log.LogAttrs(ctx, slog.LevelError, "partition failed", attrs...)
}
