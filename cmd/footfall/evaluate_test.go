package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/lab/feed"
	"footfall/lab/offline"
	"footfall/lab/score"
	"footfall/lab/town"
	"footfall/shared/presence"
	"footfall/shared/pseudonym"
)

// evaluate finds in process the walk-ins that the pipeline produces for the same
// town, with the same steps of start and last-seen. The moment within a step may
// differ: a login passes through identify, so the first sighting of a step may
// differ between two runs of the pipeline too.
func TestEvaluateDecidesAsThePipelineDoes(t *testing.T) {
	config := town.Defaults()
	config.Seed, config.Duration = 11, 12*time.Hour
	for i := range config.Businesses {
		config.Businesses[i].PassersBy /= 10
	}
	made, err := town.Generate(config)
	if err != nil {
		t.Fatal(err)
	}
	src := newItemSource(made.Items())
	trace, err := offline.Load(src, offline.Options{})
	src.stop()
	if err != nil {
		t.Fatal(err)
	}
	got := trace.Visits(presence.DefaultRules())
	want := throughPipeline(t, made)
	if len(want) == 0 || len(got) != len(want) {
		t.Fatalf("%d visits in process, %d through the pipeline", len(got), len(want))
	}
	onGrid(got)
	onGrid(want)
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("visit %d is %+v, through the pipeline %+v", i, got[i], want[i])
		}
	}
}

// simulate, replay and evaluate print the same figures of the same town, given its
// truth and the settings of its businesses.
func TestThreeCommandsAgreeOnATown(t *testing.T) {
	dir := t.TempDir()
	recorded, truth, shops := filepath.Join(dir, "town.ndjson"), filepath.Join(dir, "truth.ndjson"), filepath.Join(dir, "shops.json")
	town := []string{"simulate", "--seed", "3", "--traffic", "0.1"}
	printed(t, append(town, "--out", recorded, "--truth-out", truth, "--businesses-out", shops)...)
	known := []string{recorded, "--truth", truth, "--businesses", shops}
	figures := regexp.MustCompile(`(?m)^ *(walk-ins|anonymous|resident devices|true visits:|found|missed|split|merged|false|employees) +\d+`)
	want := figures.FindAllString(printed(t, append(town, "--bin", binaries)...), -1)
	for i := range want {
		want[i] = strings.Join(strings.Fields(want[i]), " ")
	}
	if !slices.ContainsFunc(want, func(line string) bool { return regexp.MustCompile(`^employees [1-9]`).MatchString(line) }) {
		t.Errorf("simulate printed %q, want employees", want)
	}
	// The comparison with the oracle has a second line of walk-ins.
	slices.Sort(want)
	want = slices.Compact(want)
	for _, command := range [][]string{{"replay", "--bin", binaries}, {"evaluate"}} {
		got := figures.FindAllString(printed(t, append(command, known...)...), -1)
		for i := range got {
			got[i] = strings.Join(strings.Fields(got[i]), " ")
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("%s printed\n%q, simulate\n%q", command[0], got, want)
		}
	}
	// Without the settings, the tills count as customers.
	if got := figures.FindAllString(printed(t, "evaluate", recorded, "--truth", truth), -1); strings.Contains(strings.Join(got, "\n"), want[len(want)-1]) {
		t.Errorf("evaluate without settings printed %q as with them", got)
	}
}

// onGrid keeps the parts of visits that two runs have in common, and sorts them.
func onGrid(visits []score.FoundVisit) {
	for i, v := range visits {
		visits[i] = score.FoundVisit{
			Business: v.Business, Device: v.Device,
			Start: v.Start.Truncate(presence.Grid), End: v.End.Truncate(presence.Grid),
		}
	}
	slices.SortFunc(visits, func(a, b score.FoundVisit) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Business, b.Business), cmp.Compare(a.Device, b.Device))
	})
}

func throughPipeline(t *testing.T, made town.Town) []score.FoundVisit {
	t.Helper()
	var log bytes.Buffer
	s := streams{strings.NewReader(""), &log, &log}
	flags := stackFlags{Bin: binaries, Partitions: new(int32(2)), Environments: 1, SessionTimeout: 10 * time.Second}
	stack, err := flags.start(t.Context(), s, false)
	if err != nil {
		t.Fatal(err)
	}
	src := newItemSource(made.Items())
	defer src.stop()
	o, err := runThrough(t.Context(), s, stack.Stack, src, 0, func(*progress, feed.Stats) {})
	if err := closeStack(stack, err); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	return o.report.Visits
}

// printed runs footfall and returns its output.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(binaries, "footfall"), args...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("footfall %s: %v\n%s", strings.Join(args, " "), err, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// recorded returns the path of a recording of real people, which is beside the
// repository on some machines.
func recorded(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(repository, "..", "shared", "traces", name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		t.Skipf("the recording is not on this machine: %v", err)
	}
	return path
}

// measured holds the fields of evaluate's JSON that these tests read.
type measured struct {
	WalkIns       int `json:"walk_ins"`
	StaticWalkIns int `json:"static_walk_ins"`
	Visits        score.Result
	Empty         struct {
		Hours float64
		False int
	}
	Timing struct {
		Beyond seconds `json:"told_beyond_dwell"`
		Exit   seconds
	}
}

type seconds struct {
	Median float64 `json:"median_s"`
	P90    float64 `json:"p90_s"`
}

