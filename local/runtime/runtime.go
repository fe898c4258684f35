// Package runtime runs Lambda functions on this machine. A server of the Lambda
// Runtime API (version 2018-06-01; AWS Lambda developer guide, "Using the
// Lambda runtime API") serves the bootstrap executables that are deployed to
// AWS, each in a child process. The local stack (package local) uses the
// package, as do tests that kill a function in the middle of an invocation.
//
// Start reading at Runtime.Invoke. Invoke queues an invocation (function.go).
// Each environment of the function (environment.go) keeps a process running.
// The process (process.go) takes the invocation and answers by requests to the
// API (api.go). errors.go holds the errors of an invocation. When a process
// dies, process.finish fails the invocation under way, and the environment
// starts the next process.
package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// MaxPayload is how many bytes an event may have, and MaxResponse how many
// bytes an answer may have (AWS Lambda developer guide, "Lambda quotas", 6 MB
// each; the exact figures are from Lambda's error messages).
const (
	MaxPayload  = 6 << 20
	MaxResponse = 6<<20 + 100
)

// Function is one function to serve.
type Function struct {
	Name string
	// Path is the function's executable, which AWS calls bootstrap.
	Path string
	// Env is added to the variables that Lambda itself sets, each as
	// "NAME=value". The process inherits nothing from this process's
	// environment.
	Env []string
	// Timeout bounds one invocation. 0 means one minute.
	Timeout time.Duration
	// InitTimeout bounds the time from a process's start to its first request
	// for an event. 0 means 10 s, as in Lambda.
	InitTimeout time.Duration
	// MemoryMB is the memory size in the function's environment variables, in
	// MB. Nothing enforces it.
	MemoryMB int
	// Environments is how many processes serve the function at the same time,
	// each with one invocation at a time. 0 means one.
	Environments int
}

// Options of a runtime.
type Options struct {
	Functions []Function
	// InTurn passes a function's invocations to its environments strictly in
	// turn, and waits if the next environment is busy. The state that an
	// environment keeps in memory is then never the latest. WithKeys sets the
	// keys by which turns are counted. Without InTurn, any free environment
	// takes the next invocation.
	InTurn bool
	// Output receives what the functions print, line by line, each line with
	// the function's name and a space in front. nil discards the lines.
	Output io.Writer
	// Log receives the runtime's own messages. nil discards them.
	Log *slog.Logger
}

// Runtime serves functions until it is closed.
type Runtime struct {
	functions  map[string]*function
	listenAddr string
	server     http.Server
	serving    chan error
	log        *slog.Logger
	out        *output

	stop context.CancelFunc
	wg   sync.WaitGroup // of the environments

	mu        sync.Mutex
	processes map[string]*process // by process id of newProcess
}

// Start starts every environment of every function. Start returns when the
// first processes have been started, without waiting for their initialisation.
// A missing executable is an error before anything is started. ctx is checked
// before the start only; the runtime runs until Close.
func Start(ctx context.Context, o Options) (*Runtime, error) {
	functions, err := checkFunctions(o.Functions)
	if err := errors.Join(ctx.Err(), err); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	// Serve the Runtime API on a free port.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	r := &Runtime{
		functions:  map[string]*function{},
		listenAddr: ln.Addr().String(),
		serving:    make(chan error, 1),
		log:        o.Log,
		out:        &output{w: o.Output},
		processes:  map[string]*process{},
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.server.Handler = r.handler()
	go func() { r.serving <- r.server.Serve(ln) }()
	// Start the environments; each reports how the start of its first process
	// went.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	for _, f := range functions {
		r.functions[f.Name] = r.startFunction(running, f, o.InTurn)
	}
	if err := r.awaitProcesses(); err != nil {
		return nil, errors.Join(fmt.Errorf("runtime: %w", err), r.Close())
	}
	return r, nil
}

