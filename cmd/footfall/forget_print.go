package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"footfall/shared/forget"
)

// print prints a report and, if anything was found, the data that stays for now.
func (c *forgetCmd) print(w io.Writer, r *forget.Report, now time.Time) error {
	var left []forget.Remainder
	if r.Found() {
		left = forget.Remainders(r.Contact != "", now)
	}
	if c.JSON {
		return json.NewEncoder(w).Encode(struct {
			*forget.Report
			Found bool               `json:"found"`
			Left  []forget.Remainder `json:"left,omitempty"`
		}{r, r.Found(), left})
	}
	// The contact or device, and the merges of the contact.
	what := "contact " + string(r.Contact)
	if r.Contact == "" {
		what = "device " + string(r.Device)
	}
	fmt.Fprintf(w, "%s of %s\n", what, r.Business)
	if !r.ForgottenAt.IsZero() {
		fmt.Fprintf(w, "forgotten before, at %s\n", r.ForgottenAt.Format(time.RFC3339))
	}
	if r.MergedInto != "" {
		fmt.Fprintf(w, "merged into %s, which is not forgotten\n", r.MergedInto)
	}
	if !r.Found() {
		_, err := fmt.Fprintln(w, "nothing found")
		return err
	}
	for _, one := range r.Merged {
		fmt.Fprintf(w, "also %s, which was merged into it\n", one)
	}
	// The data to remove, and the data that stays for now.
	printRemoved(w, r)
	printRemainders(w, left)
	if !r.Done {
		fmt.Fprintln(w, "\nnothing was removed; run again with --yes to remove this")
	}
	return nil
}

func printRemoved(w io.Writer, r *forget.Report) {
	if r.Done {
		fmt.Fprintln(w, "\nremoved")
	} else {
		fmt.Fprintln(w, "\nto remove")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(n int, what string) {
		if n > 0 {
			fmt.Fprintf(t, "  %d\t%s\n", n, what)
		}
	}
	row(r.Contacts, "contacts: their devices, deletions and merges")
	row(r.Lists, "places on the lists of contacts")
	row(r.Bindings, "bindings of devices")
	row(r.Histories, "histories of devices, with nothing else in them")
	row(r.WalkIns, "walk-ins")
	row(r.Counts, fmt.Sprintf("counts, months and bases, of %d walk-ins", r.Counted))
	flush(t)
	// The data of other contacts with the same devices stays.
	if r.Contact == "" || len(r.Devices) == 0 {
		return
	}
	fmt.Fprintln(w, "\ndevices of the contact; their other walk-ins and bindings stay\nuntil forget --device removes them")
	for _, d := range r.Devices {
		fmt.Fprintf(w, "  %s\n", d)
	}
}

func printRemainders(w io.Writer, left []forget.Remainder) {
	fmt.Fprintln(w, "\nkept for now, and removed by")
	for _, l := range left {
		until := "-"
		if !l.Until.IsZero() {
			until = l.Until.Format(time.DateOnly)
		}
		fmt.Fprintln(w, wrap(fmt.Sprintf("  %-10s  %s: %s", until, l.Where, l.What), "              "))
	}
}
