package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"footfall/local/feed"
	"footfall/local/recording"
	"footfall/local/score"
	"footfall/local/town"
)

// simulateCmd makes a town.
type simulateCmd struct {
	Seed     uint64        `default:"1" help:"The same seed makes the same town."`
	Duration time.Duration `default:"24h" help:"How long the town lives, in its own time."`
	Visits   float64       `default:"1" help:"Factor on the visits of every business."`
	Traffic  float64       `default:"1" help:"Factor on the passers-by of every business."`
	Speed    speedFlag     `help:"Seconds of the town per second; without it, as fast as the machine can." placeholder:"N"`
	Out      string        `help:"Write what the routers and the CRM tell here as NDJSON, instead of running it; - for stdout." placeholder:"FILE"`
	TruthOut string        `help:"Write who was really there here as NDJSON." placeholder:"FILE"`

	stackFlags `group:"The pipeline:"`
}

// Run makes the town and runs it through the pipeline, or writes it down.
func (c *simulateCmd) Run(ctx context.Context, s streams) error {
	t, err := town.Generate(c.config())
	if err != nil {
		return err
	}
	if c.TruthOut != "" {
		err := toFile(c.TruthOut, s.out, func(w io.Writer) error { return town.WriteTruth(w, t.Visits) })
		if err != nil {
			return err
		}
	}
	if c.Out != "" {
		return toFile(c.Out, s.out, func(w io.Writer) error { return recording.WriteNDJSON(w, t.Items()) })
	}
	return c.run(ctx, s, t)
}

func (c *simulateCmd) config() town.Config {
	config := town.Defaults()
	config.Seed, config.Duration = c.Seed, c.Duration
	for i := range config.Businesses {
		b := &config.Businesses[i]
		b.Visits = int(float64(b.Visits) * c.Visits)
		b.PassersBy = int(float64(b.PassersBy) * c.Traffic)
	}
	return config
}

func (c *simulateCmd) run(ctx context.Context, s streams, t town.Town) error {
	fmt.Fprintf(s.err, "a town of %d businesses, %s, %d visits\n", len(t.Config.Businesses), span(t.Config.Duration), len(t.Visits))
	stack, err := c.start(ctx, s, false)
	if err != nil {
		return err
	}
	src := newPull(t.Items())
	defer src.stop()
	o, err := through(ctx, s, stack, src, c.Speed, func(p *progress, st feed.Stats) {
		done, total := st.To.Sub(t.Config.Start), t.Config.Duration
		p.at(int64(min(done, total)/time.Second), int64(total/time.Second),
			fmt.Sprintf("%d sightings, %s in the town", st.Sightings, st.To.Format("15:04")))
	})
	if err == nil {
		printReport(s.out, o)
		printScore(s.out, score.Score(t.ScoreTruth(), o.report.Visits))
		err = o.report.Err()
	}
	return closing(stack, err)
}

// pull makes a feed.Source of a sequence.
type pull struct {
	next func() (recording.Item, bool)
	stop func()
}

func newPull(items iter.Seq[recording.Item]) *pull {
	next, stop := iter.Pull(items)
	return &pull{next, stop}
}

// Next gives the next item, and io.EOF after the last one.
func (p *pull) Next() (recording.Item, error) {
	it, ok := p.next()
	if !ok {
		return it, io.EOF
	}
	return it, nil
}

// toFile writes to a new file, or to stdout for -.
func toFile(path string, stdout io.Writer, write func(io.Writer) error) error {
	if path == "-" {
		return write(stdout)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
