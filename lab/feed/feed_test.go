package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"footfall/events"
	"footfall/lab/recording"
	"footfall/shared/stage"
)

const partitions = 3

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// arrivals is a Source that ends with err, or io.EOF if err is nil.
type arrivals struct {
	items []recording.Item
	err   error
}

func (a *arrivals) Next() (recording.Item, error) {
	if len(a.items) == 0 {
		if a.err != nil {
			return recording.Item{}, a.err
		}
		return recording.Item{}, io.EOF
	}
	it := a.items[0]
	a.items = a.items[1:]
	return it, nil
}

// sighting returns a sighting that arrives a duration after noon.
func sighting(after time.Duration, device events.DeviceID) recording.Item {
	at := noon.Add(after)
	return recording.Item{ArrivedAt: at, Sighting: events.Sighting{
		Business: "cafe", Sensor: "door", Device: device, RSSI: -60, SeenAt: at,
	}}
}

// login returns a login that arrives a duration after noon, with an age at its
// arrival.
func login(after, age time.Duration) recording.Item {
	at := noon.Add(after)
	return recording.Item{ArrivedAt: at, CRM: &events.CRMEvent{Login: &events.PortalLogin{
		Business: "cafe", Device: "d", Contact: "ann", At: at.Add(-age),
	}}}
}

// journal is a Producer and a Settle that record the calls in order: a line for
// every sighting ("12:00:20 d"), CRM event ("crm-events login"), tick on one
// partition ("tick 12:01 on 0"), "settle", and, if calls is set, "put 7" for a call
// of 7 records.
type journal struct {
	lines []string
	calls bool
	fail  error // of Produce
	began time.Time
	at    []time.Duration // of each line, after began
}

func (j *journal) note(line string) {
	j.lines = append(j.lines, line)
	j.at = append(j.at, time.Since(j.began))
}

func (j *journal) Produce(ctx context.Context, records []stage.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if j.fail != nil {
		return j.fail
	}
	for _, r := range records {
		line, err := describe(r)
		if err != nil {
			return err
		}
		j.note(line)
	}
	if j.calls {
		j.note(fmt.Sprintf("put %d", len(records)))
	}
	return nil
}

func describe(r stage.Record) (string, error) {
	if r.Topic != events.Sightings {
		e, err := events.DecodeCRM(r.Key, r.Value)
		what := "deletion"
		switch {
		case e.Login != nil:
			what = "login"
		case e.Changed != nil:
			what = "change"
		}
		return r.Topic + " " + what, err
	}
	var s events.SightingsRecord
	if err := events.DecodeSightings(r.Key, r.Value, &s); err != nil {
		return "", err
	}
	if s.IsTick {
		return fmt.Sprintf("tick %s on %d", s.Tick.At.Format("15:04"), r.Partition), nil
	}
	if r.Partition != stage.AnyPartition {
		return "", fmt.Errorf("a sighting is meant for partition %d, whatever its key", r.Partition)
	}
	return s.Sighting.SeenAt.Format("15:04:05 ") + string(s.Sighting.Device), nil
}

func (j *journal) Settle(context.Context) error { j.note("settle"); return nil }

func (j *journal) options() Options {
	return Options{Out: j, Partitions: partitions, Settle: j.Settle}
}

// folded returns ticks on all partitions as one line ("tick 12:01"), without the
// tail: the ticks after the last other line.
func (j *journal) folded() []string {
	var all []string
	last := 0
	for lines := j.lines; len(lines) > 0; {
		tick, _, isTick := strings.Cut(lines[0], " on ")
		n := 1
		if isTick {
			for n < len(lines) && n < partitions && lines[n] == fmt.Sprintf("%s on %d", tick, n) {
				n++
			}
			if n < partitions || !strings.HasSuffix(lines[0], " on 0") {
				tick += fmt.Sprintf(" on %d partitions", n)
			}
		}
		all, lines = append(all, tick), lines[n:]
		if !isTick {
			last = len(all)
		}
	}
	return all[:last]
}

