package simtest

import (
	"context"

	"footfall/events"
	"footfall/shared/stage"
)

// sink is a reader of walk-in-counts. It keeps a record only if the version of the
// record is higher than that of the record in its table.
type sink struct{ w *world }

// Handle stores a batch, record by record.
func (s *sink) Handle(ctx context.Context, b stage.Batch) error {
	for _, r := range b.Records {
		c, err := events.DecodeWalkInCount(r.Key, r.Value)
		if err != nil {
			return err
		}
		key := stage.CountKey{Business: c.Business, Contact: c.Contact}
		err = s.w.call(ctx, call{port: "sink", op: "upsert", key: string(events.ContactKey(c.Business, c.Contact)), n: c.Version, write: true, do: func() error {
			if c.Version > s.w.sinkTable[key].Version {
				s.w.sinkTable[key] = c
			}
			return nil
		}})
		if err != nil {
			return err
		}
	}
	return nil
}
