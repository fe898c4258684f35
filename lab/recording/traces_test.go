package recording

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"footfall/events"
)

// Real recordings are beside the repository on some machines.
const traces = "../../../shared/traces"

func trace(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(traces, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the recording is not on this machine: %v", err)
	}
	return path
}

func TestOfficeRecording(t *testing.T) {
	items, stats, err := readFiles(trace(t, "office.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if stats != (Stats{Sightings: 2893}) || len(items) != 2893 {
		t.Errorf("%d items, %+v; want 2893 sightings", len(items), stats)
	}
	var last time.Time
	sensors, phones := map[events.SensorID]bool{}, map[events.DeviceID]bool{}
	for _, it := range items {
		if it.ArrivedAt != it.Sighting.SeenAt || it.ArrivedAt.Before(last) {
			t.Fatalf("%v: arrived at %v, seen at %v, after %v", it.Source, it.ArrivedAt, it.Sighting.SeenAt, last)
		}
		last = it.ArrivedAt
		sensors[it.Sighting.Sensor], phones[it.Sighting.Device] = true, true
	}
	if len(sensors) != 9 || len(phones) != 2 {
		t.Errorf("%d phones at %d sensors, want 2 at 9", len(phones), len(sensors))
	}
}

// The recording of the lab is in order, so it is read as it is.
func TestLabRecording(t *testing.T) {
	r, err := Open([]string{trace(t, "lab.csv.gz")}, nil, options)
	if err != nil {
		t.Fatal(err)
	}
	if _, sorted := r.streams[0].items.(*sortedItems); sorted {
		t.Error("a file in order is sorted in memory")
	}
	items, err := read(r)
	if want := (Stats{Sightings: 507_913, LeftOut: Counts{Multicast: 1_358}}); err != nil || r.Stats() != want || len(items) != 507_913 {
		t.Errorf("%d items, %+v (%v); want %+v", len(items), r.Stats(), err, want)
	}
}

func BenchmarkLabRecording(b *testing.B) {
	path := trace(b, "lab.csv.gz")
	rows := 0
	for b.Loop() {
		items, _, err := readFiles(path)
		if err != nil {
			b.Fatal(err)
		}
		rows += len(items)
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
