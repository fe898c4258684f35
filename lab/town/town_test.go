package town

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"footfall/events"
	"footfall/lab/recording"
)

// small is a town of one business and one router, quick to make, in which
// nothing arrives late, twice or from anywhere but visitors and passers-by.
func small() Config {
	c := Defaults()
	c.Businesses = []Business{{
		ID: "kiosk", Routers: 1, Open: 9 * time.Hour, Close: 18 * time.Hour,
		Visits: 40, Stay: 20 * time.Minute, Regulars: 15, PassersBy: 20,
	}}
	c.Posts.Repeated, c.Posts.Outages = 0, 0
	c.CRM = CRM{}
	return c
}

// calm is the default town with a tenth of the people on the street.
func calm() Config {
	c := Defaults()
	for i := range c.Businesses {
		c.Businesses[i].PassersBy /= 10
	}
	return c
}

func generate(t testing.TB, c Config) (Town, []recording.Item) {
	t.Helper()
	town, err := Generate(c)
	if err != nil {
		t.Fatal(err)
	}
	return town, slices.Collect(town.Items())
}

// made keeps the default towns, which many tests look at.
var made = map[uint64]struct {
	town  Town
	items []recording.Item
}{}

// defaultTown returns the default town of a seed. Tests must not change it.
func defaultTown(t testing.TB, seed uint64) (Town, []recording.Item) {
	t.Helper()
	m, ok := made[seed]
	if !ok {
		c := Defaults()
		c.Seed = seed
		m.town, m.items = generate(t, c)
		made[seed] = m
	}
	return m.town, m.items
}

func written(t *testing.T, town Town) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := recording.WriteNDJSON(&b, town.Items()); err != nil {
		t.Fatal(err)
	}
	if err := WriteTruth(&b, town.Visits); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSameSeedSameTown(t *testing.T) {
	c := calm()
	c.Duration = day + 12*time.Hour
	a, _ := generate(t, c)
	b, _ := generate(t, c)
	first := written(t, a)
	if !bytes.Equal(first, written(t, a)) {
		t.Error("asked twice, a town tells two stories")
	}
	if !bytes.Equal(first, written(t, b)) {
		t.Error("the same seed gives two towns")
	}
	c.Seed++
	if other, _ := generate(t, c); bytes.Equal(first, written(t, other)) {
		t.Error("another seed gives the same town")
	}
}

func TestItemsCanBeLeftHalfway(t *testing.T) {
	town, all := generate(t, small())
	n := 0
	for it := range town.Items() {
		if !reflect.DeepEqual(it, all[n]) {
			t.Fatalf("item %d is another one the second time", n)
		}
		if n++; n == len(all)/2 {
			break
		}
	}
	if n != len(all)/2 {
		t.Errorf("stopped after %d items, want %d", n, len(all)/2)
	}
}

func TestOrderOfArrival(t *testing.T) {
	c := calm()
	c.Duration = 3 * day
	_, items := generate(t, c)
	var last, newest time.Time
	late := 0
	for i, it := range items {
		if it.ArrivedAt.Before(last) {
			t.Fatalf("item %d arrives at %v, after one of %v", i, it.ArrivedAt, last)
		}
		last = it.ArrivedAt
		if it.CRM != nil {
			continue
		}
		seen := it.Sighting.SeenAt
		switch delay := it.ArrivedAt.Sub(seen); {
		case delay > BacklogAfter-time.Second:
			if late++; delay > BacklogAfter+OutageLength {
				t.Fatalf("item %d arrives after %v, later than any backlog", i, delay)
			}
			continue
		case delay < 0:
			t.Fatalf("item %d arrives before it was seen", i)
		}
		if behind := newest.Sub(seen); behind > maxDisorder {
			t.Fatalf("item %d is %v out of order and yet not late", i, behind)
		}
		if seen.After(newest) {
			newest = seen
		}
	}
	if share := float64(late) / float64(len(items)); share < 0.0005 || share > 0.02 {
		t.Errorf("%d of %d items are late, want a few", late, len(items))
	}
}

