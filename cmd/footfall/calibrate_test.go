package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A recording is split so that both parts have a share of the weight, to choose on
// and to report on.
func TestSplitAt(t *testing.T) {
	for _, c := range []struct {
		why     string
		weights []float64
		share   float64
		want    int
	}{
		{"all days alike", []float64{1, 1, 1, 1}, 0.5, 2},
		{"most is known of the last days", []float64{0, 0, 0, 24, 24}, 0.5, 4},
		{"the nearest midnight", []float64{1, 2, 1, 7, 1}, 0.5, 3},
		{"a greater share", []float64{1, 1, 1, 1}, 0.75, 3},
		{"one day cannot be split", []float64{5}, 0.5, 0},
		{"nor can what is known of one day", []float64{0, 5, 0}, 0.5, 0},
		{"no day at all", nil, 0.5, 0},
	} {
		if got := splitAt(c.weights, c.share); got != c.want {
			t.Errorf("%s: before day %d, want %d", c.why, got, c.want)
		}
	}
}

// recordedFor writes a recording of a phone that is heard every two minutes for an
// hour a day, and returns its path.
func recordedFor(t *testing.T, days int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("seen_at_ms,sensor,mac,rssi_dbm\n")
	for day := range days {
		for minute := 0; minute < 60; minute += 2 {
			fmt.Fprintf(&b, "%d,door,00:00:5e:00:53:01,-60\n", 1_793_620_800_000+(day*24*60+minute)*60_000)
		}
	}
	path := filepath.Join(t.TempDir(), "shop.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A split that leaves a part of the recording empty is an error, except that all of
// the recording may be chosen on.
func TestSplitOfShortRecordings(t *testing.T) {
	for _, c := range []struct {
		why   string
		days  int
		split string
		want  string // in the output, or in the error
		bad   bool
	}{
		{"two days", 2, "0.5", "the part that the settings were not chosen on", false},
		{"one day", 1, "0.5", "a recording of 1 days; 1 chooses on all of it", true},
		{"all of one day", 1, "1", "No part of the recording is left for a report", false},
		{"a day after the last", 2, "2027-01-01", "No part of the recording is left for a report", false},
		{"a day before the first", 2, "2025-01-01", "nothing was recorded before that day", true},
		{"no share", 2, "1.5", "does not split", true},
	} {
		var out, log bytes.Buffer
		status := run([]string{"calibrate", recordedFor(t, c.days), "--split", c.split}, streams{strings.NewReader(""), &out, &log})
		if said := out.String() + log.String(); (status != 0) != c.bad || !strings.Contains(said, c.want) {
			t.Errorf("%s: status %d and\n%s\nwant %q in it", c.why, status, said, c.want)
		}
	}
}

// CSV holds the true visits of the people who wrote them down, and says nothing
// about other devices; the file of simulate holds the visits of all devices.
func TestCSVTruthCoversOnlyItsDevices(t *testing.T) {
	dir := t.TempDir()
	csv, all := filepath.Join(dir, "visits.csv"), filepath.Join(dir, "truth.ndjson")
	if err := os.WriteFile(csv, []byte("mac,enter_ms,exit_ms\n00:00:5e:00:53:02,1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	simulated := `{"business":"store","device":"another","enter":"2026-11-02T00:00:00Z","leave":"2026-11-02T01:00:00Z"}` + "\n"
	if err := os.WriteFile(all, []byte(simulated), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		truth, want string
		others      bool
	}{{csv, "false  0  ", true}, {all, "false  1  ", false}} {
		said := printed(t, "evaluate", recordedFor(t, 1), "--truth", c.truth)
		if strings.Contains(said, "of other devices") != c.others || !strings.Contains(said, c.want) {
			t.Errorf("%s: said\n%s\nwant walk-ins of others: %v, and %q in it", filepath.Base(c.truth), said, c.others, c.want)
		}
	}
}

// True visits of another store do not count for this one.
func TestTruthOfAnotherStore(t *testing.T) {
	csv := filepath.Join(t.TempDir(), "visits.csv")
	if err := os.WriteFile(csv, []byte("mac,enter_ms,exit_ms\n00:00:5e:00:53:01,1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(t.TempDir(), "cafe.csv")
	rows := "seen_at_ms,sensor,mac,rssi_dbm,business\n1793620800000,door,00:00:5e:00:53:01,-60,cafe\n"
	if err := os.WriteFile(trace, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	status := run([]string{"calibrate", trace, "--only", "cafe", "--truth", csv, "--split", "1"}, streams{strings.NewReader(""), &out, &log})
	if said := log.String(); status == 0 || !strings.Contains(said, "no true visit belongs to this store") {
		t.Errorf("status %d and\n%s\nwant an error of the store", status, said)
	}
}
