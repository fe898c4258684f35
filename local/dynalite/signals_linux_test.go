package dynalite

import (
	"net/http"
	"syscall"
	"testing"
)

// TestSignalsAreLeftToTheParent: a service manager sends its signal to every process
// of a service. The parent still needs the server, so only Close ends it.
func TestSignalsAreLeftToTheParent(t *testing.T) {
	s := start(t, Options{})
	if group, err := syscall.Getpgid(s.Pid()); err != nil || group == syscall.Getpgrp() {
		t.Errorf("the server is in the process group of its parent (%v)", err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := syscall.Kill(s.Pid(), sig); err != nil {
			t.Fatal(err)
		}
		if code, body := call(t, s, "ListTables", "{}"); code != http.StatusOK {
			t.Errorf("after %v: %d %s", sig, code, body)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
