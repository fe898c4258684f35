package senders

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// A time without a year or a zone is the moment nearest to the arrival of the post
// at which a clock of the business shows it.
func TestTimeWithoutYearOrZone(t *testing.T) {
	for _, c := range []struct{ why, arrival, stamp, want string }{
		{"a moment ago", "2026-11-21T10:01:00Z", "Nov 21 11:00:05", "2026-11-21T10:00:05Z"},
		{"a day of one digit", "2026-11-03T10:01:00Z", "Nov  3 11:00:05", "2026-11-03T10:00:05Z"},
		{"summer", "2026-07-21T10:01:00Z", "Jul 21 12:00:05", "2026-07-21T10:00:05Z"},
		{"before midnight of new year's eve, arrived after it", "2026-12-31T23:00:10Z", "Dec 31 23:59:58", "2026-12-31T22:59:58Z"},
		{"the same, and UTC is in the old year still", "2026-12-31T23:30:00Z", "Jan  1 00:29:00", "2026-12-31T23:29:00Z"},
		{"in the new year, from the old", "2027-01-01T00:30:00Z", "Dec 31 23:59:58", "2026-12-31T22:59:58Z"},
		{"a fast clock on new year's eve", "2026-12-31T22:59:50Z", "Jan  1 00:00:10", "2026-12-31T23:00:10Z"},
		{"months away, the nearer year", "2026-11-21T10:01:00Z", "Feb  3 10:40:18", "2027-02-03T09:40:18Z"},
		{"the leap day", "2028-03-01T10:00:00Z", "Feb 29 10:00:00", "2028-02-29T09:00:00Z"},
		{"the first of the two hours of autumn", "2026-10-25T00:31:00Z", "Oct 25 02:30:00", "2026-10-25T00:30:00Z"},
		{"the second of them", "2026-10-25T01:31:00Z", "Oct 25 02:30:00", "2026-10-25T01:30:00Z"},
		{"the same with a year", "2026-10-25T01:31:00Z", "Sun Oct 25 02:30:00 2026", "2026-10-25T01:30:00Z"},
		{"the same as RFC 3339 without a zone", "2026-10-25T01:31:00Z", "2026-10-25T02:30:00.5", "2026-10-25T01:30:00.5Z"},
		{"an hour that spring leaves out", "2026-03-29T01:31:00Z", "Mar 29 02:30:00", ""},
		{"a leap day in a common year", "2026-03-01T10:00:00Z", "Feb 29 10:00:00", ""},
		{"with a zone", "2026-11-21T10:01:00Z", "2026-11-21T05:00:05-05:00", "2026-11-21T10:00:05Z"},
		{"a router that never set its clock", "2026-11-21T10:01:00Z", "Thu Jan  1 01:00:10 1970", ""},
	} {
		at := arrival(t)
		at.At = parseTime(t, c.arrival)
		from := "ap hostapd:"
		if len(c.stamp) == len("Mon Jan _2 15:04:05 2006") {
			from = "daemon.notice hostapd:"
		}
		if strings.HasSuffix(c.stamp, "-05:00") {
			from = "ap hostapd[1]:"
		}
		p, err := hostapd{}.Parse([]byte("router: ap\n"+c.stamp+" "+from+" wlan0: AP-STA-CONNECTED 00:00:5e:00:53:01\n"), at)
		switch {
		case err != nil:
			t.Errorf("%s: %v", c.why, err)
		case c.want == "":
			if len(p.Observations) != 0 || p.LeftOut[BadTime] != 1 {
				t.Errorf("%s: got\n%swant a bad time", c.why, describe(p))
			}
		case len(p.Observations) != 1 || !p.Observations[0].SeenAt.Equal(parseTime(t, c.want)) || p.Observations[0].Router != "ap":
			t.Errorf("%s: got\n%swant %s", c.why, describe(p), c.want)
		}
	}
}

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// An event counts only at its position in a line of hostapd.
func TestEventAtAnotherPositionIsIgnored(t *testing.T) {
	const event = "AP-STA-CONNECTED 00:00:5e:00:53:01"
	for _, line := range []string{
		"Nov 21 11:00:05 ap hostapd wlan0: " + event,
		"Nov 21 11:00:05 ap dnsmasq: wlan0: " + event,
		"Nov 21 11:00:05 ap hostapd: wlan0: CTRL-EVENT-EAP-STARTED " + event,
		"Nov 21 11:00:05 ap x: hostapd: wlan0: " + event,
		"Nov 21 11:00:05 ap hostapd: wlan0: wlan1: " + event,
		"Nov 21 11:00:05 ap hostapd: wlan0 " + event,
		"Nov 21 11:00:05 ap hostapd: wlan0: <three>" + event,
		"Nov 21 11:00:05 ap wpad_x: wlan0: " + event,
		"Nov 21 11:00:05 ap wpa_supplicant[1]: wlan0: " + event,
		"Nov 21 11:00:05 ap x,y,z: hostapd: wlan0: " + event,
		"Sat Nov 21 11:00:05 2026 user.notice root: hostapd: wlan0: " + event,
		`<29>1 2026-11-21T10:00:05Z ap dnsmasq 1 - - hostapd: wlan0: ` + event,
		`<29>1 2026-11-21T10:00:05Z ap - - - - wlan0: ` + event,
		`<29>1 2026-11-21T10:00:05Z ap hostapd 1 - [a b="] wlan0: ` + event,
		`<29>1 2026-11-21T10:00:05Z ap hostapd 1 - wlan0: ` + event,
		`1 2026-11-21T10:00:05Z ap hostapd 1 - - wlan0: ` + event,
		"17952552.05: x: wlan0: " + event,
		"2026-11-21T10:00:05Z ap x hostapd: wlan0: " + event,
		event,
	} {
		p, err := hostapd{}.Parse([]byte(line), arrival(t))
		if err != nil || len(p.Observations) > 0 || p.LeftOut[UnknownLine] != 1 {
			t.Errorf("%s: got %v, %s, want one unknown line", line, err, describe(p))
		}
	}
}

