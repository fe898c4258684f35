package score

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// occupancyHeader holds the required columns, as truthHeader does.
var occupancyHeader = []string{"from_ms", "sensor", "people"}

// HeadCount is the number of people near a sensor, from At until the next count
// of that sensor.
type HeadCount struct {
	At     time.Time
	Sensor string
	People int
}

// ReadOccupancyCSV reads head-counts from CSV with the columns from_ms, sensor
// and people (milliseconds since 1970, UTC) and returns them in order of time.
// Errors name the line, with name as the file.
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

// occupancyRow parses one count; its errors begin with the column.
func occupancyRow(row []string) (HeadCount, error) {
	at, err := millis(row[0])
	if err != nil {
		return HeadCount{}, fmt.Errorf("from_ms: %w", err)
	}
	n, err := wholeNumber(row[2])
	if err == nil && n < 0 {
		err = fmt.Errorf("%d is below 0", n)
	}
	if err != nil {
		return HeadCount{}, fmt.Errorf("people: %w", err)
	}
	return HeadCount{At: at, Sensor: row[1], People: int(n)}, nil
}

// Span is a stretch of time from From up to, but not including, To.
type Span struct{ From, To time.Time }

// Hours returns the total length of the spans in hours.
func Hours(spans []Span) float64 {
	var d time.Duration
	for _, s := range spans {
		d += s.To.Sub(s.From)
	}
	return d.Hours()
}

// Within reports whether at lies in one of the spans, which must be in order.
func Within(spans []Span, at time.Time) bool {
	i, _ := slices.BinarySearchFunc(spans, at, func(s Span, at time.Time) int {
		if s.To.After(at) {
			return 1
		}
		return -1
	})
	return i < len(spans) && !at.Before(spans[i].From)
}

// Margin is the time between the last or first counted person and an empty
// span: a person about to enter stands at the door, and a count may be late.
const Margin = 15 * time.Minute

// Calendar holds which head-counts of 0 are believed.
type Calendar struct {
	// Closed are the weekdays on which the store is closed: on such a day
	// counts that are 0 all day are believed.
	Closed []time.Weekday
	// Location is the time zone of the days; nil is UTC.
	Location *time.Location
}

// Empty returns the spans of the recorded time during which the store was
// really empty. A count of 0 alone does not prove that: a counter that nobody
// operates also shows 0, before the first person of the day and after the last.
// A count of 0 is believed
//
//   - on a closed day whose counts are all 0, and
//   - between two counts of people on one day, in one span of the recording,
//
// and Margin is taken off at both ends.
func Empty(counts []HeadCount, recorded []Span, c Calendar) []Span {
	if c.Location == nil {
		c.Location = time.UTC
	}
	// Find the days on which people were counted: such a day is not closed.
	totals := sumSensors(counts)
	busy := map[string]bool{} // days with a count above 0
	for _, t := range totals {
		if t.people > 0 {
			busy[t.from.In(c.Location).Format(time.DateOnly)] = true
		}
	}
	// Cut the recorded spans at midnight, and look for empty time day by day.
	var empty []Span
	for _, r := range recorded {
		for from := r.From; from.Before(r.To); {
			local := from.In(c.Location)
			y, m, d := local.Date()
			to := earlier(StartOfDay(y, m, d+1, c.Location), r.To)
			closed := slices.Contains(c.Closed, local.Weekday()) && !busy[local.Format(time.DateOnly)]
			empty = append(empty, zeros(totals, Span{from, to}, closed)...)
			from = to
		}
	}
	return trim(join(empty))
}

// total is the sum of the counts of all sensors from a moment on.
type total struct {
	from   time.Time
	people int
}

// sumSensors returns the sum over all sensors after each count.
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

// zeros returns the parts of within, a day or less, in which a believed 0
// holds: on a closed day all of them, else those between two counts of people.
func zeros(totals []total, within Span, closed bool) []Span {
	// A span of zeros waits until a later count above 0 confirms it.
	var spans, waiting []Span
	counted := closed
	for i, t := range totals {
		// The total holds until the next count.
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

// earlier returns the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// join merges spans that touch. The spans must be in order.
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

// trim takes Margin off both ends of each span and drops spans that become
// empty.
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
