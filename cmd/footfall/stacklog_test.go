package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"footfall/shared/invocation"
	"footfall/shared/pipeline"
)

// objects returns the lines of a text, each of which must be one JSON object.
func objects(t *testing.T, text string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil || object == nil {
			t.Errorf("line %q is no JSON object (%v)", line, err)
		}
		all = append(all, object)
	}
	return all
}

// With --function-logs every line of stderr is a JSON object: lines of functions with
// the name of the function, notes of the command, and the error that ends it.
func TestFunctionLogsAreJSON(t *testing.T) {
	bad := filepath.Join(repository, "events", "testdata", "bad-records.json")
	var out, log bytes.Buffer
	status := run([]string{"invoke", "--bin", binaries, "--function-logs", "detect", bad}, streams{strings.NewReader(""), &out, &log})
	if status != 0 || out.String() != "{}\n" {
		t.Errorf("status %d, answer %q", status, &out)
	}
	messages := map[string]bool{}
	for _, object := range objects(t, log.String()) {
		if object["function"] == "detect" {
			message, _ := object["message"].(string)
			messages[message] = true
		}
	}
	for _, want := range []string{"event received", "dead letters written", "event handled"} {
		if !messages[want] {
			t.Errorf("no line %q of detect in\n%s", want, &log)
		}
	}
	// A command that fails, and one that prints notes about its progress.
	log.Reset()
	if status := run([]string{"invoke", "--bin", binaries, "--function-logs", "fly", bad}, streams{strings.NewReader(""), &out, &log}); status != 1 {
		t.Errorf("status %d, want 1", status)
	}
	all := objects(t, log.String())
	if last := all[len(all)-1]; last["level"] != "ERROR" || !strings.Contains(fmt.Sprint(last["message"]), `no function "fly"`) {
		t.Errorf("ends with %v, want the error of the command", last)
	}
	log.Reset()
	args := []string{"simulate", "--bin", binaries, "--function-logs", "--duration", "12h", "--traffic", "0"}
	if status := run(args, streams{strings.NewReader(""), &out, &log}); status != 0 {
		t.Errorf("status %d\n%s", status, &log)
	}
	if !slices.ContainsFunc(objects(t, log.String()), func(o map[string]any) bool { return o["message"] == "comparing with the oracle" }) {
		t.Errorf("no notes of the command in\n%s", &log)
	}
}

// Without --function-logs the warnings of a function are shown all the same.
func TestWarningsOfFunctionsAreShown(t *testing.T) {
	bad := filepath.Join(repository, "events", "testdata", "bad-records.json")
	var out, log bytes.Buffer
	if status := run([]string{"invoke", "--bin", binaries, "detect", bad}, streams{strings.NewReader(""), &out, &log}); status != 0 {
		t.Fatalf("status %d\n%s", status, &log)
	}
	text := strings.Join(strings.Fields(log.String()), " ")
	for _, reason := range []string{"undecodable", "unknown-schema", "invalid-field"} {
		if n := strings.Count(text, "reason "+reason); n != 1 {
			t.Errorf("%d warnings about %s, want 1, in\n%s", n, reason, &log)
		}
	}
	if !strings.Contains(text, "detect: warning: dead letters written (") || strings.Contains(text, "event handled") {
		t.Errorf("printed\n%s", &log)
	}
	wantNarrow(t, log.String())
}

// wantNarrow reports lines that a terminal of 80 columns would break.
func wantNarrow(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > textWidth {
			t.Errorf("line of %d columns: %s", n, line)
		}
	}
}

// A warning that repeats is printed once, and counted at the end, although offsets and
// ids differ. Text that a function prints outside of its log counts by its first line.
func TestRepeatedWarningsAreCounted(t *testing.T) {
	var out bytes.Buffer
	l := newStackLog(&out, false)
	function := invocation.NewLogger(lineWriter(func(line []byte) {
		if _, err := l.Write(fmt.Appendf(nil, "count %s\n", line)); err != nil {
			t.Error(err)
		}
	}), slog.LevelInfo)
	for i := range 3 {
		function.Info("event handled", "records", i)
		function.Error("partition failed", "topic", "enriched-walk-ins", "firstOffset", i, "error", fmt.Sprintf("put item cafe/c%d: timeout", i))
		for _, line := range []string{"panic: no memory", "", "goroutine 1 [running]:", "main.main()"} {
			if _, err := fmt.Fprintf(l, "detect %s\n", line); err != nil {
				t.Error(err)
			}
		}
		l.logger().With("stage", "count").Warn("batch failed", "failures", i, "error", io.ErrUnexpectedEOF)
	}
	function.Warn("dead letters written", "reason", "too-large")
	l.finish()
	want := `count: error: partition failed: put item cafe/c0: timeout (topic
  enriched-walk-ins)
detect: error: panic: no memory
count: warning: batch failed: unexpected EOF
count: warning: dead letters written (reason too-large)
seen more than once, of the above:
    3 times  count: error: partition failed: put item cafe/c0: timeout (topic
             enriched-walk-ins)
    3 times  detect: error: panic: no memory
    3 times  count: warning: batch failed: unexpected EOF
`
	if got := out.String(); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

// However many different warnings there are, a bounded number of them is kept.
func TestNumberOfDifferentWarningsIsBounded(t *testing.T) {
	var out bytes.Buffer
	l := newStackLog(&out, false)
	for i := range 10 * maxNotices {
		logText(l.logger(), slog.LevelWarn, "warning "+strings.Repeat("i", i))
	}
	if len(l.notices) != maxNotices || strings.Count(out.String(), "are not shown") != 1 {
		t.Errorf("%d warnings are kept, %d notes about others", len(l.notices), strings.Count(out.String(), "are not shown"))
	}
}

// A function that ends by itself is reported, once with the number of times.
func TestRestartedFunctionIsReported(t *testing.T) {
	bin := t.TempDir()
	for _, spec := range pipeline.Default().Stages {
		if err := os.Mkdir(filepath.Join(bin, spec.Name), 0o755); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(bin, spec.Name, "bootstrap")
		if spec.Name == pipeline.Detect {
			if err := os.WriteFile(to, []byte("#!/bin/sh\nexit 7\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		} else if err := os.Symlink(filepath.Join(binaries, spec.Name, "bootstrap"), to); err != nil {
			t.Fatal(err)
		}
	}
	packages, err := filepath.Abs(filepath.Join(repository, "node_modules"))
	if err == nil {
		err = os.Symlink(packages, filepath.Join(bin, "node_modules"))
	}
	if err != nil {
		t.Fatal(err)
	}
	flags := stackFlags{Bin: bin, Environments: 2}
	var log bytes.Buffer
	stack, err := flags.start(t.Context(), streams{out: io.Discard, err: &log}, false)
	if err != nil {
		t.Fatal(err)
	}
	// Three restarts are more reports than one.
	for restarts := int64(0); restarts < 3; {
		all, err := stack.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range all {
			if st.Stage == pipeline.Detect {
				restarts = st.Restarts
			}
		}
	}
	if err := closeStack(stack, nil); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count("\n"+log.String(), "\ndetect: warning: function process ended, another one is started: exit status 7\n"); n != 1 {
		t.Errorf("%d reports, want 1, in\n%s", n, &log)
	}
	if !regexp.MustCompile(`(?m)^ +\d+ times  detect: warning: function process ended`).MatchString(log.String()) {
		t.Errorf("no number of times in\n%s", &log)
	}
}
