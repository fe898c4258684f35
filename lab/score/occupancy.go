package score

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// occupancyHeader are the columns that there must be, as with truthHeader.
var occupancyHeader = []string{"from_ms", "sensor", "people"}

// HeadCount says how many people were where a sensor stands, from At on until
// the next count there.
type HeadCount struct {
	At     time.Time
	Sensor string
	People int
}

// ReadOccupancyCSV reads head-counts written down as CSV with the columns
// from_ms, sensor and people (milliseconds since 1970, UTC), in the order of their
// time. Errors name the line, with name as the file.
func ReadOccupancyCSV(r io.Reader, name string) ([]HeadCount, error) {
	var counts []HeadCount
	err := eachRow(r, name, occupancyHeader, func(row []string) error {
		c, err := occupancyRow(row)
		counts = append(counts, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	sortCounts(counts)
	return counts, nil
}

func sortCounts(counts []HeadCount) {
	slices.SortStableFunc(counts, func(a, b HeadCount) int { return a.At.Compare(b.At) })
}

func occupancyRow(row []string) (HeadCount, error) {
	at, err := millis(row[0])
	if err != nil {
		return HeadCount{}, fmt.Errorf("from_ms: %w", err)
	}
	n, err := strconv.Atoi(row[2])
	if err == nil && n < 0 {
		err = fmt.Errorf("%d is below 0", n)
	}
	if err != nil {
		return HeadCount{}, fmt.Errorf("people: %w", err)
	}
	return HeadCount{At: at, Sensor: row[1], People: n}, nil
}

// Span is a stretch of time, without To itself.
type Span struct{ From, To time.Time }

// Hours is the length of all spans in hours.
func Hours(spans []Span) float64 {
	var d time.Duration
	for _, s := range spans {
		d += s.To.Sub(s.From)
	}
	return d.Hours()
}

// Within says whether at lies in one of the spans, which are in order.
func Within(spans []Span, at time.Time) bool {
	i, _ := slices.BinarySearchFunc(spans, at, func(s Span, at time.Time) int {
		if s.To.After(at) {
			return 1
		}
		return -1
	})
	return i < len(spans) && !at.Before(spans[i].From)
}

// Margin is how far from people coming and going empty hours begin and end:
// who is about to come in stands at the door, and a count is made late.
const Margin = 15 * time.Minute

// Calendar says which zeros of a head-count are believed.
type Calendar struct {
	// Closed are the days of the week on which nobody comes: on them a count that
	// is 0 all day is believed.
	Closed []time.Weekday
	// Location says when a day begins; nil is UTC.
	Location *time.Location
}

// Empty gives the time in which truly nobody was there, of that in which the
// recording went on. A count of 0 alone does not say so: a counter that nobody
// serves shows 0 as well, before the first person of the day and after the last.
// It is believed
//
//   - on a closed day whose counts are all 0, and
//   - between two counts of people on one day, in one stretch of the recording,
//
// and Margin is taken off at both ends.
func Empty(counts []HeadCount, recorded []Span, c Calendar) []Span {
	if c.Location == nil {
		c.Location = time.UTC
	}
	totals := sumSensors(counts)
	busy := map[string]bool{} // days on which somebody was counted
	for _, t := range totals {
		if t.people > 0 {
			busy[t.from.In(c.Location).Format(time.DateOnly)] = true
		}
	}
	var empty []Span
	for _, r := range recorded {
		for from := r.From; from.Before(r.To); {
			local := from.In(c.Location)
			y, m, d := local.Date()
			to := earlier(time.Date(y, m, d+1, 0, 0, 0, 0, c.Location).UTC(), r.To)
			closed := slices.Contains(c.Closed, local.Weekday()) && !busy[local.Format(time.DateOnly)]
			empty = append(empty, zeros(totals, Span{from, to}, closed)...)
			from = to
		}
	}
	return trim(join(empty))
}

// total is the sum of all sensors from a moment on.
type total struct {
	from   time.Time
	people int
}

func sumSensors(counts []HeadCount) []total {
	now := map[string]int{}
	var totals []total
	sum := 0
	for _, c := range counts {
		sum += c.People - now[c.Sensor]
		now[c.Sensor] = c.People
		totals = append(totals, total{c.At, sum})
	}
	return totals
}

// zeros gives the parts of within, a day or less, in which a believed 0 holds:
// all of them on a closed day, else those between two counts of people.
func zeros(totals []total, within Span, closed bool) []Span {
	var spans, waiting []Span
	counted := closed
	for i, t := range totals {
		to := within.To
		if i+1 < len(totals) {
			to = earlier(totals[i+1].from, within.To)
		}
		from := t.from
		if from.Before(within.From) {
			from = within.From
		} else if t.people > 0 && t.from.Before(within.To) {
			counted = true
			spans, waiting = append(spans, waiting...), nil
		}
		if counted && t.people == 0 && from.Before(to) {
			waiting = append(waiting, Span{from, to})
		}
	}
	if closed {
		return waiting
	}
	return spans
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// join makes one of spans that touch.
func join(spans []Span) []Span {
	var joined []Span
	for _, s := range spans {
		if n := len(joined); n > 0 && !s.From.After(joined[n-1].To) {
			joined[n-1].To = s.To
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

func trim(spans []Span) []Span {
	var kept []Span
	for _, s := range spans {
		s.From, s.To = s.From.Add(Margin), s.To.Add(-Margin)
		if s.From.Before(s.To) {
			kept = append(kept, s)
		}
	}
	return kept
}
