package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"footfall/lab/feed"
	"footfall/lab/recording"
	"footfall/lab/score"
	"footfall/lab/town"
	"footfall/local"
	"footfall/shared/dynamo"
	"footfall/shared/pipeline"
)

// simulateCmd runs a simulated town through the pipeline, or writes it to a file.
type simulateCmd struct {
	Seed     uint64        `default:"1" help:"Seed of the town: the same seed gives the same town."`
	Start    string        `default:"2026-11-02" help:"The first day of the town. With a future day, announced settings begin to hold during the run."`
	Duration time.Duration `default:"24h" help:"Duration in the time of the town, from midnight UTC: 12h, 3d."`
	Visits   float64       `default:"1" help:"Factor for the visits of every business."`
	Traffic  float64       `default:"1" help:"Factor for the passers-by of every business."`
	Speed    speedFlag     `help:"Seconds of the town per second; without it, as fast as the machine can." placeholder:"N"`
	Out      string        `help:"Write the records of routers and CRM to this file as NDJSON, instead of running the pipeline; - for stdout." voids:"speed,The pipeline:" placeholder:"FILE"`
	TruthOut string        `help:"Write the true visits, and the working days of employees, to this file as NDJSON." placeholder:"FILE"`
	// The settings of the town's businesses, for a run of --out by replay.
	BusinessesOut string `help:"Write the settings of the businesses to this file as JSON, for --businesses of replay, evaluate, calibrate and local." placeholder:"FILE"`

	summaryFlags
	stackFlags `group:"The pipeline:"`
}

// Run generates the town and runs it through the pipeline, or writes it to a file.
func (c *simulateCmd) Run(ctx context.Context, s streams) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	var t town.Town
	err = untilDone(ctx, func() (err error) {
		if t, err = town.Generate(config); err == nil {
			err = checkVisits(t)
		}
		if err != nil {
			return err
		}
		return c.write(s, t)
	})
	if err != nil || c.Out != "" { // with --out the town is not run
		return err
	}
	return c.run(ctx, s, t)
}

// checkVisits returns an error if the town ends before a business has a visit: such a
// town shows nothing.
func checkVisits(t town.Town) error {
	if len(t.Visits) > 0 || !t.Config.WantsVisits() {
		return nil
	}
	start, open, d := t.Config.Start, t.Config.FirstOpening(), t.Config.Duration
	return fmt.Errorf("--duration %s: a town begins at midnight UTC, its first business opens at %s, and nobody has visited one and left by %s: give --duration %s or more",
		durationText(d), open.Format("15:04"), start.Add(d).Format("15:04"), durationText(open.Sub(start)+3*time.Hour))
}

// write writes the files that the flags name.
func (c *simulateCmd) write(s streams, t town.Town) error {
	if c.TruthOut != "" {
		err := toFile(c.TruthOut, s.out, func(w io.Writer) error { return town.WriteTruth(w, t.Truth()) })
		if err != nil {
			return err
		}
	}
	if c.BusinessesOut != "" {
		err := toFile(c.BusinessesOut, s.out, func(w io.Writer) error { return json.NewEncoder(w).Encode(t.Settings()) })
		if err != nil {
			return err
		}
	}
	if c.Out != "" {
		return toFile(c.Out, s.out, func(w io.Writer) error { return recording.WriteNDJSON(w, t.Items()) })
	}
	return nil
}

// Validate returns an error if two files are written to one place, or if a flag of the
// pipeline has no effect.
func (c *simulateCmd) Validate() error {
	return cmp.Or(
		c.stackFlags.Validate(),
		distinctFiles(map[string]string{"--out": c.Out, "--truth-out": c.TruthOut, "--businesses-out": c.BusinessesOut}),
		c.unusedDataDir(),
	)
}

