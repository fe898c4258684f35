package recording

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// fileError reads content as a file and returns the error without the folder.
func fileError(t *testing.T, name, content string) string {
	t.Helper()
	path := inFile(t, name, []byte(content))
	_, _, err := readFiles(path)
	if err == nil {
		return "none"
	}
	return strings.ReplaceAll(err.Error(), filepath.Dir(path)+string(filepath.Separator), "")
}

func TestMistakesInCSV(t *testing.T) {
	const header = "seen_at_ms,sensor,mac,rssi_dbm\n"
	const good = "1793620800000,door,00:1b:63:84:45:e6,-61\n"
	for _, c := range []struct{ why, content, want string }{
		{"empty file", "", "a.csv: empty"},
		{"only empty lines", "\n\n\n", "a.csv: the file has only empty lines"},
		{"no header", good, `a.csv:1: header: no column is called seen_at_ms, seen_at`},
		{"misspelt column", "seen_at_ms,sensor,mac,rssi_dbm,associatd\n", `a.csv:1: header: column "associatd" looks like associated: rename it`},
		{"column spelt otherwise", "seen_at_ms,sensor,mac,rssi_dbm,Is Associated\n", `a.csv:1: header: column "Is Associated" looks like associated`},
		{"letters of a column swapped", "seen_at_ms,sesnor,mac,rssi_dbm\n", `a.csv:1: header: column "sesnor" looks like sensor`},
		{"column twice", "seen_at_ms,sensor,mac,rssi_dbm,mac\n", "a.csv:1: header: two columns are called mac"},
		{"column missing", "seen_at_ms,mac,sensor\n", "a.csv:1: header: no column is called rssi_dbm, "},
		{"mac and device", "seen_at_ms,sensor,mac,device,rssi_dbm\n", "a.csv:1: header: want either column mac or column device"},
		{"neither of them", "seen_at_ms,sensor,rssi_dbm\n", "a.csv:1: header: want either column mac or column device"},
		{"row too short", header + good + "1793620800000,door,-61\n", "a.csv:3: 3 columns, want 4"},
		{"row too long", header + "1793620800000,door,00:1b:63:84:45:e6,-61,\n", "a.csv:2: 5 columns, want 4"},
		{"empty lines are counted", header + "\n\r\n" + "x,door,00:1b:63:84:45:e6,-61\n", "a.csv:4: seen_at_ms: "},
		{"time is no number", header + "noon,door,00:1b:63:84:45:e6,-61\n", `a.csv:2: seen_at_ms: "noon" is no time: want`},
		{"time rounded by a spreadsheet", header + "1.79362E+12,door,00:1b:63:84:45:e6,-61\n", `a.csv:2: seen_at_ms: "1.79362E+12" was rounded by a spreadsheet`},
		{"clock never set", header + "1510860,door,00:1b:63:84:45:e6,-61\n", "a.csv: nothing was read from the recording: left out 1: time not within the years 2000 to 2099, first at a.csv:2"},
		{"signal is no number", header + good + "1793620800000,door,00:1b:63:84:45:e6,weak\n", `a.csv:3: rssi_dbm: "weak" is no number of dBm`},
		{"signal too strong", header + "1793620800000,door,00:1b:63:84:45:e6,1\n", "a.csv: nothing was read from the recording: left out 1: signal strength not within [-127, 0] dBm, first at a.csv:2"},
		{"no address", header + "1793620800000,door,phone,-61\n", "a.csv:2: mac: "},
		{"address of eight bytes", header + "1793620800000,door,00:1b:63:84:45:e6:00:01,-61\n", "a.csv:2: mac: 8 bytes, want 6"},
		{"no sensor", header + "1793620800000,,00:1b:63:84:45:e6,-61\n", "a.csv: nothing was read from the recording: left out 1: no sensor, first at a.csv:2"},
		{"slash in the business", "seen_at_ms,sensor,device,rssi_dbm,business\n1793620800000,a,b,-61,c/d\n", "a.csv:2: business: "},
		{"neither true nor false", "seen_at_ms,sensor,device,rssi_dbm,associated\n1793620800000,a,b,-61,x\n", `a.csv:2: associated: "x" is neither`},
		{"quote left open", header + "1793620800000,\"door,00:1b:63:84:45:e6,-61\n", "a.csv:2: column "},
		{"not UTF-8", header + "1793620800000,d\xffor,00:1b:63:84:45:e6,-61\n", "a.csv:2: not valid UTF-8"},
		{"line without end", header + strings.Repeat("x", maxLine+1), "a.csv:2: line is longer than 1048576 bytes"},
	} {
		if got := fileError(t, "a.csv", c.content); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: error is %.200s\nwant %s...", c.why, got, c.want)
		}
	}
}

func TestLongestLine(t *testing.T) {
	// The line is longer than the buffer, so it is read in pieces, and still is one
	// line.
	sensor := strings.Repeat("x", maxLine-100)
	_, _, err := readString("seen_at_ms,sensor,device,rssi_dbm\n1793620800000," + sensor + ",b,-61\n")
	if err == nil || !strings.HasPrefix(err.Error(), "stdin:2: sensor: ") {
		t.Errorf("error is %v, want one about the sensor", err)
	}
}

