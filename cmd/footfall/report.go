package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"footfall/lab/check"
	"footfall/lab/score"
)

// topContactsShown is the number of contacts in the list of contacts with the most
// walk-ins.
const topContactsShown = 5

// summaryFlags choose the form of the summary of a run.
type summaryFlags struct {
	JSON bool `help:"Print the summary as one JSON object on stdout; docs/runbook.md lists its fields."`
}

// summary prints the summary of a run, with the comparison with the true visits unless
// figures is nil. It returns an error if topics or tables differ from the oracle.
func (f summaryFlags) summary(w io.Writer, o *outcome, figures *score.Figures) error {
	if f.JSON {
		return errors.Join(o.report.Err(), printRunJSON(w, o, figures))
	}
	printReport(w, o)
	if figures != nil {
		printScore(w, *figures)
	}
	return o.report.Err()
}

// printReport prints the summary of a run.
func printReport(w io.Writer, o *outcome) {
	r, t := o.report, tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\n%s of event time in %s: %.0f sightings a second\n\n",
		durationText(o.fed.To.Sub(o.fed.From)), durationText(o.took), float64(r.Tally.Sightings)/o.took.Seconds())
	row := func(name string, n int64, note string) { fmt.Fprintf(t, "%s\t%d\t  %s\n", name, n, note) }
	// Sightings, then decisions, attributions and counts.
	row("sightings", r.Tally.Sightings, "heard by routers, and one for each login")
	row("late sightings", r.Tally.Late, "beyond the allowed lateness")
	row("passers-by", r.Tally.PassersBy, "sightings of devices that are not inside")
	row("excluded", r.Tally.Excluded, "sightings of listed devices or by other sensors")
	row("dead letters", r.Tally.Dead, "sightings that could not be processed")
	row("walk-ins", r.Tally.WalkIns, "visits confirmed")
	row("attributed to a contact", int64(r.Enriched.Topics), "a login names the contact")
	row("unattributed", r.Tally.WalkIns-int64(r.Enriched.Topics), "no login names a contact for the device")
	row("anonymous", r.Tally.Anonymous, "randomised address, never associated")
	row("resident devices", r.Tally.Residents, "their visits, which are no walk-ins")
	row("attributed at once", int64(r.Enriched.Topics-r.Late), "login before the walk-in")
	row("attributed late", int64(r.Late), "login after the walk-in")
	row("companions", int64(r.Companions), "part of a visit with another device")
	row("walk-ins counted", int64(r.Counted.Tables), "each exactly once")
	row("contacts counted", int64(r.Contacts.Tables), "contacts with at least one visit")
	flush(t)
	fmt.Fprintln(w)
	// The comparison with the oracle.
	printCheck(w, r)
	if r.Changed > 0 {
		fmt.Fprintf(w, "Settings changed during visits of %d devices:\ntheir walk-ins around the change are taken as produced.\n\n", r.Changed)
	}
	printTopContacts(w, r.TopContacts)
}

func flush(t *tabwriter.Writer) {
	// A table that cannot be printed shows on the next print to the same writer.
	_ = t.Flush()
}

// printCheck prints the comparison of the oracle, the topics and the tables.
func printCheck(w io.Writer, r *check.Report) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "compared\texpected (oracle)\tin topics\tin tables\t")
	for _, c := range comparisons(r) {
		verdict := "equal"
		if !c.f.Equal() {
			verdict = "DIFFERENT"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t  %s\n", c.name, c.f.Oracle, c.f.Topics, c.f.Tables, verdict)
	}
	flush(t)
	fmt.Fprintln(w)
}

// printTopContacts prints the contacts with the most walk-ins.
func printTopContacts(w io.Writer, top []check.ContactTotal) {
	if len(top) == 0 {
		return
	}
	fmt.Fprintln(w, "contacts with the most walk-ins")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range top[:min(topContactsShown, len(top))] {
		fmt.Fprintf(t, "  %s\tat %s\t%d\n", l.Contact, l.Business, l.Total)
	}
	flush(t)
	fmt.Fprintln(w)
}

// printScore prints the comparison of the found visits with the true visits, which
// must be known.
func printScore(w io.Writer, f score.Figures) {
	s := f.Visits
	fmt.Fprintf(w, "true visits: %d of 2 minutes or more\n", s.True)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, n int, note string) { fmt.Fprintf(t, "%s\t%d\t  %s\n", name, n, note) }
	row("found", s.Found, "of them, by at least one walk-in")
	row("missed", s.Missed, "of them")
	row("split", s.Split, "of them, found as more than one walk-in")
	row("merged", s.Merged, "walk-ins that cover more than one of them")
	row("false", s.False, "walk-ins that belong to none of them")
	if f.Employees != nil {
		row("employees", *f.Employees, "walk-ins of employees, until learnt as resident devices")
	}
	flush(t)
}
