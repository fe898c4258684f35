package recording

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"footfall/events"
)

// phone is the address in most of the files below.
const phone = "00:1b:63:84:45:e6"

// brief returns the seconds after noon, the signal strength and the flags of
// sightings, and checks that all are of phone.
func brief(t *testing.T, items []Item) (all []string) {
	t.Helper()
	for _, it := range items {
		s := it.Sighting
		if want := options.Device("shop", mac(t, phone)); s.Device != want {
			t.Errorf("%v: device is %s, want that of %s", it.Source, s.Device, phone)
		}
		text := fmt.Sprintf("%s %g %d", s.Sensor, s.SeenAt.Sub(noon).Seconds(), s.RSSI)
		if s.Associated {
			text += " associated"
		}
		if s.Session != "" {
			text += " " + string(s.Session)
		}
		all = append(all, text)
	}
	return all
}

// Files as tools write them. noon is 1793620800 seconds since 1970.
func TestFormsOfTools(t *testing.T) {
	for _, c := range []struct {
		why, content string
		want         []string
		left         Counts
		notes        int
	}{
		{
			"pandas: an index, floats, NaN, booleans, times with an offset",
			",seen_at,sensor,mac,rssi_dbm,associated,ssid\n" +
				"0,2026-11-02 12:00:00+00:00,door," + phone + ",-61.0,True,\n" +
				"1,2026-11-02 13:00:01.500+01:00,door," + phone + ",-62.0,False,\n" +
				"2,2026-11-02 12:00:02+00:00,door," + phone + ",,False,\n" +
				"3,2026-11-02 12:00:03+00:00,door,,-60.0,False,\n" +
				"4,,door," + phone + ",-60.0,,x\n",
			[]string{"door 0 -61 associated", "door 1.5 -62"},
			Counts{NoTime: 1, NoAddress: 1, NoSignal: 1}, 1,
		},
		{
			"pandas: a column of integers with a missing value is one of floats",
			"seen_at_ms,sensor,mac,rssi_dbm,associated\n1793620800000.0,door," + phone + ",-61.0,1.0\n" +
				"1793620801000.0,door," + phone + ",-61.0,0.0\n1793620802000.0,door," + phone + ",NaN,\n",
			[]string{"door 0 -61 associated", "door 1 -61"}, Counts{NoSignal: 1}, 0,
		},
		{
			"tshark with tabs: times in seconds, a value for each antenna, other frames",
			"frame.time_epoch\twlan.sa\tradiotap.dbm_antsignal\twlan.fc.type_subtype\n" +
				"1793620800.123456789\t" + phone + "\t-61,-63\t0x0004\n" +
				"1793620801.999999999\t" + phone + "\t-70,-66\t4\n" +
				"1793620802.000000000\t00:1b:63:84:45:e7\t-40\t0x0008\n" +
				"1793620803.000000000\t" + phone + "\t\t0x0004\n",
			[]string{"stdin 0.123 -61", "stdin 1.999 -66"}, Counts{OtherFrames: 1, NoSignal: 1}, 1,
		},
		{
			"tshark with commas: the list of antennas has commas too",
			"frame.time_epoch,radiotap.dbm_antsignal,wlan.ta\n1793620800.5,-61,-63," + phone + "\n1793620801,-60," + phone + "\n",
			[]string{"stdin 0.5 -61", "stdin 1 -60"}, Counts{}, 1,
		},
		{
			"tshark with quotes",
			"frame.time_epoch,wlan.sa,radiotap.dbm_antsignal\n\"1793620800.5\",\"" + phone + "\",\"-64,-63\"\n",
			[]string{"stdin 0.5 -63"}, Counts{}, 1,
		},
		{
			"tshark 4.4 writes times in ISO",
			"frame.time,wlan.sa,wlan_radio.signal_dbm\n2026-11-02T13:00:00.250000000+0100," + phone + ",-61 dBm\n",
			[]string{"stdin 0.25 -61"}, Counts{}, 1,
		},
		{
			"tshark: the date in words",
			"frame.time;wlan.sa;wlan_radio.signal_dbm\nNov  2, 2026 12:00:00.250000000 UTC;" + phone + ";-61\n",
			[]string{"stdin 0.25 -61"}, Counts{}, 1,
		},
		{
			"Excel: a mark, semicolons, decimal commas, rows of nothing, a line that names the separator",
			"\xef\xbb\xbfsep=;\r\nSeen_At_MS;Sensor;MAC;RSSI_dBm\r\n1793620800000,0;Tür;" + strings.ToUpper(phone) + ";-61,5\r\n;;;\r\n",
			[]string{"Tür 0 -62"}, Counts{}, 0,
		},
		{
			"R: quotes around names",
			"\"\",\"seen_at\",\"router\",\"mac\",\"rssi_dbm\",\"associated\"\n\"1\",1.7936208e+12,\"door\",\"" + phone + "\",-61,TRUE\n\"2\",NA,\"door\",NA,NA,NA\n",
			[]string{"door 0 -61 associated"}, Counts{NoTime: 1}, 1,
		},
		{
			"files that were appended to each other",
			"seen_at,sensor,mac,rssi_dbm\n1793620800,door," + phone + ",-61\nseen_at,sensor,mac,rssi_dbm\n1793620801,door," + phone + ",-61\n",
			[]string{"door 0 -61", "door 1 -61"}, Counts{}, 0,
		},
		{
			"numbers of every unit",
			"seen_at,sensor,mac,rssi_dbm\n1793620800,a," + phone + ",-1\n1793620801000,a," + phone + ",-1\n" +
				"1793620802000000,a," + phone + ",-1\n1793620803000000000,a," + phone + ",-1\n1.793620804e9,a," + phone + ",-1\n",
			[]string{"a 0 -1", "a 1 -1", "a 2 -1", "a 3 -1", "a 4 -1"}, Counts{}, 0,
		},
		{
			"times with and without a zone",
			"seen_at,sensor,mac,rssi_dbm\n2026-11-02T12:00:00Z,a," + phone + ",-1\n2026-11-02 12:00:01 UTC,a," + phone + ",-1\n" +
				"2026-11-02 14:00:02 +0200,a," + phone + ",-1\n2026-11-02T12:00:03,a," + phone + ",-1\n" +
				"\"2026-11-02 12:00:04,500\",a," + phone + ",-1\n20261102T120005Z,a," + phone + ",-1\n2026-11-02 12:01,a," + phone + ",-1\n",
			[]string{"a 0 -1", "a 1 -1", "a 2 -1", "a 3 -1", "a 4.5 -1", "a 5 -1", "a 60 -1"}, Counts{}, 1,
		},
		{
			"addresses in every spelling",
			"seen_at,sensor,mac,rssi_dbm\n1793620800,a,00-1B-63-84-45-E6,-1\n1793620801,a,001b.6384.45e6,-1\n" +
				"1793620802,a,001b638445e6,-1\n1793620803,a,0:1b:63:84:45:e6,-1\n1793620804,a,00.1b.63.84.45.e6,-1\n",
			[]string{"a 0 -1", "a 1 -1", "a 2 -1", "a 3 -1", "a 4 -1"}, Counts{}, 0,
		},
		{
			"values that cannot be are left out, beside good ones",
			"seen_at,sensor,mac,rssi_dbm\n1510.86,a," + phone + ",-1\n-5,a," + phone + ",-1\n4294965795,a," + phone + ",-1\n" +
				"1793620800,a," + phone + ",5\n1793620800,a," + phone + ",-128\n1793620800,a,ff:ff:ff:ff:ff:ff,-1\n" +
				"1793620800,a,000000000000,-1\n1793620800,a,0:0:0:0:0:0,-1\n1793620800,," + phone + ",-1\n1793620800,a," + phone + ",-1\n",
			[]string{"a 0 -1"}, Counts{BadTime: 3, BadSignal: 2, Multicast: 1, ZeroAddress: 2, NoSensor: 1}, 0,
		},
		{
			"reports about sessions",
			"seen_at,sensor,mac,rssi_dbm,session\n1793620800,a," + phone + ",,joined\n1793620801,a," + phone + ",,alive\n" +
				"1793620802,a," + phone + ",-60,left\n1793620803,a," + phone + ",-60,\n",
			[]string{"a 0 0 associated joined", "a 1 -85 associated alive", "a 2 -60 associated left", "a 3 -60"}, Counts{}, 0,
		},
		{
			"the names of the HTTP door, strings for numbers, NaN, a column of pandas",
			`{"router":"door","mac":"` + phone + `","rssi_dbm":"-61","seen_at":"1793620800.5","associated":1}
{"router":"door","mac":"` + phone + `","rssi_dbm":NaN,"seen_at":1793620801}
{"router":"door \"NaN\"","mac":"` + phone + `","rssi_dbm":-61.4,"seen_at":"2026-11-02T12:00:02Z","associated":"true","battery":NaN,"note":"\"NaN"}
{"sensor":"door","mac":"` + phone + `","rssi_dbm":null,"seen_at_ms":1793620803000.0}
{"sensor":"door","mac":"00:00:00:00:00:00","rssi_dbm":-61,"seen_at_ms":1793620803000.0}
{"sensor":"door","mac":"` + phone + `","rssi_dbm":-61,"seen_at_ms":1793620804000.0,"session":"alive"}
`,
			[]string{"door 0.5 -61 associated", "door \"NaN\" 2 -61 associated", "door 4 -61 associated alive"},
			Counts{NoSignal: 2, ZeroAddress: 1}, 0,
		},
		{
			"whole posts of the HTTP door",
			`{"sightings":[{"router":"door","mac":"` + phone + `","rssi_dbm":-61,"seen_at":1793620800},{"router":"till","mac":"` + phone + `","rssi_dbm":-62,"seen_at":1793620801}]}
{"sightings":[]}
{"sightings":[{"router":"door","mac":"` + phone + `","rssi_dbm":-63,"seen_at":1793620802}]}
`,
			[]string{"door 0 -61", "till 1 -62", "door 2 -63"}, Counts{}, 0,
		},
	} {
		r, err := Open([]string{"-"}, strings.NewReader(c.content), options)
		if err != nil {
			t.Errorf("%s: %v", c.why, err)
			continue
		}
		notes := r.Notes()
		items, err := read(r)
		if err != nil {
			t.Errorf("%s: %v", c.why, err)
		}
		if got := brief(t, items); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.why, got, c.want)
		}
		if got := r.Stats().LeftOut; got != c.left {
			t.Errorf("%s: left out %v, want %v", c.why, got, c.left)
		}
		if len(notes) != c.notes {
			t.Errorf("%s: notes are %q, want %d", c.why, notes, c.notes)
		}
	}
}

