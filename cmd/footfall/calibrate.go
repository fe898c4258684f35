package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"
	"text/tabwriter"
	"time"

	"footfall/lab/calibrate"
	"footfall/lab/score"
	"footfall/shared/business"
	"footfall/shared/presence"
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

	Split   string  `default:"0.5" help:"Choose on the recording before this day, or on this share of its true visits or empty hours, and report on the rest; 1 leaves no rest."`
	Limit   float64 `default:"1" needs:"occupancy" help:"Accepted number of false walk-ins per 100 empty hours."`
	Out     string  `help:"Write the settings to this file as JSON; - for stdout." placeholder:"rules.json"`
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
	base := business.Defaults()
	base.Sensors = c.Sensors
	if c.TimeZone != "" {
		base.TimeZone = c.TimeZone
	}
	m, err := c.read(s, base.TimeZone, c.Sensors)
	if err != nil {
		return err
	}
	if all := m.trace.Businesses(); len(all) > 1 {
		return fmt.Errorf("the recording has %d stores, choose one with --only: %v", len(all), all)
	}
	// Leave out devices that do not look like customers, then choose on the
	// first part.
	split, err := c.split(m)
	if err != nil {
		return err
	}
	residents := c.residents(m, split)
	base.Static = slices.Sorted(maps.Keys(m.static))
	for _, r := range residents {
		base.Static = append(base.Static, r.Device)
	}
	choice, err := c.choose(s, m, split, base)
	if err != nil {
		return err
	}
	// Print the choice with its figures on the rest, and write the files.
	if err := c.print(s.out, m, split, residents, choice); err != nil {
		return err
	}
	return c.write(s, m, choice)
}

// split returns the day that splits the recording: midnight in the store's time
// zone.
func (c *calibrateCmd) split(m *input) (time.Time, error) {
	// A day, or all of the recording.
	days := recordedDays(m)
	share, err := strconv.ParseFloat(c.Split, 64)
	switch {
	case err != nil:
		day, err := dayIn(c.Split, m.zone)
		if err == nil && !day.After(days[0]) {
			err = fmt.Errorf("--split %s: nothing was recorded before that day", c.Split)
		}
		return day, err
	case share == 1:
		return m.end(), nil
	}
	// A share of the weight of the days.
	at := 0
	if share > 0 && share < 1 {
		at = splitAt(m.weights(days), share)
		if at == 0 { // all weight lies on one day, or there is none
			at = splitAt(slices.Repeat([]float64{1}, len(days)), share)
		}
	}
	if at > 0 {
		return days[at], nil
	}
	return time.Time{}, fmt.Errorf("--split %s does not split a recording of %d days; 1 chooses on all of it", c.Split, len(days))
}

// end returns the end of the recording.
func (m *input) end() time.Time {
	recorded := m.trace.Recorded(0)
	return recorded[len(recorded)-1].To
}

// weights returns the weight of each day for the choice: the number of its true
// visits or, if no true visits are known, its empty minutes.
func (m *input) weights(days []time.Time) []float64 {
	w := make([]float64, len(days))
	dayOf := func(at time.Time) int {
		return sort.Search(len(days), func(i int) bool { return days[i].After(at) }) - 1
	}
	add := func(at time.Time) {
		if i := dayOf(at); i >= 0 {
			w[i]++
		}
	}
	// True visits count; only without any, empty minutes do.
	_, k := m.part(time.Time{}, time.Time{}, nil)
	for _, v := range k.Truth {
		add(v.Enter)
	}
	if len(k.Truth) == 0 {
		for _, s := range k.Empty {
			for at := s.From; at.Before(s.To); at = at.Add(time.Minute) {
				add(at)
			}
		}
	}
	return w
}

// splitAt returns the index of the day before which the share of all weights lies
// most nearly, with neither part empty; 0 if there is no such day.
func splitAt(weights []float64, share float64) int {
	all := 0.0
	for _, w := range weights {
		all += w
	}
	// sum is the weight of the days before day i.
	best, off, sum := 0, math.Inf(1), 0.0
	for i, w := range weights {
		if d := math.Abs(sum - share*all); i > 0 && sum > 0 && sum < all && d < off {
			best, off = i, d
		}
		sum += w
	}
	return best
}

// recordedDays returns the moments at which the days of the recording begin.
func recordedDays(m *input) []time.Time {
	var days []time.Time
	for _, s := range m.trace.Recorded(0) {
		// Days differ in length when the clocks change, so count dates, not hours.
		y, mon, d := s.From.In(m.zone).Date()
		for {
			day := score.StartOfDay(y, mon, d, m.zone)
			if !day.Before(s.To) {
				break
			}
			if len(days) == 0 || day.After(days[len(days)-1]) {
				days = append(days, day)
			}
			d++
		}
	}
	return days
}

// residents returns the devices of the first part that do not look like customers.
func (c *calibrateCmd) residents(m *input, split time.Time) []calibrate.Resident {
	trace, known := m.part(time.Time{}, split, slices.Collect(maps.Keys(m.static)))
	return calibrate.Residents(trace, known.Empty, calibrate.WeakestEntry, m.zone, named(m.truth))
}

func (c *calibrateCmd) choose(s streams, m *input, split time.Time, base business.Settings) (calibrate.Choice, error) {
	trace, known := m.part(time.Time{}, split, base.Static)
	// True visits that do not reach the first part are a mistake in the flags.
	if m.truth != nil && len(m.truth) == 0 {
		return calibrate.Choice{}, errors.New("no true visit belongs to this store: check --business and --only")
	}
	if m.truth != nil && len(known.Truth) == 0 {
		return calibrate.Choice{}, fmt.Errorf("no true visit is before %s, the first is on %s: choose another --split",
			split.Format(time.DateOnly), m.truth[0].Enter.In(m.zone).Format(time.DateOnly))
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
func (c *calibrateCmd) print(w io.Writer, m *input, split time.Time, residents []calibrate.Resident, choice calibrate.Choice) error {
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
	trace, known := m.part(split, time.Time{}, chosen.Static)
	fmt.Fprintf(w, "\nfrom %s on, the part that the settings were not chosen on:\n", split.Format(time.DateOnly))
	printFigures(w, score.Measure(trace.Visits(rules), known, rules.MinSpan))
	defaults := presence.DefaultRules()
	defaults.Location = rules.Location
	fmt.Fprintln(w, "\nthe same with the default settings:")
	printFigures(w, score.Measure(trace.Visits(defaults), known, defaults.MinSpan))
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
		errs = append(errs, toFile(c.Out, s.out, choice.Settings.Write))
	}
	if c.Picture != "" {
		errs = append(errs, toFile(c.Picture, s.out, func(w io.Writer) error {
			return calibrate.Picture(w, choice, m.trace.Levels, c.Limit)
		}))
	}
	return errors.Join(errs...)
}
