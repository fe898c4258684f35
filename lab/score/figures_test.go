package score

import (
	"encoding/json"
	"strings"
	"testing"

	"footfall/events"
)

func TestMeasure(t *testing.T) {
	till, passer := found(0, 600), told(130, 136, 140)
	till.Device, passer.Device, passer.Anonymous = "till", "passer", true
	all := []FoundVisit{told(1, 6, 30), till, passer}
	known := Reference{
		Truth:  []Visit{visit(0, 30)},
		Empty:  []Span{{at(120), at(240)}},
		Static: func(_ events.BusinessID, d events.DeviceID) bool { return d == "till" },
	}
	f := Measure(all, known, EqualDwell(0))
	if f.WalkIns != 2 || f.StaticWalkIns != 1 || f.Anonymous != 1 || len(all) != 3 {
		t.Errorf("%+v, want 2 walk-ins, 1 of them anonymous, and 1 of a static device", f)
	}
	if f.Visits.Found != 1 || f.Visits.False != 1 || f.Timing.Start.N != 1 {
		t.Errorf("visits %+v, want 1 found and 1 false", f.Visits)
	}
	if f.Empty.False != 1 || f.Empty.Hours != 2 || f.Empty.Per100() != 50 || f.Empty.FalseVisits[0].Device != "passer" {
		t.Errorf("empty %+v, want the passer's in 2 hours", f.Empty)
	}
	text, err := json.Marshal(f)
	if err != nil || !strings.Contains(string(text), `"per_100_hours":50`) || !strings.Contains(string(text), `"told_beyond_dwell":{"n":1`) {
		t.Errorf("JSON %s (%v)", text, err)
	}
}

// A visit of a resident device is no walk-in, but it took place: it finds a true
// visit, and counts for nothing otherwise.
func TestMeasureOfResidents(t *testing.T) {
	mine, night, till := told(1, 6, 30), told(130, 136, 140), found(0, 600)
	mine.Resident, night.Resident, till.Resident, till.Device = true, true, true, "till"
	f := Measure([]FoundVisit{mine, night, till}, Reference{
		Truth:  []Visit{visit(0, 30)},
		Empty:  []Span{{at(120), at(240)}},
		Static: func(_ events.BusinessID, d events.DeviceID) bool { return d == "till" },
	}, EqualDwell(0))
	if f.WalkIns != 0 || f.StaticWalkIns != 0 || f.Residents != 2 || f.Empty.False != 0 {
		t.Errorf("%+v, want no walk-in and 2 visits of residents", f)
	}
	if v := f.Visits; v.Found != 1 || v.Missed != 0 || v.Detected != 1 || v.Real != 1 || v.False != 0 || f.Timing.Start.N != 1 {
		t.Errorf("visits %+v, want the true one found and nothing false", v)
	}
}

// An unknown figure is not reported as 0.
func TestMeasureWithoutReference(t *testing.T) {
	text, err := json.Marshal(Measure([]FoundVisit{found(0, 10)}, Reference{}, EqualDwell(0)))
	if want := `{"walk_ins":1,"anonymous":0,"static_walk_ins":0,"residents":0}`; err != nil || string(text) != want {
		t.Errorf("JSON %s (%v), want %s", text, err, want)
	}
	if got := (&Empties{}).Per100(); got != 0 {
		t.Errorf("%v per 100 of no hours, want 0", got)
	}
}

// A device without written visits is neither right nor wrong.
func TestMeasureOfDevicesOutsideTheTruth(t *testing.T) {
	other, resident := told(60, 66, 90), told(60, 66, 90)
	other.Device, resident.Device, resident.Resident = "other", "till", true
	known := Reference{Truth: []Visit{visit(0, 30)}, Named: func(_ events.BusinessID, d events.DeviceID) bool { return d == "phone" }}
	f := Measure([]FoundVisit{told(1, 6, 30), told(120, 126, 140), other, resident}, known, EqualDwell(0))
	if f.WalkIns != 3 || f.Unnamed != 1 || f.Visits.Found != 1 || f.Visits.Detected != 2 || f.Visits.False != 1 {
		t.Errorf("%+v, %+v: want 3 walk-ins, 1 of an unnamed device, and of the named one 1 found and 1 false", f, f.Visits)
	}
	known.Named = nil
	if f := Measure([]FoundVisit{other}, known, EqualDwell(0)); f.Unnamed != 0 || f.Visits.False != 1 {
		t.Errorf("%+v, %+v: want 1 false where the truth is everybody's", f, f.Visits)
	}
}
