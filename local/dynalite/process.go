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

// process is a child process that runs until its standard input is closed.
type process struct {
	cmd       *exec.Cmd
	stdin     io.Closer
	firstLine chan string   // receives the first line that the child prints
	done      chan struct{} // closed when the child has ended
	err       error         // how the child ended; read it after done is closed
	stderr    tail
}

// startProcess starts cmd. All output except the first line is discarded.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, firstLine: make(chan string, 1), done: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	// run needs a thread of its own and reports how the start went.
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, &p.stderr
	cmd.SysProcAttr = processAttributes()
	started := make(chan error)
	go p.run(in, started)
	if err := <-started; err != nil {
		return nil, err
	}
	go p.readOutput(out)
	return p, nil
}

// run starts the child and waits for it, on an OS thread of its own: Linux
// sends the parent-death signal when the thread that forked ends, and Go ends
// threads while the process goes on.
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
	_ = out.Close() // all output has been read
	close(p.done)
}

// readOutput passes on the first line and discards the rest.
func (p *process) readOutput(r io.Reader) {
	lines := bufio.NewScanner(r)
	if lines.Scan() {
		p.firstLine <- lines.Text()
	}
	_, _ = io.Copy(io.Discard, r) // a full pipe would block the child; run reports the child's end
}

// stop closes the child's standard input and kills the child if it has not
// ended after timeout. A child that has already ended is left alone.
func (p *process) stop(timeout time.Duration) {
	_ = p.stdin.Close() // fails only if it is closed already
	select {
	case <-p.done:
	case <-time.After(timeout):
		_ = p.cmd.Process.Kill() // fails only if the child has just ended
	}
}

// tail keeps the last bytes written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

// tailBytes is how many bytes a tail keeps.
const tailBytes = 2048

// Write keeps the last tailBytes bytes and never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if over := len(t.b) - tailBytes; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(b), nil
}

// contains reports whether text is among the bytes.
func (t *tail) contains(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Contains(t.b, []byte(text))
}

// message returns ": " and the bytes, to be appended to an error, or "" if
// nothing was written.
func (t *tail) message() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.b) == 0 {
		return ""
	}
	return ": " + string(bytes.TrimSpace(t.b))
}
