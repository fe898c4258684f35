package score

import (
	"reflect"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// at returns a moment by its minutes after noon.
func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

func visit(enter, leave int) Visit {
	return Visit{Business: "shop", Device: "phone", Enter: at(enter), Leave: at(leave)}
}

func found(start, end int) FoundVisit {
	return FoundVisit{Business: "shop", Device: "phone", Start: at(start), End: at(end)}
}

func TestScore(t *testing.T) {
	other := found(0, 30)
	other.Device = "tablet"
	elsewhere := found(0, 30)
	elsewhere.Business = "cafe"
	open := FoundVisit{Business: "shop", Device: "phone", Start: at(20)}
	for _, c := range []struct {
		why   string
		truth []Visit
		found []FoundVisit
		want  Result
	}{
		{why: "nothing at all"},
		{
			"found a little late and a little long",
			[]Visit{visit(0, 30)},
			[]FoundVisit{found(2, 31)},
			Result{True: 1, Found: 1, Detected: 1, Real: 1},
		},
		{
			"a common moment is enough",
			[]Visit{visit(0, 30)},
			[]FoundVisit{found(30, 40)},
			Result{True: 1, Found: 1, Detected: 1, Real: 1},
		},
		{
			"cut in three by silences",
			[]Visit{visit(0, 90)},
			[]FoundVisit{found(0, 20), found(30, 50), found(60, 90)},
			Result{True: 1, Found: 1, Split: 1, Detected: 3, Real: 3},
		},
		{
			"two true visits run together",
			[]Visit{visit(0, 20), visit(40, 60)},
			[]FoundVisit{found(1, 59)},
			Result{True: 2, Found: 2, Detected: 1, Real: 1, Merged: 1},
		},
		{
			"one missed, and a false one while the person was away",
			[]Visit{visit(0, 20), visit(60, 80)},
			[]FoundVisit{found(0, 20), found(30, 50)},
			Result{
				True: 2, Found: 1, Missed: 1, Detected: 2, Real: 1, False: 1,
				MissedVisits: []Visit{visit(60, 80)}, FalseVisits: []FoundVisit{found(30, 50)},
			},
		},
		{
			"another device or another business is no match",
			[]Visit{visit(0, 30)},
			[]FoundVisit{other, elsewhere},
			Result{
				True: 1, Missed: 1, Detected: 2, False: 2,
				MissedVisits: []Visit{visit(0, 30)}, FalseVisits: []FoundVisit{other, elsewhere},
			},
		},
		{
			"an open visit reaches all that comes after it, and nothing before",
			[]Visit{visit(0, 10), visit(30, 40), visit(60, 70)},
			[]FoundVisit{open},
			Result{
				True: 3, Found: 2, Missed: 1, Detected: 1, Real: 1, Merged: 1,
				MissedVisits: []Visit{visit(0, 10)},
			},
		},
		{
			"split and merged at once",
			[]Visit{visit(0, 20), visit(30, 50)},
			[]FoundVisit{found(0, 5), found(10, 50)},
			Result{True: 2, Found: 2, Split: 1, Detected: 2, Real: 2, Merged: 1},
		},
	} {
		if got := Score(c.truth, c.found); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.why, got, c.want)
		}
	}
}