func (j *journal) run(t *testing.T, items ...recording.Item) Stats {
	t.Helper()
	stats, err := Run(t.Context(), &arrivals{items: items}, j.options())
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

// minutes returns the ticks of every minute in a range.
func minutes(from, to string) []string { return ticks(from, to, time.Minute) }

func ticks(from, to string, every time.Duration) (all []string) {
	at, _ := time.Parse("15:04", from)
	end, _ := time.Parse("15:04", to)
	for ; !at.After(end); at = at.Add(every) {
		all = append(all, "tick "+at.Format("15:04"))
	}
	return all
}

func TestTicksPrecedeTheItemsThatArriveAfterThem(t *testing.T) {
	change := recording.Item{ArrivedAt: noon, CRM: &events.CRMEvent{
		Changed: &events.ContactChanged{Business: "cafe", Contact: "ann", At: noon},
	}}
	deletion := recording.Item{ArrivedAt: noon, CRM: &events.CRMEvent{
		Deleted: &events.ContactDeleted{Business: "cafe", Contact: "ann", At: noon},
	}}
	s := time.Second
	cases := []struct {
		name  string
		items []recording.Item
		want  []string
	}{
		{"the first item has its minute before it", []recording.Item{sighting(20*s, "d")}, []string{"tick 12:00", "12:00:20 d"}},
		{"on the boundary comes after it", []recording.Item{sighting(0, "d"), sighting(60*s, "d")},
			[]string{"tick 12:00", "12:00:00 d", "tick 12:01", "12:01:00 d"}},
		{"a minute ticks once, and the others too", []recording.Item{sighting(59*s, "a"), sighting(61*s, "b"), sighting(62*s, "c"), sighting(190*s, "d")},
			[]string{"tick 12:00", "12:00:59 a", "tick 12:01", "12:01:01 b", "12:01:02 c", "tick 12:02", "tick 12:03", "12:03:10 d"}},
		{"minute by minute for an hour, then hourly, then to the minute of the item and on by the minute",
			[]recording.Item{sighting(20*s, "a"), sighting(3*time.Hour+30*time.Minute+20*s, "b"), sighting(3*time.Hour+32*time.Minute, "c")},
			slices.Concat([]string{"tick 12:00", "12:00:20 a"}, minutes("12:01", "13:00"),
				[]string{"tick 14:00", "tick 15:00", "tick 15:30", "15:30:20 b", "tick 15:31", "tick 15:32", "15:32:00 c"})},
		{"a pause of an hour and a bit", []recording.Item{sighting(0, "a"), sighting(61*60*s, "b")},
			slices.Concat([]string{"tick 12:00", "12:00:00 a"}, minutes("12:01", "13:01"), []string{"13:01:00 b"})},
		{"the clock waits for a CRM event", []recording.Item{login(0, 0), sighting(59*s, "a"), sighting(60*s, "b"), sighting(120*s, "c")},
			[]string{"tick 12:00", "crm-events login", "12:00:59 a", "settle", "tick 12:01", "12:01:00 b", "tick 12:02", "12:02:00 c"}},
		{"once for several", []recording.Item{login(0, 0), change, deletion},
			[]string{"tick 12:00", "crm-events login", "crm-events change", "crm-events deletion", "settle"}},
		{"once for each minute that has some", []recording.Item{login(0, 0), login(60*s, 0), sighting(120*s, "a")},
			[]string{"tick 12:00", "crm-events login", "settle", "tick 12:01", "crm-events login", "settle", "tick 12:02", "12:02:00 a"}},
		{"an hour old is live, more is from an archive", []recording.Item{login(0, time.Hour), login(0, time.Hour+time.Millisecond)},
			[]string{"tick 12:00", "crm-events login", "crm-events-backfill login", "settle"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			j := &journal{}
			j.run(t, c.items...)
			if got := j.folded(); !slices.Equal(got, c.want) {
				t.Errorf("put\n %s\nwant\n %s", strings.Join(got, "\n "), strings.Join(c.want, "\n "))
			}
		})
	}
}

// TestTail: the longest session gap that rules allow is 12 hours, so ticks go on
// beyond that.
func TestTail(t *testing.T) {
	j := &journal{}
	stats := j.run(t, sighting(0, "a"), login(20*time.Second, 0))
	j.note("end")
	want := slices.Concat([]string{"tick 12:00", "12:00:00 a", "crm-events login", "settle"},
		minutes("12:01", "13:00"), ticks("14:00", "23:00", time.Hour), []string{"tick 00:00", "tick 01:00", "end"})
	if got := j.folded(); !slices.Equal(got, want) {
		t.Errorf("put\n %s\nwant\n %s", strings.Join(got, "\n "), strings.Join(want, "\n "))
	}
	if want := (Stats{Sightings: 1, CRMEvents: 1, Ticks: 73, From: noon, To: noon.Add(20 * time.Second)}); stats != want {
		t.Errorf("stats %+v, want %+v", stats, want)
	}
}

func TestNoItemsProduceNoRecords(t *testing.T) {
	j := &journal{}
	if stats := j.run(t); stats != (Stats{}) || len(j.lines) > 0 {
		t.Errorf("put %q with stats %+v", j.lines, stats)
	}
}

// TestEveryPartitionGetsTheTickBeforeItsSightings draws pauses between items and
// checks each partition as its readers see it: items in their order, each after the
// tick of its minute.
func TestEveryPartitionGetsTheTickBeforeItsSightings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var items []recording.Item
		after := time.Duration(0)
		for _, pause := range rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 90), rapid.IntRange(0, 30_000)), 1, 12).Draw(t, "pauses") {
			after += time.Duration(pause) * time.Second
			items = append(items, sighting(after, rapid.SampledFrom([]events.DeviceID{"a", "b", "c", "d", "e"}).Draw(t, "device")))
		}
		var out recorder
		if _, err := Run(t.Context(), &arrivals{items: slices.Clone(items)}, Options{Out: &out, Partitions: partitions}); err != nil {
			t.Fatal(err)
		}
		for p := range int32(partitions) {
			checkPartition(t, out.of(t, p), slices.DeleteFunc(slices.Clone(items), func(it recording.Item) bool {
				return events.Partition(events.DeviceKey("cafe", it.Sighting.Device), partitions) != p
			}))
		}
	})
}

