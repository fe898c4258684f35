package recording

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// rowsAt returns a CSV recording of one row per given second after noon. The device
// names the row.
func rowsAt(seconds ...int) string {
	var b strings.Builder
	b.WriteString("seen_at_ms,sensor,device,rssi_dbm,associated\n")
	for i, s := range seconds {
		fmt.Fprintf(&b, "%d,s%d,row%d,-%d,%t\n", at(float64(s)).UnixMilli(), s%7, i+1, 40+s%50, s%2 == 0)
	}
	return b.String()
}

func devices(items []Item) string {
	var ds []string
	for _, it := range items {
		ds = append(ds, string(it.Sighting.Device))
	}
	return strings.Join(ds, " ")
}

func TestOrderOfOneFile(t *testing.T) {
	for _, c := range []struct {
		why     string
		seconds []int
		want    string
		sorted  bool
	}{
		{"in order", []int{0, 10, 20}, "row1 row2 row3", false},
		{"two minutes back: the order of arrival, kept", []int{0, 150, 30, 160}, "row1 row2 row3 row4", false},
		{"back by more, in small steps", []int{200, 100, 0}, "row3 row2 row1", true},
		{"one step too far: sorted as a whole", []int{0, 150, 29, 160}, "row1 row3 row2 row4", true},
		{"at once: in the order of the file", []int{500, 0, 0, 0}, "row2 row3 row4 row1", true},
		{"one device after the other", []int{0, 300, 600, 1, 301, 601}, "row1 row4 row2 row5 row3 row6", true},
	} {
		r, err := Open([]string{"-"}, strings.NewReader(rowsAt(c.seconds...)), options)
		if err != nil {
			t.Fatal(err)
		}
		if _, sorted := r.streams[0].items.(*sortedItems); sorted != c.sorted {
			t.Errorf("%s: sorted in memory is %t, want %t", c.why, sorted, c.sorted)
		}
		items, err := read(r)
		if err != nil || devices(items) != c.want {
			t.Errorf("%s: %s (%v), want %s", c.why, devices(items), err, c.want)
		}
		for i := 1; i < len(items); i++ {
			if items[i].ArrivedAt.Before(items[i-1].ArrivedAt) {
				t.Errorf("%s: arrival goes back at %v", c.why, items[i].Source)
			}
		}
	}
}

func TestSortedAndStreamedItemsAreEqual(t *testing.T) {
	ordered := strings.SplitAfter(string(asLines(t, mixedItems(t))), "\n")
	ordered = ordered[:len(ordered)-1]
	shuffled := slices.Clone(ordered)
	rng := rand.New(rand.NewPCG(1, 1))
	rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })

	want, wantStats, err := readString(strings.Join(ordered, ""))
	if err != nil {
		t.Fatal(err)
	}
	got, gotStats, err := readString(strings.Join(shuffled, ""))
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if line := shuffled[got[i].Source.Number-1]; line != ordered[i] {
			t.Fatalf("item %d says it is %s, which is\n%snot\n%s", i, got[i].Source, line, ordered[i])
		}
		got[i].Source, want[i].Source = Position{}, Position{}
	}
	if !reflect.DeepEqual(got, want) || gotStats != wantStats {
		t.Errorf("sorted\n%v\nstreamed\n%v", got, want)
	}
}

// mixedItems returns sightings of all kinds with CRM events between them, no two at
// the same moment.
func mixedItems(t *testing.T) []Item {
	items, _, err := readString(rowsAt(0, 20, 40, 300, 301, 302, 2000, 4001, 4003, 9000))
	if err != nil {
		t.Fatal(err)
	}
	objects, _, err := readString(ndjsonFixture)
	if err != nil {
		t.Fatal(err)
	}
	items = append(items, objects[2:]...)
	slices.SortFunc(items, func(a, b Item) int { return a.ArrivedAt.Compare(b.ArrivedAt) })
	return items
}

func TestFilesAreMerged(t *testing.T) {
	items, _, err := readFiles(
		inFile(t, "a", []byte(rowsAt(0, 100, 200))),
		inFile(t, "b", []byte(rowsAt(900, 100, 50))), // sorted first
		inFile(t, "c", []byte(rowsAt())),
		inFile(t, "d", []byte(rowsAt(101, 60, 102))), // 60 comes after 101
	)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range items {
		file := it.Source.File
		got = append(got, fmt.Sprintf("%c%.0f", file[len(file)-1], it.Sighting.SeenAt.Sub(noon).Seconds()))
	}
	want := "a0 b50 a100 b100 d101 d60 d102 a200 b900"
	if strings.Join(got, " ") != want {
		t.Errorf("merged to %v, want %s", got, want)
	}
}

// A sorted file must fit in memory, so the size that Open's comment promises is
// tested.
func TestPackedSize(t *testing.T) {
	if size := unsafe.Sizeof(packed{}); size != 32 {
		t.Errorf("a packed item takes %d bytes, want 32", size)
	}
}

func TestFileThatShrinksWhileRead(t *testing.T) {
	path := inFile(t, "rows", []byte(rowsAt(0, 1, 2)+strings.Repeat("\n", 2*bufferBytes)+"1793620860000,door,last,-60,\n"))
	r, err := Open([]string{path}, nil, options)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.WriteFile(path, []byte(strings.Repeat("x", 2*bufferBytes)), 0o600); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = r.Next()
	}
	if errors.Is(err, io.EOF) {
		t.Error("a file that was replaced while it was read ends as if nothing had been")
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the error comes %v, want EOF", err)
	}
}
