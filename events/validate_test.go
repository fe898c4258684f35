package events

import (
	"strings"
	"testing"
	"time"
)

// validator is the interface of every record, ticks too.
type validator interface{ Validate() error }

// TestIDs: every id of every record obeys the same rules. Only merged_into may be
// empty. TestSlash has the further rule for the business.
func TestIDs(t *testing.T) {
	cases := []struct {
		name, id string
		ok       bool
	}{
		{"one byte", "a", true},
		{"the longest", strings.Repeat("a", MaxIDBytes), true},
		{"the longest, beyond ASCII", strings.Repeat("ü", MaxIDBytes/2), true},
		{"spaces and signs", "Café “17” #~", true},
		{"empty", "", false},
		{"a byte too long", strings.Repeat("a", MaxIDBytes+1), false},
		{"short in characters, long in bytes", strings.Repeat("ü", MaxIDBytes/2) + "a", false},
		{"not UTF-8", "a\xff", false},
		{"a surrogate in UTF-8", "\xed\xa0\x80", false},
		{"NUL", "a\x00", false},
		{"line feed", "a\nb", false},
		{"DEL", "a\x7f", false},
		{"a control character beyond ASCII", "a\u0085", false},
	}
	for _, c := range cases {
		for _, f := range idFields(c.id) {
			err := f.record.Validate()
			if c.ok {
				if err != nil {
					t.Errorf("%s as %s: got %v, want no error", c.name, f.name, err)
				}
				continue
			}
			// A change without a merge.
			if f.name == "merged_into" && c.id == "" {
				if err != nil {
					t.Errorf("empty merged_into: got %v, want no error", err)
				}
				continue
			}
			wantInvalid(t, err, f.name)
		}
	}
}

// TestSlash: a business must not hold a '/'. Otherwise "a/b" and "c" would share
// a key with "a" and "b/c". In other ids a '/' is allowed.
func TestSlash(t *testing.T) {
	for _, f := range idFields("a/b") {
		err := f.record.Validate()
		if f.name == "business" {
			wantInvalid(t, err, "business")
		} else if err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
	}
}

// fieldCase is a record in which one field holds the value under test.
type fieldCase struct {
	name   string
	record validator
}

// idFields returns, for every id field of every record, a sample in which that
// field holds id.
func idFields(id string) []fieldCase {
	b, d, c, w := BusinessID(id), DeviceID(id), ContactID(id), WalkInID(id)
	var all []fieldCase
	// Each field in a copy of its own.
	for _, s := range samples() {
		switch r := s.event.(type) {
		case *Sighting:
			x, y, z := *r, *r, *r
			x.Business, y.Sensor, z.Device = b, SensorID(id), d
			all = append(all, fieldCase{"business", &x}, fieldCase{"sensor", &y}, fieldCase{"device", &z})
		case *PortalLogin:
			x, y, z := *r, *r, *r
			x.Business, y.Device, z.Contact = b, d, c
			all = append(all, fieldCase{"business", &x}, fieldCase{"device", &y}, fieldCase{"contact", &z})
		case *ContactChanged:
			x, y, z := *r, *r, *r
			x.Business, y.Contact, z.MergedInto = b, c, c
			all = append(all, fieldCase{"business", &x}, fieldCase{"contact", &y}, fieldCase{"merged_into", &z})
		case *ContactDeleted:
			x, y := *r, *r
			x.Business, y.Contact = b, c
			all = append(all, fieldCase{"business", &x}, fieldCase{"contact", &y})
		case *DeviceContact:
			x, y, z := *r, *r, *r
			x.Business, y.Device, z.Contact = b, d, c
			all = append(all, fieldCase{"business", &x}, fieldCase{"device", &y}, fieldCase{"contact", &z})
		case *WalkIn:
			x, y, z := *r, *r, *r
			x.Business, y.Device, z.ID = b, d, w
			all = append(all, fieldCase{"business", &x}, fieldCase{"device", &y}, fieldCase{"id", &z})
		case *VisitEnded:
			x, y, z := *r, *r, *r
			x.Business, y.Device, z.ID = b, d, w
			all = append(all, fieldCase{"business", &x}, fieldCase{"device", &y}, fieldCase{"id", &z})
		case *EnrichedWalkIn:
			v, x, y, z := *r, *r, *r, *r
			v.Business, x.Device, y.Contact, z.ID = b, d, c, w
			all = append(all, fieldCase{"business", &v}, fieldCase{"device", &x}, fieldCase{"contact", &y}, fieldCase{"id", &z})
		case *WalkInCount:
			x, y, z := *r, *r, *r
			x.Business, y.Contact, z.WalkIn = b, c, w
			all = append(all, fieldCase{"business", &x}, fieldCase{"contact", &y}, fieldCase{"walk_in", &z})
		}
	}
	return all
}

