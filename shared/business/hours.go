package business

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// OpeningHours is a span of time in which a store is open on some days of the week,
// in the store's time zone. A day may have several spans. If Close is before Open,
// the store closes on the day after.
type OpeningHours struct {
	Days  string `json:"days"`  // like "mon-fri,sun"
	Open  string `json:"open"`  // like "08:00"
	Close string `json:"close"` // like "20:00", "24:00" at the latest
}

const (
	dayMinutes  = 24 * 60
	weekMinutes = 7 * dayMinutes
	// margin is for how many minutes before opening and after closing the store does
	// not count as closed: customers come early or stay a bit longer.
	margin = 60
)

// closedHours returns the hours of the week that lie wholly outside of the opening
// hours and their margin: bit h of closed[d] is hour h of day d, and day 0 is Sunday.
// Without opening hours no hour is closed.
func closedHours(all []OpeningHours) (closed [7]uint32, err error) {
	if len(all) == 0 {
		return closed, nil
	}
	// Mark each minute of the week in which the store is open. A span may begin on
	// the day before, because of the margin, and end in the next week.
	var open [weekMinutes]bool
	var errs []error
	for i, h := range all {
		days, from, long, err := h.parse()
		if err != nil {
			errs = append(errs, fmt.Errorf("opening_hours[%d]: %w", i, err))
			continue
		}
		for _, day := range days {
			begin := int(day)*dayMinutes + from - margin
			for m := range long + 2*margin {
				open[(begin+m+weekMinutes)%weekMinutes] = true
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return closed, err
	}
	// An hour is closed if the store is open in no minute of the hour.
	for hour := range 7 * 24 {
		if !slices.Contains(open[hour*60:(hour+1)*60], true) {
			closed[hour/24] |= 1 << (hour % 24)
		}
	}
	return closed, nil
}

// parse returns the days, the minute of the day at which the store opens, and for how
// many minutes it is open.
func (h OpeningHours) parse() (days []time.Weekday, from, long int, err error) {
	days, dayErr := parseDays(h.Days)
	from, openErr := parseClock("open", h.Open)
	to, closeErr := parseClock("close", h.Close)
	err = errors.Join(dayErr, openErr, closeErr)
	// A span lasts up to 24 hours. A close before the open is on the day after.
	switch {
	case err != nil:
	case from == dayMinutes:
		err = errors.New("open: 24:00 is 00:00 of the day after; write 00:00 and that day")
	case from == to:
		err = fmt.Errorf("the store opens and closes at %s; all day is 00:00 to 24:00", h.Open)
	case to < from:
		to += dayMinutes
	}
	return days, from, to - from, err
}

// parseClock returns a time of day like 08:00, up to 24:00, in minutes. field is for
// the error.
func parseClock(field, text string) (minutes int, err error) {
	if text == "24:00" {
		return dayMinutes, nil
	}
	// Parse also takes "8:00", which the length rules out.
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, fmt.Errorf("%s: %q is no time like 08:00", field, text)
	}
	return t.Hour()*60 + t.Minute(), nil
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// parseDays returns the days in a list of days and spans of days, like "mon-fri,sun".
// A span may go over the end of the week.
func parseDays(text string) (days []time.Weekday, err error) {
	for part := range strings.SplitSeq(text, ",") {
		first, last, isSpan := strings.Cut(strings.TrimSpace(part), "-")
		if !isSpan {
			last = first
		}
		from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
		if from < 0 || to < 0 {
			return nil, fmt.Errorf("days: %q is no day like mon, nor days like mon-fri,sun", part)
		}
		for d := from; ; d = (d + 1) % 7 { // over the end of the week if to is before from
			days = append(days, time.Weekday(d))
			if d == to {
				break
			}
		}
	}
	return days, nil
}
