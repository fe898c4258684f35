package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"footfall/events"
	"footfall/lab/feed"
	"footfall/lab/recording"
	"footfall/lab/town"
	"footfall/local"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// smallTown returns some hours of one busy store.
func smallTown(t *testing.T) town.Town {
	t.Helper()
	config := town.Defaults()
	config.Seed, config.Duration = 11, 14*time.Hour
	config.Businesses = config.Businesses[:2]
	for i := range config.Businesses {
		config.Businesses[i].PassersBy /= 4
	}
	made, err := town.Generate(config)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// stackFor starts a pipeline that ends with the test.
func stackFor(t *testing.T, change func(*local.Options)) *local.Stack {
	t.Helper()
	flags := stackFlags{Bin: binaries, Environments: 2}
	options, err := flags.options(newStackLog(t.Output(), false), false)
	if err != nil {
		t.Fatal(err)
	}
	change(&options)
	stack, err := local.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stack.Close(); err != nil {
			t.Error(err)
		}
	})
	return stack
}

// killing is a source that kills one environment of each function in turn, at points
// spread over the items.
type killing struct {
	*itemSource
	t       *testing.T
	stack   *local.Stack
	every   int
	given   int
	targets []string
	killed  []string
}

func (k *killing) Next() (recording.Item, error) {
	k.given++
	if k.given%k.every == 0 {
		target := k.targets[len(k.killed)%len(k.targets)]
		pid, err := k.stack.Kill(target)
		if err != nil {
			return recording.Item{}, fmt.Errorf("kill %s: %w", target, err)
		}
		k.killed = append(k.killed, target)
		k.t.Logf("killed %s, process %d, before item %d", target, pid, k.given)
	}
	return k.itemSource.Next()
}

