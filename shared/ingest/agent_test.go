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

// agent is the guide's, on a router of its own, and what became of its posts.
type agent struct {
	*testing.T
	dir string

	mu   sync.Mutex // over what the server uses
	door *door
	got  []int // statuses since the last run
}

func newAgent(t *testing.T) *agent {
	for _, tool := range []string{"sh", "openssl", "curl", "cmp"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	a := &agent{T: t, door: open(t), dir: t.TempDir()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := must(io.ReadAll(r.Body))
		header := map[string]string{}
		for name := range maps.Keys(r.Header) {
			header[name] = r.Header.Get(name)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		got := a.door.send(t, r.Method, r.URL.Path, header, body)
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
	_, err := fmt.Fprintf(f, "%s daemon.notice %s\n", a.door.now.Add(-time.Minute).Format("Mon Jan _2 15:04:05 2006"), text)
	if err := errors.Join(err, f.Close()); err != nil {
		a.Fatal(err)
	}
}

// runs is cron's minute, and wants the answers to what is posted in it.
func (a *agent) runs(when string, want ...int) {
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

// at is the time from now on, and whether anything can be stored.
func (a *agent) at(now time.Time, failed error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.door.now, a.door.town.failed = now, failed
}

// A router that has nothing to tell must not post: it would be refused every
// minute of the night, and refused-posts would ring.
func TestAgentOfTheGuide(t *testing.T) {
	a := newAgent(t)
	a.logs("hostapd: phy0-ap0: AP-STA-CONNECTED 00:00:5e:00:53:01 auth_alg=open")
	a.runs("somebody came", http.StatusOK)
	a.runs("nothing is new")
	a.logs("dnsmasq-dhcp[1]: DHCPACK(br-lan) 192.0.2.7 00:00:5e:00:53:01")
	a.logs("hostapd: phy0-ap0: STA 00:00:5e:00:53:01 WPA: group key handshake completed (RSN)")
	a.runs("nothing is new of who is there")

	a.at(noon.Add(time.Minute), errors.New("no table"))
	a.logs("hostapd: phy0-ap0: AP-STA-DISCONNECTED 00:00:5e:00:53:01")
	a.runs("nothing can be stored", http.StatusServiceUnavailable)
	a.at(noon.Add(2*time.Minute), nil)
	a.runs("it can again", http.StatusOK)
	if got := len(a.door.sightings(t)); got != 3 {
		t.Errorf("%d sightings, want the first one twice and the second", got)
	}
	a.at(noon.Add(3*time.Hour), nil)
	a.runs("the shop is shut")
	if code := a.door.post(t, cafe, senders.Hostapd, must(os.ReadFile(filepath.Join(a.dir, "footfall.posted")))).code; code != clockSkew.Code {
		t.Errorf("had it posted, it would have been answered %q", code)
	}
}
