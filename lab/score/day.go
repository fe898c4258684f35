package score

import (
	"sort"
	"time"
)

// StartOfDay returns the first moment of a day in a time zone, in UTC. That need
// not be midnight: when the clocks go forward at midnight, as in Santiago and
// Cairo, the day begins at 1:00, and for a date that is left out it is the
// beginning of the next day. time.Date may return a moment of the day before
// instead, from which a loop over days never gets away.
func StartOfDay(year int, month time.Month, day int, zone *time.Location) time.Time {
	// The day begins within a day of the midnight in UTC: offsets are between
	// -12 and +14 hours. In the zone the dates of this stretch never decrease,
	// except for a moment when the clocks go back over midnight.
	date := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	from := date.Add(-24 * time.Hour)
	seconds := sort.Search(48*3600, func(i int) bool {
		y, m, d := from.Add(time.Duration(i) * time.Second).In(zone).Date()
		return !time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Before(date)
	})
	return from.Add(time.Duration(seconds) * time.Second)
}
