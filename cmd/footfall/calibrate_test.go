package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
		{"one hour", 1, "0.5", "a recording of 1 hours; 1 chooses on all of it", true},
		{"a moment", 1, "2026-11-02T12:20", "from 2026-11-02 12:20 on (UTC)", false},
		{"a moment before the first", 1, "2026-11-02T12:00", "nothing was recorded before that", true},
		{"no moment", 1, "noon", "is not a share, a day such as 2026-03-02, or a moment", true},
		{"all of one day", 1, "1", "No part of the recording is left for a report", false},
		{"a day after the last", 2, "2027-01-01", "No part of the recording is left for a report", false},
		{"a day before the first", 2, "2025-01-01", "nothing was recorded before that", true},
		{"no share", 2, "1.5", "does not split", true},
	} {
		var out, log bytes.Buffer
		status := run([]string{"calibrate", recordedFor(t, c.days), "--split", c.split}, streams{strings.NewReader(""), &out, &log})
		if said := out.String() + log.String(); (status != 0) != c.bad || !strings.Contains(said, c.want) {
			t.Errorf("%s: status %d and\n%s\nwant %q in it", c.why, status, said, c.want)
		}
	}
}

// A visit whose phone was silent at its end belongs to a choice on all of the
// recording.
func TestChoiceOnAllCountsAVisitThatEndsAfterTheLastSighting(t *testing.T) {
	truth := filepath.Join(t.TempDir(), "visits.csv")
	// The recording begins at 12:00 and its last sighting is at 12:58.
	visit := "mac,enter_ms,exit_ms\n00:00:5e:00:53:01,1793620800000,1793624700000\n"
	if err := os.WriteFile(truth, []byte(visit), 0o600); err != nil {
		t.Fatal(err)
	}
	said := printed(t, "calibrate", recordedFor(t, 1), "--truth", truth, "--split", "1")
	if want := "Chosen on 1 true visits"; !strings.Contains(said, want) {
		t.Errorf("said\n%s\nwant %q in it", said, want)
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

// calibrated runs calibrate with a split of a half on a recording of phones that each
// stay for 12 minutes from a minute of 2 November 2026 on, and returns what it printed
// and the settings that it wrote. The truth holds all visits.
func calibrated(t *testing.T, minutes []int, more ...string) (string, map[string]any) {
	t.Helper()
	dir := t.TempDir()
	trace, truth, rules := filepath.Join(dir, "day.csv"), filepath.Join(dir, "truth.csv"), filepath.Join(dir, "rules.json")
	midnight := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC).UnixMilli()
	var rows, visits strings.Builder
	rows.WriteString("seen_at_ms,sensor,mac,rssi_dbm\n")
	visits.WriteString("mac,enter_ms,exit_ms\n")
	for i, begin := range minutes {
		mac := fmt.Sprintf("00:00:5e:00:53:%02x", i)
		for m := begin; m <= begin+12; m += 2 {
			fmt.Fprintf(&rows, "%d,door,%s,-60\n", midnight+int64(m)*60_000, mac)
		}
		fmt.Fprintf(&visits, "%s,%d,%d\n", mac, midnight+int64(begin)*60_000, midnight+int64(begin+12)*60_000)
	}
	for path, text := range map[string]string{trace: rows.String(), truth: visits.String()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	said := printed(t, append([]string{"calibrate", trace, "--truth", truth, "--out", rules}, more...)...)
	written, err := os.ReadFile(rules)
	var settings map[string]any
	if err == nil {
		err = json.Unmarshal(written, &settings)
	}
	if err != nil {
		t.Fatal(err)
	}
	return said, settings
}

// A recording of one day is split at a full hour of the store's clock. A visit that
// lies across the split is neither missed nor false.
func TestCalibrateSplitsOneDay(t *testing.T) {
	// In Kathmandu the clock is 5:45 ahead: 07:15 UTC is 13:00.
	said, _ := calibrated(t, []int{360, 380, 400, 430, 450, 470, 490}, "--time-zone", "Asia/Kathmandu")
	for _, want := range []string{"from 2026-11-02 13:00 on (Asia/Kathmandu)", "true visits: 3;", "true visits: 3 of 2 minutes or more"} {
		if !strings.Contains(said, want) {
			t.Errorf("calibrate printed\n%s\nwant %q in it", said, want)
		}
	}
	if n := strings.Count(said, "false  0  "); n != 2 {
		t.Errorf("calibrate printed\n%s\nwant no false walk-ins, with the chosen settings and with those before", said)
	}
}

// The settings that calibrate writes leave alone what it did not choose: stored with
// business set, they keep the time zone of the business. With the settings of the
// store, they hold all of them.
func TestCalibrateKeepsTheTimeZone(t *testing.T) {
	minutes := []int{360, 380, 400, 440, 460, 480}
	_, settings := calibrated(t, minutes)
	for _, name := range []string{"time_zone", "opening_hours", "lateness", "resident_days"} {
		if value, ok := settings[name]; ok {
			t.Errorf("calibrate wrote %s %v, which it does not know", name, value)
		}
	}
	if len(settings) != 5 {
		t.Errorf("calibrate wrote %v, want 5 settings", settings)
	}
	_, settings = calibrated(t, minutes, "--time-zone", "Europe/Berlin")
	if settings["time_zone"] != "Europe/Berlin" {
		t.Errorf("calibrate wrote %v, want the time zone of the flag", settings)
	}
	// With the settings of the store: the split is at 08:00 of its clock.
	file := filepath.Join(t.TempDir(), "store.json")
	document := `{"store": {"rules": {"time_zone": "Europe/Berlin", "min_strong_steps": 3, "employees": ["1-hers"]}, "door": {"senders": {"mist": {"secrets": ["********"]}}}}}`
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	said, settings := calibrated(t, minutes, "--businesses", file)
	if settings["time_zone"] != "Europe/Berlin" || settings["min_strong_steps"] != 3.0 || fmt.Sprint(settings["employees"]) != "[1-hers]" {
		t.Errorf("calibrate wrote %v, want the settings of the store", settings)
	}
	if !strings.Contains(said, "from 2026-11-02 08:00 on (Europe/Berlin)") || !strings.Contains(said, "the same with the settings of --businesses") {
		t.Errorf("calibrate printed\n%s\nwant the store's clock and settings", said)
	}
}