func checkPartition(t *rapid.T, got []events.SightingsRecord, items []recording.Item) {
	var clock time.Time
	for _, r := range got {
		switch {
		case r.IsTick && !r.Tick.At.After(clock):
			t.Fatalf("tick %v after tick %v", r.Tick.At, clock)
		case r.IsTick:
			clock = r.Tick.At
		case len(items) == 0 || r.Sighting != items[0].Sighting:
			t.Fatalf("%+v is not the next sighting", r.Sighting)
		case !clock.Equal(items[0].ArrivedAt.Truncate(time.Minute)):
			t.Fatalf("%v arrived at clock %v", items[0].ArrivedAt, clock)
		default:
			items = items[1:]
		}
	}
	if len(items) > 0 {
		t.Fatalf("%d sightings are missing", len(items))
	}
}

// recorder is a Producer that keeps records.
type recorder []stage.Record

func (r *recorder) Produce(_ context.Context, records []stage.Record) error {
	*r = append(*r, records...)
	return nil
}

// of returns the records of a partition of sightings.
func (r *recorder) of(t *rapid.T, partition int32) []events.SightingsRecord {
	var all []events.SightingsRecord
	for _, rec := range *r {
		p := rec.Partition
		if p == stage.AnyPartition {
			p = events.Partition(rec.Key, partitions)
		}
		if p != partition {
			continue
		}
		var s events.SightingsRecord
		if err := events.DecodeSightings(rec.Key, rec.Value, &s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// TestSpeedPaces: at speed 60, a minute of the recording takes a second, counted
// from the first item; ticks come at their time too, and the tail at once.
func TestSpeedPaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{began: time.Now(), calls: true}
		o := j.options()
		o.Speed = 60
		items := []recording.Item{sighting(30*time.Second, "a"), login(45*time.Second, 0), sighting(150*time.Second, "b"), sighting(150*time.Second+300*time.Millisecond, "c")}
		if _, err := Run(t.Context(), &arrivals{items: items}, o); err != nil {
			t.Fatal(err)
		}
		want := map[string]time.Duration{
			"tick 12:00 on 2": 0, "12:00:30 a": 0, "crm-events login": 250 * time.Millisecond, "settle": 250 * time.Millisecond,
			"tick 12:01 on 0": 500 * time.Millisecond, "tick 12:02 on 2": 1500 * time.Millisecond,
			"12:02:30 b": 2 * time.Second, "12:02:30 c": 2 * time.Second, // 5 ms are not worth a sleep
			"tick 12:03 on 0": 2 * time.Second, "tick 01:02 on 2": 2 * time.Second,
		}
		if slices.Contains(j.lines, "put 0") {
			t.Error("a call without records")
		}
		for line, at := range want {
			if i := slices.Index(j.lines, line); i < 0 {
				t.Errorf("%s was not put", line)
			} else if j.at[i] != at {
				t.Errorf("%s was put after %v, want %v", line, j.at[i], at)
			}
		}
	})
}

// TestWithoutSpeedNothingWaits: the simulated time of the test does not move unless
// a goroutine sleeps.
func TestWithoutSpeedNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		(&journal{}).run(t, sighting(0, "a"), sighting(5*time.Hour, "b"))
		if took := time.Since(began); took > 0 {
			t.Errorf("took %v", took)
		}
	})
}

