package senders

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"footfall/events"
)

var update = flag.Bool("update", false, "write the golden files")

func berlin(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// arrival returns an Arrival a minute after most observations of the fixtures.
func arrival(t testing.TB) Arrival {
	return Arrival{
		At:   time.Date(2026, 11, 21, 10, 1, 0, 0, time.UTC),
		Zone: berlin(t), Hold: -85, Limits: DefaultLimits,
	}
}

// formatOf returns the format of a kind.
func formatOf(t testing.TB, kind string) Format {
	t.Helper()
	f, ok := ByKind(kind)
	if !ok {
		t.Fatalf("there is no kind %q", kind)
	}
	return f
}

// describe returns a Post as readable lines, in the order of the post.
func describe(p Post) string {
	var b strings.Builder
	for _, h := range p.Observations {
		joined := ""
		if h.Associated {
			joined = " associated"
		}
		if h.Session != events.SessionNone {
			joined += ", session " + string(h.Session)
		}
		fmt.Fprintf(&b, "heard %x by %q at %d dBm, %s%s\n", h.MAC, h.Router, h.RSSI, h.SeenAt.Format(time.RFC3339Nano), joined)
	}
	for _, l := range p.Logins {
		fmt.Fprintf(&b, "login of %q with %x, %s\n", l.Contact, l.MAC, l.At.Format(time.RFC3339Nano))
	}
	for _, r := range slices.Sorted(maps.Keys(p.LeftOut)) {
		fmt.Fprintf(&b, "left out: %d %s\n", p.LeftOut[r], r)
	}
	return b.String()
}

// fixtures returns the content of every fixture by kind and path.
func fixtures(t testing.TB) map[string]map[string][]byte {
	t.Helper()
	all := map[string]map[string][]byte{}
	for _, kind := range Kinds() {
		all[kind] = map[string][]byte{}
		paths, err := filepath.Glob(filepath.Join("testdata", kind, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if filepath.Ext(path) == ".golden" {
				continue
			}
			if all[kind][path], err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
		if len(all[kind]) == 0 {
			t.Fatalf("kind %s has no fixture", kind)
		}
	}
	return all
}

// Every fixture parses to the post of its golden file.
func TestFixtures(t *testing.T) {
	for kind, bodies := range fixtures(t) {
		for path, body := range bodies {
			before := bytes.Clone(body)
			p, err := formatOf(t, kind).Parse(body, arrival(t))
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			if !bytes.Equal(body, before) {
				t.Errorf("%s: Parse changed the body", path)
			}
			golden := path + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(describe(p)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(p); got != string(want) {
				t.Errorf("%s: got\n%swant\n%s", path, got, want)
			}
		}
	}
}

// The samples of the vendors' documentation, if they lie beside the project, parse
// to the observations that a reader of the documentation expects.
func TestVendorSamples(t *testing.T) {
	for _, c := range []struct{ kind, file, want string }{
		{Meraki, "meraki_v3_wifi_masked.json", `
heard 347e5c000001 by "a8:46:9d:00:00:63" at -60 dBm, 2021-11-23T14:01:49Z
heard 2816ad000002 by "a8:46:9d:00:00:63" at -92 dBm, 2021-11-23T14:01:42Z
heard f07960000003 by "a8:46:9d:00:00:63" at -88 dBm, 2021-11-23T14:01:43Z
`},
		{Meraki, "meraki_v2_devices_seen.json", `
heard 18fe34fc5a7f by "00:18:0a:13:dd:b0" at -48 dBm, 2016-09-24T00:06:23Z associated
heard 74da38560a80 by "00:18:0a:13:dd:b0" at -48 dBm, 2016-09-24T00:06:40Z associated
`},
		{CloudTrax, "cloudtrax_presence_v1.json", `
heard 009acde31549 by "ac:86:74:82:9a:30" at -77 dBm, 2016-10-07T17:18:38Z
heard 009acde31549 by "ac:86:74:82:9a:30" at -55 dBm, 2016-10-07T17:18:15Z
heard 9801a79e477f by "ac:86:74:82:9a:30" at -38 dBm, 2016-10-07T17:18:38Z
heard 9801a79e477f by "ac:86:74:82:9a:30" at -42 dBm, 2016-10-07T17:18:32Z
heard e29ffc7f1f42 by "ac:86:74:82:9a:30" at -65 dBm, 2016-10-07T17:18:34Z
`},
		{Mist, "mist_wifi_unconn_raw.json", `
heard 28f0762d221e by "ac:23:16:ec:a7:0b" at -92 dBm, 2026-11-21T10:01:00Z
heard 38f9d399086e by "ac:23:16:ec:a7:0b" at -94 dBm, 2026-11-21T10:01:00Z
`},
		{Hostapd, "hostapd_syslog.txt", `
heard 0a510736ec3d by "wap-lib-1s" at -85 dBm, 2027-02-03T09:40:18Z associated, session left
heard ec63d7f944c1 by "wap-b300-j" at -85 dBm, 2024-02-03T10:20:39Z associated, session left
heard 6479f05b8ef7 by "wap-lib-0j" at 0 dBm, 2024-02-03T12:36:33.306Z associated, session joined
`},
	} {
		body, err := os.ReadFile(filepath.Join("../../../../shared/samples", c.file))
		if errors.Is(err, os.ErrNotExist) {
			t.Skip("the samples are not here")
		}
		if err != nil {
			t.Fatal(err)
		}
		p, err := formatOf(t, c.kind).Parse(body, arrival(t))
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
		}
		if got := describe(p); got != strings.TrimPrefix(c.want, "\n") {
			t.Errorf("%s: got\n%swant%s", c.file, got, c.want)
		}
	}
}

// A byte order mark before a body changes nothing, for any kind.
func TestByteOrderMark(t *testing.T) {
	for kind, bodies := range fixtures(t) {
		for path, body := range bodies {
			want, err := formatOf(t, kind).Parse(body, arrival(t))
			if err != nil {
				t.Fatal(err)
			}
			got, err := formatOf(t, kind).Parse(append([]byte(byteOrderMark), body...), arrival(t))
			if err != nil || describe(got) != describe(want) {
				t.Errorf("%s: got %v\n%swant\n%s", path, err, describe(got), describe(want))
			}
		}
	}
	for _, body := range []string{byteOrderMark, byteOrderMark + byteOrderMark + `{"sightings":[]}`, `{` + byteOrderMark + `"sightings":[]}`} {
		if _, err := formatOf(t, Footfall).Parse([]byte(body), arrival(t)); codeOf(t, err) != BadJSON {
			t.Errorf("%q: got %v, want %s", body, err, BadJSON)
		}
	}
}

func TestKinds(t *testing.T) {
	want := []string{CloudTrax, Footfall, Hostapd, Meraki, Mist}
	if got := Kinds(); !slices.Equal(got, want) {
		t.Errorf("got kinds %v, want %v", got, want)
	}
	if _, ok := ByKind("Meraki"); ok {
		t.Error("ByKind accepts another spelling, which paths do not")
	}
}

func TestRouterName(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"00-00-5E-00-53-F1", "00:00:5e:00:53:f1"},
		{" 00005e0053f1\n", "00:00:5e:00:53:f1"},
		{"0000.5e00.53f1", "00:00:5e:00:53:f1"},
		{" Till 2 ", "Till 2"},
		{"00:00:5e:00:53", "00:00:5e:00:53"}, // too short for a MAC address: a name
		{"", ""},
		{"00:00:00:00:00:00", ""},
		{"a\x00b", ""},
		{"\xff", ""},
		{strings.Repeat("n", events.MaxIDBytes), strings.Repeat("n", events.MaxIDBytes)},
		{strings.Repeat("n", events.MaxIDBytes+1), ""},
	} {
		if got := RouterName(c.name); got != c.want {
			t.Errorf("RouterName(%q): got %q, want %q", c.name, got, c.want)
		}
		if again := RouterName(c.want); again != c.want {
			t.Errorf("RouterName(%q): got %q, want the same name", c.want, again)
		}
	}
}

// Contact ids are written to topics and errors. An e-mail address, a phone number or
// a MAC address is not accepted as an id.
func TestContactIDsHoldNoPersonalData(t *testing.T) {
	format, _ := ByKind(Footfall)
	body := `{"logins":[`
	for i, contact := range []string{
		"contact-17", "112233445566", "ann@example.org", "+49 170 1234567", "",
		"00:00:5E:00:53:01", "00-00-5e-00-53-02", "0000.5e00.5303", "00005e005301",
	} {
		if i > 0 {
			body += ","
		}
		body += fmt.Sprintf(`{"mac":"00:00:5e:00:53:01","contact":%q,"at":"2026-11-20T12:00:00Z"}`, contact)
	}
	post, err := format.Parse([]byte(body+"]}"), Arrival{At: time.Now(), Limits: DefaultLimits})
	if err != nil {
		t.Fatal(err)
	}
	if len(post.Logins) != 2 || post.Logins[0].Contact != "contact-17" || post.Logins[1].Contact != "112233445566" || post.LeftOut[BadContact] != 7 {
		t.Errorf("got logins %+v, left out %v, want contact-17 and 112233445566 and 7 left out", post.Logins, post.LeftOut)
	}
}
