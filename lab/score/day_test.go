package score

import (
	"testing"
	"time"
)

// Days of time zones whose clocks change at midnight, or by half an hour, or
// that leave out a date.
func TestStartOfDay(t *testing.T) {
	for _, c := range []struct {
		why, zone, day, want string // want is the first moment of the day
	}{
		{"an ordinary day", "Europe/Berlin", "2026-11-02", "2026-11-02T00:00:00+01:00"},
		{"the clocks go forward at 2:00", "Europe/Berlin", "2026-03-29", "2026-03-29T00:00:00+01:00"},
		{"midnight is left out", "America/Santiago", "2026-09-06", "2026-09-06T01:00:00-03:00"},
		{"the day before it", "America/Santiago", "2026-09-05", "2026-09-05T00:00:00-04:00"},
		{"23:00 comes twice on the day before", "America/Santiago", "2026-04-05", "2026-04-05T00:00:00-04:00"},
		{"midnight is left out", "Africa/Cairo", "2026-04-24", "2026-04-24T01:00:00+03:00"},
		{"midnight is left out", "America/Havana", "2026-03-08", "2026-03-08T01:00:00-04:00"},
		{"midnight comes twice", "America/Havana", "2026-11-01", "2026-11-01T00:00:00-04:00"},
		{"half an hour is left out", "Australia/Lord_Howe", "2026-10-04", "2026-10-04T00:00:00+10:30"},
		{"the day begins inside an hour of UTC", "Asia/Kolkata", "2026-11-02", "2026-11-02T00:00:00+05:30"},
		{"23:30 is followed by 0:30", "America/Toronto", "1919-03-31", "1919-03-31T00:30:00-04:00"},
		{"the date is left out", "Pacific/Apia", "2011-12-30", "2011-12-31T00:00:00+14:00"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		day, err := time.Parse(time.DateOnly, c.day)
		if err != nil {
			t.Fatal(err)
		}
		got := StartOfDay(day.Year(), day.Month(), day.Day(), zone)
		if s := got.In(zone).Format(time.RFC3339); s != c.want {
			t.Errorf("%s %s, %s: begins at %s, want %s", c.zone, c.day, c.why, s, c.want)
		}
	}
}

// Each day begins after the day before, at most 26 hours later except for a date
// that is left out, in every zone with a rule that looks odd from Europe.
func TestDaysGoOn(t *testing.T) {
	for _, name := range []string{
		"UTC", "America/Santiago", "Africa/Cairo", "America/Havana", "Australia/Lord_Howe", "Asia/Beirut", "America/Asuncion",
		"Atlantic/Azores", "America/St_Johns", "Asia/Kathmandu", "Pacific/Chatham", "America/Scoresbysund", "Asia/Gaza", "Africa/Casablanca",
	} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		last := StartOfDay(2020, 1, 1, zone)
		for d := 2; d <= 8*366; d++ {
			next := StartOfDay(2020, 1, d, zone)
			if length := next.Sub(last); length < 22*time.Hour || length > 26*time.Hour {
				t.Fatalf("%s: the day from %v on lasts %v", name, last.In(zone), length)
			}
			last = next
		}
	}
}
