package dynalite

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// process is a child that lives as long as its standard input is open.
type process struct {
	cmd       *exec.Cmd
	stdin     io.Closer
	firstLine chan string   // what it printed first
	done      chan struct{} // closed when it has ended
	err       error         // how it ended, to be read after done
	stderr    tail
}

// startProcess runs cmd. Its output other than the first line is dropped.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, firstLine: make(chan string, 1), done: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, &p.stderr
	cmd.SysProcAttr = dieWithParent()
	started := make(chan error)
	go p.run(in, started)
	if err := <-started; err != nil {
		return nil, err
	}
	go p.readOutput(out)
	return p, nil
}

// run starts the child and waits for it, on a thread of its own: Linux sends
// the parent-death signal when the thread that forked ends, and Go ends threads
// while the process goes on.
func (p *process) run(out *io.PipeWriter, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	if err := p.cmd.Wait(); err != nil {
		p.err = fmt.Errorf("dynalite: server ended: %w%s", err, p.stderr.message())
	}
	_ = out.Close() // it was read to its end
	close(p.done)
}

func (p *process) readOutput(r io.Reader) {
	lines := bufio.NewScanner(r)
	if lines.Scan() {
		p.firstLine <- lines.Text()
	}
	_, _ = io.Copy(io.Discard, r) // a full pipe would stop the child; its end is run's to report
}

// stop closes the child's input, and kills the child where that has not ended
// it in time. A child that has ended already is left alone.
func (p *process) stop(patience time.Duration) {
	_ = p.stdin.Close() // fails only where it is closed already
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill() // fails only where the child has just ended
	}
}

// tail keeps the last bytes written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 2048

// Write keeps what fits and never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if over := len(t.b) - tailBytes; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(b), nil
}

func (t *tail) message() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.b) == 0 {
		return ""
	}
	return ": " + string(bytes.TrimSpace(t.b))
}