// Logins in the names of the HTTP door, in a line of their own and in a post.
func TestLoginsOfTheDoor(t *testing.T) {
	items, stats, err := readString(`{"mac":"` + phone + `","contact":"ada","at":1793620800}
{"logins":[{"mac":"` + phone + `","contact":"ada","at":"2026-11-02T12:00:01Z"},{"mac":"00:00:00:00:00:00","contact":"ben","at":1793620802}]}
`)
	if want := (Stats{CRMEvents: 2, LeftOut: Counts{ZeroAddress: 1}}); err != nil || stats != want {
		t.Fatalf("got %+v (%v), want %+v", stats, err, want)
	}
	for i, it := range items {
		want := &events.PortalLogin{Business: "shop", Device: options.Device("shop", mac(t, phone)), Contact: "ada", At: at(float64(i))}
		if !reflect.DeepEqual(it.CRM.Login, want) {
			t.Errorf("got %+v, want %+v", it.CRM.Login, want)
		}
	}
}

// Reports about sessions survive sorting and writing.
func TestSessionsAreKept(t *testing.T) {
	var lines strings.Builder
	sessions := []events.Session{events.SessionLeft, events.SessionAlive, events.SessionNone, events.SessionJoined}
	for i, s := range sessions {
		fmt.Fprintf(&lines, `{"sensor":"a","device":"d","rssi_dbm":-60,"seen_at":%d,"associated":true,"session":%q}`+"\n", 1793620800-1000*i, s)
	}
	items, _, err := readString(lines.String())
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := readString(string(asLines(t, items)))
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(sessions)
	for i, want := range sessions {
		if got := items[i].Sighting.Session; got != want {
			t.Errorf("item %d: session is %q, want %q", i, got, want)
		}
		if got := again[i].Sighting.Session; got != want {
			t.Errorf("item %d, written and read: session is %q, want %q", i, got, want)
		}
	}
	if _, _, err := readString(`{"sensor":"a","device":"d","rssi_dbm":-60,"seen_at":1793620800,"session":"gone"}`); err == nil || !strings.HasPrefix(err.Error(), `stdin:1: session: "gone"`) {
		t.Errorf("session gone: error is %v", err)
	}
}

