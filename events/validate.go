package events

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxShown is how many characters of a foreign value an error text repeats at
// most. Error texts go into logs and into headers of dead letters.
const maxShown = 64

// A time outside of [firstTime, endTime) comes from a clock that was never set,
// or is a number of seconds or microseconds in place of milliseconds.
var (
	firstTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	endTime   = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// validBusiness checks an id that must not hold a '/' either: in a record key
// the '/' ends the business.
func validBusiness(b BusinessID) error {
	if strings.IndexByte(string(b), '/') >= 0 {
		return Bad(InvalidField, "business: %.*q holds a '/'", maxShown, b)
	}
	return validID("business", string(b))
}

// validID checks the rules that MaxIDBytes states.
func validID(field, id string) error {
	switch {
	case id == "":
		return Bad(InvalidField, "%s: %q is empty", field, id)
	case len(id) > MaxIDBytes:
		return Bad(InvalidField, "%s: %.*q has %d bytes, at most %d are allowed", field, maxShown, id, len(id), MaxIDBytes)
	case isPlainASCII(id): // nearly every id: the checks of runes below are slower
		return nil
	case !utf8.ValidString(id):
		return Bad(InvalidField, "%s: %.*q is not UTF-8", field, maxShown, id)
	case strings.ContainsFunc(id, unicode.IsControl):
		return Bad(InvalidField, "%s: %.*q holds a control character", field, maxShown, id)
	default:
		return nil
	}
}

// isPlainASCII reports whether id holds printable ASCII only.
func isPlainASCII(id string) bool {
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

// AcceptsTime reports whether a record may have a time: whether the time is within
// the years 2000 to 2099.
func AcceptsTime(t time.Time) bool { return !t.Before(firstTime) && t.Before(endTime) }

func validTime(field string, t time.Time) error {
	if !AcceptsTime(t) {
		return Bad(InvalidField, "%s: %d ms since 1970 is not within the years 2000 to 2099", field, t.UnixMilli())
	}
	return nil
}

func validMonth(field, month string) error {
	if _, err := time.Parse("2006-01", month); err != nil {
		return Bad(InvalidField, "%s: %.*q is not a month like 2026-11", field, maxShown, month)
	}
	return nil
}

func validCount(field string, n int64) error {
	if n < 0 {
		return Bad(InvalidField, "%s: %d is below 0", field, n)
	}
	return nil
}
