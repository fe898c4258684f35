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

// LogDeadLetters returns a producer that passes every record on to out and logs
// the dead letters. A line stands for the dead letters of one source topic and
// one reason, and holds their number and the partition and offset of the first.
// stageName names the stage in the lines.
//
// Two invariants hold for every line:
//   - The dead letters are acknowledged. If out fails, nothing is logged: the
//     stage fails, the mapping redelivers the records, the stage produces the
//     dead letters again, and then the line is written.
//   - The line holds no key, value or header of a record, since keys and values
//     hold data of people. The only exception are the headers of the stage: the
//     source of the record and the reason.
func LogDeadLetters(out stage.Producer, stageName string, log *slog.Logger) stage.Producer {
	return &deadLetterLog{out: out, log: log.With("stage", stageName)}
}

// deadLetterLog is the producer of LogDeadLetters.
type deadLetterLog struct {
	out stage.Producer
	log *slog.Logger
}

var _ stage.Producer = (*deadLetterLog)(nil)

// Produce passes records on, and logs the dead letters once all records are
// acknowledged. Errors are the wrapped producer's.
func (d *deadLetterLog) Produce(ctx context.Context, records []stage.Record) error {
	if err := d.out.Produce(ctx, records); err != nil {
		return err
	}
	log := invocation.WithRequest(ctx, d.log)
	for _, g := range deadLetterGroups(records) {
		log.LogAttrs(ctx, slog.LevelWarn, "dead letters written",
			slog.Int("records", g.records), slog.String("topic", g.topic), slog.String("reason", g.reason),
			slog.Any("partition", g.partition), slog.Any("firstOffset", g.offset))
	}
	return nil
}

// deadLetterGroup is the dead letters of one source topic and one reason.
// partition and offset are of the first record of the group.
type deadLetterGroup struct {
	topic, reason     string
	partition, offset json.Number
	records           int
}

// deadLetterGroups returns the dead letters among records, grouped by topic and
// reason, in the order in which the groups begin.
func deadLetterGroups(records []stage.Record) []*deadLetterGroup {
	type key struct{ topic, reason string }
	var groups []*deadLetterGroup
	known := map[key]*deadLetterGroup{}
	for i := range records {
		// Every topic of the graph names its topic of dead letters. Only the topics
		// of dead letters themselves name none.
		r := &records[i]
		if t, ok := events.TopicByName(r.Topic); !ok || t.DeadLetters != "" {
			continue
		}
		k := key{lastHeader(r, stage.HeaderTopic), lastHeader(r, stage.HeaderReason)}
		g := known[k]
		if g == nil {
			g = &deadLetterGroup{
				topic: k.topic, reason: k.reason,
				partition: json.Number(lastHeader(r, stage.HeaderPartition)),
				offset:    json.Number(lastHeader(r, stage.HeaderOffset)),
			}
			known[k] = g
			groups = append(groups, g)
		}
		g.records++
	}
	return groups
}

// lastHeader returns the value of the last header with a name, or "" if no header
// has the name. The last header counts because of this sequence: a record became
// a dead letter, an operator put the record back, and the record failed again.
// The headers of the first failure then precede the headers of the second.
func lastHeader(r *stage.Record, name string) string {
	for _, h := range slices.Backward(r.Headers) {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
