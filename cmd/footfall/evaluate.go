package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"footfall/events"
	"footfall/lab/score"
	"footfall/shared/business"
)

// dbm is a signal strength in dBm. Kong would take the minus sign for another flag.
type dbm int32

// Decode reads the word after the flag, also if it begins with a minus sign.
func (d *dbm) Decode(ctx *kong.DecodeContext) error {
	token := ctx.Scan.Pop()
	n, err := strconv.ParseInt(token.String(), 10, 32)
	if err != nil {
		return fmt.Errorf("%q is not a whole number of dBm", token.String())
	}
	*d = dbm(n)
	return nil
}

// evaluateCmd measures how right the visits are that given settings find.
type evaluateCmd struct {
	traceFlags

	From string `help:"Only records that arrived on this day or later." placeholder:"2026-03-02"`
	To   string `help:"Only records that arrived before this day." placeholder:"2026-03-02"`
	JSON bool   `help:"Print the figures as JSON."`

	Rules         string         `group:"Settings:" voids:"businesses" help:"Settings as calibrate writes them; the flags below change them." placeholder:"FILE"`
	Entry         *dbm           `group:"Settings:" help:"Entry threshold in dBm." placeholder:"-70"`
	Hold          *dbm           `group:"Settings:" help:"Hold threshold in dBm." placeholder:"-85"`
	Dwell         *time.Duration `group:"Settings:" help:"Minimum stay before a candidate is confirmed as a visit." placeholder:"5m"`
	CandidateGap  *time.Duration `group:"Settings:" help:"Longest gap within a candidate." placeholder:"10m"`
	Gap           *time.Duration `group:"Settings:" help:"Session gap: a visit without a sighting for this long ends." placeholder:"30m"`
	AssociatedGap *time.Duration `group:"Settings:" help:"Session gap of a visit that was associated throughout." placeholder:"15m"`
}

// evaluation is the output of evaluate --json.
type evaluation struct {
	Settings   business.Settings                       `json:"settings"`             // of stores not in businesses
	Businesses map[events.BusinessID]business.Settings `json:"businesses,omitempty"` // of --businesses
	Sightings  int64                                   `json:"sightings"`            // in the whole recording
	score.Figures
}

// Run decides on the recording in process and prints the figures.
func (c *evaluateCmd) Run(ctx context.Context, s streams) error {
	return untilDone(ctx, func() error { return c.evaluate(s) })
}

func (c *evaluateCmd) evaluate(s streams) error {
	others, err := c.file()
	if err != nil {
		return err
	}
	settings, err := c.traceFlags.settings(others, c.change)
	if err != nil {
		return err
	}
	// Load the recording, and take the days from --from to --to.
	m, err := c.read(s, settings.zone(c.Only), settings.inside)
	if err != nil {
		return err
	}
	from, err := dayIn(c.From, m.zone)
	if err != nil {
		return err
	}
	to, err := dayIn(c.To, m.zone)
	if err != nil {
		return err
	}
	// Decide offline, and compare with the truth.
	trace, known := m.part(from, to, settings.isExcluded)
	f := score.Measure(trace.VisitsBy(settings.of), known, settings.dwell)
	if c.JSON {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return e.Encode(evaluation{settings.others, settings.byID, m.trace.Sightings, f})
	}
	printFigures(s.out, f)
	return nil
}

// file returns the settings of the file of --rules, or the defaults.
func (c *evaluateCmd) file() (business.Settings, error) {
	settings := business.Defaults()
	err := fromFile(c.Rules, func(r io.Reader) (err error) {
		settings, err = business.ReadSettings(r, c.Rules)
		return err
	})
	if err != nil {
		return settings, fmt.Errorf("settings: %w", err)
	}
	return settings, nil
}

// change sets the settings that the flags name.
func (c *evaluateCmd) change(settings *business.Settings) {
	if c.Entry != nil {
		settings.Entry = int32(*c.Entry)
	}
	if c.Hold != nil {
		settings.Hold = int32(*c.Hold)
	}
	setSpan(&settings.Dwell, c.Dwell)
	setSpan(&settings.CandidateGap, c.CandidateGap)
	setSpan(&settings.Gap, c.Gap)
	setSpan(&settings.AssociatedGap, c.AssociatedGap)
	// A shorter session gap shortens the gap of associated devices too.
	if c.AssociatedGap == nil {
		settings.AssociatedGap = min(settings.AssociatedGap, settings.Gap)
	}
	if len(c.Sensors) > 0 {
		settings.Sensors = c.Sensors
	}
	if c.TimeZone != "" {
		settings.TimeZone = c.TimeZone
	}
}

// setSpan sets a span to the value of a flag, if the flag is given.
func setSpan(to *business.Duration, from *time.Duration) {
	if from != nil {
		*to = business.Duration(*from)
	}
}

// dayIn returns the moment at which a date begins in a time zone, or the zero time
// if the date is empty.
func dayIn(date string, zone *time.Location) (time.Time, error) {
	if date == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return t, fmt.Errorf("%q is not a day such as 2026-03-02", date)
	}
	return score.StartOfDay(t.Year(), t.Month(), t.Day(), zone), nil
}

// printFigures prints how right the found visits are.
func printFigures(w io.Writer, f score.Figures) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "walk-ins\t%d\t  visits confirmed\n", f.WalkIns)
	fmt.Fprintf(t, "anonymous\t%d\t  of them, by a randomised address that never associated\n", f.Anonymous)
	if f.Unnamed > 0 {
		fmt.Fprintf(t, "of other devices\t%d\t  of them, by devices not in --truth: neither right nor wrong\n", f.Unnamed)
	}
	fmt.Fprintf(t, "static devices\t%d\t  in addition, by devices in --static\n", f.StaticWalkIns)
	fmt.Fprintf(t, "resident devices\t%d\t  visits of resident devices, which are no walk-ins\n", f.Residents)
	if e := f.Empty; e != nil {
		fmt.Fprintf(t, "empty hours\t%.1f\t  without people in the store, by the head-counts\n", e.Hours)
		fmt.Fprintf(t, "false in these\t%d\t  %s\n", e.False, rate(e))
	}
	flush(t)
	// With true visits: found and missed visits, and the timing.
	if f.Visits == nil {
		return
	}
	fmt.Fprintln(w)
	printScore(w, f)
	fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "off by\tmedian\tp90\t ")
	for _, r := range []struct {
		name string
		s    score.Spread
		note string
	}{
		{"arrival", f.Timing.Start, "first sighting of the visit"},
		{"walk-in", f.Timing.Confirmed, "after coming in"},
		{"beyond dwell", f.Timing.Beyond, "of that, beyond the required dwell"},
		{"exit", f.Timing.Exit, "last sighting of the visit"},
	} {
		fmt.Fprintf(t, "%s\t%s\t%s\t  %s, of %d\n", r.name, durationText(r.s.Median), durationText(r.s.P90), r.note, r.s.N)
	}
	flush(t)
}

// rate returns the number of false walk-ins per 100 empty hours, as text.
func rate(e *score.Empties) string {
	if e.Hours == 0 {
		return "no empty hours to measure false walk-ins in"
	}
	return fmt.Sprintf("%.2f per 100 empty hours", e.Per100())
}
