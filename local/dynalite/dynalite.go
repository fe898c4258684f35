// Package dynalite starts dynalite, a DynamoDB-compatible server that runs on
// Node (npm, Apache-2.0), for tests and for the pipeline on one machine.
package dynalite

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed launcher.cjs
var launcher string

// closeTimeout is how long Close lets the server finish by itself.
const closeTimeout = 5 * time.Second

// Options of a server. The zero value is a server in memory on a free port.
type Options struct {
	// Dir is where the search for node_modules begins, which goes on upwards; ""
	// is the working directory.
	Dir string
	// DataDir keeps the tables (LevelDB); "" keeps them in memory. It is made
	// where it does not exist. Two servers cannot share one.
	DataDir string
	// Port to listen on at 127.0.0.1; 0 takes a free one.
	Port int
}

// Server is a running table server.
type Server struct {
	process *process
	port    int
	closing sync.Once
}

// Start runs a server and returns once it answers requests. ctx bounds that
// wait only: the server then runs until Close, or until this process ends in
// whatever way. It fails in one line that says what to do where Node or the
// npm package is missing.
func Start(ctx context.Context, o Options) (*Server, error) {
	dir, err := moduleDir(o.Dir)
	if err != nil {
		return nil, err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("dynalite: node is not on the PATH: install Node.js 20 or later, then run make setup")
	}
	args, err := launcherArgs(o)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(node, "-e", launcher, args)
	cmd.Dir = dir // where require looks for dynalite
	p, err := startProcess(cmd)
	if err != nil {
		return nil, fmt.Errorf("dynalite: start %s: %w", node, err)
	}
	s := &Server{process: p}
	if err := s.awaitReady(ctx); err != nil {
		if s.port != 0 && o.DataDir != "" {
			err = fmt.Errorf("%w (does another server use %s?)", err, o.DataDir)
		}
		if ended := s.Close(); ended != nil {
			err = fmt.Errorf("%w: %w", err, ended)
		}
		return nil, err
	}
	return s, nil
}

// launcherArgs is what launcher.cjs reads as its one argument.
func launcherArgs(o Options) (string, error) {
	path := o.DataDir
	if path != "" {
		var err error
		if path, err = filepath.Abs(path); err != nil { // the child runs elsewhere
			return "", fmt.Errorf("dynalite: data directory: %w", err)
		}
		if err := os.MkdirAll(path, 0o755); err != nil {
			return "", fmt.Errorf("dynalite: data directory: %w", err)
		}
	}
	b, err := json.Marshal(map[string]any{"port": o.Port, "path": path})
	return string(b), err
}

// moduleDir finds the directory whose node_modules holds dynalite.
func moduleDir(dir string) (string, error) {
	holds := func(d string) bool {
		_, err := os.Stat(filepath.Join(d, "node_modules", "dynalite", "package.json"))
		return err == nil
	}
	start, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("dynalite: %w", err)
	}
	for d := start; ; d = filepath.Dir(d) {
		if holds(d) {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("dynalite: no node_modules/dynalite in %s or above: run make setup", start)
		}
	}
}

// awaitReady reads the port that the launcher prints and asks for the tables once.
// The question matters: the database opens in the background, and a data
// directory that another server holds shows only in the first answer.
func (s *Server) awaitReady(ctx context.Context) error {
	select {
	case line := <-s.process.firstLine:
		port, err := strconv.Atoi(line)
		if err != nil {
			return fmt.Errorf("dynalite: expected a port from the launcher, got %q", line)
		}
		s.port = port
		return s.listTables(ctx)
	case <-s.process.done:
		return errors.New("dynalite: ended before it answered")
	case <-ctx.Done():
		return fmt.Errorf("dynalite: no answer yet: %w", ctx.Err())
	}
}

// listTables sends one request by hand. The signature has to be there, and is
// not checked.
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

// Endpoint is the URL of the server: the value for AWS_ENDPOINT_URL_DYNAMODB.
func (s *Server) Endpoint() string { return "http://127.0.0.1:" + strconv.Itoa(s.port) }

// Pid is the process id of the server.
func (s *Server) Pid() int { return s.process.cmd.Process.Pid }

// Done is closed when the server has ended, by Close or by itself.
func (s *Server) Done() <-chan struct{} { return s.process.done }

// Close ends the server and waits until it is gone. Requests under way get no
// answer. It returns an error with the server's last words where it had ended
// by itself or had to be killed.
func (s *Server) Close() error {
	s.closing.Do(func() { s.process.stop(closeTimeout) })
	<-s.process.done
	if s.process.err != nil {
		return s.process.err
	}
	return nil
}
