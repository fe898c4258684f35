// Package dynalite starts dynalite, a server that is compatible with DynamoDB
// and runs on Node (npm, Apache-2.0), for tests and for the pipeline on one
// machine.
//
// Start reading at Start. The server runs launcher.cjs in a child process
// (process.go), which ends when this process ends.
package dynalite

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"footfall/local/endpoint"
)

//go:embed launcher.cjs
var launcher string

// closeTimeout is how long Close waits for the server to end by itself before
// it is killed.
const closeTimeout = 5 * time.Second

// Options of a server. The zero value is a server in memory on a free port.
type Options struct {
	// Dirs are the directories in which the search for node_modules begins; from
	// each the search goes on upwards. If empty, the search begins in the working
	// directory.
	Dirs []string
	// DataDir holds the tables (LevelDB) and is created if it does not exist.
	// Two servers cannot share a directory. If empty, the tables are kept in
	// memory.
	DataDir string
	// Listen is the host:port to listen on. Port 0 takes a free port. If empty,
	// the server takes a free port of 127.0.0.1.
	Listen string
}

// Server is a running table server.
type Server struct {
	process    *process
	listenAddr string // empty until the server has printed it
	closing    sync.Once
}

// Start runs a server and returns once the server answers requests. ctx bounds
// that wait only: the server then runs until Close, or until this process ends
// in any way. If Node or the npm package is missing, the error is that of Find. If
// the port is taken, the error is syscall.EADDRINUSE.
func Start(ctx context.Context, o Options) (*Server, error) {
	dir, node, err := Find(o.Dirs...)
	if err != nil {
		return nil, fmt.Errorf("dynalite: %w", err)
	}
	args, err := launcherArgs(o)
	if err != nil {
		return nil, err
	}
	// Run the launcher and wait until the server answers.
	cmd := exec.Command(node, "-e", launcher, args)
	cmd.Dir = dir // require looks for dynalite from here upwards
	p, err := startProcess(cmd)
	if err != nil {
		return nil, fmt.Errorf("dynalite: start %s: %w", node, err)
	}
	s := &Server{process: p}
	if err := s.awaitReady(ctx); err != nil {
		// The server listens but does not answer: most likely another server
		// holds the data directory.
		if s.listenAddr != "" && o.DataDir != "" {
			err = fmt.Errorf("%w (does another server use %s?)", err, o.DataDir)
		}
		if ended := s.Close(); ended != nil {
			err = fmt.Errorf("%w: %w", err, ended)
		}
		if s.process.stderr.contains("EADDRINUSE") {
			err = fmt.Errorf("dynalite: listen on %s: %w", o.Listen, syscall.EADDRINUSE)
		}
		return nil, err
	}
	return s, nil
}

// launcherArgs returns the one argument of launcher.cjs, a JSON object, and
// creates the data directory.
func launcherArgs(o Options) (string, error) {
	path := o.DataDir
	if path != "" {
		var err error
		if path, err = filepath.Abs(path); err != nil { // the child has another working directory
			return "", fmt.Errorf("dynalite: data directory: %w", err)
		}
		if err := os.MkdirAll(path, 0o755); err != nil {
			return "", fmt.Errorf("dynalite: data directory: %w", err)
		}
	}
	listenAddr := o.Listen
	if listenAddr == "" {
		listenAddr = "127.0.0.1:0"
	}
	host, service, err := net.SplitHostPort(listenAddr)
	if err != nil {
		return "", fmt.Errorf("dynalite: listen on %s: %w", o.Listen, err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", fmt.Errorf("dynalite: listen on %s: the port must be a number from 0 to 65535", o.Listen)
	}
	b, err := json.Marshal(map[string]any{"host": host, "port": port, "path": path})
	return string(b), err
}

// Find returns the directory whose node_modules holds the npm package dynalite, and
// the path of Node. The search for the package begins in each of the directories,
// or in the working directory if there is none, and goes on upwards. If something
// is missing, the error is one line that names the command to run.
func Find(dirs ...string) (dir, node string, err error) {
	if len(dirs) == 0 {
		dirs = []string{""}
	}
	for _, start := range dirs {
		if dir, err = moduleDir(start); err == nil {
			break
		}
	}
	if err != nil {
		return "", "", fmt.Errorf("no Node package node_modules/dynalite in %s or above: run make setup in a checkout of Footfall",
			strings.Join(dirs, ", "))
	}
	if node, err = exec.LookPath("node"); err != nil {
		return "", "", errors.New("node is not on the PATH: install Node.js 20 or later, then run make setup")
	}
	return dir, node, nil
}

// moduleDir returns dir or the nearest directory above it whose node_modules
// holds dynalite.
func moduleDir(dir string) (string, error) {
	holds := func(d string) bool {
		_, err := os.Stat(filepath.Join(d, "node_modules", "dynalite", "package.json"))
		return err == nil
	}
	start, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for d := start; ; d = filepath.Dir(d) {
		if holds(d) {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no node_modules/dynalite in %s or above", start)
		}
	}
}

// awaitReady reads the address that the launcher prints and sends the server one
// request. The request is necessary: the database opens in the background, and
// if another server holds the data directory, only the first answer shows it.
func (s *Server) awaitReady(ctx context.Context) error {
	select {
	case line := <-s.process.firstLine:
		if _, _, err := net.SplitHostPort(line); err != nil {
			return fmt.Errorf("dynalite: expected an address from the launcher, got %q", line)
		}
		s.listenAddr = line
		return s.listTables(ctx)
	case <-s.process.done:
		return errors.New("dynalite: the server ended before it printed its address")
	case <-ctx.Done():
		return fmt.Errorf("dynalite: gave up waiting for the server's address: %w", ctx.Err())
	}
}

// listTables sends one request without the SDK. The signature must be present
// and is not checked.
func (s *Server) listTables(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Endpoint(), strings.NewReader("{}"))
	if err != nil {
		return fmt.Errorf("dynalite: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
	req.Header.Set("X-Amz-Date", "20260101T000000Z")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local, SignedHeaders=host, Signature=none")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return fmt.Errorf("dynalite: first request: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("dynalite: first request: %s", resp.Status)
	}
	return nil
}

// Endpoint returns the URL of the server, the value for
// AWS_ENDPOINT_URL_DYNAMODB. If the server listens on all addresses of the machine,
// the URL has the loopback address.
func (s *Server) Endpoint() string { return "http://" + endpoint.Reachable(s.listenAddr) }

// Pid returns the process id of the server.
func (s *Server) Pid() int { return s.process.cmd.Process.Pid }

// Done returns a channel that is closed when the server has ended, by Close or
// by itself.
func (s *Server) Done() <-chan struct{} { return s.process.done }

// Close ends the server and waits until it is gone. Requests under way get no
// answer. If the server had ended by itself or had to be killed, the error
// holds the end of its standard error. Close may be called more than once.
func (s *Server) Close() error {
	s.closing.Do(func() { s.process.stop(closeTimeout) })
	<-s.process.done
	if s.process.err != nil {
		return s.process.err
	}
	return nil
}
