package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// runLocal runs local with --json until do returns, which receives the addresses, and
// returns what local wrote to stderr.
func runLocal(t *testing.T, do func(localAddresses), args ...string) string {
	t.Helper()
	c, err := parseLocal(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	read, write := io.Pipe()
	ended := make(chan error, 1)
	var log bytes.Buffer
	go func() {
		err := c.Run(ctx, streams{out: write, err: &log})
		ended <- errors.Join(err, write.Close())
	}()
	// One line of JSON, and nothing else until the end.
	var a localAddresses
	line := json.NewDecoder(read)
	line.DisallowUnknownFields()
	if err := line.Decode(&a); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	do(a)
	stop()
	rest, err := io.ReadAll(io.MultiReader(line.Buffered(), read))
	if err := errors.Join(err, <-ended); err != nil || strings.TrimSpace(string(rest)) != "" {
		t.Errorf("ended with %v after it printed %q", err, rest)
	}
	wantNarrow(t, log.String())
	return log.String()
}

// Without addresses local takes the default ones or, if a port is taken, another port,
// and says which.
func TestDefaultAddressesThatAreTaken(t *testing.T) {
	byDefault := []string{defaultBrokerListen, defaultTablesListen, defaultHTTPListen}
	for _, address := range byDefault {
		ln, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue // another program on this machine has taken it
		}
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
	}
	var used localAddresses
	log := runLocal(t, func(a localAddresses) { used = a })
	for i, got := range []string{used.Brokers, used.TableEndpoint, used.IngestURL} {
		got = strings.TrimPrefix(got, "http://")
		if got == byDefault[i] || !strings.HasPrefix(got, "127.0.0.1:") {
			t.Errorf("%s is taken, and local listens at %s", byDefault[i], got)
		}
		if n := strings.Count(log, "note: "+byDefault[i]+" is taken: "); n != 1 || !strings.Contains(log, "at "+got+";\n") {
			t.Errorf("%d notes that %s is taken, want 1 with %s, in\n%s", n, byDefault[i], got, log)
		}
	}
}

// With addresses local takes these, without a note.
func TestGivenAddressesAreUsed(t *testing.T) {
	var free [3]string
	for i := range free {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free[i] = ln.Addr().String()
		defer ln.Close()
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want := localAddresses{free[0], "http://" + free[1], "http://" + free[2]}
	log := runLocal(t, func(got localAddresses) {
		if got != want {
			t.Errorf("listens at %+v, want %+v", got, want)
		}
	}, "--broker-listen", free[0], "--tables-listen", free[1], "--http-listen", free[2])
	if strings.Contains(log, "is taken") {
		t.Errorf("printed\n%s", log)
	}
}

// An address that was given and is taken is an error.
func TestGivenAddressThatIsTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	taken := ln.Addr().String()
	for _, flag := range []string{"--broker-listen", "--tables-listen", "--http-listen"} {
		c, err := parseLocal(t, flag, taken)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Run(t.Context(), streams{out: io.Discard, err: t.Output()})
		if err == nil || !strings.Contains(err.Error(), taken) || !strings.Contains(err.Error(), "address already in use: end the program") {
			t.Errorf("%s %s: %v, want an error that the address is in use", flag, taken, err)
		}
	}
}

// Without a business that has a sender every post is answered 404, and local says so.
func TestLocalWithoutASender(t *testing.T) {
	const note = "note: no business has a sender: every post will be answered 404.\n"
	log := runLocal(t, func(a localAddresses) {
		response, err := http.Post(a.IngestURL+"/v1/cafe-1/footfall", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusNotFound {
			t.Errorf("answered %s (%v), want 404", response.Status, err)
		}
	})
	if !strings.Contains(log, note) || !strings.Contains(log, "--businesses FILE") || !strings.Contains(log, "business import FILE --table-endpoint http://127.0.0.1:") {
		t.Errorf("printed\n%s", log)
	}
	example := filepath.Join(repository, "examples", "businesses.json")
	if log := runLocal(t, func(localAddresses) {}, "--businesses", example); strings.Contains(log, note) {
		t.Errorf("printed in spite of senders\n%s", log)
	}
	// Rules alone admit no sender either.
	rules := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(rules, []byte(`{"cafe-1": {"rules": {"time_zone": "Europe/London"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if log := runLocal(t, func(localAddresses) {}, "--businesses", rules); !strings.Contains(log, note) {
		t.Errorf("printed without a sender\n%s", log)
	}
}

// parseLocal parses the flags of local, for a small pipeline.
func parseLocal(t *testing.T, args ...string) (*localCmd, error) {
	t.Helper()
	var c cli
	parser, err := newParser(&c, streams{out: io.Discard, err: t.Output()})
	if err != nil {
		return nil, err
	}
	_, err = parser.Parse(append([]string{"local", "--json", "--bin", binaries, "--partitions", "1", "--environments", "1"}, args...))
	return &c.Local, err
}
