package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/local/broker"
	"footfall/shared/pipeline"
)

// echoes is a directory of functions that acknowledge every event.
var echoes string

func TestMain(m *testing.M) {
	if dir := os.Getenv(stackVariable); dir != "" {
		runStack(dir)
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "local-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	echoes = dir
	echo := filepath.Join(dir, "echo")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", echo, "./runtime/testdata/echo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the function: %v\n%s", err, out)
		return 1
	}
	err = linkNodePackages(dir)
	for _, spec := range pipeline.Default().Stages {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, spec.Name), 0o755), os.Link(echo, filepath.Join(dir, spec.Name, "bootstrap")))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// linkNodePackages links the Node packages into a directory of functions, so
// that the table server is found from there. Usually such a directory is in the
// repository.
func linkNodePackages(dir string) error {
	packages, err := filepath.Abs("../node_modules")
	if err != nil {
		return err
	}
	return os.Symlink(packages, filepath.Join(dir, "node_modules"))
}

func options() Options {
	return Options{BinDir: echoes, Partitions: 4, Environments: 2}
}

func start(t *testing.T, o Options) *Stack {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func produce(t *testing.T, s *Stack, topic string, n int) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers()...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range n {
		c.Produce(t.Context(), &kgo.Record{Topic: topic, Key: fmt.Append(nil, i), Value: []byte("{}")}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func drain(t *testing.T, s *Stack) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		t.Fatal(err)
	}
}

func statsOf(t *testing.T, s *Stack, name string) StageStats {
	t.Helper()
	all, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range all {
		if st.Stage == name {
			return st
		}
	}
	t.Fatalf("no statistics of %s in %+v", name, all)
	return StageStats{}
}

// eventually polls a condition in other processes.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestEveryTopicReachesItsStage(t *testing.T) {
	s := start(t, options())
	graph := pipeline.Default()
	want := map[string]int64{}
	for _, spec := range graph.Stages {
		for i, m := range spec.Reads {
			produce(t, s, m.Topic, 100*(i+1))
			want[spec.Name] += int64(100 * (i + 1))
		}
	}
	drain(t, s)
	for _, spec := range graph.Stages {
		if got := statsOf(t, s, spec.Name); got.Records != want[spec.Name] || got.Lag != 0 || got.Errors != 0 {
			t.Errorf("%+v, want %d records, no errors and no lag", got, want[spec.Name])
		}
	}
	if answer, err := s.Invoke(t.Context(), pipeline.Tick, []byte("{}")); string(answer) != "null" || err != nil {
		t.Errorf("tick answered %s, %v", answer, err)
	}
	if got := statsOf(t, s, pipeline.Tick); got.Invocations != 1 {
		t.Errorf("%+v, want one invocation", got)
	}
}

func TestDrainCRMLeavesTheOthers(t *testing.T) {
	o := options()
	o.BinDir = withFunction(t, pipeline.Detect, "#!/bin/sh\nexit 1\n")
	s := start(t, o)
	produce(t, s, events.Sightings, 1)
	produce(t, s, events.CRMEvents, 10)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.DrainCRM(ctx); err != nil {
		t.Fatal(err)
	}
	if got := statsOf(t, s, pipeline.Identify); got.Records != 10 {
		t.Errorf("%+v, want 10 records", got)
	}
	if got := statsOf(t, s, pipeline.Detect); got.Lag != 1 {
		t.Errorf("%+v, want a lag of one", got)
	}
}

