package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"footfall/events"
	"footfall/lab/calibrate"
	"footfall/lab/score"
	"footfall/shared/business"
)

const (
	// tableEvery is how many dB lie between two rows of the table.
	tableEvery = 5
	// residentsShown is how many devices are listed at most.
	residentsShown = 40
)

// calibrateCmd chooses settings on one part of a recording and reports their figures
// on the rest.
type calibrateCmd struct {
	traceFlags

	Split   string  `default:"0.5" help:"Choose on the recording before this day or moment (2026-03-02T13:00) of the store, or on this share of its true visits or empty hours, and report on the rest; 1 leaves no rest. A share splits between two days, or a recording of one day at a full hour."`
	Limit   float64 `default:"1" needs:"occupancy" help:"Accepted number of false walk-ins per 100 empty hours."`
	Out     string  `help:"Write the settings to this file as JSON, for business set; - for stdout." placeholder:"rules.json"`
	Picture string  `help:"Write a chart of the thresholds to this file, as SVG." placeholder:"FILE.svg"`
}

// Validate returns an error unless the limit is above 0: no setting could keep it.
func (c *calibrateCmd) Validate() error {
	if !(c.Limit > 0) {
		return fmt.Errorf("--limit %v is not above 0", c.Limit)
	}
	return nil
}

// Run chooses the settings, prints the choice with its figures, and writes the files.
func (c *calibrateCmd) Run(ctx context.Context, s streams) error {
	return untilDone(ctx, func() error { return c.calibrate(s) })
}

func (c *calibrateCmd) calibrate(s streams) error {
	settings, err := c.settings(business.Defaults(), c.change)
	if err != nil {
		return err
	}
	m, err := c.read(s, settings.zone(c.Only), settings.inside)
	if err != nil {
		return err
	}
	base, err := c.base(m, settings)
	if err != nil {
		return err
	}
	// Leave out devices that do not look like customers, then choose on the
	// first part.
	split, err := c.split(m)
	if err != nil {
		return err
	}
	residents := calibrateResidents(m, split, base)
	for _, r := range residents {
		base.Static = append(base.Static, r.Device)
	}
	choice, err := c.choose(s, m, split, base)
	if err != nil {
		return err
	}
	// Print the choice with its figures on the rest, and write the files.
	if err := c.print(s.out, m, split, residents, base, choice); err != nil {
		return err
	}
	return c.write(s, m, choice)
}

// change sets the settings that the flags name.
func (c *calibrateCmd) change(settings *business.Settings) {
	if len(c.Sensors) > 0 {
		settings.Sensors = c.Sensors
	}
	if c.TimeZone != "" {
		settings.TimeZone = c.TimeZone
	}
}

// base returns the settings of the store of the recording, with the devices of
// --static on its list.
func (c *calibrateCmd) base(m *input, settings *settingsByBusiness) (business.Settings, error) {
	all := m.trace.Businesses()
	if len(all) > 1 {
		return business.Settings{}, fmt.Errorf("the recording has %d stores, choose one with --only: %v", len(all), all)
	}
	base, known := settings.byID[all[0]]
	switch {
	case !known && c.Businesses != "":
		return base, fmt.Errorf("%s has no settings of %s, the store of the recording; it has those of %v: name the store with --business or --only",
			c.Businesses, all[0], slices.Sorted(maps.Keys(settings.byID)))
	case !known:
		base = settings.others
	}
	base.Static = slices.Clone(base.Static)
	for _, d := range slices.Sorted(maps.Keys(m.static)) {
		if !slices.Contains(base.Static, d) {
			base.Static = append(base.Static, d)
		}
	}
	return base, nil
}

// listedIn returns a predicate that reports whether a device is listed in settings.
func listedIn(s business.Settings) func(events.BusinessID, events.DeviceID) bool {
	listed := map[events.DeviceID]bool{}
	for _, d := range slices.Concat(s.Static, s.Employees) {
		listed[d] = true
	}
	return func(_ events.BusinessID, d events.DeviceID) bool { return listed[d] }
}