func TestMistakesInNDJSON(t *testing.T) {
	const good = `{"business":"cafe","sensor":"door","device":"phone","rssi_dbm":-61,"seen_at":"2026-11-02T12:00:00Z"}` + "\n"
	for _, c := range []struct{ why, content, want string }{
		{"no JSON", good + "{sensor}\n", "a.json:2: not a JSON object"},
		{"object of several lines", "{\n\"sensor\": \"door\"\n}\n", "a.json:1: an object goes on behind the end of its line; write one object a line: jq -c"},
		{"cut off in the first line", good[:40], "a.json: nothing was read from the recording: a.json:1: the file ends inside this line"},
		{"misspelt name", `{"sensor":"door","device":"phone","rssi_dbm":-61,"seen_at":1793620800000,"asociated":true}`, `a.json:1: field "asociated" looks like associated`},
		{"two objects in a line", good[:len(good)-1] + good, "a.json:1: not a JSON object"},
		{"no object", good + "[1]\n", "a.json:2: not a JSON object"},
		{"no signal", `{"sensor":"door","device":"phone","seen_at":1793620800000}`, "a.json: nothing was read from the recording: left out 1: no signal strength, first at a.json:1"},
		{"no time", `{"sensor":"door","device":"phone","rssi_dbm":-61}`, "a.json: nothing was read from the recording: left out 1: no time, first at a.json:1"},
		{"no device", `{"sensor":"door","rssi_dbm":-61,"seen_at":1793620800000}`, "a.json: nothing was read from the recording: left out 1: no address of a device"},
		{"two devices", `{"sensor":"door","device":"a","mac":"00:1b:63:84:45:e6"}`, "a.json:1: mac and device: "},
		{"signal as an array", `{"rssi_dbm":[-61]}`, "a.json:1: rssi_dbm: unexpected JSON array"},
		{"time in words", good + `{"seen_at":"noon"}`, `a.json:2: seen_at: "noon" is no time`},
		{"no known event", `{"type":"birthday","business":"cafe"}`, `a.json:1: type: "birthday" is not a CRM event`},
		{"event without contact", `{"type":"contact-deleted","business":"cafe","at":1793620800000}`, "a.json:1: contact: missing"},
		{"login of a device without name", `{"type":"portal-login","mac":"00:1b:63:84:45:e6","at":1793620800000}`, `a.json:1: contact: "" is empty`},
		{"login of nobody", `{"type":"portal-login","mac":"01:00:5e:00:00:fb","contact":"ada","at":1793620800000}`, "a.json: nothing was read from the recording: left out 1: multicast address"},
	} {
		if got := fileError(t, "a.json", c.content); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: error is %.200s\nwant %s...", c.why, got, c.want)
		}
	}
}

func TestBrokenFiles(t *testing.T) {
	radio := layers.LinkTypeIEEE80211Radio
	three := []frame{probe(0, "00:1b:63:84:45:e6", -61), probe(1, "00:1b:63:84:45:e6", -61), probe(2, "00:1b:63:84:45:e6", -61)}
	pcap, ng := pcapOf(t, radio, three...), pcapngOf(t, radio, three...)
	zip := zipped(t, []byte(rowsAt(0, 1, 2)))
	for _, c := range []struct {
		why     string
		content []byte
		want    string
	}{
		{"gzip with a wrong checksum", append(bytes.Clone(zip[:len(zip)-8]), 1, 2, 3, 4, 5, 6, 7, 8), "x:5: gzip: invalid checksum"},
		{"gzip and then something else", append(bytes.Clone(zip), "something else"...), "x:5: gzip: invalid header"},
		{"gzip of nothing", zipped(t, nil), "x: empty"},
		{"gzip header cut off", zip[:6], "x: nothing was read from the recording: it is cut off at its beginning: unexpected EOF"},
		{"pcap header cut off", pcap[:20], "x: header of the capture: unexpected EOF"},
		{"pcap of another version", append(bytes.Clone(pcap[:4]), pcap[8:]...), "x: header of the capture: "},
		{"pcap cut in its first packet", pcap[:24+16+3], "x: nothing was read from the recording: x: packet 1: the file ends inside this packet"},
		{"pcap of another link type", pcapOf(t, layers.LinkTypeEthernet), "x: link type is 1 (Ethernet), want 127"},
		{"pcapng header cut off", ng[:20], "x: nothing was read from the recording: x: packet 1: the file ends inside this packet"},
		{"pcapng of another link type", pcapngOf(t, layers.LinkTypeEthernet, three...), "x: link type is 1 (Ethernet), want 127"},
		{"clock never set", pcapOf(t, radio, probe(-1793620800, "00:1b:63:84:45:e6", -61)), "x: nothing was read from the recording: left out 1: time not within the years 2000 to 2099, first at x: packet 1"},
	} {
		if got := fileError(t, "x", string(c.content)); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: error is %.200s\nwant %s...", c.why, got, c.want)
		}
	}
}

func TestFilesThatCannotBeOpened(t *testing.T) {
	if _, err := Open([]string{filepath.Join(t.TempDir(), "nothing.csv")}, nil, options); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("file that is not there: %v", err)
	}
	if _, err := Open([]string{t.TempDir()}, nil, options); err == nil || !strings.HasSuffix(err.Error(), "is a directory") {
		t.Errorf("directory: %v", err)
	}
	broken := errors.New("broken pipe")
	if _, err := Open([]string{"-"}, io.MultiReader(strings.NewReader(csvFixture), failing{broken}), options); !errors.Is(err, broken) {
		t.Errorf("stdin that fails: %v", err)
	}
	good := inFile(t, "good.csv", []byte(csvFixture))
	if _, err := Open([]string{good}, nil, Options{Business: "shop"}); err == nil || !strings.HasSuffix(err.Error(), "good.csv:2: mac: the file holds a MAC address and no key was given to make pseudonyms; pass the key") {
		t.Errorf("address without a key: %v", err)
	}
	if _, err := Open([]string{good}, nil, Options{Device: options.Device}); err == nil || !strings.Contains(err.Error(), "good.csv:3: business: ") {
		t.Errorf("row without a business: %v", err)
	}
}

// failing is a reader that fails.
type failing struct{ err error }

// Read fails.
func (f failing) Read([]byte) (int, error) { return 0, f.err }
