package stage

import (
	"context"
	"fmt"
	"time"

	"footfall/events"
)

// TickDeps is what tick works with.
type TickDeps struct {
	Topics TopicInfos
	Out    Producer
}

// NewTick makes the stage that tells the partitions of sightings the time.
func NewTick(deps TickDeps) *Ticker { return &Ticker{deps} }

// Ticker is the tick stage.
type Ticker struct{ deps TickDeps }

// Tick puts one tick on every partition of sightings. Ticks may come twice and
// out of order: a partition's clock is the latest.
func (t *Ticker) Tick(ctx context.Context, at time.Time) error {
	info, err := t.deps.Topics.Info(ctx, events.Sightings, time.Minute)
	if err != nil {
		return fmt.Errorf("partitions of %s: %w", events.Sightings, err)
	}
	records, err := TickRecords(at, info.Partitions)
	if err != nil {
		return err
	}
	if err := t.deps.Out.Produce(ctx, records); err != nil {
		return fmt.Errorf("tick of %v: %w", at, err)
	}
	return nil
}

// TickRecords makes a tick for each partition. Where at is over a day ahead of the
// producer's clock, as in a simulation of days to come, the records need a
// Timestamp that is not: detect takes no other.
func TickRecords(at time.Time, partitions int32) ([]Record, error) {
	value, err := events.Encode(nil, &events.Tick{At: at})
	if err != nil {
		return nil, fmt.Errorf("tick of %v: %w", at, err)
	}
	records := make([]Record, partitions)
	for p := range records {
		records[p] = Record{Topic: events.Sightings, Partition: int32(p), Key: tickKey, Value: value}
	}
	return records, nil
}

// tickKey is no device's key, for it has no '/'.
var tickKey = []byte("tick")
