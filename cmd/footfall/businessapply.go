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

// changeFlags are the flags that set and import have in common.
type changeFlags struct {
	tableFlags
	keysFlag
	From    momentFlag `placeholder:"TIME" help:"The moment of event time from which on the rules hold, like 2026-11-22 or 2026-11-22T08:00:00Z. By default the next whole minute that is at least two minutes away. The door always holds within half a minute."`
	Rewrite bool       `help:"Let --from lie in the past. Records that were produced since then stay as they are, but a replay or an audit decides by the new rules and reports differences."`
	DryRun  bool       `help:"Print what would change, and change nothing."`
}

// Validate returns an error for a rewrite without a moment.
func (f *changeFlags) Validate() error {
	if f.Rewrite && f.From.IsZero() {
		return errors.New("--rewrite needs --from, the moment from which on the rules hold")
	}
	return nil
}

// start returns the moment from which on rules are to hold. Without --rewrite, a
// --from is an error if some function would not know the rules by then.
func (f *changeFlags) start() (business.Start, error) {
	soonest := business.Soonest(time.Now())
	switch {
	case f.From.IsZero():
		return business.Start{Since: soonest}, nil
	case f.Rewrite || !f.From.Before(soonest):
		return business.Start{Since: f.From.UTC(), Rewrite: f.Rewrite}, nil
	default:
		return business.Start{}, fmt.Errorf("--from %s is too soon for all functions to know the rules by then: give %s or later, or add --rewrite to set them all the same",
			f.From.UTC().Format(time.RFC3339), soonest.Format(time.RFC3339))
	}
}

// apply sets the documents, business by business, and prints what changes. Lists may
// hold MAC addresses, which become pseudonyms first.
func (f *changeFlags) apply(ctx context.Context, s streams, all map[events.BusinessID]business.Document) error {
	if err := f.pseudonymiseAll(all); err != nil {
		return err
	}
	// All documents begin at the same moment.
	start, err := f.start()
	if err != nil {
		return err
	}
	table, err := f.businesses(ctx)
	if err != nil {
		return err
	}
	// Store and print one business after the other, so that after a failure the output
	// shows which businesses are set.
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

// printChange prints the differences that a change makes, and when they take effect.
func printChange(w io.Writer, c business.Change) {
	fmt.Fprintf(w, "%s:\n", c.ID)
	// Rules may be written without a difference, to drop later ones.
	printDifferences(w, c.RulesDiff)
	if c.Rules != nil {
		fmt.Fprintln(w, "  rules hold from", c.Start.Since.Format(time.RFC3339), "on")
	}
	if len(c.Dropped) > 0 {
		fmt.Fprintln(w, "  rules that were to begin later are dropped")
	}
	printDifferences(w, c.DoorDiff)
	if c.Door != nil {
		fmt.Fprintln(w, "  the door holds within half a minute")
	}
	if c.IsEmpty() {
		fmt.Fprintln(w, "  unchanged")
	}
}

// printDifferences prints a line for each difference.
func printDifferences(w io.Writer, all []business.Difference) {
	for _, d := range all {
		fmt.Fprintln(w, " ", d)
	}
}

// importBusinesses stores the documents of a file before the pipeline starts. The rules
// of a business of which nothing is stored have always held, since nothing was decided
// yet. The rules of any other business begin as with `footfall business set`.
func importBusinesses(ctx context.Context, table *dynamo.Businesses, path string, keys keysFlag) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("businesses: %w", err)
	}
	all, err := business.ReadDocuments(data)
	if err == nil {
		err = keys.pseudonymiseAll(all)
	}
	if err != nil {
		return fmt.Errorf("businesses in %s: %w", path, err)
	}
	// A start that failed on the way can be repeated: what is stored is then unchanged.
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