// TestTimes: every time of every record must lie within the years 2000 to 2099.
func TestTimes(t *testing.T) {
	cases := []struct {
		name string
		at   time.Time
		ok   bool
	}{
		{"first", time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), true},
		{"last", time.Date(2099, 12, 31, 23, 59, 59, 999e6, time.UTC), true},
		{"first, in another zone", time.Date(1999, 12, 31, 19, 0, 0, 0, time.FixedZone("west", -5*3600)), true},
		{"before the first", time.Date(1999, 12, 31, 23, 59, 59, 999e6, time.UTC), false},
		{"after the last", time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{"zero", time.Time{}, false},
		{"epoch", time.UnixMilli(0), false},
		{"seconds taken for milliseconds", time.UnixMilli(start.Unix()), false},
		{"microseconds taken for milliseconds", time.UnixMilli(start.UnixMicro()), false},
		{"farthest past", time.UnixMilli(-1 << 63), false},
		{"farthest future", time.UnixMilli(1<<63 - 1), false},
	}
	for _, c := range cases {
		for _, f := range timeFields(c.at) {
			err := f.record.Validate()
			if !c.ok {
				wantInvalid(t, err, f.name)
			} else if err != nil {
				t.Errorf("%s as %s: got %v, want no error", c.name, f.name, err)
			}
		}
	}
}

// timeFields returns, for every time field of every record, a sample in which that
// field holds at.
func timeFields(at time.Time) []fieldCase {
	all := []fieldCase{{"at", &Tick{At: at}}}
	for _, s := range samples() {
		switch r := s.event.(type) {
		case *Sighting:
			r.SeenAt = at
			all = append(all, fieldCase{"seen_at", r})
		case *PortalLogin:
			r.At = at
			all = append(all, fieldCase{"at", r})
		case *ContactChanged:
			r.At = at
			all = append(all, fieldCase{"at", r})
		case *ContactDeleted:
			r.At = at
			all = append(all, fieldCase{"at", r})
		case *DeviceContact:
			r.BoundAt = at
			all = append(all, fieldCase{"bound_at", r})
		case *WalkIn:
			x, y := *r, *r
			x.StartedAt, y.ConfirmedAt = at, at
			all = append(all, fieldCase{"started_at", &x}, fieldCase{"confirmed_at", &y})
		case *VisitEnded:
			x, y := *r, *r
			x.StartedAt, y.LastSeenAt = at, at
			all = append(all, fieldCase{"started_at", &x}, fieldCase{"last_seen_at", &y})
		case *EnrichedWalkIn:
			x, y := *r, *r
			x.StartedAt, y.BoundAt = at, at
			all = append(all, fieldCase{"started_at", &x}, fieldCase{"bound_at", &y})
		case *WalkInCount:
			r.WalkInAt = at
			all = append(all, fieldCase{"walk_in_at", r})
		}
	}
	return all
}