// The times of a business without a zone are in UTC.
func TestBusinessWithoutZone(t *testing.T) {
	at := arrival(t)
	at.Zone = nil
	p, err := hostapd{}.Parse([]byte("Nov 21 10:00:05 ap hostapd: wlan0: AP-STA-CONNECTED 00:00:5e:00:53:01"), at)
	want := time.Date(2026, 11, 21, 10, 0, 5, 0, time.UTC)
	if err != nil || len(p.Observations) != 1 || !p.Observations[0].SeenAt.Equal(want) {
		t.Errorf("got %v\n%swant %s", err, describe(p), want)
	}
}

// A line names its router as host, as the address of UniFi, or not at all: then the
// line "router: NAME" before it does.
func TestRouterOfLine(t *testing.T) {
	const event = "wlan0: AP-STA-CONNECTED 00:00:5e:00:53:01"
	for line, want := range map[string]string{
		"Nov 21 11:00:05 hermes.example.org hostapd: " + event:                                       "hermes.example.org",
		"Nov 21 11:00:05 mail.info hostapd: " + event:                                                "mail.info",
		"Nov 21 11:00:05 ap-door daemon.notice hostapd: " + event:                                    "ap-door",
		"Nov 21 11:00:05 2001:db8::7 hostapd: " + event:                                              "2001:db8::7",
		"Nov 21 11:00:05 a8-46-9d-00-00-63 hostapd: " + event:                                        "a8:46:9d:00:00:63",
		"Nov 21 11:00:05 192.0.2.7 U6LR,00005e0053f1,v6.6.55: hostapd: " + event:                     "00:00:5e:00:53:f1",
		"<14>Nov 21 11:00:05 U7-Pro 00005e0053f1,U7-Pro-XG-8.6.11+18870: hostapd[6885]: " + event:    "00:00:5e:00:53:f1",
		"Nov 21 11:00:05 U7PG2,00005e0053f1,v4.3.28.11361: : hostapd[1]: " + event:                   "00:00:5e:00:53:f1",
		`Nov 21 11:00:05 ("U7PG2,00005e0053f1,v4.0.1.9421") hostapd: ` + event:                       "00:00:5e:00:53:f1",
		"<29>1 2026-11-21T10:00:05Z ap-door hostapd 812 - - " + event:                                "ap-door",
		"<29>1 2026-11-21T10:00:05Z U6LR,00005e0053f1,v6.6.55 hostapd - - [a b=\"\\]\"][c] " + event: "00:00:5e:00:53:f1",
		"<29>1 2026-11-21T10:00:05Z ap hostapd 1 - - \ufeff" + event:                                 "ap",
		"<29>1 2026-11-21T10:00:05Z ap hostapd 1 - - \ufeff" + event[len("wlan0: "):]:                "ap",
		"<29>1 2026-11-21T10:00:05Z ap - - - - \ufeffhostapd: " + event:                              "ap",
		"<29>1 2026-11-21T10:00:05Z - - - - - hostapd: " + event:                                     "named",
		"Nov 21 11:00:05 hostapd: " + event:                                                          "named",
		"Sat Nov 21 11:00:05 2026 daemon.notice wpad: " + event:                                      "named",
		"Sat Nov 21 11:00:05 2026 [1795255205.250] daemon.notice hostapd: " + event:                  "named",
		"1795255205.123456: " + event:                                                                "named",
	} {
		p, err := hostapd{}.Parse([]byte("\ufeffrouter: named\r\n"+line+"\x00\r\n"), arrival(t))
		if err != nil || len(p.Observations) != 1 || p.Observations[0].Router != want {
			t.Errorf("%s: got %v\n%swant router %s", line, err, describe(p), want)
			continue
		}
		if at := p.Observations[0].SeenAt.Truncate(time.Second); !at.Equal(parseTime(t, "2026-11-21T10:00:05Z")) {
			t.Errorf("%s: got %s", line, at)
		}
	}
}

