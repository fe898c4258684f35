// Package runtime runs Lambda functions on this machine: it serves the Lambda
// Runtime API (version 2018-06-01, AWS Lambda developer guide, "Using the
// Lambda runtime API") to real bootstrap executables, each a child process.
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

// MaxPayload is how many bytes an event may have, and MaxResponse an answer
// (AWS Lambda developer guide, "Lambda quotas", 6 MB each; the exact figures
// are those of its error messages).
const (
	MaxPayload  = 6 << 20
	MaxResponse = 6<<20 + 100
)

// Function is one function to serve.
type Function struct {
	Name string
	// Path of its executable, which AWS calls bootstrap.
	Path string
	// Env is its environment, "NAME=value", besides what Lambda itself sets.
	// Nothing of this process's environment is inherited.
	Env []string
	// Timeout of one invocation; 0 means a minute.
	Timeout time.Duration
	// InitTimeout is how long a process may take until it asks for its first
	// event; 0 means Lambda's ten seconds.
	InitTimeout time.Duration
	// MemoryMB is what the function is told it has; nothing enforces it.
	MemoryMB int
	// Environments is how many processes serve it side by side, each with one
	// invocation at a time; 0 means one.
	Environments int
}

// Options of a runtime.
type Options struct {
	Functions []Function
	// InTurn hands a function's invocations to its environments strictly in
	// turn, waiting for a busy one, so that what an environment remembers is
	// never fresh. WithKeys says what the turns are counted by. Otherwise
	// whichever is free gets the next.
	InTurn bool
	// Output takes what the functions print, line by line, each line behind its
	// function's name and a space; nil drops it.
	Output io.Writer
	// Log takes what the runtime has to say; nil drops it.
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
	processes map[string]*process // by id
}

// Start starts every environment of every function, and returns once their
// processes are there, without waiting for them to be initialised. A missing
// executable is an error before anything is started. ctx is looked at before
// the start only.
func Start(ctx context.Context, o Options) (*Runtime, error) {
	functions, err := checkFunctions(o.Functions)
	if err := errors.Join(ctx.Err(), err); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
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

// awaitProcesses waits until the first process of each environment has started
// or could not.
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

// checkFunctions fills in what was left out and reports every mistake at once.
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

// check makes the path absolute, since a process runs in its executable's
// directory, and sees to it that there is something to run.
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

// keysKey is where WithKeys keeps its keys.
type keysKey struct{}

// WithKeys says what the invocations made with ctx work on, such as partitions.
// With Options.InTurn, one environment is passed by for the next where it had
// the last invocation with the same first key. Without keys all invocations
// share one turn.
func WithKeys(ctx context.Context, keys ...string) context.Context {
	return context.WithValue(ctx, keysKey{}, keys)
}

// Invoke hands payload to one of the function's environments and waits for its
// answer. An error the function reported, its death and its timeout are a
// *FunctionError. When ctx is done Invoke returns without waiting for more than
// the function's reading of payload; an invocation under way still goes on in
// its environment, as in Lambda. Safe for concurrent use; payload is the
// caller's again when Invoke returns.
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
		f.withdraw(inv)
		<-inv.payloadFree
		return nil, fmt.Errorf("invoke %s: %w", name, ctx.Err())
	}
}

// Kill kills one environment of the function with SIGKILL, one with an
// invocation under way where there is one, and waits for its end. The
// invocation fails with a *FunctionError and the environment starts anew, at
// once.
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

// Stats are counters of one function since the start.
type Stats struct {
	Invocations int64 // handed to an environment
	Errors      int64 // failed, for whatever reason
	Restarts    int64 // processes started in place of one that ended
}

// Stats gives the counters of a function; zero for one that is not served.
func (r *Runtime) Stats(name string) Stats {
	f, ok := r.functions[name]
	if !ok {
		return Stats{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

// Close kills every process, waits until they are gone and fails what is under
// way with ErrClosed.
func (r *Runtime) Close() error {
	for _, f := range r.functions {
		f.close()
	}
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