// A drain skips the batch windows: while the graph drains, no batch grows. Ten
// drains after one record each would wait for ten windows otherwise.
func TestDrainSkipsBatchWindows(t *testing.T) {
	s := start(t, options())
	const rounds = 10
	spec, _ := pipeline.Default().Stage(pipeline.Identify)
	i := slices.IndexFunc(spec.Reads, func(m pipeline.Mapping) bool { return m.Topic == events.CRMEventsBackfill })
	window := spec.Reads[i].Window
	if window == 0 {
		t.Fatal("the topic of backfilled events has no window: the test would not fail")
	}
	began := time.Now()
	for range rounds {
		produce(t, s, events.CRMEventsBackfill, 1)
		if err := s.DrainCRM(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took >= rounds*window {
		t.Errorf("%d drains took %v, which is a window of %v each", rounds, took, window)
	}
	if got := statsOf(t, s, pipeline.Identify); got.Records != rounds {
		t.Errorf("%+v, want %d records", got, rounds)
	}
}

// Stages of the whole graph read what other stages write; identify writes to no topic
// of the CRM.
func TestFeedsItself(t *testing.T) {
	crm := func(topic string) bool { return topic == events.CRMEvents || topic == events.CRMEventsBackfill }
	if feedsItself(pipeline.Default(), crm) {
		t.Error("a reader of the CRM topics writes to them")
	}
	if !feedsItself(pipeline.Default(), func(string) bool { return true }) {
		t.Error("no stage reads what another one writes")
	}
}

func TestDrainErrorNamesTheStageBehind(t *testing.T) {
	o := options()
	o.BinDir = withFunction(t, pipeline.Detect, "#!/bin/sh\nexit 1\n")
	s := start(t, o)
	produce(t, s, events.Sightings, 1)
	eventually(t, "a retry", func() bool { return statsOf(t, s, pipeline.Detect).Retries > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "detect works on sightings") {
		t.Errorf("Drain returned %v, want a deadline error that names detect", err)
	}
}

// withFunction returns a copy of the directory of functions in which one
// function is a script.
func withFunction(t *testing.T, name, script string) string {
	t.Helper()
	dir := t.TempDir()
	if err := linkNodePackages(dir); err != nil {
		t.Fatal(err)
	}
	for _, spec := range pipeline.Default().Stages {
		target := filepath.Join(dir, spec.Name, "bootstrap")
		err := os.Mkdir(filepath.Dir(target), 0o755)
		if spec.Name == name {
			err = errors.Join(err, os.WriteFile(target, []byte(script), 0o755))
		} else {
			err = errors.Join(err, os.Symlink(filepath.Join(echoes, spec.Name, "bootstrap"), target))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestMissingBinariesAreAllNamed(t *testing.T) {
	_, err := Start(t.Context(), Options{BinDir: "bin/none"})
	if err == nil {
		t.Fatal("started without functions")
	}
	for _, spec := range pipeline.Default().Stages {
		if !strings.Contains(err.Error(), spec.Name+"/bootstrap") {
			t.Errorf("error %q does not name %s", err, spec.Name)
		}
	}
	if want := "in bin/none: run make build"; !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q does not contain %q in one line", err, want)
	}
}

// TestMissingPartsAreNamedAtOnce: a copy of the command alone finds neither the
// functions nor the Node package, and one error names both.
func TestMissingPartsAreNamedAtOnce(t *testing.T) {
	empty := t.TempDir()
	_, err := Start(t.Context(), Options{BinDir: empty, NodeDirs: []string{empty}})
	if err == nil {
		t.Fatal("started without functions")
	}
	for _, want := range []string{"no ingest/bootstrap, ", "make build", "no Node package node_modules/dynalite in " + empty, "make setup"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not contain %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q has more than one line", err)
	}
}

// TestNodePackagesAreFoundElsewhere: functions outside of the repository, with the
// Node packages beside the command.
func TestNodePackagesAreFoundElsewhere(t *testing.T) {
	o := Options{BinDir: withFunction(t, pipeline.Detect, "#!/bin/sh\nexec sleep 100\n"), Partitions: 1, NodeDirs: []string{t.TempDir(), echoes}}
	if err := os.Remove(filepath.Join(o.BinDir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	start(t, o)
}

// TestDataDirectoryIsReopened: records that were processed are not processed
// again.
func TestDataDirectoryIsReopened(t *testing.T) {
	o := options()
	o.DataDir = t.TempDir()
	s := start(t, o)
	produce(t, s, events.Sightings, 20)
	drain(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, o)
	produce(t, s, events.Sightings, 5)
	drain(t, s)
	if got := statsOf(t, s, pipeline.Detect); got.Records != 5 {
		t.Errorf("%+v after a restart, want the 5 new records only", got)
	}
}

func TestTemporaryDataIsRemoved(t *testing.T) {
	s := start(t, options())
	dir := s.DataDir()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of %s returned %v, want that it does not exist", dir, err)
	}
}

// TestGivenServersAreUsed: a second stack works on the servers of the first.
func TestGivenServersAreUsed(t *testing.T) {
	first := start(t, options())
	o := options()
	o.Brokers, o.TableEndpoint, o.TablePrefix = first.Brokers(), first.TableEndpoint(), "second-"
	second := start(t, o)
	if second.TableEndpoint() != first.TableEndpoint() || second.TablePrefix() != "second-" {
		t.Errorf("tables at %s with prefix %q", second.TableEndpoint(), second.TablePrefix())
	}
	produce(t, second, events.WalkIns, 50)
	drain(t, second)
	a, b := statsOf(t, first, pipeline.Enrich), statsOf(t, second, pipeline.Enrich)
	if a.Records+b.Records != 50 {
		t.Errorf("%d and %d records, want 50 together", a.Records, b.Records)
	}
}

func TestScheduledFunctionsStartAtOnce(t *testing.T) {
	o := options()
	o.Schedule = true
	s := start(t, o)
	eventually(t, "tick was started", func() bool { return statsOf(t, s, pipeline.Tick).Invocations > 0 })
}

func TestScheduledEvent(t *testing.T) {
	at := time.Date(2026, 11, 21, 16, 5, 59, 999, time.FixedZone("", 3600)).Truncate(time.Minute)
	got, err := json.Marshal(scheduled{at.UTC(), "Scheduled Event", "aws.scheduler"})
	const want = `{"time":"2026-11-21T15:05:00Z","detail-type":"Scheduled Event","source":"aws.scheduler"}`
	if string(got) != want || err != nil {
		t.Errorf("event is %s, %v, want %s", got, err, want)
	}
}

func TestNextPeriod(t *testing.T) {
	clock := func(text string) time.Time {
		at, err := time.Parse("15:04:05", text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, c := range []struct{ name, at, now, want string }{
		{"in time", "10:00:00", "10:00:02", "10:01:00"},
		{"took almost a minute", "10:00:00", "10:00:59", "10:01:00"},
		{"took longer", "10:00:00", "10:01:30", "10:01:00"},
		{"slept for hours", "10:00:00", "14:20:30", "14:20:00"},
		{"clock was set back", "10:00:00", "09:30:00", "10:01:00"},
	} {
		if got := nextPeriod(clock(c.at), clock(c.now), time.Minute); !got.Equal(clock(c.want)) {
			t.Errorf("%s: next is %v, want %s", c.name, got.Format(time.TimeOnly), c.want)
		}
	}
}

// TestFailedStartStopsTheStartedParts: whatever part fails, the data directory
// can be used again at once.
func TestFailedStartStopsTheStartedParts(t *testing.T) {
	taken := t.TempDir()
	b, err := broker.Start(t.Context(), broker.Options{Dir: filepath.Join(taken, "broker")})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for name, change := range map[string]func(*Options){
		"broker":    func(o *Options) { o.DataDir = taken },
		"tables":    func(o *Options) { o.TableEndpoint = "http://127.0.0.1:1" },
		"functions": func(o *Options) { o.BinDir = withFunction(t, pipeline.Count, ""); notExecutable(t, o.BinDir) },
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.DataDir = t.TempDir()
			dir := o.DataDir
			change(&o)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if s, err := Start(ctx, o); err == nil {
				s.Close()
				t.Fatal("started")
			}
			wantNoChildren(t)
			again, err := broker.Start(t.Context(), broker.Options{Dir: filepath.Join(dir, "broker")})
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func notExecutable(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chmod(filepath.Join(dir, pipeline.Count, "bootstrap"), 0o644); err != nil {
		t.Fatal(err)
	}
}
