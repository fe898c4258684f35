package main

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A command that waits for its input ends at once on a signal, with the status of
// an interrupted command. Reads from a pipe do not end by themselves.
func TestSignalsEndCommandsThatRead(t *testing.T) {
	for _, args := range [][]string{
		{"evaluate", "-"},
		{"calibrate", "-"},
		{"replay", "--bin", binaries, "-"},
		{"invoke", "--bin", binaries, "detect", "-"},
		{"business", "import", "--table-endpoint", "http://127.0.0.1:1", "-"},
	} {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			cmd := exec.CommandContext(t.Context(), filepath.Join(binaries, "footfall"), args...)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// More than a pipe holds is taken only by a command that reads: its
			// signal handler is in place by then.
			if _, err := in.Write(bytes.Repeat([]byte("\n"), 1<<17)); err != nil {
				t.Fatalf("%v: %v\n%s", args, err, out.Bytes())
			}
			began := time.Now()
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			err = cmd.Wait()
			if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 130 {
				t.Errorf("%v on %v: ended with %v, want status 130\n%s", args, sig, err, out.Bytes())
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%v on %v: took %v", args, sig, took)
			}
			_ = in.Close()
		}
	}
}
