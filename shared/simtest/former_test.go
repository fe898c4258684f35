package simtest

import (
	"context"
	"os"

	"github.com/twmb/avro"

	"footfall/events"
	"footfall/shared/stage"
)

// formerProducer tells counts as the version before did: in the first version
// of the schema, the total as the version.
type formerProducer struct{ stage.Producer }

// countV1 is the first schema of a count as it was published.
var countV1 = func() *avro.Schema {
	text, err := os.ReadFile("../../events/testdata/schemas/walk-in-count.v1.avsc")
	if err != nil {
		panic(err) // the schema lies in the repository
	}
	return avro.MustParse(string(text))
}()

func (p formerProducer) Produce(ctx context.Context, records []stage.Record) error {
	var all []stage.Record
	for _, r := range records {
		if c, err := events.DecodeWalkInCount(r.Key, r.Value); err == nil && r.Topic == events.WalkInCounts {
			r.Value, err = countV1.AppendSingleObject(nil, map[string]any{
				"business": string(c.Business), "contact": string(c.Contact), "walk_in": string(c.WalkIn),
				"walk_in_at": c.WalkInAt, "month": c.Month, "month_total": c.MonthTotal, "total": c.Total, "version": c.Total,
			})
			if err != nil {
				return err
			}
		}
		all = append(all, r)
	}
	return p.Producer.Produce(ctx, all)
}
