package main

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Durations and moments are read and printed here, for all commands: a flag takes
// what the output prints.

const day = 24 * time.Hour

// durationText returns a duration as readable text, which parseDuration reads: days
// and hours from two days on, hours and minutes from an hour on.
func durationText(d time.Duration) string {
	switch {
	case d >= 2*day:
		d = d.Round(time.Hour)
		if hours := (d % day) / time.Hour; hours > 0 {
			return fmt.Sprintf("%dd%dh", d/day, hours)
		}
		return fmt.Sprintf("%dd", d/day)
	case d >= time.Hour:
		s := strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
		if hours, whole := strings.CutSuffix(s, "h0m"); whole {
			return hours + "h"
		}
		return s
	case d >= time.Minute:
		return d.Round(time.Second).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}

// daysFirst matches a duration that begins with days: "3d", "1.5 days", "2d12h".
var daysFirst = regexp.MustCompile(`^([+-]?)(\d+(?:\.\d*)?|\.\d+) ?d(?:ays?)?(.*)$`)

// parseDuration reads a duration as time.ParseDuration does, and days of 24 hours
// before it.
func parseDuration(text string) (time.Duration, error) {
	m := daysFirst.FindStringSubmatch(text)
	if m == nil {
		return time.ParseDuration(text)
	}
	// The days, and what follows them: the sign holds for both.
	days, err := strconv.ParseFloat(m[2], 64)
	d := time.Duration(0)
	if err == nil && m[3] != "" {
		d, err = time.ParseDuration(strings.TrimSpace(m[3]))
	}
	if sum := days*float64(day) + float64(d); err != nil || d < 0 || sum >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a duration such as 90s, 36h or 2d12h", text)
	}
	d += time.Duration(days * float64(day))
	if m[1] == "-" {
		d = -d
	}
	return d, nil
}

// durations lets every flag that is a time.Duration take what parseDuration reads.
func durations() kong.Option {
	return kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
			return err
		}
		d, err := parseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 90s, 36h or 2d12h", text)
		}
		target.SetInt(int64(d))
		return nil
	}))
}

// momentFlag is a moment: a date (UTC), a time in RFC 3339, or a duration before
// now.
type momentFlag struct{ time.Time }

// UnmarshalText reads a moment.
func (m *momentFlag) UnmarshalText(text []byte) error {
	// A date or a time; otherwise a duration before now.
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, string(text)); err == nil {
			m.Time = t
			return nil
		}
	}
	ago, err := parseDuration(string(text))
	if err != nil || ago < 0 {
		return fmt.Errorf("%q is not a time such as 2026-11-21, 2026-11-21T18:00:00Z, or 36h or 3d for so long ago", text)
	}
	m.Time = time.Now().Add(-ago).Truncate(time.Second)
	return nil
}
