package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is footfall, run as a user runs it, in a process group of its own.
type process struct {
	*exec.Cmd
	out    *bufio.Scanner
	stderr bytes.Buffer
}

// startProcess starts footfall with its functions, and kills it at the end of the test
// if it still runs.
func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(filepath.Join(binaries, "footfall"), append(args, "--bin", binaries)...)}
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.Stderr = &p.stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() }) // fails if the process has ended
	p.out = bufio.NewScanner(out)
	return p
}

// addresses reads what local prints until it runs: its addresses, by name.
func (p *process) addresses(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for p.out.Scan() {
		if name, address, ok := strings.Cut(p.out.Text(), " "); ok && len(all) < 3 {
			all[name] = strings.TrimSpace(address)
		}
		if strings.HasPrefix(p.out.Text(), "running until interrupted") {
			return all
		}
	}
	_ = p.Wait()
	t.Fatalf("local ended with %q", p.stderr.String())
	return nil
}

// end waits for the end of the process, at most 15 s, and returns its exit status and
// what it printed to stderr.
func (p *process) end(t *testing.T) (status int, stderr string) {
	t.Helper()
	timer := time.AfterFunc(15*time.Second, func() { _ = p.Process.Kill() })
	defer timer.Stop()
	for p.out.Scan() { // Wait closes the pipe
	}
	_ = p.Wait() // the exit status is returned
	return p.ProcessState.ExitCode(), p.stderr.String()
}

// childrenOf returns the ids of the child processes of a process.
func childrenOf(t *testing.T, pid int) (children []int) {
	t.Helper()
	threads, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range threads { // a process is a child of the thread that forked it
		list, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for id := range strings.FieldsSeq(string(list)) {
			child, err := strconv.Atoi(id)
			if err != nil {
				t.Fatal(err)
			}
			children = append(children, child)
		}
	}
	return children
}

// Every signal that asks for the end of local ends it in order, with exit status 0:
// sent to the process, to its process group, or, as systemd does, to the table server
// and the functions as well.
func TestLocalEndsInOrder(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		for receivers, targets := range map[string]func(pid int) []int{
			"the process":       func(pid int) []int { return []int{pid} },
			"its process group": func(pid int) []int { return []int{-pid} },
			"all processes":     func(pid int) []int { return append(childrenOf(t, pid), pid) },
		} {
			t.Run(sig.String()+" to "+receivers, func(t *testing.T) {
				p := startProcess(t, "local", "--environments", "1")
				p.addresses(t)
				all := targets(p.Process.Pid)
				if receivers == "all processes" && len(all) < 8 {
					t.Fatalf("%d processes, want footfall, the table server and six functions", len(all))
				}
				for _, pid := range all {
					// A function that has ended is replaced; its replacement is not signalled.
					if err := syscall.Kill(pid, sig); err != nil && pid == all[len(all)-1] {
						t.Fatal(err)
					}
				}
				// An invocation that was under way may have been reported before.
				if status, stderr := p.end(t); status != 0 || !strings.HasSuffix(stderr, "stopping\n") {
					t.Errorf("exit status %d with %q, want 0 with stopping at the end", status, stderr)
				}
			})
		}
	}
}

// A run that is asked to end by any signal says that it was interrupted.
func TestRunEndsOnEverySignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		p := startProcess(t, "simulate", "--speed", "1", "--environments", "1")
		// The functions run: the town is being fed, at the speed of the clock.
		for deadline := time.Now().Add(20 * time.Second); len(childrenOf(t, p.Process.Pid)) < 7; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the pipeline does not start: %s", p.stderr.String())
			}
		}
		if err := syscall.Kill(-p.Process.Pid, sig); err != nil {
			t.Fatal(err)
		}
		if status, stderr := p.end(t); status != 130 || !strings.HasSuffix(stderr, "footfall: interrupted\n") {
			t.Errorf("%v: exit status %d with %q, want 130", sig, status, stderr)
		}
	}
}

// nohup has SIGHUP ignored, and such a command goes on when its terminal is closed.
func TestIgnoredHangUpStaysIgnored(t *testing.T) {
	if !slices.Contains(endSignals(), os.Signal(syscall.SIGHUP)) {
		t.Error("SIGHUP does not end a command")
	}
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	if slices.Contains(endSignals(), os.Signal(syscall.SIGHUP)) {
		t.Error("SIGHUP ends a command that nohup started")
	}
}
