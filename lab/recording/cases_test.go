package recording_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"footfall/lab/offline"
	"footfall/lab/recording"
	"footfall/lab/score"
	"footfall/shared/presence"
	"footfall/shared/pseudonym"
)

// The files of testdata/cases reproduce what people met with their own tools.
const cases = "testdata/cases"

// open opens files of testdata/cases.
func open(strict bool, names ...string) (*recording.Reader, error) {
	paths := make([]string, 0, len(names))
	for _, name := range names {
		paths = append(paths, filepath.Join(cases, name))
	}
	return recording.Open(paths, nil, recording.Options{
		Business: "store", Device: pseudonym.NewMaker([]byte("a key for tests")), Strict: strict,
	})
}

func TestCases(t *testing.T) {
	for _, c := range []struct {
		file      string
		sightings int64
		walkIns   int
		left      recording.Counts
		note      string // the end of the only note, without the path
		strict    bool   // whether --strict refuses the file
		err       string // the error, without the path
	}{
		{file: "00-baseline.pcap", sightings: 21, walkIns: 1},
		{file: "01-no-rtc-1970.pcap", sightings: 21, walkIns: 1, left: recording.Counts{recording.BadTime: 2}},
		{file: "01b-negative-time.pcap", sightings: 21, walkIns: 1, left: recording.Counts{recording.BadTime: 1}},
		{
			file: "02-cut-last-packet.pcap", sightings: 20, walkIns: 1, strict: true,
			note: "02-cut-last-packet.pcap: packet 21: the file ends inside this packet; everything before it was read",
		},
		{
			// The compressed data hold 42 bytes of the first packet.
			file: "02b-cut.pcap.gz", strict: true,
			err: "02b-cut.pcap.gz: packet 1: the file ends inside this packet",
		},
		{
			file: "02e-cut-last-row.csv", sightings: 20, walkIns: 1, strict: true,
			note: "02e-cut-last-row.csv:22: the file ends inside this line; everything before it was read",
		},
		{
			file: "03-incl-gt-orig.pcap", sightings: 21, walkIns: 1,
			note: "03-incl-gt-orig.pcap: packet 8: captured length 48 is above the original length 44; such packets are read as captured",
		},
		{file: "04-vendor-namespace.pcap", sightings: 21, walkIns: 1},
		{file: "05b-antennas-only-in-chains.pcap", sightings: 21, walkIns: 1},
		{file: "08-fcs-zero.pcap", sightings: 21, walkIns: 1},
		{file: "08b-fcs-flag-but-stripped.pcap", sightings: 21, walkIns: 1},
		{file: "08c-fcs-present-good.pcap", sightings: 21, walkIns: 1},
		{file: "08d-fcs-there-unflagged.pcap", sightings: 21, walkIns: 1},
		{file: "14-modified.pcap", err: `14-modified.pcap: is a "modified" pcap, which is not read; convert it: editcap -F pcap IN OUT`},
		{file: "30-pandas-floats.csv", sightings: 21, walkIns: 1},
		{file: "33-zero-mac.csv", err: "left out 21: address 00:00:00:00:00:00, first at "},
		{file: "34-semicolon.csv", sightings: 21, walkIns: 1},
		{
			file: "35-iso-times.csv", sightings: 21, walkIns: 1,
			note: `35-iso-times.csv:2: seen_at "2026-11-21 10:00:00" has no time zone; such times are read as UTC`,
		},
		{file: "36-utf16.csv", err: "36-utf16.csv: is UTF-16 text, which is not read; convert it to UTF-8: iconv -f UTF-16 -t UTF-8 IN > OUT"},
		{file: "39-json-array.json", err: "39-json-array.json: is a JSON array, which is not read; write one object a line: jq -c '.[]' IN > OUT"},
		{file: "40-epoch-seconds.ndjson", sightings: 21, walkIns: 1},
		{
			file: "43-cut-last-line.ndjson", sightings: 20, walkIns: 1, strict: true,
			note: "43-cut-last-line.ndjson:21: the file ends inside this line; everything before it was read",
		},
		{file: "54-midnight-skipped.csv", sightings: 216, walkIns: 18},
		{file: "54b-ordinary-night.csv", sightings: 216, walkIns: 18},
	} {
		r, err := open(false, c.file)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got error %v, want one with %q", c.file, err, c.err)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		if got, want := r.Stats(), (recording.Stats{Sightings: c.sightings, LeftOut: c.left}); got != want {
			t.Errorf("%s: got %+v, want %+v", c.file, got, want)
		}
		// The times of all files with one phone are the same minutes.
		if got := strings.ReplaceAll(strings.Join(r.Notes(), "\n"), cases+string(filepath.Separator), ""); got != c.note {
			t.Errorf("%s: got notes %q, want %q", c.file, got, c.note)
		}
		trace, err := offline.Load(r, offline.Options{})
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		if got := len(trace.Visits(presence.DefaultRules())); got != c.walkIns {
			t.Errorf("%s: got %d walk-ins, want %d", c.file, got, c.walkIns)
		}
		if err := r.Close(); err != nil {
			t.Errorf("%s: %v", c.file, err)
		}
		strict, err := open(true, c.file)
		if (err != nil) != c.strict {
			t.Errorf("%s: strict: got error %v, want one: %t", c.file, err, c.strict)
		}
		if err == nil {
			_ = strict.Close()
		}
	}
}

