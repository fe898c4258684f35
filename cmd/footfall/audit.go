package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/shared/audit"
	"footfall/shared/dynamo"
	"footfall/shared/kafka"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
)

// auditCmd recounts walk-ins from the topics and compares them with the counts.
type auditCmd struct {
	clusterFlags
	tableFlags
	deploymentFlags
	From  momentFlag `placeholder:"TIME" help:"Walk-ins from this time: 2026-11-01, 2026-11-01T12:00:00Z, or 36h for 36 hours ago."`
	To    momentFlag `placeholder:"TIME" help:"Walk-ins before this time."`
	Items int        `default:"10" placeholder:"N" help:"Number of walk-ins to list for each difference; 0 for all."`
	JSON  bool       `voids:"items" help:"Print the differences as JSON, one a line, and the summary as the last line."`
}

// Help returns the help text: the sources that are compared, and the meaning of the
// result.
func (c *auditCmd) Help() string {
	return `Recounts the walk-ins of a time range, independently of the functions that counted them, and lists the differences.

The expected counts come from the topics sightings, crm-events and crm-events-backfill, by a second, slow implementation
of the rules in docs/design.md. Records among the dead letters are left out until they are put back. If retention has
removed the beginning, or a device was in the store all the time since before it, the walk-ins on enriched-walk-ins are
taken instead. The audit reads from a day before --from.

For every contact and month it compares the visits in the table counts, which it reads completely; the totals, in which
two devices of a contact in a store at the same time are one visit; and the latest total on walk-in-counts with the sum
in the table.

Walk-ins that lagging functions have not counted yet are listed as missing: on a live system give --to a time of some hours ago.
Logins that arrive later than that, and deletions that arrive after a walk-in that they should have preceded, show as
differences.

With --json the last line is {"summary": {…}}, also if there are differences or the audit failed: "equal" is true only if
all counts are equal, and "error" states why the audit failed.

Exit status: 0 all counts are equal, 1 there are differences or the audit failed, 2 the command line is invalid.`
}

// Validate returns an error if the range is empty.
func (c *auditCmd) Validate() error {
	if !c.From.IsZero() && !c.To.IsZero() && !c.From.Before(c.To.Time) {
		return errors.New("--from is not before --to")
	}
	if c.Items < 0 {
		return fmt.Errorf("--items %d is negative", c.Items)
	}
	return nil
}

// Run recounts and prints the differences. It returns an error if there are any.
func (c *auditCmd) Run(ctx context.Context, s streams) error {
	report, err := c.recount(ctx, s)
	if c.JSON {
		return errors.Join(err, printAuditJSON(s.out, c, report, err), differencesError(report))
	}
	if err != nil {
		return err
	}
	// Print the report; differences are an error, for the exit status.
	for _, note := range report.Notes {
		fmt.Fprintln(s.err, "note:", note)
	}
	return errors.Join(c.print(s.out, report), differencesError(report))
}

// differencesError returns an error if the report, unless it is nil, has differences.
func differencesError(r *audit.Report) error {
	if r == nil || len(r.Differences) == 0 {
		return nil
	}
	return fmt.Errorf("%d differences", len(r.Differences))
}