// awaitProcesses waits until the first process of each environment has started,
// and returns the errors of failed starts.
func (r *Runtime) awaitProcesses() error {
	var errs []error
	for _, f := range r.functions {
		for _, e := range f.environments {
			if err := <-e.started; err != nil {
				errs = append(errs, fmt.Errorf("function %s: %w", f.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// checkFunctions returns the functions with their defaults filled in, and every
// mistake at once.
func checkFunctions(fs []Function) ([]Function, error) {
	fs = slices.Clone(fs)
	var errs []error
	for i := range fs {
		if err := fs[i].check(); err != nil {
			errs = append(errs, fmt.Errorf("function %s: %w", fs[i].Name, err))
		}
	}
	return fs, errors.Join(errs...)
}

// check fills in the defaults, makes the path absolute, since a process runs in
// the directory of its executable, and checks that the path is an executable.
func (f *Function) check() (err error) {
	if f.Path, err = filepath.Abs(f.Path); err != nil {
		return err
	}
	info, err := os.Stat(f.Path)
	if err != nil {
		return err
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s is not executable", f.Path)
	}
	if f.Timeout <= 0 {
		f.Timeout = time.Minute
	}
	if f.InitTimeout <= 0 {
		// AWS Lambda developer guide, "Lambda execution environment lifecycle".
		f.InitTimeout = 10 * time.Second
	}
	f.Environments = max(f.Environments, 1)
	return nil
}

// keysKey is the context key of WithKeys.
type keysKey struct{}

// WithKeys returns a context for invocations that work on the given keys, such
// as partitions. With Options.InTurn, an invocation goes to the environment
// after the one that had the last invocation with the same first key.
// Invocations without keys share one turn.
func WithKeys(ctx context.Context, keys ...string) context.Context {
	return context.WithValue(ctx, keysKey{}, keys)
}

// Invoke passes payload to one of the function's environments and returns its
// answer. The error is a *FunctionError if the function reported an error, if
// its process died or if it timed out. When ctx is done, Invoke waits only
// until the function has read payload; an invocation that a process has taken
// goes on, as in Lambda. Invoke is safe for concurrent use. The caller may
// reuse payload after Invoke has returned.
func (r *Runtime) Invoke(ctx context.Context, name string, payload []byte) ([]byte, error) {
	f, ok := r.functions[name]
	if !ok {
		return nil, fmt.Errorf("runtime: no function %q", name)
	}
	keys, _ := ctx.Value(keysKey{}).([]string)
	inv, err := f.submit(payload, keys)
	if err != nil {
		return nil, err
	}
	select {
	case res := <-inv.done:
		<-inv.payloadFree
		return res.answer, res.err
	case <-ctx.Done():
		// The caller's context ended first. An invocation in the queue is
		// dropped. An invocation that a process has taken goes on, and the
		// result is discarded.
		f.withdraw(inv)
		<-inv.payloadFree
		return nil, fmt.Errorf("runtime: invoke %s: %w", name, ctx.Err())
	}
}

// Kill kills a process of the function with SIGKILL and waits for the end of
// the process. If any process has an invocation under way, Kill chooses such a
// process; the invocation fails with a *FunctionError. The environment starts a
// new process at once. Kill returns the id of the killed process.
func (r *Runtime) Kill(name string) (pid int, err error) {
	f, ok := r.functions[name]
	if !ok {
		return 0, fmt.Errorf("runtime: no function %q", name)
	}
	p := f.pickForKill()
	if p == nil {
		return 0, ErrClosed
	}
	p.kill()
	<-p.ended
	return p.pid, nil
}

// Stats are the counters of one function since Start.
type Stats struct {
	Invocations int64 // handed to an environment
	Errors      int64 // failed, for whatever reason
	Restarts    int64 // processes started after the first of each environment
}

// Stats returns the counters of a function, or zero counters if the runtime
// serves no function of that name.
func (r *Runtime) Stats(name string) Stats {
	f, ok := r.functions[name]
	if !ok {
		return Stats{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

// Close kills every process, waits until they are gone and fails invocations
// that are queued or under way with ErrClosed. Close may be called more than
// once.
func (r *Runtime) Close() error {
	// Fail what is queued or under way first, so that the end of a process is
	// not reported as a failure of its invocation.
	for _, f := range r.functions {
		f.close()
	}
	// Kill the processes and wait for their ends, then stop the API.
	r.stop()
	r.wg.Wait()
	err := r.server.Close()
	if serveErr := <-r.serving; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	r.serving <- http.ErrServerClosed // for a second Close
	if err != nil {
		return fmt.Errorf("runtime: %w", err)
	}
	return nil
}
