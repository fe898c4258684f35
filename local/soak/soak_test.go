//go:build linux

package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"footfall/events"
	"footfall/lab/feed"
	"footfall/shared/kafka"
)

// The size of a soak. The defaults are for every run of the tests.
var (
	sightings  = flag.Int("sightings", 60_000, "soak: sightings to feed")
	devices    = flag.Int("devices", 1_500, "soak: different devices of these sightings, at least")
	kills      = flag.Int("kills", 10, "soak: kills of processes with SIGKILL, over all kinds of processes")
	duplicates = flag.Int("pollers", 1, "soak: second pollers to start in the same consumer groups")
	planted    = flag.Int("planted", 24, "soak: records to plant that no function can process")
	seed       = flag.Uint64("seed", 1, "soak: seed of the town and of the order of the faults")
	keep       = flag.Bool("keep", false, "soak: keep the data directory also if the run passes")
)

// command returns the command that runs this soak again.
func command() string {
	return fmt.Sprintf("go test ./local/soak -run TestSoak -v -timeout 60m -sightings %d -devices %d -kills %d -pollers %d -planted %d -seed %d",
		*sightings, *devices, *kills, *duplicates, *planted, *seed)
}

// TestSoak: in spite of killed processes, second pollers, offsets that were set
// back and bad records, the tables and the topics hold the result that follows
// from the input, each walk-in once.
func TestSoak(t *testing.T) {
	bin := t.TempDir()
	dir, err := os.MkdirTemp("", "footfall-soak-") //nolint:usetesting // kept after a failure
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		switch {
		case t.Failed():
			t.Logf("data and logs are in %s; to run it again: %s", dir, command())
		case *keep:
			t.Logf("data and logs are in %s", dir)
		default:
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
	}()
	if err := build(t.Context(), bin); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(t.Output(), "%s\ndata in %s\n", command(), dir)
	r, err := newRig(t.Context(), dir, bin, *seed, t.Output())
	defer func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.soak(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.print(t.Output()); err != nil {
		t.Error(err)
	}
	checkFigures(t, dir, f)
}

// maxShown bounds how many differences are printed. All differences are written
// to a file beside the data.
const (
	maxShown        = 30
	differencesFile = "differences.txt"
)

// checkFigures requires that there are no differences, and that there was
// enough to compare and that the faults had an effect.
func checkFigures(t *testing.T, dir string, f *figures) {
	t.Helper()
	differ := f.collected.differences()
	if err := os.WriteFile(filepath.Join(dir, differencesFile), []byte(strings.Join(differ, "\n")+"\n"), 0o644); err != nil {
		t.Error(err)
	}
	for _, d := range differ[:min(maxShown, len(differ))] {
		t.Error(d)
	}
	if more := len(differ) - maxShown; more > 0 {
		t.Errorf("and %d more differences, all of them in %s", more, differencesFile)
	}
	if f.failed == 0 && f.done.functions > 2 || f.done.rewound == 0 && f.done.pollers > 0 {
		t.Errorf("%d failed batches and %d records rewound: the faults had no effect", f.failed, f.done.rewound)
	}
	if len(f.collected.planted) < f.plantedByTheTest {
		t.Errorf("found %d planted records, want %d", len(f.collected.planted), f.plantedByTheTest)
	}
	if f.devices < *devices {
		t.Errorf("the sightings are of %d devices, want at least %d", f.devices, *devices)
	}
	if least := *sightings / 1000; len(f.collected.walkIns) < least || len(f.collected.counted) < least/4 {
		t.Errorf("%d walk-ins, %d counted: too few for the comparison to mean anything", len(f.collected.walkIns), len(f.collected.counted))
	}
}

// soak feeds a town while faults strike, waits until all input is processed,
// has it redelivered once more and reads the result back.
func (r *rig) soak(ctx context.Context) (*figures, error) {
	// The settings must be in the tables before the first sighting.
	town, err := townOf(*sightings, *devices, *seed)
	if err != nil {
		return nil, err
	}
	if err := r.store(ctx, settingsOf(town)); err != nil {
		return nil, err
	}
	// Run the faults and the feed side by side; the feed sets the pace of the
	// faults.
	began := time.Now()
	out := &retryingProducer{out: kafka.NewProducer(r.client)}
	kinds := poisons(town.Config.Start)
	faults := planFaults(*kills, *duplicates, dice(*seed))
	due := make(chan struct{})
	group, running := errgroup.WithContext(ctx)
	src := newSource(running, town.Items(), *sightings)
	defer src.stop()
	src.faults, src.faultDue, src.faultRunning = len(faults), due, &r.faultRunning
	src.plants, src.plant = *planted, planter(running, out, kinds)
	var fed feed.Stats
	var isFed atomic.Bool
	group.Go(func() error { return r.runFaults(running, faults, due) })
	group.Go(func() (err error) {
		fed, err = feed.Run(running, src, feed.Options{Out: out, Partitions: partitions, Settle: r.settle})
		isFed.Store(true)
		return err
	})
	// Report progress until the end.
	progressCtx, stop := context.WithCancel(ctx)
	var reporting sync.WaitGroup
	reporting.Go(func() { r.reportProgress(progressCtx, began, src, &isFed) })
	stopReporting := func() { stop(); reporting.Wait() }
	defer stopReporting()
	if err := group.Wait(); err != nil {
		return nil, err
	}
	// All is fed: wait until all is processed, then redeliver all of it.
	f := &figures{seed: *seed, fed: int(src.fed.Load()), devices: len(src.devices), plantedByTheTest: src.planted,
		crm: fed.CRMEvents, ticks: fed.Ticks, untilFed: time.Since(began)}
	if err := awaitDrained(ctx, r.admin, allMappings); err != nil {
		return nil, errors.Join(err, r.alive())
	}
	f.untilDone, f.inputRepeats = time.Since(began), out.repeats.Load()
	if err := r.finish(ctx, f); err != nil {
		return nil, err
	}
	// Read the result back.
	stopReporting()
	fmt.Fprintln(r.out, "reading everything back")
	f.collected, err = collect(ctx, r, kinds, town.Config.Start)
	f.done, f.wall = r.done, time.Since(began)
	return f, errors.Join(err, f.readLog(r.dir))
}

// finish notes how many records are on the topics, has all records redelivered
// from the beginning, and stops the poller.
func (r *rig) finish(ctx context.Context, f *figures) error {
	f.beforeReplay = map[string]int64{}
	for _, m := range mappings() {
		end, _, err := position(ctx, r.admin, m)
		if err != nil {
			return err
		}
		f.beforeReplay[m.topic] = end
	}
	fmt.Fprintln(r.out, "redelivering every record from the beginning")
	return errors.Join(r.replay(ctx), r.alive(), r.stopPollers())
}

// settle waits until identify has processed all CRM events: a login is produced
// to sightings at its own time, so the ticks must not run ahead of it.
func (r *rig) settle(ctx context.Context) error { return awaitDrained(ctx, r.admin, isCRM) }

// progressEvery is the time between two reports of progress.
const progressEvery = 5 * time.Second

// reportProgress prints how much is fed and the lag of each stage.
func (r *rig) reportProgress(ctx context.Context, began time.Time, src *source, isFed *atomic.Bool) {
	for {
		select {
		case <-time.After(progressEvery):
		case <-ctx.Done():
			return
		}
		line := fmt.Sprintf("%v: %d of %d sightings fed", time.Since(began).Round(time.Second), src.fed.Load(), src.sightings)
		if isFed.Load() {
			line = fmt.Sprintf("%v: all input is fed", time.Since(began).Round(time.Second))
		}
		try, cancel := context.WithTimeout(ctx, time.Second)
		for _, m := range mappings() {
			if m.topic == events.CRMEventsBackfill {
				continue
			}
			if _, lag, err := position(try, r.admin, m); err == nil {
				line += fmt.Sprintf(", lag of %s %d", m.stage, lag)
			}
		}
		cancel()
		fmt.Fprintln(r.out, line)
	}
}