// calibrateResidents returns the devices of the first part that do not look like
// customers, without those that are listed.
func calibrateResidents(m *input, split time.Time, base business.Settings) []calibrate.Resident {
	trace, known := m.part(time.Time{}, split, listedIn(base))
	return calibrate.Residents(trace, known.Empty, calibrate.WeakestEntry, m.zone, named(m.known.Truth))
}

func (c *calibrateCmd) choose(s streams, m *input, split time.Time, base business.Settings) (calibrate.Choice, error) {
	trace, known := m.part(time.Time{}, split, listedIn(base))
	truth := m.known.Truth
	// True visits that do not reach the first part are a mistake in the flags.
	if truth != nil && len(truth) == 0 {
		return calibrate.Choice{}, errors.New("no true visit belongs to this store: check --business and --only")
	}
	if truth != nil && len(known.Truth) == 0 {
		return calibrate.Choice{}, fmt.Errorf("no true visit is before %s, the first begins at %s: choose another --split",
			momentIn(split, m.zone), momentIn(truth[0].Enter, m.zone))
	}
	// Try the candidates of each setting in turn.
	p := newProgress(s.err, "choosing", -1)
	defer p.finish()
	return calibrate.Choose(calibrate.Input{
		Trace: trace, Known: known, Base: base, Limit: c.Limit,
		Step: func(done, total int) {
			p.update(int64(done), int64(total), fmt.Sprintf("%d of %d settings", done, total))
		},
	})
}

// print prints the chosen settings, the figures that led to them, and the figures on
// the rest of the recording.
func (c *calibrateCmd) print(w io.Writer, m *input, split time.Time, residents []calibrate.Resident, base business.Settings, choice calibrate.Choice) error {
	printResidents(w, residents)
	// The candidates of each setting, in the order in which the settings were chosen.
	if v := choice.Entries[0].Figures.Visits; v != nil {
		fmt.Fprintf(w, "true visits: %d; delay: median time beyond the dwell until the walk-in\n\n", v.True)
	}
	printPoints(w, "entry threshold", choice.Entries, func(p calibrate.Point) (string, bool) {
		chosen := p.Entry == choice.Settings.Entry
		return fmt.Sprintf("%d dBm", p.Entry), chosen
	})
	chosen := choice.Settings
	printPoints(w, "dwell at entry", choice.Dwells, func(p calibrate.Point) (string, bool) {
		return fmt.Sprintf("%v at %d dBm", p.Dwell, p.Entry), p.Dwell == time.Duration(chosen.Dwell)
	})
	printPoints(w, "gap", choice.Gaps, func(p calibrate.Point) (string, bool) {
		return p.Gap.String(), p.Gap == time.Duration(chosen.Gap)
	})
	printPoints(w, "hold threshold", choice.Holds, func(p calibrate.Point) (string, bool) {
		return fmt.Sprintf("%d dBm", p.Hold), p.Hold == chosen.Hold
	})
	// The choice, and its reasons.
	fmt.Fprintf(w, "recommended: --entry %d --hold %d --dwell %v --gap %v\n", chosen.Entry, chosen.Hold, time.Duration(chosen.Dwell), time.Duration(chosen.Gap))
	for _, line := range choice.Why() {
		fmt.Fprintln(w, "  "+line)
	}
	rules, err := chosen.Rules()
	if err != nil {
		return err
	}
	if !split.Before(m.end()) {
		fmt.Fprintln(w, "\nNo part of the recording is left for a report: the accuracy on another day is unknown.")
		return nil
	}
	// The figures on the rest of the recording, with the chosen and the default
	// settings.
	trace, known := m.part(split, time.Time{}, listedIn(chosen))
	fmt.Fprintf(w, "\nfrom %s on (%s),\nthe part that the settings were not chosen on:\n", momentIn(split, m.zone), m.zone)
	printFigures(w, score.Measure(trace.Visits(rules), known, score.EqualDwell(rules.MinSpan)))
	// Settings before the choice are the store's or the defaults.
	before, name := base, "the settings of --businesses"
	if c.Businesses == "" {
		name = "the default settings"
	}
	former, err := before.Rules()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nthe same with %s:\n", name)
	printFigures(w, score.Measure(trace.Visits(former), known, score.EqualDwell(former.MinSpan)))
	return nil
}

