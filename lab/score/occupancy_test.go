package score

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestReadOccupancy(t *testing.T) {
	const header = "from_ms,sensor,people\n"
	for _, c := range []struct {
		why, file string
		want      []HeadCount
		err       string
	}{
		{"in any order", header + "1762084860000,b,2\n1762084800000,a,0\n", []HeadCount{
			{time.UnixMilli(1762084800000).UTC(), "a", 0}, {time.UnixMilli(1762084860000).UTC(), "b", 2},
		}, ""},
		{"nothing but a header", header, nil, ""},
		{"the recording by mistake", "seen_at_ms,sensor,mac,rssi_dbm\n", nil, "x.csv:1: header is"},
		{"an empty file", "", nil, "x.csv:1: header is"},
		{"a time in words", header + "noon,a,1\n", nil, "x.csv:2: from_ms: "},
		{"half a person", header + "1762084800000,a,0\n1762084800000,a,0.5\n", nil, "x.csv:3: people: "},
		{"fewer than nobody", header + "1762084800000,a,-1\n", nil, "x.csv:2: people: -1 is below 0"},
		{"a column missing", header + "1762084800000,a\n", nil, "x.csv:2: wrong number of fields"},
	} {
		got, err := ReadOccupancyCSV(strings.NewReader(c.file), "x.csv")
		if c.err == "" && (err != nil || !reflect.DeepEqual(got, c.want)) {
			t.Errorf("%s: %v (%v), want %v", c.why, got, err, c.want)
		}
		if c.err != "" && (err == nil || !strings.HasPrefix(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want %q", c.why, err, c.err)
		}
	}
}

// The table writes moments as hours after midnight before a Saturday.
func TestEmpty(t *testing.T) {
	saturday := time.Date(2026, 11, 7, 0, 0, 0, 0, time.UTC)
	hour := func(h float64) time.Time { return saturday.Add(time.Duration(h * float64(time.Hour))) }
	type counts map[float64]int // by the hour
	weekend := Calendar{Closed: []time.Weekday{time.Saturday, time.Sunday}}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	const q = 0.25 // Margin in hours
	for _, c := range []struct {
		why      string
		counts   counts
		recorded [][2]float64
		calendar Calendar
		want     [][2]float64
	}{
		{"nobody counted anything", nil, [][2]float64{{0, 24}}, weekend, nil},
		{"0 all day on a day off", counts{0: 0}, [][2]float64{{0, 24}}, weekend, [][2]float64{{q, 24 - q}}},
		{"only while it was recorded", counts{0: 0}, [][2]float64{{1, 5}, {8, 9}}, weekend, [][2]float64{{1 + q, 5 - q}, {8 + q, 9 - q}}},
		{"too short to say anything", counts{0: 0}, [][2]float64{{1, 1.5}}, weekend, nil},
		{"the whole weekend is one stretch", counts{0: 0}, [][2]float64{{0, 48}}, weekend, [][2]float64{{q, 48 - q}}},
		{"before the first count nothing is known", counts{6: 0}, [][2]float64{{0, 24}}, weekend, [][2]float64{{6 + q, 24 - q}}},
		{"0 all day on a working day is a counter that nobody served", counts{-24: 0}, [][2]float64{{-24, 0}}, weekend, nil},
		{"no day is off", counts{0: 0}, [][2]float64{{0, 24}}, Calendar{}, nil},
		{
			"on a day with people only between them: before and after, nobody served the counter",
			counts{-24: 0, -14: 3, -12: 0, -10: 2, -8: 0},
			[][2]float64{{-24, 0}}, weekend,
			[][2]float64{{-12 + q, -10 - q}},
		},
		{
			"a day off on which somebody came is a day like others",
			counts{0: 0, 10: 1, 12: 0, 14: 1, 16: 0},
			[][2]float64{{0, 24}}, weekend,
			[][2]float64{{12 + q, 14 - q}},
		},
		{
			"what was counted before the recording stopped tells nothing of after it",
			counts{-14: 3, -12: 0, -10: 2},
			[][2]float64{{-15, -11.9}, {-11, 0}}, weekend,
			nil,
		},
		{"the day begins where the store is", counts{-1: 0}, [][2]float64{{-2, 24}}, Calendar{weekend.Closed, berlin}, [][2]float64{{-1 + q, 24 - q}}},
	} {
		var in []HeadCount
		for h, n := range c.counts {
			in = append(in, HeadCount{At: hour(h), Sensor: "door", People: n})
		}
		sortCounts(in)
		var recorded, want []Span
		for _, r := range c.recorded {
			recorded = append(recorded, Span{hour(r[0]), hour(r[1])})
		}
		for _, r := range c.want {
			want = append(want, Span{hour(r[0]), hour(r[1])})
		}
		if got := Empty(in, recorded, c.calendar); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", c.why, got, want)
		}
	}
}

// A person at either sensor means that the store is not empty.
func TestEmptyOverTwoSensors(t *testing.T) {
	counts := []HeadCount{
		{at(0), "a", 1}, {at(0), "b", 0}, {at(60), "a", 0}, {at(70), "b", 1}, {at(80), "a", 0},
		{at(120), "b", 0}, {at(180), "b", 4},
	}
	got := Empty(counts, []Span{{at(0), at(240)}}, Calendar{})
	if want := []Span{{at(135), at(165)}}; !reflect.DeepEqual(got, want) {
		t.Errorf("empty %v, want %v", got, want)
	}
}

func TestWithinAndHours(t *testing.T) {
	spans := []Span{{at(0), at(10)}, {at(20), at(50)}}
	for minute, want := range map[int]bool{-1: false, 0: true, 9: true, 10: false, 19: false, 20: true, 49: true, 50: false} {
		if got := Within(spans, at(minute)); got != want {
			t.Errorf("minute %d: %v, want %v", minute, got, want)
		}
	}
	if got, want := Hours(spans), 40.0/60; got != want {
		t.Errorf("%v hours, want %v", got, want)
	}
}
