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
		{"no header", good, `a.csv:1: header: unknown column "1793620800000"`},
		{"unknown column", "seen_at_ms,sensor,mac,rssi_dbm,ssid\n", `a.csv:1: header: unknown column "ssid"`},
		{"column twice", "seen_at_ms,sensor,mac,rssi_dbm,mac\n", "a.csv:1: header: two columns are called mac"},
		{"column missing", "seen_at_ms,mac,rssi_dbm\n", "a.csv:1: header: column sensor is missing"},
		{"mac and device", "seen_at_ms,sensor,mac,device,rssi_dbm\n", "a.csv:1: header: want either column mac or column device"},
		{"neither of them", "seen_at_ms,sensor,rssi_dbm\n", "a.csv:1: header: want either column mac or column device"},
		{"row too short", header + good + "1793620800000,door,-61\n", "a.csv:3: 3 columns, want 4"},
		{"row too long", header + "1793620800000,door,00:1b:63:84:45:e6,-61,\n", "a.csv:2: 5 columns, want 4"},
		{"empty lines are counted", header + "\n\r\n" + "x,door,00:1b:63:84:45:e6,-61\n", "a.csv:4: seen_at_ms: "},
		{"time is no number", header + "noon,door,00:1b:63:84:45:e6,-61\n", `a.csv:2: seen_at_ms: "noon" is not a whole number`},
		{"seconds for milliseconds", header + "1793620800,door,00:1b:63:84:45:e6,-61\n", "a.csv:2: seen_at: 1793620800 ms since 1970 is not within"},
		{"signal is no number", header + good + "1793620800000,door,00:1b:63:84:45:e6,weak\n", `a.csv:3: rssi_dbm: "weak" is not a whole number`},
		{"signal too strong", header + "1793620800000,door,00:1b:63:84:45:e6,1\n", "a.csv:2: rssi_dbm: 1 is not within [-127, 0]"},
		{"no address", header + "1793620800000,door,phone,-61\n", "a.csv:2: mac: "},
		{"address of eight bytes", header + "1793620800000,door,00:1b:63:84:45:e6:00:01,-61\n", "a.csv:2: mac: 8 bytes, want 6"},
		{"no sensor", header + "1793620800000,,00:1b:63:84:45:e6,-61\n", `a.csv:2: sensor: "" is empty`},
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
		{"cut off", good + good[:40], "a.json:2: not a JSON object"},
		{"two objects in a line", good[:len(good)-1] + good, "a.json:1: not a JSON object"},
		{"no object", good + "[1]\n", "a.json:2: not a JSON object"},
		{"no signal", `{"sensor":"door","device":"phone","seen_at":1793620800000}`, "a.json:1: rssi_dbm: missing"},
		{"no time", `{"sensor":"door","device":"phone","rssi_dbm":-61}`, "a.json:1: seen_at: missing"},
		{"no device", `{"sensor":"door","rssi_dbm":-61,"seen_at":1793620800000}`, `a.json:1: device: "" is empty`},
		{"two devices", `{"sensor":"door","device":"a","mac":"00:1b:63:84:45:e6"}`, "a.json:1: mac and device: "},
		{"signal as a string", `{"rssi_dbm":"-61"}`, "a.json:1: rssi_dbm: unexpected JSON string"},
		{"time in words", good + `{"seen_at":"noon"}`, `a.json:2: not a JSON object with the fields of a recording: "noon" is neither an RFC 3339 time`},
		{"no known event", `{"type":"birthday","business":"cafe"}`, `a.json:1: type: "birthday" is not a CRM event`},
		{"event without contact", `{"type":"contact-deleted","business":"cafe","at":1793620800000}`, "a.json:1: contact: missing"},
		{"login of a device without name", `{"type":"portal-login","mac":"00:1b:63:84:45:e6","at":1793620800000}`, `a.json:1: contact: "" is empty`},
		{"login of nobody", `{"type":"portal-login","mac":"01:00:5e:00:00:fb","contact":"ada","at":1793620800000}`, "a.json:1: mac: a login cannot come from a multicast address"},
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
	packet := len(three[0].bytes(t)) // and 16 bytes of header in a pcap
	zip := zipped(t, []byte(rowsAt(0, 1, 2)))
	for _, c := range []struct {
		why     string
		content []byte
		want    string
	}{
		{"gzip cut off", zip[:len(zip)-12], "x:"},
		{"gzip with a wrong checksum", append(bytes.Clone(zip[:len(zip)-8]), 1, 2, 3, 4, 5, 6, 7, 8), "x:5: gzip: invalid checksum"},
		{"gzip and then something else", append(bytes.Clone(zip), "tail"...), "x:5: "},
		{"gzip of nothing", zipped(t, nil), "x: empty"},
		{"gzip header cut off", zip[:6], "x: unexpected EOF"},
		{"pcap header cut off", pcap[:20], "x: header of the capture: unexpected EOF"},
		{"pcap of another version", append(bytes.Clone(pcap[:4]), pcap[8:]...), "x: header of the capture: "},
		{"pcap cut in a packet", pcap[:len(pcap)-3], "x: packet 3: unexpected EOF"},
		{"pcap cut in a packet's header", pcap[:24+16+packet+5], "x: packet 2: unexpected EOF"},
		{"pcap cut between a packet's header and its bytes", pcap[:24+16+packet+16], "x: packet 2: unexpected EOF"},
		{"pcap of another link type", pcapOf(t, layers.LinkTypeEthernet), "x: link type is 1 (Ethernet), want 127"},
		{"pcapng header cut off", ng[:20], "x: header of the capture: unexpected EOF"},
		{"pcapng cut in a packet", ng[:len(ng)-7], "x: packet 3: unexpected EOF"},
		{"pcapng of another link type", pcapngOf(t, layers.LinkTypeEthernet, three...), "x: no packet has link type 127"},
		{"clock never set", pcapOf(t, radio, probe(-1793620800, "00:1b:63:84:45:e6", -61)), "x: packet 1: seen_at: 0 ms since 1970"},
	} {
		if got := fileError(t, "x", string(c.content)); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: error is %.200s\nwant %s...", c.why, got, c.want)
		}
	}
	if got := fileError(t, "x", string(zip[:len(zip)-12])); !strings.HasSuffix(got, "unexpected EOF") {
		t.Errorf("gzip cut off: error is %s, want ...unexpected EOF", got)
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