// recount makes the report.
func (c *auditCmd) recount(ctx context.Context, s streams) (*audit.Report, error) {
	client, err := c.client(ctx, kafka.ReadOptions()...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	tables, err := c.tables(ctx)
	if err != nil {
		return nil, err
	}
	businesses, err := ruleHistories(ctx, dynamo.NewBusinesses(tables, c.TablePrefix))
	if err != nil {
		return nil, err
	}
	// A lagging stage explains missing walk-ins: print its lag before the recount.
	if err := c.warnOfLag(ctx, s.err, client); err != nil {
		return nil, err
	}
	// Recount, with progress by records read.
	p := newProgress(s.err, "auditing", -1)
	report, err := audit.Run(ctx, audit.Options{
		Client: client, Rules: presence.DefaultRules(), Counts: dynamo.NewCounts(tables, c.TablePrefix), Businesses: businesses,
		Identities: dynamo.NewIdentities(tables, c.TablePrefix),
		From:       c.From.Time, To: c.To.Time,
		Progress: func(done, total int64, topic string) {
			p.update(done, total, fmt.Sprintf("%d of at most %d records, at %s", done, total, topic))
		},
	})
	p.finish()
	return report, err
}

// warnOfLag prints a note for each stage that lags, since its walk-ins are listed as
// missing.
func (c *auditCmd) warnOfLag(ctx context.Context, w io.Writer, client *kgo.Client) error {
	for _, spec := range pipeline.Default().Stages {
		for _, m := range spec.Reads {
			offsets, err := c.offsets(ctx, client, spec.Name, m.Topic)
			if err != nil {
				return err
			}
			// The lag of a topic is the sum over its partitions.
			lag := int64(0)
			for _, o := range offsets {
				lag += o.Lag()
			}
			if lag > 0 {
				fmt.Fprintf(w, "note: %s has a lag of %d records on %s;\n  walk-ins that it has not processed yet are listed as missing\n", spec.Name, lag, m.Topic)
			}
		}
	}
	return nil
}

func (c *auditCmd) print(w io.Writer, r *audit.Report) error {
	// The figures; lines that are usually 0 are left out.
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "walk-ins from\t%s\n", timeOr(r.From, "the beginning"))
	fmt.Fprintf(t, "to\t%s\n", timeOr(r.To, "the end"))
	if !r.Settled.IsZero() && (r.To.IsZero() || r.Settled.Before(r.To)) {
		fmt.Fprintf(t, "recounted up to\t%s; later walk-ins from %s\n", timeOr(r.Settled, ""), events.EnrichedWalkIns)
	}
	fmt.Fprintf(t, "visits found\t%d\tin sightings\n", r.Visits)
	if r.DeadLetters > 0 {
		fmt.Fprintf(t, "left out\t%d\trecords that are or were dead letters\n", r.DeadLetters)
	}
	fmt.Fprintf(t, "walk-ins expected\t%d\tattributed to a contact, by the recount\n", r.Expected)
	fmt.Fprintf(t, "walk-ins counted\t%d\tin the table counts\n", r.Counted)
	fmt.Fprintf(t, "companions\t%d\tof them, part of a visit with another device\n", r.Companions)
	fmt.Fprintf(t, "contacts\t%d\twith compared totals\n", r.Contacts)
	if r.Unjudged > 0 {
		fmt.Fprintf(t, "not judged\t%d\tids from before the beginning of the topics\n", r.Unjudged)
	}
	if r.Forgotten > 0 {
		fmt.Fprintf(t, "left out\t%d\tforgotten contacts with records still in the topics\n", r.Forgotten)
	}
	flush(t)
	if len(r.Differences) == 0 {
		fmt.Fprintln(w, "\nequal")
		return nil
	}
	fmt.Fprintln(w)
	return c.printDifferences(w, r.Differences)
}

// printDifferences prints a table, with the walk-ins of each difference below its
// line. The walk-ins are not part of the table: a line without cells would end its
// columns.
func (c *auditCmd) printDifferences(w io.Writer, all []audit.Difference) error {
	var table bytes.Buffer
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "BUSINESS\tCONTACT\tMONTH\tWHERE\tEXPECTED\tFOUND")
	for _, d := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\n", d.Business, d.Contact, cmp.Or(d.Month, "all"), differenceLabels[d.Kind], d.Expected, d.Found)
	}
	flush(t)
	// Line 0 is the head; line i belongs to difference i-1.
	for i := range len(all) + 1 {
		line, err := table.ReadString('\n')
		if err != nil {
			return err
		}
		fmt.Fprint(w, line)
		if i > 0 {
			c.printItems(w, "missing", all[i-1].Missing)
			c.printItems(w, "too many", all[i-1].TooMany)
		}
	}
	return nil
}

// differenceLabels holds the label of each kind of difference. The total of the table
// is compared with the expected total, the total on the topic with that of the table.
var differenceLabels = map[string]string{
	audit.InTable: "visits in the table",
	audit.InTotal: "total without companions",
	audit.OnTopic: "total on walk-in-counts",
	audit.InEnds:  "ends on enriched-walk-ins",
}

// printItems lists walk-ins below their difference.
func (c *auditCmd) printItems(w io.Writer, what string, items []audit.DifferingWalkIn) {
	shown := len(items)
	if c.Items > 0 {
		shown = min(shown, c.Items)
	}
	for _, item := range items[:shown] {
		fmt.Fprintf(w, "  %s %s, %s: %s\n", what, item.ID, timeOr(item.Start, "time not known"), item.Why)
	}
	if left := len(items) - shown; left > 0 {
		fmt.Fprintf(w, "  %d more %s\n", left, what)
	}
}

// timeOr returns a time as text, or none if the time is zero.
func timeOr(at time.Time, none string) string {
	if at.IsZero() {
		return none
	}
	return at.UTC().Format(time.RFC3339Nano)
}
