package main

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"3d": 3 * day, "1.5d": 36 * time.Hour, "2d12h": 60 * time.Hour, "4.0 days": 4 * day, "1 day": day, "-2d12h": -60 * time.Hour,
		"90s": 90 * time.Second, "33h26m": 33*time.Hour + 26*time.Minute, "10ms": 10 * time.Millisecond, "0": 0,
	} {
		if got, err := parseDuration(text); got != want || err != nil {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "3", "3 weeks", "3d-2h", "3dd", "h3d", "999999999d", "3 d 4", "NaNd"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

// A flag takes the durations that the output prints.
func TestPrintedDurationsAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(400*day)).Draw(t, "duration"))
		got, err := parseDuration(durationText(d))
		// An hour of days, a minute of hours, a second of minutes.
		rounding := map[bool]time.Duration{true: time.Hour, false: time.Minute}[d >= 2*day]
		if err != nil || (got-d).Abs() > rounding {
			t.Fatalf("%v is printed as %s, which is read as %v, %v", d, durationText(d), got, err)
		}
	})
}
