package calibrate

import (
	"io"
	"iter"
	"reflect"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/lab/offline"
	"footfall/lab/recording"
	"footfall/lab/score"
	"footfall/lab/town"
	"footfall/shared/business"
)

// monday is when the recordings of these tests begin.
var monday = town.Defaults().Start

// pull returns the items of a sequence.
type pull struct {
	next func() (recording.Item, bool)
}

func (p pull) Next() (recording.Item, error) {
	it, ok := p.next()
	if !ok {
		return it, io.EOF
	}
	return it, nil
}

func load(t *testing.T, items iter.Seq[recording.Item]) *offline.Trace {
	t.Helper()
	next, stop := iter.Pull(items)
	defer stop()
	trace, err := offline.Load(pull{next}, offline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

// shop simulates a shop for some days.
func shop(t *testing.T, seed uint64, days int, change func(*town.Config)) (town.Town, *offline.Trace) {
	t.Helper()
	c := town.Defaults()
	c.Seed, c.Duration = seed, time.Duration(days)*24*time.Hour
	c.Businesses = c.Businesses[:1]
	c.Businesses[0].PassersBy /= 20 // time
	c.Businesses[0].Neighbours /= 4
	if change != nil {
		change(&c)
	}
	made, err := town.Generate(c)
	if err != nil {
		t.Fatal(err)
	}
	return made, load(t, made.Items())
}

// before parts true visits.
func before(all []score.Visit, at time.Time) (earlier, later []score.Visit) {
	for _, v := range all {
		if v.Enter.Before(at) {
			earlier = append(earlier, v)
		} else {
			later = append(later, v)
		}
	}
	return earlier, later
}

// Settings chosen on one day are no worse on the next day than the defaults, and a
// second choice is the same.
func TestSettingsChosenOnOneDayHoldOnTheNext(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		made, trace := shop(t, seed, 2, nil)
		split := monday.Add(24 * time.Hour)
		first, second := before(made.ScoreTruth(), split)
		in := Input{Trace: trace.Cut(time.Time{}, split), Known: score.Reference{Truth: first}, Base: business.Defaults(), Limit: 1}
		choice, err := Choose(in)
		if err != nil {
			t.Fatal(err)
		}
		if seed == 1 { // once will do
			again, err := Choose(in)
			if err != nil || !reflect.DeepEqual(choice, again) {
				t.Errorf("chosen again it is %+v (%v), want %+v", again.Settings, err, choice.Settings)
			}
		}
		rest := func(s business.Settings) float64 {
			r, err := s.Rules()
			if err != nil {
				t.Fatal(err)
			}
			return cost(score.Measure(trace.Cut(split, time.Time{}).Visits(r), score.Reference{Truth: second}, score.EqualDwell(r.MinSpan)))
		}
		if got, usual := rest(choice.Settings), rest(business.Defaults()); got > usual {
			t.Errorf("seed %d: %+v costs %.3f a visit, the defaults %.3f", seed, choice.Settings, got, usual)
		}
	}
}

// stays makes sightings of a device every two minutes.
func stays(device events.DeviceID, rssi events.RSSI, from time.Duration, long time.Duration) []recording.Item {
	var items []recording.Item
	for at := monday.Add(from); at.Before(monday.Add(from + long)); at = at.Add(2 * time.Minute) {
		items = append(items, recording.Item{ArrivedAt: at, Sighting: events.Sighting{
			Business: "shop", Sensor: "door", Device: device, RSSI: rssi, SeenAt: at,
		}})
	}
	return items
}

func sequence(groups ...[]recording.Item) iter.Seq[recording.Item] {
	return func(yield func(recording.Item) bool) {
		for _, g := range groups {
			for _, it := range g {
				if !yield(it) {
					return
				}
			}
		}
	}
}

// A neighbour is heard at -66 dBm while the shop is closed.
func TestEmptyHoursMakeTheEntryStricter(t *testing.T) {
	trace := load(t, sequence(
		stays("guest", -50, time.Hour, 30*time.Minute),
		stays("neighbour", -66, 30*time.Hour, 30*time.Minute),
	))
	for _, c := range []struct {
		why   string
		hours int // empty, around the neighbour
		limit float64
		entry int32
		says  string
	}{
		{"plenty of empty hours: 3 dB of margin", 300, 0.1, -66 + 1 + 3, "3 dB louder"},
		{"a tenth of them: 6 dB", 30, 1, -66 + 1 + 6, "6 dB louder"},
		{"the neighbour is borne: the usual threshold stays", 300, 1, -70, "3 dB louder"},
		{"too few to conclude anything from", 2, 1, -70, "Too few empty hours"},
	} {
		empty := []score.Span{{From: monday.Add(29 * time.Hour), To: monday.Add(time.Duration(29+c.hours) * time.Hour)}}
		choice, err := Choose(Input{Trace: trace, Known: score.Reference{Empty: empty}, Base: business.Defaults(), Limit: c.limit})
		if err != nil {
			t.Fatal(err)
		}
		s := choice.Settings
		if s.Entry != c.entry || s.Dwell != business.Defaults().Dwell || s.Gap != business.Defaults().Gap || s.Hold != business.Defaults().Hold {
			t.Errorf("%s: %+v, want the defaults but for an entry of %d", c.why, s, c.entry)
		}
		if why := strings.Join(choice.Why(), " "); !strings.Contains(why, c.says) {
			t.Errorf("%s: says %q, want %q in it", c.why, why, c.says)
		}
	}
}

// If no threshold keeps the limit, a longer dwell does.
func TestLongerDwellIfNoThresholdKeepsToTheLimit(t *testing.T) {
	groups := [][]recording.Item{stays("guest", -50, time.Hour, 30*time.Minute)}
	for night := range 3 {
		id := events.DeviceID("loud" + string(rune('a'+night)))
		groups = append(groups, stays(id, -40, time.Duration(30+night)*time.Hour, 8*time.Minute))
	}
	empty := []score.Span{{From: monday.Add(29 * time.Hour), To: monday.Add(329 * time.Hour)}}
	choice, err := Choose(Input{Trace: load(t, sequence(groups...)), Known: score.Reference{Empty: empty}, Base: business.Defaults(), Limit: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := time.Duration(choice.Settings.Dwell), 8*time.Minute; got != want {
		t.Errorf("dwell %v, want %v", got, want)
	}
}

func TestMargin(t *testing.T) {
	for hours, want := range map[float64]int{1000: 3, 300: 3, 299: 4, 30: 6, 3: 9} {
		if got := margin(hours); got != want {
			t.Errorf("%v hours: %d dB, want %d", hours, got, want)
		}
	}
}

// A single good point is luck; the middle of several in a row is a setting.
func TestPlateau(t *testing.T) {
	for _, c := range []struct {
		why   string
		costs []float64
		want  int
	}{
		{"the longest run", []float64{9, 0, 9, 0, 0, 0, 9}, 4},
		{"nearly as good is as good", []float64{9, 0.4, 0, 0.4, 0.3, 0.2, 9}, 3},
		{"the first of equals", []float64{9, 0, 9, 0, 9}, 1},
	} {
		s := &search{Input: Input{Known: score.Reference{Truth: make([]score.Visit, 1)}}}
		var points []Point
		for _, cost := range c.costs {
			points = append(points, Point{Cost: cost, Allowed: true})
		}
		if got := s.plateau(points); got != c.want {
			t.Errorf("%s: point %d, want %d", c.why, got, c.want)
		}
		points[c.want].Allowed = false
		if got := s.plateau(points); got == c.want {
			t.Errorf("%s: point %d is taken though it is not allowed", c.why, got)
		}
	}
}

func TestSessionGapIsTakenFromAPlateau(t *testing.T) {
	costs := func(good func(minutes float64) bool) []Point {
		var points []Point
		for _, g := range gaps {
			p := Point{Gap: g, Allowed: true, Cost: 5}
			if good(g.Minutes()) {
				p.Cost = 0
			}
			points = append(points, p)
		}
		return points
	}
	for _, c := range []struct {
		why  string
		good func(float64) bool
		want time.Duration
	}{
		{"the usual one where all are alike", func(float64) bool { return true }, 30 * time.Minute},
		{"one step away from the cliff", func(m float64) bool { return m >= 36 }, 40 * time.Minute},
		{"the usual one would be on the edge", func(m float64) bool { return m <= 30 }, 16 * time.Minute},
		{"the only one", func(m float64) bool { return m == 50 }, 50 * time.Minute},
	} {
		s := &search{Input: Input{Base: business.Defaults(), Known: score.Reference{Truth: make([]score.Visit, 1)}}}
		if got := gaps[s.pickGap(costs(c.good))]; got != c.want {
			t.Errorf("%s: %v, want %v", c.why, got, c.want)
		}
	}
}

func TestSettingsOutOfRangeAreAnError(t *testing.T) {
	base := business.Defaults()
	base.Lateness = 0
	if _, err := Choose(Input{Trace: load(t, sequence()), Base: base}); err == nil || !strings.Contains(err.Error(), "lateness") {
		t.Errorf("error %v, want one of the lateness", err)
	}
}