// evaluated chooses settings on the part before split and evaluates them on the
// rest.
func evaluated(t *testing.T, split, trace string, known ...string) measured {
	t.Helper()
	rules := filepath.Join(t.TempDir(), "rules.json")
	printed(t, append([]string{"calibrate", trace, "--split", split, "--out", rules}, known...)...)
	args := append([]string{"evaluate", trace, "--rules", rules, "--from", split, "--json"}, known...)
	if strings.HasSuffix(trace, "lab.csv.gz") {
		// Which devices are static, calibrate had to find out.
		args = append(args, "--static", recorded(t, "lab-static-devices.txt"))
	}
	var e measured
	if err := json.Unmarshal([]byte(printed(t, args...)), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// None of the figures below may get worse. docs/accuracy.md compares them with the
// wanted figures.
func TestFiguresOfTheOffice(t *testing.T) {
	// Two people, five days: chosen on three days, 4 visits, reported on 8.
	e := evaluated(t, "2025-05-19", recorded(t, "office.csv.gz"), "--truth", recorded(t, "office-visits.csv"))
	if v := e.Visits; v.True != 8 || v.Missed > 0 || v.Split > 0 || v.Merged > 1 || v.False > 0 {
		t.Errorf("of 8 visits %d are missed, %d split, %d merged, %d false; committed: 0, 0, 1, 0", v.Missed, v.Split, v.Merged, v.False)
	}
	// The times of the recording are whole tens of seconds. The dwell is exact, so a
	// phone is confirmed by its first sighting after the dwell, here 20 s later.
	if got := e.Timing.Beyond; got.Median > 20 || got.P90 > 100 {
		t.Errorf("walk-ins are confirmed %v s after the dwell, p90 %v s; committed: 20 and 100", got.Median, got.P90)
	}
	if got := e.Timing.Exit; got.Median > 80 {
		t.Errorf("exits are off by %v s, committed: 80", got.Median)
	}
}

func TestFiguresOfTheLab(t *testing.T) {
	for _, c := range []struct {
		why, split string
		hours      float64 // minimum of empty hours in the report
		mostFalse  int
		walkIns    int // at least
	}{
		{"the second half; the first has no empty hours to choose on", "2023-03-07", 48, 1, 231},
		{"a Sunday, chosen on all before it", "2023-04-16", 23, 0, 16},
	} {
		e := evaluated(t, c.split, recorded(t, "lab.csv.gz"), "--occupancy", recorded(t, "lab-occupancy.csv"))
		if e.Empty.Hours < c.hours || e.Empty.False > c.mostFalse {
			t.Errorf("%s: %d false walk-ins in %.1f empty hours, committed: %d in %v", c.why, e.Empty.False, e.Empty.Hours, c.mostFalse, c.hours)
		}
		if e.StaticWalkIns > 0 {
			t.Errorf("%s: %d walk-ins of static devices that calibrate should have found", c.why, e.StaticWalkIns)
		}
		if e.WalkIns < c.walkIns {
			t.Errorf("%s: %d walk-ins, committed: %d", c.why, e.WalkIns, c.walkIns)
		}
	}
}

// Static devices are listed one a line, as MAC address or pseudonym.
func TestReadStatic(t *testing.T) {
	f := traceFlags{Business: "store"}
	got := map[string]bool{}
	into := map[events.DeviceID]bool{}
	err := f.readStatic(strings.NewReader("# tills\n\n00:00:5e:00:53:01\n 00-00-5E-00-53-01 \nsome-pseudonym\n"), pseudonym.NewMaker([]byte("k")), into)
	for d := range into {
		got[string(d)] = true
	}
	if err != nil || len(got) != 2 || !got["some-pseudonym"] || got["00:00:5e:00:53:01"] {
		t.Errorf("static devices %v (%v), want one pseudonym made and one as it was", got, err)
	}
}

// With the pipeline's keys, a recording has the pseudonyms of ingest, so that the
// device lists of calibrate are valid for the pipeline.
func TestARecordingHasThePseudonymsOfIngest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	document := []byte(`{"1": "the first of two keys, 32 bytes or more", "2": "the second of two keys, 32 bytes or more"}`)
	keys, err := pseudonym.ParseKeys(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, document, 0o600); err != nil {
		t.Fatal(err)
	}
	flag, mac := keysFlag{PseudonymKeys: file}, [6]byte{0, 0, 0x5e, 0, 0x53, 1}
	for _, b := range []events.BusinessID{"cafe-1", "cafe-2"} {
		for _, id := range keys.IDs() {
			device, err := flag.maker(id, "no matter")
			if err != nil {
				t.Fatal(err)
			}
			key, err := keys.Business(id, b)
			if err != nil {
				t.Fatal(err)
			}
			if got := device(b, mac[:]); got != key.Device(mac) {
				t.Errorf("key %s: %s, ingest has %s", id, got, key.Device(mac))
			}
		}
	}
	if _, err := flag.maker("3", ""); err == nil || !strings.Contains(err.Error(), `no key "3", of [1 2]`) {
		t.Errorf("error %v, want one that there is no key 3", err)
	}
}

func TestLoadOfAnEmptyRecordingFails(t *testing.T) {
	f := traceFlags{Files: []string{"-"}, Business: "store"}
	in := strings.NewReader("seen_at_ms,sensor,device,rssi_dbm\n")
	_, err := f.load(streams{in, &bytes.Buffer{}, &bytes.Buffer{}}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "no sightings") {
		t.Errorf("error %v, want one that there are no sightings", err)
	}
}