// If any function process is killed in the middle of a run, the counts equal those
// that the oracle computes from the input.
func TestKillingFunctionsChangesNoCount(t *testing.T) {
	made := smallTown(t)
	stack := stackFor(t, func(*local.Options) {})
	src := &killing{
		itemSource: newItemSource(made.Items()), t: t, stack: stack, every: 1500,
		targets: []string{pipeline.Detect, pipeline.Identify, pipeline.Enrich, pipeline.Count},
	}
	defer src.stop()
	o, err := feedAndCompare(t.Context(), streams{err: t.Output()}, stack, src, 0, func(*progress, feed.Stats) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range src.targets {
		if !slices.Contains(src.killed, target) {
			t.Errorf("%s was never killed: %d items are too few", target, src.given)
		}
	}
	wantSound(t, o)
}

// Each partition's batches go to two environments in turn: each finds the
// other's work in the log.
func TestTwoEnvironmentsInTurnChangeNoCount(t *testing.T) {
	made := smallTown(t)
	stack := stackFor(t, func(o *local.Options) { o.InTurn = true })
	src := newItemSource(made.Items())
	defer src.stop()
	o, err := feedAndCompare(t.Context(), streams{err: t.Output()}, stack, src, 0, func(*progress, feed.Stats) {})
	if err != nil {
		t.Fatal(err)
	}
	wantSound(t, o)
}

// wantSound compares a run with the oracle, and checks that there were walk-ins to
// compare.
func wantSound(t *testing.T, o *outcome) {
	t.Helper()
	if err := o.report.Err(); err != nil {
		t.Error(err)
	}
	if o.report.WalkIns.Topics < 50 || o.report.Counted.Topics < 20 {
		t.Errorf("%d walk-ins and %d counted are too few to show anything", o.report.WalkIns.Topics, o.report.Counted.Topics)
	}
	var text bytes.Buffer
	printReport(&text, o)
	t.Log(text.String())
}

// Records that can never be processed become dead letters with reason and place, and
// their partition goes on.
func TestBadRecordsReachTheDeadLetters(t *testing.T) {
	stack := stackFor(t, func(*local.Options) {})
	deps, err := openDeps(t.Context(), stack)
	if err != nil {
		t.Fatal(err)
	}
	defer deps.Close()
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	key := events.DeviceKey("cafe-1", "phone")
	sighting := func(change func(*events.Sighting)) []byte {
		s := events.Sighting{Business: "cafe-1", Sensor: "door", Device: "phone", RSSI: -60, SeenAt: noon}
		change(&s)
		value, err := events.Encode(nil, &s)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	good := func(minutes int) []byte {
		return sighting(func(s *events.Sighting) { s.SeenAt = noon.Add(time.Duration(minutes) * time.Minute) })
	}
	unknown := sighting(func(*events.Sighting) {})
	unknown[3] ^= 0xff
	// The whole record, with key, headers and framing, is just below the limit.
	huge := bytes.Repeat([]byte("x"), 1<<20-200)
	bad := []struct {
		reason events.Reason
		value  []byte
	}{
		{events.Undecodable, []byte("no sighting")},
		{events.NullValue, nil},
		{events.InvalidField, sighting(func(s *events.Sighting) { s.SeenAt = time.UnixMilli(-1) })},
		{events.InvalidField, sighting(func(s *events.Sighting) { s.SeenAt = time.UnixMilli(1 << 60) })},
		{events.InvalidField, sighting(func(s *events.Sighting) { s.RSSI = 1 })},
		{events.InvalidField, sighting(func(s *events.Sighting) { s.RSSI = -128 })},
		{events.TooLarge, huge},
		{events.UnknownSchema, unknown},
	}
	records := []stage.Record{{Topic: events.Sightings, Partition: stage.AnyPartition, Key: key, Value: good(0)}}
	for _, b := range bad {
		records = append(records, stage.Record{Topic: events.Sightings, Partition: stage.AnyPartition, Key: key, Value: b.value})
	}
	records = append(records, stage.Record{Topic: events.Sightings, Partition: stage.AnyPartition, Key: key, Value: good(7)})
	if err := deps.Out.Produce(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	if err := stack.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	dead := readDead(t, stack, events.Sightings)
	if len(dead) != len(bad) {
		t.Fatalf("%d dead letters, want %d", len(dead), len(bad))
	}
	partition := events.Partition(key, 4)
	for i, b := range bad {
		want := map[string]string{
			stage.HeaderReason: string(b.reason), stage.HeaderTopic: events.Sightings, stage.HeaderStage: pipeline.Detect,
			stage.HeaderPartition: fmt.Sprint(partition), stage.HeaderOffset: fmt.Sprint(i + 1),
		}
		for header, value := range want {
			if got := dead[i].headers[header]; got != value {
				t.Errorf("dead letter %d: %s is %q, want %q", i, header, got, value)
			}
		}
		if !bytes.Equal(dead[i].value, b.value) || (dead[i].value == nil) != (b.value == nil) {
			t.Errorf("dead letter %d: %d bytes of value, want the %d that came", i, len(dead[i].value), len(b.value))
		}
	}
	if got := countWalkIns(t, stack); got != 1 {
		t.Errorf("%d walk-ins, want the one of the records around", got)
	}
}

// Without a replay the wall clock starts the tick function, at once and then each
// minute.
func TestTheScheduleTicks(t *testing.T) {
	stack := stackFor(t, func(o *local.Options) { o.Schedule = true })
	for p, r := range firstRecords(t, stack, events.Sightings, 4) {
		var e events.SightingsRecord
		if err := events.DecodeSightings(r.Key, r.Value, &e); err != nil || !e.IsTick {
			t.Errorf("partition %d holds %+v (%v), want a tick", p, e, err)
		}
		if age := time.Since(e.Tick.At); age < 0 || age > 2*time.Minute {
			t.Errorf("partition %d: the tick is %v old", p, age)
		}
	}
}

// An interrupted run stops at once and leaves no processes or files.
func TestAnInterruptedRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stack := stackFor(t, func(*local.Options) {})
	src := newItemSource(smallTown(t).Items())
	defer src.stop()
	_, err := runThrough(ctx, streams{err: t.Output()}, stack, src, 0, func(*progress, feed.Stats) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended with %v, want that it was cancelled", err)
	}
}
