package recording

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// Reading any file either fails with an error that names the place, or returns items
// that are valid, in order, as many as were counted, and the same when written and
// read again.
func checkAnything(t *testing.T, content []byte) {
	r, err := Open([]string{"-"}, bytes.NewReader(content), options)
	if err != nil {
		if !strings.HasPrefix(err.Error(), stdinName+":") {
			t.Fatalf("error does not say where: %v", err)
		}
		return
	}
	items, err := read(r)
	if err != nil {
		t.Fatalf("read once, and then: %v", err)
	}
	if s := r.Stats(); int(s.Sightings+s.CRMEvents) != len(items) {
		t.Fatalf("%d items, counted %+v", len(items), s)
	}
	for i, it := range items {
		if i > 0 && it.ArrivedAt.Before(items[i-1].ArrivedAt) {
			t.Fatalf("arrival goes back at %v", it.Source)
		}
		if err := it.Sighting.Validate(); it.CRM == nil && err != nil {
			t.Fatalf("%v: %v", it.Source, err)
		}
		items[i].Source = Position{}
	}
	checkWritten(t, items)
}

func checkWritten(t *testing.T, items []Item) {
	if len(items) == 0 {
		return // no line: an empty file, which is refused
	}
	for _, it := range items {
		if y := it.ArrivedAt.Year(); y < 0 || y > 9999 {
			return // the last year of RFC 3339
		}
	}
	again, _, err := readString(string(asLines(t, items)))
	if err != nil {
		t.Fatalf("written, it cannot be read: %v", err)
	}
	for i := range again {
		again[i].Source = Position{}
	}
	if !reflect.DeepEqual(again, items) {
		t.Fatalf("written and read again\n%v\nbefore\n%v", again, items)
	}
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte(csvFixture))
	f.Add([]byte(rowsAt(0, 500, 3)))
	f.Add([]byte("\xef\xbb\xbfdevice,rssi_dbm,seen_at_ms,sensor\r\n\"a\"\"b\",-1,1793620800000,x"))
	f.Fuzz(checkAnything)
}

func FuzzNDJSON(f *testing.F) {
	f.Add([]byte(ndjsonFixture))
	for line := range strings.Lines(ndjsonFixture) {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		checkAnything(t, append([]byte(" {"), bytes.TrimPrefix(content, []byte("{"))...))
	})
}

func FuzzCapture(f *testing.F) {
	f.Add(pcapOf(f, layers.LinkTypeIEEE80211Radio, captureFrames...))
	f.Add(pcapngOf(f, layers.LinkTypeIEEE80211Radio, captureFrames...))
	f.Add(pcapngOf(f, layers.LinkTypeEthernet))
	f.Fuzz(checkAnything)
}