// TestNumbers: signal strengths, counts and months outside of their range are
// rejected after a decode. A count has all fields of a walk-in or none.
func TestNumbers(t *testing.T) {
	sighting := func(rssi RSSI) *Sighting { s := goodSighting(); s.RSSI = rssi; return &s }
	ended := func(dwell int64) *VisitEnded {
		return &VisitEnded{ID: "w", Business: cafe, Device: guest, StartedAt: start, LastSeenAt: start, DwellMillis: dwell}
	}
	base := func(month string, inMonth, base int64) *WalkInCount {
		return &WalkInCount{Business: cafe, Contact: regular, WalkInAt: NoWalkIn, Month: month, MonthTotal: inMonth, Total: 7, Base: base, Version: 9}
	}
	count := func(month string, inMonth, total, version int64) *WalkInCount {
		return &WalkInCount{
			Business: cafe, Contact: regular, WalkIn: "w", WalkInAt: start,
			Month: month, MonthTotal: inMonth, Total: total, Version: version,
		}
	}
	cases := []struct {
		topic string
		event keyed
		bad   string // the field that is out of its range, "" if none is
	}{
		// RSSI, dwell and counts at their bounds and beyond.
		{Sightings, sighting(0), ""},
		{Sightings, sighting(-127), ""},
		{Sightings, sighting(1), "rssi_dbm"},
		{Sightings, sighting(-128), "rssi_dbm"},
		{Sightings, sighting(-1 << 31), "rssi_dbm"},
		{VisitsEnded, ended(0), ""},
		{VisitsEnded, ended(-1), "dwell_ms"},
		{WalkInCounts, count("2026-11", 0, 0, 0), ""},
		{WalkInCounts, count("2026-11", -1, 0, 0), "month_total"},
		{WalkInCounts, count("2026-11", 0, -1, 0), "total"},
		{WalkInCounts, count("2026-11", 0, 0, -1), "version"},
		// Months.
		{WalkInCounts, count("", 0, 0, 0), "month"},
		{WalkInCounts, count("2026-13", 0, 0, 0), "month"},
		{WalkInCounts, count("2026-1", 0, 0, 0), "month"},
		{WalkInCounts, count("2026-11-02", 0, 0, 0), "month"},
		// A record without a walk-in must have none of its fields.
		{WalkInCounts, base("", 0, 7), ""},
		{WalkInCounts, base("", 0, -1), "base"},
		{WalkInCounts, base("2026-11", 0, 7), "walk_in"},
		{WalkInCounts, base("", 1, 7), "walk_in"},
	}
	for _, c := range cases {
		_, err := decodeAs(c.topic, keyOf(c.event), mustEncode(t, c.event))
		if c.bad != "" {
			wantInvalid(t, err, c.bad)
		} else if err != nil {
			t.Errorf("%+v: got %v, want no error", c.event, err)
		}
	}
}

// wantInvalid fails the test unless err has the reason InvalidField and its text
// begins with the name of the field.
func wantInvalid(t testing.TB, err error, field string) {
	t.Helper()
	wantReason(t, err, InvalidField)
	if want := string(InvalidField) + ": " + field + ": "; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got error %q, want it to begin with %q", err, want)
	}
}

// TestInvalidFieldsShowTheValue: the error text shows the value that is out of
// its range, for the operator who reads the dead letter.
func TestInvalidFieldsShowTheValue(t *testing.T) {
	s := goodSighting()
	s.RSSI = 5
	if err := s.Validate(); !strings.Contains(err.Error(), "5") {
		t.Errorf("got error %q, want it to show 5", err)
	}
	s = goodSighting()
	s.Sensor = "north\x07door"
	if err := s.Validate(); !strings.Contains(err.Error(), `north\adoor`) {
		t.Errorf("got error %q, want it to show the id", err)
	}
	s = goodSighting()
	s.SeenAt = time.UnixMilli(-42)
	if err := s.Validate(); !strings.Contains(err.Error(), "-42") {
		t.Errorf("got error %q, want it to show -42", err)
	}
}
