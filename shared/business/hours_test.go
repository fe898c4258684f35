package business

import (
	"strings"
	"testing"
)

// hours returns the hours of a week as text, a line for each day: "#" for a closed
// hour, "-" for another.
func hours(closed [7]uint32) string {
	var b strings.Builder
	for day, bits := range closed {
		b.WriteString(weekdays[day] + " ")
		for h := range 24 {
			b.WriteByte("-#"[bits>>h&1])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestClosedHours(t *testing.T) {
	const open, closed = "------------------------", "########################"
	for _, c := range []struct {
		name string
		all  []OpeningHours
		want [7]string // from Sunday on
	}{
		{"no opening hours", nil, [7]string{open, open, open, open, open, open, open}},
		{
			"office hours, an hour more on both sides", []OpeningHours{{"mon-fri", "08:00", "20:00"}},
			[7]string{closed, "#######--------------###", "#######--------------###", "#######--------------###", "#######--------------###", "#######--------------###", closed},
		},
		{
			"an hour that is open in part is not closed", []OpeningHours{{"wed", "08:30", "12:10"}},
			[7]string{closed, closed, closed, "#######-------##########", closed, closed, closed},
		},
		{
			"a break at noon that is long enough", []OpeningHours{{"tue", "08:00", "11:00"}, {"tue", "14:00", "18:00"}},
			[7]string{closed, closed, "#######-----#------#####", closed, closed, closed, closed},
		},
		{
			"past midnight, and past the end of the week", []OpeningHours{{"sat", "20:00", "02:00"}},
			[7]string{"---#####################", closed, closed, closed, closed, closed, "###################-----"},
		},
		{
			"from midnight on: the hour before is of the day before", []OpeningHours{{"mon", "00:00", "06:00"}},
			[7]string{"#######################-", "-------#################", closed, closed, closed, closed, closed},
		},
		{"all day and all week", []OpeningHours{{"mon-sun", "00:00", "24:00"}}, [7]string{open, open, open, open, open, open, open}},
		{
			"a span over the end of the week, and a day of its own", []OpeningHours{{"sat-sun, wed", "09:00", "17:00"}},
			[7]string{"########----------######", closed, closed, "########----------######", closed, closed, "########----------######"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := closedHours(c.all)
			var want strings.Builder
			for day, line := range c.want {
				want.WriteString(weekdays[day] + " " + line + "\n")
			}
			if err != nil || hours(got) != want.String() {
				t.Errorf("got error %v and\n%s, want\n%s", err, hours(got), want.String())
			}
		})
	}
}

func TestInvalidOpeningHours(t *testing.T) {
	for _, c := range []struct {
		h   OpeningHours
		err string
	}{
		{OpeningHours{"", "08:00", "20:00"}, `days: "" is no day`},
		{OpeningHours{"monday", "08:00", "20:00"}, `days: "monday" is no day`},
		{OpeningHours{"mon-", "08:00", "20:00"}, `days: "mon-" is no day`},
		{OpeningHours{"mon", "8:00", "20:00"}, `open: "8:00" is no time`},
		{OpeningHours{"mon", "24:00", "20:00"}, "24:00 is 00:00 of the day after"},
		{OpeningHours{"mon", "08:00", "24:01"}, `close: "24:01" is no time`},
		{OpeningHours{"mon", "08:00", "08:00"}, "opens and closes at 08:00"},
		{OpeningHours{"x", "y", "z"}, `close: "z"`},
	} {
		if _, err := closedHours([]OpeningHours{{"mon", "08:00", "20:00"}, c.h}); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: got error %v, want one with %q", c.h, err, c.err)
		}
	}
}
