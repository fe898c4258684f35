package local

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"footfall/events"
	"footfall/shared/pipeline"
)

// stackVariable, if set, makes the test binary run a stack on the directory that
// it names, so that a test can kill the stack.
const stackVariable = "LOCAL_TEST_DIR"

func runStack(dir string) {
	o := Options{BinDir: os.Getenv("LOCAL_TEST_BIN"), Partitions: 4, Environments: 2, DataDir: dir}
	s, err := Start(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.Brokers()[0])
	select {}
}

// childrenOf returns the running child processes of a process, by process id.
// It reads /proc and returns none on systems without it.
func childrenOf(t *testing.T, parent int) (names map[int]string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	names = map[int]string{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // has ended meanwhile
		}
		id, rest, _ := strings.Cut(string(text), " (")
		name, rest, _ := strings.Cut(rest, ") ")
		fields := strings.Fields(rest) // state, parent, ...
		if len(fields) < 2 || fields[0] == "Z" || fields[1] != strconv.Itoa(parent) {
			continue
		}
		pid, err := strconv.Atoi(id)
		if err != nil {
			t.Fatal(err)
		}
		names[pid] = name
	}
	return names
}

func wantNoChildren(t *testing.T) {
	t.Helper()
	if left := childrenOf(t, os.Getpid()); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

// processes are those of a stack with options(): two for each function, and Node.
var processes = 2*len(pipeline.Default().Stages) + 1

func TestCloseLeavesNoProcess(t *testing.T) {
	s := start(t, options())
	if n := len(childrenOf(t, os.Getpid())); n != processes {
		t.Errorf("%d processes, want %d", n, processes)
	}
	produce(t, s, events.Sightings, 100)
	if err := s.Close(); err != nil { // in the middle of the work
		t.Fatal(err)
	}
	wantNoChildren(t)
}

func TestKilledFunctionIsReplaced(t *testing.T) {
	s := start(t, options())
	pid, err := s.Kill(pipeline.Detect)
	if err != nil {
		t.Fatal(err)
	}
	if _, still := childrenOf(t, os.Getpid())[pid]; still {
		t.Errorf("process %d still runs", pid)
	}
	produce(t, s, events.Sightings, 100)
	drain(t, s)
	if got := statsOf(t, s, pipeline.Detect); got.Records != 100 || got.Restarts != 1 {
		t.Errorf("%+v, want 100 records and a restart", got)
	}
}

// TestStackFailsIfTheTableServerEnds: without its tables the stack cannot go
// on.
func TestStackFailsIfTheTableServerEnds(t *testing.T) {
	s, err := Start(t.Context(), options())
	if err != nil {
		t.Fatal(err)
	}
	if s.Err() != nil {
		t.Errorf("broken from the start: %v", s.Err())
	}
	for pid, name := range childrenOf(t, os.Getpid()) {
		if strings.Contains(name, "node") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	<-s.Done()
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "table server") {
		t.Errorf("ended with %v", err)
	}
	if err := s.Close(); err == nil {
		t.Error("Close returned no error after the table server was killed")
	}
	wantNoChildren(t)
}

// TestKilledStack kills the whole stack with SIGKILL. Its processes end with
// it, and another stack goes on with its data.
func TestKilledStack(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), stackVariable+"="+dir, "LOCAL_TEST_BIN="+echoes)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	children := childrenOf(t, cmd.Process.Pid)
	if len(children) != processes {
		t.Errorf("%d processes, want %d", len(children), processes)
	}
	produce(t, &Stack{brokers: []string{strings.TrimSpace(line)}}, events.Sightings, 500)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed"
	eventually(t, "its processes are gone", func() bool {
		for pid := range children {
			if running(pid) {
				return false
			}
		}
		return true
	})
	o := options()
	o.DataDir = dir
	s := start(t, o)
	drain(t, s)
	got, err := s.positions(t.Context(), s.mappings[:1])
	if err != nil || got[0] != (position{end: 500}) {
		t.Errorf("sightings are at %+v, %v, want an end of 500 and no lag", got, err)
	}
}

// running reports whether a process runs; a dead process that its parent has
// not waited for does not.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
