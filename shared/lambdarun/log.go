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

// received logs which records an event holds, before anything is done with them.
// A process that is killed, out of memory or otherwise, leaves this line and
// nothing else of ours. By topic it lists "partition:first-last" offsets.
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

// report logs what became of an event that came in at began.
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
		slog.Int64("oldestMs", oldest(parts, began).Milliseconds()))
}

// oldest is the age that the oldest record of an event had when it came in, by
// the records' Kafka timestamps: 0 where none has one, or is from the future.
func oldest(parts []Partition, at time.Time) time.Duration {
	age := time.Duration(0)
	for _, p := range parts {
		for i := range p.Batch.Records {
			if t := p.Batch.Records[i].Timestamp; !t.IsZero() {
				age = max(age, at.Sub(t))
			}
		}
	}
	return age
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