func (c *simulateCmd) config() (town.Config, error) {
	config := town.Defaults()
	start, err := time.Parse(time.DateOnly, c.Start)
	if err != nil {
		return config, fmt.Errorf("--start %s is not a day such as 2026-11-02", c.Start)
	}
	// The flags override the defaults of the town.
	config.Seed, config.Start, config.Duration = c.Seed, start, c.Duration
	for i := range config.Businesses {
		b := &config.Businesses[i]
		b.Visits = int(float64(b.Visits) * c.Visits)
		b.PassersBy = int(float64(b.PassersBy) * c.Traffic)
	}
	return config, nil
}

func (c *simulateCmd) run(ctx context.Context, s streams, t town.Town) error {
	fmt.Fprintf(s.err, "a town of %d businesses, %s, %d visits\n", len(t.Config.Businesses), durationText(t.Config.Duration), len(t.Visits))
	stack, err := c.start(ctx, s, false, func(o *local.Options) { o.Prepare = c.storeSettings(t) })
	if err != nil {
		return err
	}
	// Feed the town into the pipeline.
	src := newItemSource(t.Items())
	defer src.stop()
	o, err := runThrough(ctx, s, stack.Stack, src, c.Speed, func(p *progress, st feed.Stats) {
		done, total := st.To.Sub(t.Config.Start), t.Config.Duration
		p.update(int64(min(done, total)/time.Second), int64(total/time.Second),
			fmt.Sprintf("%d sightings, %s in the town", st.Sightings, st.To.Format("15:04")))
	})
	// Print the summary, and the comparison with the true visits.
	if err == nil {
		figures := score.Measure(o.visits(), town.Reference(t.Truth()), score.EqualDwell(0))
		err = c.summary(s.out, o, &figures)
	}
	return closeStack(stack, err)
}

// storeSettings returns a function that stores the settings of the town's businesses
// before any function runs. Stored settings stay. If the changelog holds decisions
// already, as in a data directory that is used again, nothing is stored: those
// decisions followed from the settings of that time.
func (c *simulateCmd) storeSettings(t town.Town) func(context.Context, *dynamodb.Client) error {
	return func(ctx context.Context, tables *dynamodb.Client) error {
		log, err := tables.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String(c.TablePrefix + pipeline.VisitLogTable), Limit: aws.Int32(1)})
		if err != nil {
			return fmt.Errorf("look for decisions in table %s: %w", c.TablePrefix+pipeline.VisitLogTable, err)
		}
		if len(log.Items) > 0 {
			return nil
		}
		// Nothing was decided yet: store the settings of new businesses.
		table := dynamo.NewBusinesses(tables, c.TablePrefix)
		stored, err := table.List(ctx)
		if err != nil {
			return err
		}
		all := t.Settings()
		for _, id := range stored {
			delete(all, id)
		}
		if err := table.PutAll(ctx, all); err != nil {
			return fmt.Errorf("settings of the town: %w", err)
		}
		return nil
	}
}

// itemSource is a feed.Source of a sequence of items. The caller stops it.
type itemSource struct {
	next func() (recording.Item, bool)
	stop func()
}

func newItemSource(items iter.Seq[recording.Item]) *itemSource {
	next, stop := iter.Pull(items)
	return &itemSource{next, stop}
}

// Next returns the next item, or io.EOF after the last item.
func (p *itemSource) Next() (recording.Item, error) {
	it, ok := p.next()
	if !ok {
		return it, io.EOF
	}
	return it, nil
}

// distinctFiles returns an error if two flags name the same file, or both stdout.
func distinctFiles(byFlag map[string]string) error {
	first := map[string]string{}
	for _, flag := range slices.Sorted(maps.Keys(byFlag)) {
		path := byFlag[flag]
		if other, ok := first[path]; ok && path != "" {
			return fmt.Errorf("%s and %s both write to %s", other, flag, path)
		}
		first[path] = flag
	}
	return nil
}

// toFile writes to a new file, or to stdout for -.
func toFile(path string, stdout io.Writer, write func(io.Writer) error) error {
	if path == "-" {
		return write(stdout)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
