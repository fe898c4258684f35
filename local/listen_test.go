package local

import (
	"net"
	"strings"
	"testing"
)

// listener returns the address of a listener that runs until the test ends.
func listener(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// freeAddress returns an address whose port was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	return ln.Addr().String()
}

// addresses returns the addresses that a stack listens on: broker, tables, HTTP.
func addresses(s *Stack) [3]string {
	return [3]string{s.Brokers()[0], strings.TrimPrefix(s.TableEndpoint(), "http://"), strings.TrimPrefix(s.IngestURL(), "http://")}
}

func TestListensAtTheGivenAddresses(t *testing.T) {
	o := options()
	want := [3]string{freeAddress(t), freeAddress(t), freeAddress(t)}
	o.BrokerListen.HostPort, o.TablesListen.HostPort, o.HTTPListen.HostPort = want[0], want[1], want[2]
	if got := addresses(start(t, o)); got != want {
		t.Errorf("listens at %v, want %v", got, want)
	}
}

// TestDefaultAddressesThatAreTaken: with OrFree the stack takes other ports of the
// same host.
func TestDefaultAddressesThatAreTaken(t *testing.T) {
	o := options()
	taken := [3]string{listener(t), listener(t), listener(t)}
	for i, a := range []*Address{&o.BrokerListen, &o.TablesListen, &o.HTTPListen} {
		*a = Address{HostPort: taken[i], OrFree: true}
	}
	for i, got := range addresses(start(t, o)) {
		if got == taken[i] || !strings.HasPrefix(got, "127.0.0.1:") {
			t.Errorf("listens at %s, want another port than that of %s", got, taken[i])
		}
	}
}

func TestGivenAddressThatIsTakenIsAnError(t *testing.T) {
	taken := listener(t)
	for name, change := range map[string]func(*Options){
		"broker": func(o *Options) { o.BrokerListen.HostPort = taken },
		"tables": func(o *Options) { o.TablesListen.HostPort = taken },
		"http":   func(o *Options) { o.HTTPListen.HostPort = taken },
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			change(&o)
			s, err := Start(t.Context(), o)
			if err == nil {
				s.Close()
				t.Fatal("started on a port that is taken")
			}
			for _, want := range []string{taken, "address already in use", "name another port"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not contain %q", err, want)
				}
			}
			wantNoChildren(t)
		})
	}
}
