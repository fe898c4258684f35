package business

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// OpeningHours are when a store is open on some days of the week, by its own
// clocks. A day may have several; Close before Open is on the day after.
type OpeningHours struct {
	Days  string `json:"days"`  // like "mon-fri,sun"
	Open  string `json:"open"`  // like "08:00"
	Close string `json:"close"` // like "20:00", "24:00" at the latest
}

const (
	dayMinutes  = 24 * 60
	weekMinutes = 7 * dayMinutes
	// margin is how long before opening and after closing a store does not pass
	// for closed: who is there then comes early or stays a bit longer.
	margin = 60
)

// closedHours says which hours of the week lie wholly outside of the opening
// hours and their margin: bit h of day d, Sunday being the first. Without opening
// hours there are none.
func closedHours(all []OpeningHours) (closed [7]uint32, err error) {
	if len(all) == 0 {
		return closed, nil
	}
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
	for hour := range 7 * 24 {
		if !slices.Contains(open[hour*60:(hour+1)*60], true) {
			closed[hour/24] |= 1 << (hour % 24)
		}
	}
	return closed, nil
}

// parse gives the days, the minute of the day that the store opens at, and for
// how many minutes.
func (h OpeningHours) parse() (days []time.Weekday, from, long int, err error) {
	days, dayErr := parseDays(h.Days)
	from, openErr := parseClock("open", h.Open)
	to, closeErr := parseClock("close", h.Close)
	err = errors.Join(dayErr, openErr, closeErr)
	switch {
	case err != nil:
	case from == dayMinutes:
		err = errors.New(`open: 24:00 is 00:00 of the day after`)
	case from == to:
		err = fmt.Errorf("it opens and closes at %s; all day is 00:00 to 24:00", h.Open)
	case to < from:
		to += dayMinutes
	}
	return days, from, to - from, err
}

// parseClock reads a time of day, as minutes.
func parseClock(field, text string) (minutes int, err error) {
	if text == "24:00" {
		return dayMinutes, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, fmt.Errorf("%s: %q is no time like 08:00", field, text)
	}
	return t.Hour()*60 + t.Minute(), nil
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// parseDays reads days and spans of days.
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
		for d := from; ; d = (d + 1) % 7 {
			days = append(days, time.Weekday(d))
			if d == to {
				break
			}
		}
	}
	return days, nil
}