func TestRepeatedPosts(t *testing.T) {
	_, items := defaultTown(t, 1)
	repeated := func(items []recording.Item) (twice int, all int) {
		times := map[events.Sighting]int{}
		for _, it := range items {
			if it.CRM == nil {
				all++
				times[it.Sighting]++
			}
		}
		return all - len(times), all
	}
	if twice, all := repeated(items); twice < all*10/1000 || twice > all*30/1000 {
		t.Errorf("%d of %d sightings come again, want about 2 %%", twice, all)
	}
	c := calm()
	c.Posts.Repeated = 0
	_, items = generate(t, c)
	if twice, all := repeated(items); twice > all/1000 { // two frames of a burst may look alike
		t.Errorf("%d of %d sightings come again, though no post does", twice, all)
	}
}

func TestEverySightingIsValid(t *testing.T) {
	c := calm()
	town, items := generate(t, c)
	end := c.Start.Add(c.Duration)
	sensors := map[string]bool{}
	for i, it := range items {
		if it.CRM != nil {
			continue
		}
		s := it.Sighting
		if err := s.Validate(); err != nil {
			t.Fatalf("item %d: %v", i, err)
		}
		if s.SeenAt.Before(c.Start) || !s.SeenAt.Before(end) || s.SeenAt.Location() != time.UTC {
			t.Fatalf("item %d was seen at %v, outside of the town's time", i, s.SeenAt)
		}
		if _, err := hex.DecodeString(string(s.Device)); err == nil || len(s.Device) != 22 {
			t.Fatalf("item %d: device %q is no pseudonym", i, s.Device)
		}
		sensors[string(s.Business)+"/"+string(s.Sensor)] = true
	}
	if len(sensors) != 4+2+3+2+1 {
		t.Errorf("routers heard from: %v, want all 12", sensors)
	}
	strong := map[events.DeviceID]int{}
	for _, it := range items {
		if it.Sighting.RSSI >= -60 {
			strong[it.Sighting.Device]++
		}
	}
	for _, s := range town.Statics {
		if strong[s.Device] < 300 {
			t.Errorf("static device %s was strongly heard %d times in a day", s.Device, strong[s.Device])
		}
	}
	if len(town.Statics) != 2+1+1+1+1 {
		t.Errorf("%d static devices are listed, want 6", len(town.Statics))
	}
}

func TestItemsCanBeRecordedAndRead(t *testing.T) {
	c := calm()
	c.Duration = 10 * time.Hour // the last day is cut short
	town, items := generate(t, c)
	path := filepath.Join(t.TempDir(), "town")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := recording.WriteNDJSON(f, town.Items()); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := recording.Open([]string{path}, nil, recording.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, want := range items {
		got, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		got.Source = recording.Position{}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("item %d is read as\n%+v\nwritten was\n%+v", i, got, want)
		}
	}
	if it, err := r.Next(); err == nil {
		t.Errorf("one item too many: %+v", it)
	}
}

func TestTruthCanBeWrittenAndRead(t *testing.T) {
	town, _ := defaultTown(t, 1)
	var b bytes.Buffer
	if err := WriteTruth(&b, town.Visits); err != nil {
		t.Fatal(err)
	}
	got, err := ReadTruth(&b, "truth")
	if err != nil || !reflect.DeepEqual(got, town.Visits) {
		t.Errorf("%d visits read (%v) are not the %d written", len(got), err, len(town.Visits))
	}
	if _, err := ReadTruth(strings.NewReader("{}\n{\"enter\":7}\n"), "truth"); err == nil || !strings.HasPrefix(err.Error(), "truth:2: ") {
		t.Errorf("a time that is none: %v", err)
	}
}

func BenchmarkDay(b *testing.B) {
	n := 0
	for b.Loop() {
		_, items := generate(b, Defaults())
		n += len(items)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "items/s")
}