// A recording of hostapd from before there were reports about sessions: 0 dBm is
// an association, and the hold threshold a disassociation.
func TestCaseOfHostapd(t *testing.T) {
	r, err := open(true, "50b-hostapd-as-recording.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Stats(), (recording.Stats{Sightings: 4, CRMEvents: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	trace, err := offline.Load(r, offline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	visits := trace.Visits(presence.DefaultRules())
	if len(visits) != 1 || visits[0].End.Sub(visits[0].Start) != 2*time.Hour {
		t.Errorf("got visits %v, want one of two hours", visits)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// All of the cases whose phone is heard in the same 21 minutes have the same
// sightings, whatever the format.
func TestCasesAgree(t *testing.T) {
	want := sightings(t, "00-baseline.pcap")
	for _, file := range []string{
		"04-vendor-namespace.pcap", "08-fcs-zero.pcap", "30-pandas-floats.csv", "34-semicolon.csv", "35-iso-times.csv", "40-epoch-seconds.ndjson",
	} {
		if got := sightings(t, file); !slices.Equal(got, want) {
			t.Errorf("%s: got %v\nwant %v", file, got, want)
		}
	}
	// The strongest of two antennas.
	for _, s := range sightings(t, "05b-antennas-only-in-chains.pcap") {
		if !strings.HasSuffix(s, " -63") {
			t.Errorf("05b: got %s, want -63 dBm", s)
		}
	}
}

// sightings returns device, time and signal strength of the sightings of a file.
func sightings(t *testing.T, file string) (all []string) {
	t.Helper()
	r, err := open(false, file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		it, err := r.Next()
		if err != nil {
			return all
		}
		s := it.Sighting
		all = append(all, string(s.Device)+s.SeenAt.Format(" 15:04:05.000 ")+strconv.Itoa(int(s.RSSI)))
	}
}

// On the night of 5 September 2026 there is no midnight in Santiago: the loop
// over the days of the recording ended at no day.
func TestEmptyHoursOfANightWithoutMidnight(t *testing.T) {
	zone, err := time.LoadLocation("America/Santiago")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"54-midnight-skipped", "54b-ordinary-night"} {
		f, err := os.Open(filepath.Join(cases, name+"-occupancy.csv"))
		if err != nil {
			t.Fatal(err)
		}
		counts, err := score.ReadOccupancyCSV(f, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := open(false, name+".csv")
		if err != nil {
			t.Fatal(err)
		}
		trace, err := offline.Load(r, offline.Options{})
		if err != nil {
			t.Fatal(err)
		}
		empty := score.Empty(counts, trace.Recorded(time.Hour), score.Calendar{Location: zone})
		if got, want := score.Hours(empty), 15.0; got != want {
			t.Errorf("%s: got %v empty hours, want %v", name, got, want)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
