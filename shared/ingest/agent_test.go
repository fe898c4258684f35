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

	"footfall/shared/ingest/senders"
)

// agent is the script of docs/ingest.md on a router, and the answers to its posts.
type agent struct {
	*testing.T
	dir string

	mu      sync.Mutex // over the fields that the server uses
	harness *harness
	got     []int // statuses since the last run
}

func newAgent(t *testing.T) *agent {
	for _, tool := range []string{"sh", "openssl", "curl", "cmp"} {
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
		a.got = append(a.got, got.status)
		w.WriteHeader(got.status)
		_, _ = io.WriteString(w, got.body)
	}))
	t.Cleanup(server.Close)
	script := regexp.MustCompile("(?s)```sh\n(#!/bin/sh\n.*?)```").FindStringSubmatch(guide(t))[1]
	a.write("agent", strings.NewReplacer("https://ingest.example.com", server.URL, "/etc/footfall.secret", "secret",
		"cd /tmp ", "cd . ", " --retry 3", "").Replace(script))
	a.write("secret", secret+"\n")
	a.write("logread", "#!/bin/sh\ncat log\n")
	a.write("sleep", "#!/bin/sh\n[ \"$1\" -ge 0 ] && [ \"$1\" -lt 50 ]\n")
	return a
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
	_, err := fmt.Fprintf(f, "%s daemon.notice %s\n", a.harness.now.Add(-time.Minute).Format("Mon Jan _2 15:04:05 2006"), text)
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

// The agent posts only if there are new events. Otherwise its posts would be
// rejected every minute of the night and raise the alarm refused-posts. A post
// that failed in ingest is posted again.
func TestAgentOfTheGuide(t *testing.T) {
	a := newAgent(t)
	a.logs("hostapd: phy0-ap0: AP-STA-CONNECTED 00:00:5e:00:53:01 auth_alg=open")
	a.run("a device joins", http.StatusOK)
	a.run("no new line")
	a.logs("dnsmasq-dhcp[1]: DHCPACK(br-lan) 192.0.2.7 00:00:5e:00:53:01")
	a.logs("hostapd: phy0-ap0: STA 00:00:5e:00:53:01 WPA: group key handshake completed (RSN)")
	a.run("no new event of a device")

	a.set(noon.Add(time.Minute), errors.New("no table"))
	a.logs("hostapd: phy0-ap0: AP-STA-DISCONNECTED 00:00:5e:00:53:01")
	a.run("ingest fails", http.StatusServiceUnavailable)
	a.set(noon.Add(2*time.Minute), nil)
	a.run("ingest works again", http.StatusOK)
	if got := len(a.harness.sightings(t)); got != 3 {
		t.Errorf("got %d sightings, want 3: the first of them twice", got)
	}
	a.set(noon.Add(3*time.Hour), nil)
	a.run("the shop is closed")
	if code := a.harness.post(t, cafe, senders.Hostapd, must(os.ReadFile(filepath.Join(a.dir, "footfall.posted")))).code; code != clockSkew.Code {
		t.Errorf("the same post by hand: got code %q, want %q", code, clockSkew.Code)
	}
}
