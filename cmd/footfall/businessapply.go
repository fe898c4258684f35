package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/dynamo"
)

// changeFlags are what set and import have in common.
type changeFlags struct {
	tableFlags
	keysFlag
	From    momentFlag `placeholder:"TIME" help:"The rules hold from this moment of event time on: 2026-11-22, 2026-11-22T08:00:00Z. By default from the next minute that is two away; the door holds within half a minute in any case."`
	Rewrite bool       `help:"Let --from lie in the past. What was decided since then stays as it was told, but a replay or an audit decides by the new rules, and finds it different."`
	DryRun  bool       `help:"Only say what would change."`
}

// Validate refuses a rewrite from no moment.
func (f *changeFlags) Validate() error {
	if f.Rewrite && f.From.IsZero() {
		return errors.New("--rewrite needs --from, the moment that the rules hold from")
	}
	return nil
}

// start is from when on rules will hold.
func (f *changeFlags) start() (business.Start, error) {
	soonest := business.Soonest(time.Now())
	switch {
	case f.From.IsZero():
		return business.Start{Since: soonest}, nil
	case f.Rewrite || !f.From.Before(soonest):
		return business.Start{Since: f.From.UTC(), Rewrite: f.Rewrite}, nil
	default:
		return business.Start{}, fmt.Errorf("--from %s is sooner than all functions know of it: %s is the soonest (--rewrite sets it all the same)",
			f.From.UTC().Format(time.RFC3339), soonest.Format(time.RFC3339))
	}
}

// apply sets what differs from what is stored, business by business, and says so.
func (f *changeFlags) apply(ctx context.Context, s streams, all map[events.BusinessID]business.Document) error {
	if err := f.pseudonymiseAll(all); err != nil {
		return err
	}
	start, err := f.start()
	if err != nil {
		return err
	}
	table, err := f.businesses(ctx)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		stored, _, err := table.Read(ctx, id)
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		change := business.Plan(id, stored, all[id], start)
		if !f.DryRun {
			if change, err = change.Apply(ctx, table); err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
		}
		printChange(s.out, change)
	}
	if f.DryRun {
		fmt.Fprintln(s.out, "nothing is changed: this is a dry run")
	}
	return nil
}

// printChange prints what a change changes, and from when on.
func printChange(w io.Writer, c business.Change) {
	fmt.Fprintf(w, "%s:\n", c.ID)
	printDifferences(w, c.RulesDiff)
	if c.Rules != nil {
		fmt.Fprintln(w, "  rules hold from", c.Start.Since.Format(time.RFC3339), "on")
	}
	if len(c.Dropped) > 0 {
		fmt.Fprintln(w, "  rules that were to come after that are dropped")
	}
	printDifferences(w, c.DoorDiff)
	if c.Door != nil {
		fmt.Fprintln(w, "  the door holds within half a minute")
	}
	if c.IsEmpty() {
		fmt.Fprintln(w, "  as it was")
	}
}

func printDifferences(w io.Writer, all []business.Difference) {
	for _, d := range all {
		fmt.Fprintln(w, " ", d)
	}
}

// importBusinesses stores the businesses of a file. The rules of one that the
// tables do not know hold since ever, for nothing was decided of it yet; those of
// another hold from when `footfall business set` would let them.
func importBusinesses(ctx context.Context, table *dynamo.Businesses, path string, keys keysFlag) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("businesses: %w", err)
	}
	all, err := business.ReadDocuments(data)
	if err == nil {
		err = keys.pseudonymiseAll(all) // the tables hold no address, whoever writes them
	}
	if err != nil {
		return fmt.Errorf("businesses in %s: %w", path, err)
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		stored, _, err := table.Read(ctx, id)
		if err == nil {
			_, err = business.Plan(id, stored, all[id], stored.ImportStart(time.Now())).Apply(ctx, table)
		}
		if err != nil {
			return fmt.Errorf("store business %s: %w", id, err)
		}
	}
	return nil
}
