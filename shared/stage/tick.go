package stage

import (
	"context"
	"fmt"
	"time"

	"footfall/events"
)

// TickDeps are the ports that tick uses.
type TickDeps struct {
	Topics TopicInfos
	Out    Producer
}

// NewTick returns the stage that produces a tick on every partition of sightings.
func NewTick(deps TickDeps) *Ticker { return &Ticker{deps} }

// Ticker is the tick stage. A schedule calls Tick, since no topic triggers it.
type Ticker struct{ deps TickDeps }

// maxTopicInfoAge bounds the age of the number of partitions that Tick uses.
const maxTopicInfoAge = time.Minute

// Tick produces one tick with time now on every partition of sightings. Ticks may
// be produced twice and out of order: the watermark of a partition is its latest
// tick.
func (t *Ticker) Tick(ctx context.Context, now time.Time) error {
	info, err := t.deps.Topics.Info(ctx, events.Sightings, maxTopicInfoAge)
	if err != nil {
		return fmt.Errorf("tick: number of partitions of %s: %w", events.Sightings, err)
	}
	records, err := TickRecords(now, info.Partitions)
	if err != nil {
		return err
	}
	if err := t.deps.Out.Produce(ctx, records); err != nil {
		return fmt.Errorf("tick of %v: %w", now, err)
	}
	return nil
}

// TickRecords returns a tick with time watermark for each partition from 0 to
// partitions-1. Detect rejects a tick more than a day ahead of the record's
// timestamp. So if watermark is more than a day ahead of the producer's clock, as in
// a simulation of future days, the caller must set the timestamps of the records.
func TickRecords(watermark time.Time, partitions int32) ([]Record, error) {
	value, err := events.Encode(nil, &events.Tick{At: watermark})
	if err != nil {
		return nil, fmt.Errorf("encode tick of %v: %w", watermark, err)
	}
	records := make([]Record, partitions)
	for p := range records {
		records[p] = Record{Topic: events.Sightings, Partition: int32(p), Key: tickKey, Value: value}
	}
	return records, nil
}

// tickKey is the key of every tick. A device's key has a '/', so no device has this
// key.
var tickKey = []byte("tick")
