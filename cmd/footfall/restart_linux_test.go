package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"footfall/local"
	"footfall/shared/ingest/senders"
)

// A visit goes on over a restart on the same data directory: a login after the restart
// is no walk-in of its own, and the visit stays counted once.
func TestVisitGoesOnAfterRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	now := time.Now().UTC().Format(time.RFC3339)
	for _, body := range []string{
		`{"sightings":[{"router":"door","mac":"00:00:5e:00:53:01","rssi_dbm":-50,"seen_at":%q,"associated":true}],
		  "logins":[{"mac":"00:00:5e:00:53:01","contact":"ann","at":%[1]q}]}`,
		`{"logins":[{"mac":"00:00:5e:00:53:01","contact":"ann","at":%q}]}`,
	} {
		s := openShop(t, func(o *local.Options) { o.DataDir = dir })
		s.must(t, senders.Footfall, fmt.Appendf(nil, body, now))
		if err := s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := countWalkIns(t, s.Stack); got != 1 {
			t.Errorf("%d walk-ins, want 1", got)
		}
		s.wantEachCountedOnce(t, 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A restart with the file of businesses leaves settings that were set since as they
// are, and prints the differences without secrets; --businesses-overwrite applies the
// file.
func TestRestartKeepsSettings(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const first, rotated = "first secret of the cafe", "rotated secret of the cafe"
	document := `{"rules":{"entry_dbm":%d},"door":{"senders":{"footfall":{"secrets":[%q]}}}}`
	file := write("cafes.json", `{"cafe-1":`+fmt.Sprintf(document, -70, first)+`,"cafe-2":{"rules":{}}}`)
	changed := write("changed.json", fmt.Sprintf(document, -61, rotated))
	grown := write("grown.json", `{"cafe-1":`+fmt.Sprintf(document, -70, first)+`,"cafe-2":{"rules":{},"door":{}},"cafe-3":{"rules":{}}}`)

	// restart runs local on the directory, does something, and returns what local printed
	// to stderr and the settings of cafe-1 and cafe-3 at its end.
	restart := func(do []string, flags ...string) (stderr, settings string) {
		t.Helper()
		p := startProcess(t, append([]string{"local", "--environments", "1", "--data-dir", filepath.Join(dir, "data")}, flags...)...)
		tables := p.addresses(t)["tables"]
		var out bytes.Buffer
		commands := [][]string{{"business", "get", "--secrets"}}
		if do != nil {
			commands = append([][]string{do}, commands...)
		}
		for _, args := range commands {
			out.Reset()
			if status := run(append(args, "--table-endpoint", tables), streams{out: &out, err: &out}); status != 0 {
				t.Fatalf("%q: exit status %d: %s", args, status, out.String())
			}
		}
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		status, stderr := p.end(t)
		if status != 0 || strings.Contains(stderr, first) || strings.Contains(stderr, rotated) {
			t.Errorf("exit status %d with %q", status, stderr)
		}
		return stderr, out.String()
	}
	expect := func(name, text string, contains, lacks []string) {
		t.Helper()
		for _, want := range contains {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not contain %q: %s", name, want, text)
			}
		}
		for _, not := range lacks {
			if strings.Contains(text, not) {
				t.Errorf("%s contains %q: %s", name, not, text)
			}
		}
	}

	stderr, _ := restart([]string{"business", "set", "cafe-1", "--file", changed}, "--businesses", file)
	expect("the first start", stderr, nil, []string{"cafe"})
	stderr, settings := restart(nil, "--businesses", file)
	expect("the restart", stderr, []string{
		"cafe-1:\n  rules.entry_dbm: -61 -> -70\n  door.senders.footfall.secrets: changed\n", "cafes.json differs", "--businesses-overwrite",
	}, []string{"cafe-2", "rules hold from"})
	expect("the settings", settings, []string{rotated}, []string{first})
	// A part and a business that the file has in addition are stored.
	stderr, settings = restart(nil, "--businesses", grown)
	expect("the restart", stderr, []string{"cafe-1:"}, []string{"cafe-2", "cafe-3"})
	expect("the settings", settings, []string{rotated, `"cafe-3"`}, []string{first})
	stderr, settings = restart(nil, "--businesses", file, "--businesses-overwrite")
	expect("the restart", stderr, []string{"cafe-1:\n", "  door.senders.footfall.secrets: changed\n  the door holds within half a minute\n"}, []string{"cafe-2", "differs"})
	expect("the settings", settings, []string{first}, []string{rotated})
	stderr, _ = restart(nil, "--businesses", file)
	expect("the restart", stderr, nil, []string{"cafe-2", "secrets"})
}
