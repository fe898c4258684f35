package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"footfall/events"
	"footfall/lab/feed"
	"footfall/lab/recording"
	"footfall/lab/score"
	"footfall/shared/pseudonym"
)

// replayCmd runs recordings through the pipeline.
type replayCmd struct {
	Files    []string          `arg:"" name:"file" help:"CSV, NDJSON or capture of probe requests (pcap, pcapng), gzipped or not; - for stdin."`
	Business events.BusinessID `default:"store" help:"The store of rows without a business."`
	Strict   bool              `help:"Refuse a recording that is cut off at its end, instead of reading what is there."`
	Key      string            `default:"footfall-replay" help:"Key for the pseudonyms of MAC addresses."`
	Speed    speedFlag         `help:"Seconds of the recording per second; without it, as fast as the machine can." placeholder:"N"`
	Truth    string            `help:"The true visits, for comparison: CSV (mac,enter_ms,exit_ms), or *.ndjson as simulate writes it." placeholder:"FILE"`

	summaryFlags
	businessesFlags
	stackFlags `group:"The pipeline:"`
}

// Validate returns an error if a flag of the pipeline is out of range or has no effect.
func (c *replayCmd) Validate() error { return cmp.Or(c.stackFlags.Validate(), c.unusedDataDir()) }

// Run replays the files in the event time of the recording and prints the summary. It
// returns an error if topics or tables differ from the oracle.
func (c *replayCmd) Run(ctx context.Context, s streams) error {
	known, err := readTruth(c.Truth, c.Business, pseudonym.NewMaker([]byte(c.Key)))
	if err != nil {
		return err
	}
	var src *recording.Reader
	err = untilDone(ctx, func() (err error) {
		src, err = openRecording(c.Files, s, recording.Options{
			Business: c.Business, Device: pseudonym.NewMaker([]byte(c.Key)), Strict: c.Strict,
		})
		return err
	})
	if err != nil {
		return err
	}
	// Start the pipeline without a schedule: ticks come from the recording.
	stack, err := c.start(ctx, s, false, c.storeBefore(s.err))
	if err != nil {
		return errors.Join(err, src.Close())
	}
	o, err := runThrough(ctx, s, stack.Stack, src, c.Speed, func(p *progress, st feed.Stats) {
		done, total := src.Progress()
		p.update(done, total, fmt.Sprintf("%d %%, %d sightings, at %s", 100*done/max(total, 1), st.Sightings, st.To.Format("2006-01-02 15:04")))
	})
	// Print the summary, and the comparison with the true visits.
	if err == nil {
		var figures *score.Figures
		if known.Truth != nil {
			f := score.Measure(o.visits(), known, score.EqualDwell(0))
			figures = &f
		}
		err = c.summary(s.out, o, figures)
	}
	return errors.Join(closeStack(stack, err), src.Close())
}
