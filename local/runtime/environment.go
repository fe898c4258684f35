package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// If a process ends without having had an invocation, the environment waits
// before the next start. The pause doubles each time.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// environment keeps one process of a function running.
type environment struct {
	f       *function
	number  int
	started chan error // receives the result of the first process's start
	process *process   // nil while no process runs; guarded by f.mu
}

// run starts processes one after the other until ctx is done. run keeps its OS
// thread: Linux sends the parent-death signal when the forking thread ends, and
// Go ends threads while the process goes on.
func (e *environment) run(ctx context.Context) {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	for useless := 0; ctx.Err() == nil; {
		worked := e.runOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		// A process that had an invocation is replaced at once. Processes that
		// end before their first one are replaced after growing pauses.
		useless++
		if worked {
			useless = 0
		}
		e.f.mu.Lock()
		e.f.stats.Restarts++
		e.f.mu.Unlock()
		if useless > 1 {
			sleep(ctx, min(minBackoff<<min(useless-2, 10), maxBackoff))
		}
	}
}

// runOnce runs one process to its end and reports whether the process had an
// invocation or was killed by Kill.
func (e *environment) runOnce(ctx context.Context) (worked bool) {
	p := e.newProcess()
	e.f.runtime.add(p)
	defer e.f.runtime.remove(p)
	err := p.start()
	select {
	case e.started <- err:
	default: // not the first process; nothing reads the result of its start
	}
	if err == nil {
		// The process runs until it ends by itself, is killed, or the runtime
		// closes.
		stop := context.AfterFunc(ctx, p.kill)
		defer stop()
		err = p.cmd.Wait()
	}
	worked = p.finish(err)
	if ctx.Err() == nil {
		level := slog.LevelWarn
		if askedToEnd(err) {
			level = slog.LevelInfo
		}
		e.f.runtime.log.Log(ctx, level, "function process ended, another one is started", "function", e.f.Name, "pid", p.pid, "error", p.exitState(err), "worked", worked)
	}
	return worked
}

// newProcess prepares a process with its id, environment variables and output.
func (e *environment) newProcess() *process {
	id := fmt.Sprintf("%s-%d-%s", e.f.Name, e.number, newRequestID()[:8])
	p := &process{id: id, env: e, ended: make(chan struct{})}
	out := &lines{prefix: e.f.Name + " ", out: e.f.runtime.out}
	p.flush = out.flush
	p.cmd = exec.Command(e.f.Path)
	p.cmd.Dir = filepath.Dir(e.f.Path)
	p.cmd.Env = append(e.f.lambdaEnv(id), e.f.Env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out // one pipe for both keeps the order of lines
	p.cmd.SysProcAttr = processAttributes()
	p.cmd.WaitDelay = time.Second // in case a grandchild holds the output open
	return p
}

// lambdaEnv returns the variables that Lambda sets for a function (AWS Lambda
// developer guide, "Defined runtime environment variables"). The endpoint of
// the Runtime API contains the process's id. A runtime client puts its request
// paths behind the endpoint, so a single listener can distinguish all
// processes.
func (f *function) lambdaEnv(id string) []string {
	return []string{
		"AWS_LAMBDA_RUNTIME_API=" + f.runtime.listenAddr + "/" + id,
		"AWS_LAMBDA_FUNCTION_NAME=" + f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_FORMAT=JSON",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME=" + id,
		"LAMBDA_TASK_ROOT=" + filepath.Dir(f.Path),
		"_HANDLER=bootstrap",
		"TZ=:UTC",
		"LANG=en_US.UTF-8",
		"PATH=/usr/local/bin:/usr/bin:/bin",
	}
}

// arn returns the function's name in the form of AWS.
func (f *function) arn() string {
	return "arn:aws:lambda:us-east-1:000000000000:function:" + f.Name
}

// askedToEnd reports whether err, the end of a process, is by a signal that asks for the
// end. A service manager sends such a signal to all processes of the service, this
// one included, which then closes the runtime.
func askedToEnd(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && slices.Contains([]syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}, status.Signal())
}

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// kill ends the process with SIGKILL. A process that has already ended is no
// error.
func (p *process) kill() {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.env.f.runtime.log.Error("cannot kill a function process", "function", p.env.f.Name, "pid", p.pid, "error", err)
	}
}
