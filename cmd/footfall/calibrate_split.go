package main

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"time"

	"footfall/lab/score"
)

// split returns the moment that splits the recording: the beginning of a day in the
// store's time zone, a full hour of a recording of one day, or the moment of the flag.
func (c *calibrateCmd) split(m *input) (time.Time, error) {
	// A day or a moment, or all of the recording.
	share, err := strconv.ParseFloat(c.Split, 64)
	switch {
	case err != nil:
		at, err := splitMoment(c.Split, m.zone)
		if err == nil && !at.After(m.trace.Recorded(0)[0].From) {
			err = fmt.Errorf("--split %s: nothing was recorded before that", c.Split)
		}
		return at, err
	case share == 1:
		return m.endOfKnown(), nil
	}
	parts, name := recordedDays(m), "days"
	if len(parts) == 1 {
		parts, name = recordedHours(m), "hours"
	}
	// A share of the weight of the days or hours.
	at := 0
	if share > 0 && share < 1 {
		at = splitAt(m.weights(parts), share)
		if at == 0 { // all weight lies on one of them, or there is none
			at = splitAt(slices.Repeat([]float64{1}, len(parts)), share)
		}
	}
	if at > 0 {
		return parts[at], nil
	}
	return time.Time{}, fmt.Errorf("--split %s does not split a recording of %d %s; 1 chooses on all of it", c.Split, len(parts), name)
}

// end returns the end of the recording.
func (m *input) end() time.Time {
	recorded := m.trace.Recorded(0)
	return recorded[len(recorded)-1].To
}

// endOfKnown returns the moment after which nothing is known: the end of the
// recording, or the end of a true visit that lasts longer. A phone is silent when its
// owner leaves, so the last true visit may end after the last sighting.
func (m *input) endOfKnown() time.Time {
	end := m.end()
	for _, v := range m.known.Truth {
		if !v.Leave.Before(end) {
			end = v.Leave.Add(time.Millisecond)
		}
	}
	return end
}

// weights returns the weight of each day or hour for the choice, given their
// beginnings: the number of its true visits or, if no true visits are known, its empty
// minutes.
func (m *input) weights(begins []time.Time) []float64 {
	w := make([]float64, len(begins))
	indexOf := func(at time.Time) int {
		return sort.Search(len(begins), func(i int) bool { return begins[i].After(at) }) - 1
	}
	add := func(at time.Time) {
		if i := indexOf(at); i >= 0 {
			w[i]++
		}
	}
	// True visits count; only without any, empty minutes do.
	_, k := m.part(time.Time{}, time.Time{}, nil)
	for _, v := range k.Truth {
		add(v.Enter)
	}
	if len(k.Truth) == 0 {
		for _, s := range k.Empty {
			for at := s.From; at.Before(s.To); at = at.Add(time.Minute) {
				add(at)
			}
		}
	}
	return w
}

// splitAt returns the index of the day or hour before which the share of all weights lies
// most nearly, with neither part empty; 0 if there is none.
func splitAt(weights []float64, share float64) int {
	all := 0.0
	for _, w := range weights {
		all += w
	}
	// sum is the weight of all before i.
	best, off, sum := 0, math.Inf(1), 0.0
	for i, w := range weights {
		if d := math.Abs(sum - share*all); i > 0 && sum > 0 && sum < all && d < off {
			best, off = i, d
		}
		sum += w
	}
	return best
}

// recordedDays returns the moments at which the days of the recording begin.
func recordedDays(m *input) []time.Time {
	var days []time.Time
	for _, s := range m.trace.Recorded(0) {
		// Days differ in length when the clocks change, so count dates, not hours.
		y, mon, d := s.From.In(m.zone).Date()
		for {
			day := score.StartOfDay(y, mon, d, m.zone)
			if !day.Before(s.To) {
				break
			}
			if len(days) == 0 || day.After(days[len(days)-1]) {
				days = append(days, day)
			}
			d++
		}
	}
	return days
}

// recordedHours returns the beginning of the recording and the full hours of the
// store's clock within it.
func recordedHours(m *input) []time.Time {
	hours := []time.Time{m.trace.Recorded(0)[0].From}
	// The offset of a zone may not be whole hours.
	_, offset := hours[0].In(m.zone).Zone()
	shift := time.Duration(offset) * time.Second
	for at := hours[0].Add(shift).Truncate(time.Hour).Add(time.Hour - shift); at.Before(m.end()); at = at.Add(time.Hour) {
		hours = append(hours, at)
	}
	return hours
}

// splitMoment reads a day, or a moment of the store's clock.
func splitMoment(text string, zone *time.Location) (time.Time, error) {
	if at, err := time.ParseInLocation("2006-01-02T15:04", text, zone); err == nil {
		return at, nil
	}
	at, err := dayIn(text, zone)
	if err != nil {
		return at, fmt.Errorf("--split: %q is not a share, a day such as 2026-03-02, or a moment such as 2026-03-02T13:00", text)
	}
	return at, nil
}

// momentIn returns a moment as text by the clock of a zone; of the beginning of a day,
// the day alone.
func momentIn(at time.Time, zone *time.Location) string {
	local := at.In(zone)
	if at.Equal(score.StartOfDay(local.Year(), local.Month(), local.Day(), zone)) {
		return local.Format(time.DateOnly)
	}
	return local.Format("2006-01-02 15:04")
}