// logread -t prints the seconds since 1970 too. They hold in the hour that the end
// of summer time repeats, and on a router in another zone than the business.
func TestSecondsOfLogread(t *testing.T) {
	for line, want := range map[string]string{
		"Sun Oct 25 02:30:00 2026 [1792888200.000]": "2026-10-25T00:30:00Z",
		"Sun Oct 25 02:30:00 2026 [1792891800.000]": "2026-10-25T01:30:00Z",
		"Sat Nov 21 03:00:05 2026 [1795255205.123]": "2026-11-21T10:00:05.123Z",
		"Thu Jan  1 00:00:10 1970 [10.123]":         "",
	} {
		p, err := hostapd{}.Parse([]byte("router: ap\n"+line+" daemon.notice hostapd: wlan0: AP-STA-CONNECTED 00:00:5e:00:53:01"), arrival(t))
		switch {
		case err != nil:
			t.Errorf("%s: %v", line, err)
		case want == "":
			if p.LeftOut[BadTime] != 1 {
				t.Errorf("%s: got\n%swant a bad time", line, describe(p))
			}
		case len(p.Observations) != 1 || !p.Observations[0].SeenAt.Equal(parseTime(t, want)):
			t.Errorf("%s: got\n%swant %s", line, describe(p), want)
		}
	}
}

// A device of Wi-Fi 7 is one device whatever links it uses: its MLD address names
// it, also in later lines of the link that leave the MLD address out. A text behind
// the event of a probe request is the device's own and names nothing.
func TestMultiLinkDevice(t *testing.T) {
	const head = "2026-11-21T10:00:05Z ap hostapd: wlan0: "
	body := head + "AP-STA-CONNECTED 00:00:5e:00:53:17 auth_alg=sae mld_addr=00:00:5e:00:53:18\n" +
		head + "AP-STA-POLL-OK 00:00:5e:00:53:17\n" +
		head + "AP-STA-DISCONNECTED 00:00:5e:00:53:17\n" +
		head + "AP-STA-CONNECTED 00:00:5e:00:53:19 auth_alg=sae mld_addr=00:00:00:00:00:00\n" +
		head + "RX-PROBE-REQUEST sa=00:00:5e:00:53:20 signal=-61 ssid=x mld_addr=00:00:5e:00:53:18\n"
	p, err := hostapd{}.Parse([]byte(body), arrival(t))
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for _, o := range p.Observations {
		got = append(got, o.MAC[5])
	}
	if want := []byte{0x18, 0x18, 0x18, 0x19, 0x20}; !bytes.Equal(got, want) {
		t.Errorf("got devices %x, want %x\n%s", got, want, describe(p))
	}
}
