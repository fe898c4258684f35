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

// How large a soak is. The defaults are for every run of the tests.
var (
	sightings  = flag.Int("sightings", 60_000, "soak: sightings to feed")
	devices    = flag.Int("devices", 1_500, "soak: device keys that they are of, at least")
	kills      = flag.Int("kills", 10, "soak: processes to kill with SIGKILL, of every kind")
	duplicates = flag.Int("pollers", 1, "soak: duplicate pollers")
	planted    = flag.Int("planted", 24, "soak: bad records to plant")
	seed       = flag.Uint64("seed", 1, "soak: seed of the town and of the order of the faults")
	keep       = flag.Bool("keep", false, "soak: keep the data directory of a run that passes too")
)

// command is what runs this soak again.
func command() string {
	return fmt.Sprintf("go test ./local/soak -run TestSoak -v -timeout 60m -sightings %d -devices %d -kills %d -pollers %d -planted %d -seed %d",
		*sightings, *devices, *kills, *duplicates, *planted, *seed)
}

// Whatever is killed, duplicated, set back or bad, the tables and the topics say
// what follows from the input, each walk-in once.
func TestSoak(t *testing.T) {
	bin := t.TempDir()
	dir, err := os.MkdirTemp("", "footfall-soak-") //nolint:usetesting // it outlives a failure
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		switch {
		case t.Failed():
			t.Logf("data and logs are in %s; again with: %s", dir, command())
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
	wantSound(t, dir, f)
}

// maxShown bounds what is printed of what differs. All of it goes to a file
// beside the data.
const (
	maxShown = 30
	allOfIt  = "differences.txt"
)

// wantSound demands that nothing differs, and that there was something to
// compare and to survive.
func wantSound(t *testing.T, dir string, f *figures) {
	t.Helper()
	differ := f.collected.differences()
	if err := os.WriteFile(filepath.Join(dir, allOfIt), []byte(strings.Join(differ, "\n")+"\n"), 0o644); err != nil {
		t.Error(err)
	}
	for _, d := range differ[:min(maxShown, len(differ))] {
		t.Error(d)
	}
	if more := len(differ) - maxShown; more > 0 {
		t.Errorf("and %d more differences, all of them in %s", more, allOfIt)
	}
	if f.failed == 0 && f.done.functions > 2 || f.done.rewound == 0 && f.done.pollers > 0 {
		t.Errorf("%d failed batches and %d records rewound: the faults have met nothing", f.failed, f.done.rewound)
	}
	if len(f.collected.planted) < f.plantedByTheTest {
		t.Errorf("%d planted records were found, %d were planted", len(f.collected.planted), f.plantedByTheTest)
	}
	if f.devices < *devices {
		t.Errorf("the sightings are of %d devices, fewer than %d", f.devices, *devices)
	}
	if least := *sightings / 1000; len(f.collected.walkIns) < least || len(f.collected.counted) < least/4 {
		t.Errorf("%d walk-ins, %d counted: too few to show anything", len(f.collected.walkIns), len(f.collected.counted))
	}
}

// soak feeds a town while faults strike, waits until all of it is processed and
// reads back what came of it.
func (r *rig) soak(ctx context.Context) (*figures, error) {
	town, err := townOf(*sightings, *devices, *seed)
	if err != nil {
		return nil, err
	}
	if err := r.store(ctx, settingsOf(town)); err != nil {
		return nil, err
	}
	began := time.Now()
	out := &stubborn{out: kafka.NewProducer(r.client)}
	kinds := poisons(town.Config.Start)
	faults := plan(*kills, *duplicates, dice(*seed))
	due := make(chan struct{})
	group, running := errgroup.WithContext(ctx)
	src := newSource(running, town.Items(), *sightings)
	defer src.stop()
	src.faults, src.due, src.striking = len(faults), due, &r.striking
	src.plants, src.plant = *planted, planter(running, out, kinds)
	var fed feed.Stats
	var isFed atomic.Bool
	group.Go(func() error { return r.strike(running, faults, due) })
	group.Go(func() (err error) {
		fed, err = feed.Run(running, src, feed.Options{Out: out, Partitions: partitions, Settle: r.settle})
		isFed.Store(true)
		return err
	})
	telling, stop := context.WithCancel(ctx)
	var told sync.WaitGroup
	told.Go(func() { r.tell(telling, began, src, &isFed) })
	stopTelling := func() { stop(); told.Wait() }
	defer stopTelling()
	if err := group.Wait(); err != nil {
		return nil, err
	}
	f := &figures{seed: *seed, fed: int(src.given.Load()), devices: len(src.devices), plantedByTheTest: src.planted,
		crm: fed.CRMEvents, ticks: fed.Ticks, untilFed: time.Since(began)}
	if err := drained(ctx, r.admin, everything); err != nil {
		return nil, errors.Join(err, r.alive())
	}
	f.untilDone, f.inputAgain = time.Since(began), out.again.Load()
	if err := r.finish(ctx, f); err != nil {
		return nil, err
	}
	stopTelling()
	fmt.Fprintln(r.out, "reading everything back")
	f.collected, err = collect(ctx, r, kinds, town.Config.Start)
	f.done, f.wall = r.done, time.Since(began)
	return f, errors.Join(err, f.readLog(r.dir))
}

// finish notes what the faults have come to, has all of it processed once more
// from the beginning, and stops the poller.
func (r *rig) finish(ctx context.Context, f *figures) error {
	f.told = map[string]int64{}
	for _, m := range mappings() {
		end, _, err := position(ctx, r.admin, m)
		if err != nil {
			return err
		}
		f.told[m.topic] = end
	}
	fmt.Fprintln(r.out, "everything once more, from the beginning")
	return errors.Join(r.replay(ctx), r.alive(), r.stopPollers())
}

// settle waits until identify has processed all CRM events: a login is put on
// sightings at its own time, so the recording's clock must not run ahead.
func (r *rig) settle(ctx context.Context) error { return drained(ctx, r.admin, isCRM) }

// tellEvery is how often it is told how far a run has come.
const tellEvery = 5 * time.Second

// tell prints how far a run has come, and what is left to do at each stage.
func (r *rig) tell(ctx context.Context, began time.Time, src *source, isFed *atomic.Bool) {
	for {
		select {
		case <-time.After(tellEvery):
		case <-ctx.Done():
			return
		}
		line := fmt.Sprintf("%v: %d of %d sightings fed", time.Since(began).Round(time.Second), src.given.Load(), src.sightings)
		if isFed.Load() {
			line = fmt.Sprintf("%v: all is fed", time.Since(began).Round(time.Second))
		}
		try, cancel := context.WithTimeout(ctx, time.Second)
		for _, m := range mappings() {
			if m.topic == events.CRMEventsBackfill {
				continue
			}
			if _, lag, err := position(try, r.admin, m); err == nil {
				line += fmt.Sprintf(", %s has %d left", m.stage, lag)
			}
		}
		cancel()
		fmt.Fprintln(r.out, line)
	}
}
