package runtime

import (
	"log/slog"
	"strings"
	"syscall"
	"testing"
)

// TestEndOnRequestIsNoWarning: a service manager asks every process of a service to
// end. A function that does so is replaced without a warning; one that is killed is
// replaced with a warning.
func TestEndOnRequestIsNoWarning(t *testing.T) {
	for sig, warns := range map[syscall.Signal]bool{syscall.SIGTERM: false, syscall.SIGHUP: false, syscall.SIGINT: false, syscall.SIGKILL: true} {
		var log strings.Builder
		r := start(t, Function{}, Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		if err := syscall.Kill(describe(t, r).Pid, sig); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the process is replaced", func() bool { return r.Stats("echo").Restarts == 1 })
		if err := r.Close(); err != nil { // the log is written by then
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "function process ended"); got != warns {
			t.Errorf("%v: logged %q, want a warning: %v", sig, log.String(), warns)
		}
	}
}