// A file that ends at any byte is read up to there: no cut makes an error once
// something was read, none yields a sighting that is not in the whole file, and
// strict refuses each cut that shows.
func TestFilesCutAnywhere(t *testing.T) {
	dir := filepath.Join("testdata", "cases")
	for _, c := range []struct {
		file string
		zip  bool
	}{
		{"00-baseline.pcap", false},
		{"00-baseline.pcap", true},
		{"30-pandas-floats.csv", false},
		{"40-epoch-seconds.ndjson", false},
		{"40-epoch-seconds.ndjson", true},
	} {
		content, err := os.ReadFile(filepath.Join(dir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		whole, _, err := readString(string(content))
		if err != nil {
			t.Fatal(err)
		}
		if c.zip {
			content = zipped(t, content)
		}
		last := 0
		for n := len(content) / 4; n < len(content); n++ {
			part := string(content[:n])
			items, _, err := readString(part)
			if err != nil {
				if last > 0 {
					t.Fatalf("%s cut at %d: %v", c.file, n, err)
				}
				continue
			}
			// In a CSV the last value may be cut, which is noted.
			same := len(items)
			if strings.HasSuffix(c.file, ".csv") && !strings.HasSuffix(part, "\n") {
				same--
			}
			if len(items) < last-1 || !reflect.DeepEqual(items[:same], whole[:same]) {
				t.Fatalf("%s cut at %d: %d items %v, before it were %d", c.file, n, len(items), items, last)
			}
			last = len(items)
			strict := options
			strict.Strict = true
			r, err := Open([]string{"-"}, strings.NewReader(part), strict)
			clean := err == nil
			if clean {
				_ = r.Close()
			}
			if r, err = Open([]string{"-"}, strings.NewReader(part), options); err != nil {
				t.Fatal(err)
			}
			if noted := len(r.Notes()) > 0; noted == clean {
				t.Fatalf("%s cut at %d: notes %q, strict: %t", c.file, n, r.Notes(), clean)
			}
			_ = r.Close()
		}
		if last == 0 {
			t.Errorf("%s: nothing was read of any part", c.file)
		}
	}
}

// A cut inside a character, and the zeros that a file system puts where data
// were not written in time.
func TestOtherCuts(t *testing.T) {
	rows := rowsAt(0, 1, 2)
	want, _, err := readString(rows)
	if err != nil {
		t.Fatal(err)
	}
	for why, end := range map[string]string{
		"inside a character": "1793620803000,T\xc3",
		"zeros":              strings.Repeat("\x00", 5000),
		"an open quote":      "1793620803000,\"do",
	} {
		items, _, err := readString(rows + end)
		if err != nil || !reflect.DeepEqual(items, want) {
			t.Errorf("%s: %d items (%v), want %d", why, len(items), err, len(want))
		}
	}
}

// Formats that are not read are named, with a way out.
func TestForeignFormats(t *testing.T) {
	for _, c := range []struct{ content, want string }{
		{"\xff\xfes\x00e\x00", "stdin: is UTF-16 text, which is not read; convert it to UTF-8: iconv"},
		{"s\x00e\x00e\x00n\x00", "stdin: is UTF-16 text, which is not read; convert it to UTF-8: iconv -f UTF-16LE"},
		{"\x00s\x00e\x00e\x00n", "stdin: is UTF-16 text, which is not read; convert it to UTF-8: iconv -f UTF-16BE"},
		{"\xff\xfe\x00\x00s\x00\x00\x00", "stdin: is UTF-32 text"},
		{"\xef\xbb\xbf\n [ {}]", "stdin: is a JSON array, which is not read; write one object a line: jq -c"},
		{"\xa1\xb2\xcd\x34\x00\x02\x00\x04", `stdin: is a "modified" pcap, which is not read; convert it: editcap`},
		{"SQLite format 3\x00", "stdin: is an SQLite file, such as a .kismet log"},
		{"PK\x03\x04", "stdin: is a zip archive or a spreadsheet"},
		{"\r\nBSSID, First time seen, Last time seen", "stdin: is the list of airodump-ng"},
		{"{\n \"sightings\": []\n}\n", "stdin:1: an object goes on behind the end of its line; write one object a line: jq -c . IN > OUT"},
	} {
		for _, content := range []string{c.content, string(zipped(t, []byte(c.content)))} {
			if _, _, err := readString(content); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%q: error is %v, want %s...", c.content, err, c.want)
			}
		}
	}
}

// Names near those of columns are mistakes if the column is missing, others are
// columns of something else.
func TestMisspeltNames(t *testing.T) {
	for name, want := range map[string]column{
		"associatd": associatedColumn, "asociated": associatedColumn, "Associated ": associatedColumn, "is_associated": associatedColumn,
		"randomizd": randomisedColumn, "RSSI dBm": rssiColumn, "rssi-dbm": rssiColumn, "rsi_dbm": rssiColumn, "seenAt": seenAtColumn,
		"seen_at_m": seenAtColumn, "sensr": sensorColumn, "sesnor": sensorColumn, "busines": businessColumn, "sesion": sessionColumn,
		"ssid": passedOver, "channel": passedOver, "vendor": passedOver, "version": passedOver, "": passedOver, "max": passedOver,
		"sensor_name": passedOver, "Unnamed: 0": passedOver, "frame.time_delta": passedOver, "wlan.fc.type": passedOver, "service": passedOver,
	} {
		if got, known := resembles(strings.TrimSpace(name)); got != want {
			t.Errorf("%q: got %d (%s), want %d", name, got, known, want)
		}
	}
}

func mac(t testing.TB, text string) []byte {
	t.Helper()
	b, err := parseMAC([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return b[:]
}

func FuzzValues(f *testing.F) {
	for _, text := range []string{"1793620800.5", "-61,-63", "1,79362E+12", "2026-11-02 12:00:00 +0100", "Nov  2, 2026 12:00:00 UTC", "0:1b:63:84:45:e6", "NaN", "-60 dBm", "1e400"} {
		f.Add([]byte(text), true)
	}
	// No text makes a function panic, and a result is one that records can hold.
	f.Fuzz(func(t *testing.T, text []byte, comma bool) {
		if v, why, err := parseSignal(text, comma); err == nil && why == used && (v < -127 || v > 0) {
			t.Errorf("%q is read as %d dBm", text, v)
		}
		if v, _, err := parseTime(text, comma); err == nil && v != cut(v) {
			t.Errorf("%q is read as %v, finer than a millisecond", text, v)
		}
		if v, err := parseMAC(text); err == nil {
			if again, err := parseMAC(fmt.Appendf(nil, "%x", v)); err != nil || again != v {
				t.Errorf("%q is read as %x", text, v)
			}
		}
		_, _ = boolean(text)
	})
}
