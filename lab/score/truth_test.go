package score

import (
	"net"
	"os"
	"reflect"
	"strings"
	"testing"

	"footfall/events"
	"footfall/shared/pseudonym"
)

var testKey = []byte("a key for tests")

func device(t *testing.T, mac string) events.DeviceID {
	t.Helper()
	hw, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	return pseudonym.Device(testKey, "shop", hw)
}

func TestReadTruthCSV(t *testing.T) {
	in := "mac,enter_ms,exit_ms\n" +
		"02:00:00:00:00:02,1793620800000,1793621400000\n" +
		"02:00:00:00:00:01,1793617200000,1793618100000\n"
	got, err := ReadTruthCSV(strings.NewReader(in), "visits.csv", "shop", pseudonym.NewMaker(testKey))
	if err != nil {
		t.Fatal(err)
	}
	want := []Visit{
		{"shop", device(t, "02:00:00:00:00:01"), at(-60), at(-45)},
		{"shop", device(t, "02:00:00:00:00:02"), at(0), at(10)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestReadTruthCSVNamesTheMistake(t *testing.T) {
	const header = "mac,enter_ms,exit_ms\n"
	const good = "02:00:00:00:00:01,1,2\n"
	for _, c := range []struct{ why, in, want string }{
		{"nothing", "", "visits.csv:1: header is"},
		{"another file", "seen_at_ms,sensor,mac,rssi_dbm\n", "visits.csv:1: header is"},
		{"no address", header + good + "phone,1,2\n", "visits.csv:3: mac:"},
		{"no device's address", header + "00:00:00:00:00:00,1,2\n", "visits.csv:2: mac: 00:00:00:00:00:00 is no address of a device"},
		{"an address of several devices", header + "01:00:5e:00:00:01,1,2\n", "visits.csv:2: mac: 01:00:5e:00:00:01 is no address of a device"},
		{"eight bytes", header + "02:00:00:00:00:00:00:01,1,2\n", "visits.csv:2: mac: 8 bytes"},
		{"no number", header + "02:00:00:00:00:01,2026-11-02T12:00:00Z,2\n", `visits.csv:2: enter_ms: "2026-11-02T12:00:00Z" is not a whole number of milliseconds`},
		{"no number at the end", header + "02:00:00:00:00:01,1,\n", "visits.csv:2: exit_ms:"},
		{"left before coming", header + "02:00:00:00:00:01,2,1\n", "visits.csv:2: exit_ms: 1970"},
		{"a column short", header + good + "02:00:00:00:00:01,1\n", "visits.csv:3: wrong number of fields"},
	} {
		_, err := ReadTruthCSV(strings.NewReader(c.in), "visits.csv", "shop", pseudonym.NewMaker(testKey))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want %s...", c.why, err, c.want)
		}
	}
}

func TestReadTruthOfAnOfficeRecording(t *testing.T) {
	f, err := os.Open("../../../shared/traces/office-visits.csv")
	if err != nil {
		t.Skipf("the recorded office is not on this machine: %v", err)
	}
	defer f.Close()
	visits, err := ReadTruthCSV(f, "office-visits.csv", "office", pseudonym.NewMaker(testKey))
	if err != nil {
		t.Fatal(err)
	}
	devices := map[events.DeviceID]int{}
	for _, v := range visits {
		devices[v.Device]++
	}
	if len(visits) != 12 || len(devices) != 2 {
		t.Errorf("%d visits of %d devices, want 12 of 2", len(visits), len(devices))
	}
	if got := Score(visits, []FoundVisit{}); got.Missed != 12 {
		t.Errorf("nothing found, yet %d of 12 are missed", got.Missed)
	}
}

// A spreadsheet puts columns where its user wants them, and a mark in front.
func TestTruthWithOtherColumns(t *testing.T) {
	const plain = "mac,enter_ms,exit_ms\n02:00:00:00:00:01,1000,2000\n"
	want, err := ReadTruthCSV(strings.NewReader(plain), "visits.csv", "shop", pseudonym.NewMaker(testKey))
	if err != nil || len(want) != 1 {
		t.Fatal(want, err)
	}
	for why, in := range map[string]string{
		"another order":   "exit_ms,mac,enter_ms\n2000,02:00:00:00:00:01,1000\n",
		"one column more": "mac,name,enter_ms,exit_ms\n02:00:00:00:00:01,me,1000,2000\n",
		"blanks":          "mac, enter_ms, exit_ms\n02:00:00:00:00:01 , 1000, 2000\n",
		"a mark":          "\ufeff" + plain,
		"as pandas":       ",mac,enter_ms,exit_ms\n0,02:00:00:00:00:01,1000.0,2000.0\n",
		"as Excel":        "\ufeffmac;enter_ms;exit_ms\r\n02:00:00:00:00:01;1000;2000\r\n",
		"a line twice":    plain + "02:00:00:00:00:01,1000,2000\n",
	} {
		got, err := ReadTruthCSV(strings.NewReader(in), "visits.csv", "shop", pseudonym.NewMaker(testKey))
		if err != nil || len(got) != 1 || got[0] != want[0] {
			t.Errorf("%s: %+v (%v), want %+v", why, got, err, want)
		}
	}
}