// TestChunks: records are produced about 5,000 at a time, in order, items and
// ticks alike, and Fed is called after each call with the records produced so
// far. A CRM event is produced in a later call than the sightings before it.
func TestChunks(t *testing.T) {
	cases := []struct {
		name  string
		items []recording.Item
		want  []string // of the calls
		fed   []int64  // sightings and ticks reported after each call
	}{
		{"items fill one", slices.Repeat([]recording.Item{sighting(0, "a")}, 5000), []string{"put 5000", "put 219"}, []int64{4998, 5073}},
		{"a tick fills one", slices.Concat(slices.Repeat([]recording.Item{sighting(0, "a")}, 4996), []recording.Item{sighting(60*time.Second, "b")}),
			[]string{"put 5002", "put 217"}, []int64{4998, 5071}},
		{"a CRM event goes out after the records before it, and before its settling", []recording.Item{login(0, 0)},
			[]string{"put 3", "put 1", "put 216"}, []int64{1, 1, 73}},
		{"CRM events in a row go out together", []recording.Item{login(0, 0), login(0, 0)}, []string{"put 3", "put 2", "put 216"}, []int64{1, 1, 73}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			j := &journal{calls: true}
			o := j.options()
			var fed []int64
			o.Fed = func(s Stats) { fed = append(fed, s.Sightings+s.Ticks) }
			if _, err := Run(t.Context(), &arrivals{items: c.items}, o); err != nil {
				t.Fatal(err)
			}
			calls := slices.DeleteFunc(j.lines, func(l string) bool { return !strings.HasPrefix(l, "put ") })
			if !slices.Equal(calls, c.want) || !slices.Equal(fed, c.fed) {
				t.Errorf("calls %q, passed to Fed %d, want %q and %d", calls, fed, c.want, c.fed)
			}
		})
	}
}

var errInjected = errors.New("injected fault")

func TestErrorsNameTheItem(t *testing.T) {
	at := recording.Position{File: "office.csv", Number: 17}
	from := func(it recording.Item) recording.Item { it.Source = at; return it }
	many := slices.Repeat([]recording.Item{from(sighting(0, "a"))}, 5000)
	fails := &journal{fail: errInjected}
	cases := []struct {
		name   string
		src    arrivals
		change func(*Options)
		want   []string
	}{
		{"the producer, while items come", arrivals{items: many}, func(o *Options) { o.Out = fails }, []string{"office.csv:17", "producing 5000 records"}},
		{"the producer, at the end", arrivals{items: many[:1]}, func(o *Options) { o.Out = fails }, []string{"producing 220 records"}},
		{"settling", arrivals{items: []recording.Item{login(0, 0), from(sighting(time.Minute, "a"))}},
			func(o *Options) { o.Settle = func(context.Context) error { return errInjected } }, []string{"office.csv:17", "waiting until the stages have processed the CRM events"}},
		{"settling in the tail", arrivals{items: []recording.Item{login(0, 0)}},
			func(o *Options) { o.Settle = func(context.Context) error { return errInjected } }, []string{"waiting until the stages have processed the CRM events"}},
		{"the source", arrivals{items: many[:1], err: errInjected}, func(*Options) {}, []string{errInjected.Error()}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := (&journal{}).options()
			c.change(&o)
			_, err := Run(t.Context(), &c.src, o)
			if !errors.Is(err, errInjected) {
				t.Fatalf("error %v, want the injected one", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
		})
	}
}

// TestCancelStops: at full speed the next call of the producer returns the error,
// and a pause ends at once.
func TestCancelStops(t *testing.T) {
	endless := slices.Repeat([]recording.Item{sighting(0, "a")}, 30_000)
	until := map[float64]time.Duration{0: 0, 1: 90 * time.Second}
	for speed := range until {
		t.Run(fmt.Sprintf("speed %v", speed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
				defer cancel()
				j := &journal{began: time.Now(), calls: true}
				o := j.options()
				o.Speed = speed
				items := slices.Concat([]recording.Item{sighting(0, "a"), sighting(59*time.Second, "b"), sighting(time.Hour, "c")}, endless)
				if speed == 0 {
					o.Fed = func(Stats) { cancel() }
				}
				if _, err := Run(ctx, &arrivals{items: items}, o); !errors.Is(err, ctx.Err()) || err == nil {
					t.Errorf("error %v, want %v", err, ctx.Err())
				}
				if took := time.Since(j.began); took != until[speed] || len(j.lines) > 5010 {
					t.Errorf("stopped after %v and %d records", took, len(j.lines))
				}
			})
		})
	}
}
