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

// formerCounts is the table counts as the former version used it: a visit is
// counted by its id alone, and the former version sees only such facts.
type formerCounts struct{ *ports }

// Add stores the ids of visits that began, without times.
func (c formerCounts) Add(ctx context.Context, key stage.CountKey, month string, facts []presence.Fact) error {
	var ids []presence.Fact
	for _, f := range facts {
		if f.Start != 0 {
			ids = append(ids, presence.Fact{Visit: f.Visit})
		}
	}
	return c.ports.Add(ctx, key, month, ids)
}

// Get returns the facts that are ids only.
func (c formerCounts) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	all, err := c.ports.Get(ctx, key)
	for i := range all {
		all[i].Facts = slices.DeleteFunc(all[i].Facts, func(f presence.Fact) bool { return !isIDOnly(f) })
	}
	stage.SetTotals(all)
	return all, err
}

// isIDOnly reports whether a fact is the id of a visit without times.
func isIDOnly(f presence.Fact) bool { return f.Start == 0 && f.Last == 0 }

// formerProducer produces counts as the former version did: in version 1 of the
// schema, with the total in place of the version.
type formerProducer struct{ stage.Producer }

// countV1 is version 1 of the schema of a count, as it was published.
var countV1 = func() *avro.Schema {
	text, err := os.ReadFile("../../events/schemas/published/walk-in-count.v1.avsc")
	if err != nil {
		panic(err) // the file is part of the repository
	}
	return avro.MustParse(string(text))
}()

// Produce encodes counts again and passes all records on.
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
