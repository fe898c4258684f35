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

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"footfall/events"
	"footfall/local"
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
	hasRules := func(d business.Document) bool { return d.Rules != nil }
	if !f.From.IsZero() && !slices.ContainsFunc(slices.Collect(maps.Values(all)), hasRules) {
		return errors.New("--from has no effect: there are no rules, and a door holds within half a minute")
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

// businessesFlags name settings that are stored before a pipeline starts.
type businessesFlags struct {
	Businesses          string `help:"Settings of businesses that are stored first, where none are: a JSON object of documents by id. Differences from stored settings are printed." placeholder:"FILE"`
	BusinessesOverwrite bool   `needs:"businesses" help:"Replace stored settings by those of --businesses, as business import does."`
}

// storeBefore returns an option that stores the businesses before any function runs,
// and prints differences to notes. Without a file the option does nothing.
func (f businessesFlags) storeBefore(notes io.Writer) func(*local.Options) {
	return func(o *local.Options) {
		if f.Businesses == "" {
			return
		}
		o.Prepare = func(ctx context.Context, tables *dynamodb.Client) error {
			return f.store(ctx, notes, dynamo.NewBusinesses(tables, o.TablePrefix), keysFlag{o.PseudonymKeys})
		}
	}
}

// store stores the documents of the file, part by part: a part that is stored stays as
// it is, unless it is to be overwritten.
func (f businessesFlags) store(ctx context.Context, notes io.Writer, table *dynamo.Businesses, keys keysFlag) error {
	data, err := os.ReadFile(f.Businesses)
	if err != nil {
		return fmt.Errorf("businesses: %w", err)
	}
	all, err := business.ReadDocuments(data)
	if err == nil {
		err = keys.pseudonymiseAll(all)
	}
	if err != nil {
		return fmt.Errorf("businesses in %s: %w", f.Businesses, err)
	}
	// A start that failed on the way can be repeated: the parts that it stored are
	// unchanged then.
	differ := false
	for _, id := range slices.Sorted(maps.Keys(all)) {
		change, err := f.storeOne(ctx, table, id, all[id])
		if err != nil {
			return fmt.Errorf("store business %s: %w", id, err)
		}
		if !change.IsEmpty() {
			differ = true
			f.print(notes, change)
		}
	}
	if differ && !f.BusinessesOverwrite {
		fmt.Fprintf(notes, "%s differs from the stored settings, which stay as they are;\n--businesses-overwrite replaces them\n", f.Businesses)
	}
	return nil
}

// storeOne stores the parts of a document that are not stored yet. It returns the
// change of the other parts, which it applies only if they are to be overwritten. The
// rules of a business of which nothing is stored have always held, since nothing was
// decided yet. All other rules begin as with `footfall business set`.
func (f businessesFlags) storeOne(ctx context.Context, table *dynamo.Businesses, id events.BusinessID, doc business.Document) (business.Change, error) {
	stored, _, err := table.Read(ctx, id)
	if err != nil {
		return business.Change{}, err
	}
	missing, present := stored.Split(doc)
	start := stored.ImportStart(time.Now())
	if _, err := business.Plan(id, stored, missing, start).Apply(ctx, table); err != nil {
		return business.Change{}, err
	}
	change := business.Plan(id, stored, present, start)
	if f.BusinessesOverwrite {
		return change.Apply(ctx, table)
	}
	return change, nil
}

// print prints a change of stored settings: as business set does if the change is
// applied, and otherwise its differences.
func (f businessesFlags) print(notes io.Writer, c business.Change) {
	if f.BusinessesOverwrite {
		printChange(notes, c)
		return
	}
	fmt.Fprintf(notes, "%s:\n", c.ID)
	printDifferences(notes, c.RulesDiff)
	if len(c.Dropped) > 0 {
		fmt.Fprintln(notes, "  rules that begin later are not in the file")
	}
	printDifferences(notes, c.DoorDiff)
}
