package ingest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"footfall/events"
	"footfall/shared/ingest/senders"
)

// agent is the script of docs/ingest.md on a router, and the answers to its posts.
type agent struct {
	*testing.T
	dir string

	mu      sync.Mutex // over the fields that the server uses
	harness *harness
	got     []int  // statuses since the last run
	body    []byte // of the latest post
}

func newAgent(t *testing.T) *agent {
	for _, tool := range []string{"sh", "openssl", "curl", "awk", "flock"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	a := &agent{T: t, harness: newHarness(t), dir: t.TempDir()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := must(io.ReadAll(r.Body))
		header := map[string]string{}
		for name := range maps.Keys(r.Header) {
			header[name] = r.Header.Get(name)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		got := a.harness.send(t, r.Method, r.URL.Path, header, body)
		a.got, a.body = append(a.got, got.status), body
		w.WriteHeader(got.status)
		_, _ = io.WriteString(w, got.body)
	}))
	t.Cleanup(server.Close)
	script := regexp.MustCompile("(?s)```sh\n(#!/bin/sh\n.*?)```").FindStringSubmatch(guide(t))[1]
	a.write("agent", strings.NewReplacer("https://ingest.example.com", server.URL, "/etc/footfall.secret", "secret",
		"cd /tmp ", "cd . ", "HOME=/tmp ", "HOME=. ", "/var/run/hostapd/", "sockets/", " --retry 3", "").Replace(script))
	a.write("secret", secret+"\n")
	a.write("log", "")
	a.write("logread", "#!/bin/sh\n[ \"$*\" = -t ] && cat log\n")
	a.write("sleep", "#!/bin/sh\n[ \"$1\" -ge 0 ] && [ \"$1\" -lt 50 ]\n")

	// The control sockets of two networks, and one that has no stations. hostapd_cli
	// prints what reached the socket if it was asked to attach for probe requests.
	if err := os.Mkdir(filepath.Join(a.dir, "sockets"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, socket := range []string{"phy0-ap0", "phy1-ap0", "global"} {
		a.write("sockets/"+socket, "")
	}
	a.write("hostapd_cli", "#!/bin/sh\nread -r command\n"+
		"[ \"$1 $command\" = '-i raw ATTACH probe_rx_events=1' ] && echo 'Interactive mode' && cat \"sockets/$2\"\n")

	// The agent reads the clock for probe requests.
	a.set(time.Now().UTC(), nil)
	return a
}

// hears sets what reaches a control socket in a slice of the agent.
func (a *agent) hears(socket string, lines ...string) {
	a.Helper()
	a.write("sockets/"+socket, strings.Join(lines, "\n")+"\n")
}

func (a *agent) write(name, text string) {
	a.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o700); err != nil {
		a.Fatal(err)
	}
}

// logs adds a line to the router's log.
func (a *agent) logs(text string) {
	a.Helper()
	f := must(os.OpenFile(filepath.Join(a.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600))
	at := a.harness.now.Add(-time.Minute)
	_, err := fmt.Fprintf(f, "%s [%d.250] daemon.notice %s\n", at.In(berlin).Format(time.ANSIC), at.Unix(), text)
	if err := errors.Join(err, f.Close()); err != nil {
		a.Fatal(err)
	}
}

// run runs the script once, as cron does every minute, and fails the test if the
// answers to its posts are not want.
func (a *agent) run(when string, want ...int) {
	a.Helper()
	cmd := exec.CommandContext(a.Context(), "sh", "agent")
	cmd.Dir, cmd.Env = a.dir, append(os.Environ(), "PATH="+a.dir+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		a.Errorf("%s: %v\n%s", when, err, out)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.got, want) {
		a.Errorf("%s: answers %v, want %v", when, a.got, want)
	}
	a.got = nil
}

// set sets the time, and the error of reading businesses.
func (a *agent) set(now time.Time, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.harness.now, a.harness.businesses.err = now, err
}

// The agent posts only if there are new events, each once. Otherwise its posts would
// be rejected every minute of the night and raise the alarm refused-posts. A post
// that failed in ingest is posted again.
func TestAgentOfTheGuide(t *testing.T) {
	a := newAgent(t)
	begin := a.harness.now
	a.logs("hostapd: phy0-ap0: AP-STA-CONNECTED 00:00:5e:00:53:01 auth_alg=open")
	a.run("a device joins", http.StatusOK)
	a.run("no new line")
	a.logs("dnsmasq-dhcp[1]: DHCPACK(br-lan) 192.0.2.7 00:00:5e:00:53:01")
	a.logs("hostapd: phy0-ap0: STA 00:00:5e:00:53:01 WPA: group key handshake completed (RSN)")
	a.run("no new event of a device")
	a.logs("wpad: phy0-ap0: AP-STA-POLL-OK 00:00:5e:00:53:01")
	a.run("a device is polled", http.StatusOK)

	a.set(begin.Add(time.Minute), errors.New("no table"))
	a.logs("hostapd: phy0-ap0: AP-STA-DISCONNECTED 00:00:5e:00:53:01")
	a.run("ingest fails", http.StatusServiceUnavailable)
	a.set(begin.Add(2*time.Minute), nil)
	a.run("ingest works again", http.StatusOK)
	var got []events.Session
	for _, s := range a.harness.sightings(t) {
		got = append(got, s.Session)
	}
	if want := []events.Session{events.SessionJoined, events.SessionAlive, events.SessionLeft}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	a.set(begin.Add(3*time.Hour), nil)
	a.run("the shop is closed")
	if code := a.harness.post(t, cafe, senders.Hostapd, a.body).code; code != clockSkew.Code {
		t.Errorf("the same post by hand: got code %q, want %q", code, clockSkew.Code)
	}
}

// The agent takes probe requests from the control socket of each network. Of a
// device it posts the strongest of each slice.
func TestProbeRequestsOfTheAgent(t *testing.T) {
	a := newAgent(t)
	a.hears("phy0-ap0",
		"> OK", "> <3>RX-PROBE-REQUEST sa=00:00:5e:00:53:01 signal=-71", "<3>RX-PROBE-REQUEST sa=00:00:5e:00:53:01 signal=-58",
		"<3>AP-STA-CONNECTED 00:00:5e:00:53:02", "<3>CTRL-EVENT-X <3>RX-PROBE-REQUEST sa=00:00:5e:00:53:03 signal=-50")
	a.hears("phy1-ap0", "<3>RX-PROBE-REQUEST sa=00:00:5e:00:53:04 signal=-77 channel=6 rate=2")
	a.hears("global", "<3>RX-PROBE-REQUEST sa=00:00:5e:00:53:05 signal=-50")
	a.set(a.harness.now, errors.New("no table"))
	a.run("ingest fails", http.StatusServiceUnavailable)
	for _, socket := range []string{"phy0-ap0", "phy1-ap0"} {
		a.hears(socket)
	}
	a.set(a.harness.now, nil)
	a.run("ingest works again", http.StatusOK)
	a.run("nothing new is heard")

	got, key := map[events.DeviceID]events.RSSI{}, must(a.harness.Keys.Business(t.Context(), "", cafe))
	for _, s := range a.harness.sightings(t) {
		got[s.Device] = s.RSSI
	}
	want := map[events.DeviceID]events.RSSI{key.Device([6]byte{0, 0, 0x5e, 0, 0x53, 1}): -58, key.Device([6]byte{0, 0, 0x5e, 0, 0x53, 4}): -77}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Without hostapd_cli, which is a package of its own, the agent posts the lines of
// the log.
func TestAgentWithoutControlSockets(t *testing.T) {
	a := newAgent(t)
	if err := os.Remove(filepath.Join(a.dir, "hostapd_cli")); err != nil {
		t.Fatal(err)
	}
	a.logs("hostapd: phy0-ap0: AP-STA-CONNECTED 00:00:5e:00:53:01")
	a.run("a device joins", http.StatusOK)
	if err := os.RemoveAll(filepath.Join(a.dir, "sockets")); err != nil {
		t.Fatal(err)
	}
	a.logs("hostapd: phy0-ap0: AP-STA-DISCONNECTED 00:00:5e:00:53:01")
	a.run("a device leaves, and hostapd has no socket", http.StatusOK)
}
