//go:build linux

package soak

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"footfall/local/broker"
	"footfall/shared/pipeline"
)

// With the variable brokerDir set, the test binary runs a broker on that
// directory and address, so that the test can kill it.
const (
	brokerDir    = "SOAK_BROKER_DIR"
	brokerListen = "SOAK_BROKER_LISTEN"
	brokerUp     = "broker at "
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(brokerDir); dir != "" {
		os.Exit(runBroker(dir, os.Getenv(brokerListen)))
	}
	os.Exit(m.Run())
}

// runBroker runs a broker until standard input ends, and returns the exit
// status.
func runBroker(dir, listenAddr string) int {
	signal.Ignore(syscall.SIGTERM)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	b, err := broker.Start(context.Background(), broker.Options{Dir: dir, Listen: listenAddr, Log: log})
	if err == nil {
		fmt.Println(brokerUp, b.Addrs())
		_, _ = io.Copy(io.Discard, os.Stdin)
		err = b.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// build writes the function binaries and the command to dir, as make build
// does.
func build(ctx context.Context, dir string) error {
	targets := map[string]string{"footfall": "./cmd/footfall"}
	for _, s := range pipeline.Default().Stages {
		targets[filepath.Join(s.Name, "bootstrap")] = "./functions/" + s.Name
	}
	for to, from := range targets {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-o", filepath.Join(dir, to), from)
		cmd.Dir, cmd.Env = repository, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", from, err, out)
		}
	}
	return nil
}

// repository is the path of the module's root from this package.
var repository = filepath.Join("..", "..")

// stablePort returns a free port that stays free while its server is down: a
// port below the range from which the kernel takes ports for connections and
// for listeners on port 0. With a port from that range: a client that tries to
// reach the dead server gets the very port for its own end, connects to itself,
// and keeps the server from listening again.
func stablePort() (int, error) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0, err
	}
	end, err := strconv.Atoi(strings.Fields(string(text))[0])
	if err != nil {
		return 0, err
	}
	// Start at a port that depends on the process id, so that two soaks on one
	// machine choose different ports.
	const first = 10_000
	for i := range end - first {
		port := first + (os.Getpid()*37+i)%(end-first)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no port from %d to %d is free", first, end)
}