func printResidents(w io.Writer, all []calibrate.Resident) {
	fmt.Fprintf(w, "%d devices do not look like customers and are left out below.\nCheck the list: is one of them a customer?\n", len(all))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for i, r := range all {
		if i == 0 {
			fmt.Fprintln(t, "device\tdays there\tof\tdays alone\thours heard\t ")
		}
		if i == residentsShown {
			fmt.Fprintf(t, "and %d more\t\t\t\t\t \n", len(all)-i)
			break
		}
		note := ""
		if r.Randomised {
			note = "randomised"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t  %s\n", r.Device, r.Days, r.Recorded, r.EmptyDays, r.Hours, note)
	}
	flush(t)
	fmt.Fprintln(w)
}

// printPoints prints a table of the candidates of one setting. Of the many entry
// thresholds it prints a selection. The columns are narrow: a row with the figures of
// true visits fits 80 columns.
func printPoints(w io.Writer, what string, points []calibrate.Point, name func(calibrate.Point) (string, bool)) {
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', tabwriter.AlignRight)
	// The columns of false walk-ins and of true visits need their reference data.
	head := what + "\twalk-ins\tanonymous"
	empty := points[0].Figures.Empty != nil && points[0].Figures.Empty.Hours > 0
	if empty {
		head += "\tfalse/100 h"
	}
	truth := points[0].Figures.Visits != nil
	if truth {
		head += "\tfound\tsplit\tmerged\tfalse\tdelay\tcost"
	}
	fmt.Fprintln(t, head+"\t")
	// One row for each candidate. Of long lists only some rows, and the chosen
	// one.
	for i, p := range points {
		label, chosen := name(p)
		if !chosen && len(points) > 3*tableEvery && i%tableEvery != 0 {
			continue
		}
		f := p.Figures
		fmt.Fprintf(t, "%s\t%d\t%d", label, f.WalkIns, f.Anonymous)
		if empty {
			fmt.Fprintf(t, "\t%.1f", f.Empty.Per100())
		}
		if truth {
			v := f.Visits
			fmt.Fprintf(t, "\t%d\t%d\t%d\t%d\t%s\t%.2f", v.Found, v.Split, v.Merged, v.False, durationText(f.Timing.Beyond.Median), p.Cost)
		}
		mark := ""
		if chosen {
			mark = " chosen"
		}
		fmt.Fprintf(t, "\t%s\n", mark)
	}
	flush(t)
	fmt.Fprintln(w)
}

// write writes the files that the flags name.
func (c *calibrateCmd) write(s streams, m *input, choice calibrate.Choice) error {
	var errs []error
	if c.Out != "" {
		errs = append(errs, toFile(c.Out, s.out, func(w io.Writer) error { return choice.Settings.WriteOnly(w, c.written(choice.Settings)...) }))
	}
	if c.Picture != "" {
		errs = append(errs, toFile(c.Picture, s.out, func(w io.Writer) error {
			return calibrate.Picture(w, choice, m.trace.Levels, c.Limit)
		}))
	}
	return errors.Join(errs...)
}

// written returns the names of the settings that the output holds. Without the
// settings of the store these are the settings that were chosen or given: stored with
// `business set`, the output leaves all others of the store alone.
func (c *calibrateCmd) written(chosen business.Settings) []string {
	if c.Businesses != "" {
		return nil
	}
	names := []string{"entry_dbm", "hold_dbm", "dwell", "gap", "associated_gap"}
	if c.TimeZone != "" {
		names = append(names, "time_zone")
	}
	if len(c.Sensors) > 0 {
		names = append(names, "sensors")
	}
	if len(chosen.Static) > 0 {
		names = append(names, "static")
	}
	return names
}
