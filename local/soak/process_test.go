//go:build linux

package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a child process that the kernel kills when this process ends, in
// any way.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{}
	err   error // how the process ended; read it after ended is closed
}

// spawn starts a process and waits until it prints a line that begins with
// ready. All other output goes to log.
func spawn(ctx context.Context, name string, cmd *exec.Cmd, ready string, log io.Writer) (*process, error) {
	p := &process{name: name, cmd: cmd, ended: make(chan struct{})}
	out, in := io.Pipe()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	cmd.Stdout, cmd.Stderr = in, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.WaitDelay = time.Second
	started, isReady := make(chan error), make(chan struct{})
	go p.run(in, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go watch(out, ready, isReady, log)
	select {
	case <-isReady:
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("%s ended at its start: %w", name, p.err)
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("%s is not ready: %w", name, context.Cause(ctx)), p.kill())
	}
}

// run starts the child and waits for it, on an OS thread of its own: Linux
// sends the parent-death signal when the thread that forked ends.
func (p *process) run(out *io.PipeWriter, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	if p.err = p.cmd.Wait(); p.err == nil {
		p.err = errEnded
	}
	_ = out.Close()
	close(p.ended)
}

// errEnded is the error of a process that ended with status 0.
var errEnded = errors.New("ended with status 0")

// watch closes isReady at the first line that begins with ready and copies the
// rest to log.
func watch(r io.Reader, ready string, isReady chan<- struct{}, log io.Writer) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), ready) {
			close(isReady)
			break
		}
	}
	_, _ = io.Copy(log, r) // a full pipe would block the child
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// alive returns an error if the process has ended.
func (p *process) alive() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s, process %d, ended by itself: %w", p.name, p.pid(), p.err)
	default:
		return nil
	}
}

// kill ends the process with SIGKILL and waits until it is gone.
func (p *process) kill() error {
	err := syscall.Kill(p.pid(), syscall.SIGKILL)
	<-p.ended
	return err
}

// stop asks the process to end, and fails unless it ends within patience with
// status 0.
func (p *process) stop(patience time.Duration) error {
	_ = p.stdin.Close() // ends the broker
	if err := syscall.Kill(p.pid(), syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("%s did not stop within %v", p.name, patience), p.kill())
	}
	if !errors.Is(p.err, errEnded) {
		return fmt.Errorf("%s stopped: %w", p.name, p.err)
	}
	return nil
}

// functionsOf returns the function processes of a stack, by the name of the
// function. parent is the process id of the stack.
func functionsOf(parent int) (map[string][]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	found := map[string][]int{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the process has ended meanwhile
		}
		// "pid (name) state parent ..."; the name may hold anything.
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[0] == "Z" || fields[1] != strconv.Itoa(parent) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		// A function runs in the directory of its executable, which has its name.
		if dir, err := os.Readlink(filepath.Join(filepath.Dir(path), "cwd")); err == nil {
			found[filepath.Base(dir)] = append(found[filepath.Base(dir)], pid)
		}
	}
	return found, nil
}

// cpuTime returns how many nanoseconds a process has run on a CPU so far, or 0
// if it has ended.
func cpuTime(pid int) (sum int64) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		first, _, _ := strings.Cut(string(text), " ")
		if n, err := strconv.ParseInt(first, 10, 64); err == nil {
			sum += n
		}
	}
	return sum
}
