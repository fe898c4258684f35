package recording

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"footfall/events"
)

// captureFrames holds all kinds of frames of a capture: two phones, one of them
// twice, and one frame of each kind that is left out.
var captureFrames = []frame{
	probe(0, "00:1b:63:84:45:e6", -61),
	probe(1.5, "da:a1:19:00:00:01", -77),
	{at: 2, mac: "00:1b:63:84:45:e7", kind: layers.Dot11TypeMgmtBeacon, signal: -40},
	{at: 3, mac: "00:1b:63:84:45:e8", kind: layers.Dot11TypeMgmtProbeReq},
	{at: 4, mac: "00:1b:63:84:45:e9", kind: layers.Dot11TypeMgmtProbeReq, signal: -50, flags: layers.RadioTapFlagsBadFCS},
	probe(5, "01:00:5e:00:00:fb", -50),
	probe(6.25, "00:1b:63:84:45:e6", -62),
}

var captureStats = Stats{Sightings: 3, LeftOut: Counts{Multicast: 1, Malformed: 1, NoSignal: 1, OtherFrames: 1}}

const csvFixture = "seen_at_ms,sensor,mac,rssi_dbm,business,associated,randomised\n" +
	"1793620800000,door,00:1b:63:84:45:e6,-61,cafe,,\n" +
	"1793620801500,door,da-a1-19-00-00-01,-77,,1,\n" +
	"1793620802000,till,01:00:5e:00:00:fb,-50,,,\n" +
	"1793620803000,\"till, back\",00:1b:63:84:45:e6,-62,,false,true\n"

const ndjsonFixture = `{"business":"cafe","sensor":"door","mac":"00:1b:63:84:45:e6","rssi_dbm":-61,"seen_at":"2026-11-02T12:00:00Z","arrived_at":"2026-11-02T12:00:40Z"}
{"sensor":"door","device":"phone","rssi_dbm":-77,"seen_at":1793620801500,"associated":true,"randomised":true,"arrived_at":"2026-11-02T12:00:40Z"}

{"type":"portal-login","business":"cafe","device":"phone","contact":"ada","at":"2026-11-02T12:01:00Z","randomised":true}
{"type":"portal-login","business":"cafe","mac":"00:1b:63:84:45:e6","contact":"ben","at":"2026-11-02T12:02:00Z"}
{"type":"contact-changed","business":"cafe","contact":"ada","merged_into":"ben","at":"2026-11-02T23:00:00Z","arrived_at":"2026-11-02T23:00:01Z"}
{"type":"contact-deleted","business":"cafe","contact":"ben","at":"2026-11-02T23:30:00Z"}
`

func TestFormats(t *testing.T) {
	for _, c := range []struct {
		name    string
		content []byte
		stats   Stats
	}{
		{"rows", []byte(csvFixture), Stats{Sightings: 3, LeftOut: Counts{Multicast: 1}}},
		{"objects", []byte(ndjsonFixture), Stats{Sightings: 2, CRMEvents: 4}},
		{"lobby", pcapOf(t, layers.LinkTypeIEEE80211Radio, captureFrames...), captureStats},
		{"lobby-ng", pcapngOf(t, layers.LinkTypeIEEE80211Radio, captureFrames...), captureStats},
	} {
		golden(t, c.name, c.content)
		path := filepath.Join("testdata", c.name)
		items, stats, err := readFiles(path)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		golden(t, c.name+".items", asLines(t, items))
		if stats != c.stats {
			t.Errorf("%s: %+v, want %+v", c.name, stats, c.stats)
		}
		if zip, _, err := readFiles(inFile(t, c.name, zipped(t, c.content))); err != nil || !bytes.Equal(asLines(t, zip), asLines(t, items)) {
			t.Errorf("%s: zipped it gives %v (%v)", c.name, zip, err)
		}
	}
}

func TestNoAddressLeaves(t *testing.T) {
	written := regexp.MustCompile(`(?i)([0-9a-f]{2}[:-]?){5}[0-9a-f]{2}`)
	items, _, err := readFiles("testdata/rows", "testdata/objects", "testdata/lobby", "testdata/lobby-ng")
	if err != nil {
		t.Fatal(err)
	}
	if len(items) != 3+6+3+3 {
		t.Errorf("%d items, want 15", len(items))
	}
	for _, it := range items {
		if d := it.Sighting.Device; it.CRM == nil && d != "phone" && len(d) != 22 || written.MatchString(string(d)) {
			t.Errorf("%v: device %q is no pseudonym", it.Source, d)
		}
	}
}

func TestDevicesOfTheSameAddressAreTheSame(t *testing.T) {
	items, _, err := readFiles("testdata/rows", "testdata/lobby")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[events.BusinessID]map[events.DeviceID]bool{}
	for _, it := range items {
		if seen[it.Sighting.Business] == nil {
			seen[it.Sighting.Business] = map[events.DeviceID]bool{}
		}
		seen[it.Sighting.Business][it.Sighting.Device] = true
	}
	// Two addresses at the shop, written in three ways; one of them at the cafe.
	if len(seen["shop"]) != 2 || len(seen["cafe"]) != 1 {
		t.Errorf("devices by business: %v", seen)
	}
	for d := range seen["cafe"] {
		if seen["shop"][d] {
			t.Errorf("device %s can be followed from the cafe to the shop", d)
		}
	}
}

func TestStdinIsReadLikeAFile(t *testing.T) {
	r, err := Open([]string{"-"}, strings.NewReader(csvFixture), options)
	if err != nil {
		t.Fatal(err)
	}
	if _, total := r.Progress(); total != int64(len(csvFixture)) {
		t.Errorf("%d bytes in all, want %d", total, len(csvFixture))
	}
	items, err := read(r)
	if err != nil || len(items) != 3 {
		t.Fatalf("%d items (%v), want 3", len(items), err)
	}
	if got := items[2].Source.String(); got != "stdin:5" {
		t.Errorf("source is %q, want stdin:5", got)
	}
}

func TestSpoolLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	r, err := Open([]string{"-"}, strings.NewReader(csvFixture), options)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open([]string{"-"}, strings.NewReader("nonsense"), options); err == nil {
		t.Error("nonsense is read as a recording")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestProgressReachesTheEnd(t *testing.T) {
	shuffled := "seen_at_ms,sensor,device,rssi_dbm\n" +
		"1793620800000,door,a,-61\n1793620000000,door,b,-61\n"
	for _, content := range []string{csvFixture, shuffled} {
		r, err := Open([]string{inFile(t, "a", []byte(content)), inFile(t, "b", []byte(content))}, nil, options)
		if err != nil {
			t.Fatal(err)
		}
		last := int64(0)
		for {
			if _, err := r.Next(); err != nil {
				break
			}
			done, _ := r.Progress()
			if done < last {
				t.Errorf("progress goes back from %d to %d", last, done)
			}
			last = done
		}
		if done, total := r.Progress(); done != total || total != int64(2*len(content)) {
			t.Errorf("at the end %d of %d bytes are done, want all %d", done, total, 2*len(content))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestArrivalOfALateSighting(t *testing.T) {
	items, _, err := readFiles("testdata/objects")
	if err != nil {
		t.Fatal(err)
	}
	want := []time.Time{
		at(40), at(40), // the times in the lines
		at(60), at(120), // the moment of the login itself
		time.Date(2026, 11, 2, 23, 0, 1, 0, time.UTC),
		time.Date(2026, 11, 2, 23, 30, 0, 0, time.UTC),
	}
	var got []time.Time
	for _, it := range items {
		got = append(got, it.ArrivedAt)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("arrivals are %v\nwant %v", got, want)
	}
}
