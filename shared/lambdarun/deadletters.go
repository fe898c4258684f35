package lambdarun

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"

	"footfall/events"
	"footfall/shared/invocation"
	"footfall/shared/stage"
)

// LogDeadLetters is out with a line in the log for what it puts among the dead
// letters: one per topic that records came from and reason, with how many there
// are and where the first of them was. The line has nothing that a record
// holds, since keys and values tell of people.
func LogDeadLetters(out stage.Producer, stageName string, log *slog.Logger) stage.Producer {
	return &deadLetterLog{out: out, log: log.With("stage", stageName)}
}

type deadLetterLog struct {
	out stage.Producer
	log *slog.Logger
}

var _ stage.Producer = (*deadLetterLog)(nil)

// Produce passes records on and logs once they are acknowledged. Records of a
// call that failed come again, and are logged then.
func (d *deadLetterLog) Produce(ctx context.Context, records []stage.Record) error {
	if err := d.out.Produce(ctx, records); err != nil {
		return err
	}
	log := invocation.WithRequest(ctx, d.log)
	for _, g := range deadLetters(records) {
		log.LogAttrs(ctx, slog.LevelWarn, "dead letters written",
			slog.Int("records", g.records), slog.String("topic", g.topic), slog.String("reason", g.reason),
			slog.Any("partition", g.partition), slog.Any("firstOffset", g.offset))
	}
	return nil
}

// deadGroup is dead letters of one topic for one reason, and where the first was.
type deadGroup struct {
	topic, reason     string
	partition, offset json.Number
	records           int
}

// deadLetters groups the dead letters among records, in the order of the first
// of each group.
func deadLetters(records []stage.Record) []*deadGroup {
	type key struct{ topic, reason string }
	var groups []*deadGroup
	known := map[key]*deadGroup{}
	for i := range records {
		r := &records[i]
		if t, ok := events.TopicByName(r.Topic); !ok || t.DeadLetters != "" {
			continue
		}
		k := key{header(r, stage.HeaderTopic), header(r, stage.HeaderReason)}
		g := known[k]
		if g == nil {
			g = &deadGroup{
				topic: k.topic, reason: k.reason,
				partition: json.Number(header(r, stage.HeaderPartition)),
				offset:    json.Number(header(r, stage.HeaderOffset)),
			}
			known[k] = g
			groups = append(groups, g)
		}
		g.records++
	}
	return groups
}

// header is the last header of a name. A record that was a dead letter before
// still carries those of that time in front.
func header(r *stage.Record, name string) string {
	for _, h := range slices.Backward(r.Headers) {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
