package simtest

import (
	"context"
	"os"
	"slices"

	"github.com/twmb/avro"

	"footfall/events"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

// formerCounts counts as the version before did: by ids alone, which are all that
// it sees of the table.
type formerCounts struct{ *ports }

func (c formerCounts) Add(ctx context.Context, key stage.CountKey, month string, facts []presence.Fact) error {
	var ids []presence.Fact
	for _, f := range facts {
		if f.Start != 0 {
			ids = append(ids, presence.Fact{Visit: f.Visit})
		}
	}
	return c.ports.Add(ctx, key, month, ids)
}

func (c formerCounts) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	all, err := c.ports.Get(ctx, key)
	for i := range all {
		all[i].Facts = slices.DeleteFunc(all[i].Facts, func(f presence.Fact) bool { return !idAlone(f) })
	}
	stage.SetTotals(all)
	return all, err
}

func idAlone(f presence.Fact) bool { return f.Start == 0 && f.Last == 0 }

// formerProducer tells counts as the version before did: in the first version
// of the schema, the total as the version.
type formerProducer struct{ stage.Producer }

// countV1 is the first schema of a count as it was published.
var countV1 = func() *avro.Schema {
	text, err := os.ReadFile("../../events/schemas/published/walk-in-count.v1.avsc")
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
