package presence

import "time"

// MonthLayout is how a month is written, as a layout of package time.
const MonthLayout = "2006-01"

// MonthOf is the month a walk-in is counted in, by UTC, so that it does not
// depend on a setting that may change.
func MonthOf(start time.Time) string { return start.UTC().Format(MonthLayout) }
