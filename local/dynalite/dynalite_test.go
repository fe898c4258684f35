package dynalite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// helperEnv, if set, makes the test binary start a server and wait to be killed.
const helperEnv = "FOOTFALL_TEST_DYNALITE_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		s, err := Start(context.Background(), Options{})
		fmt.Println(endpointOf(s), err)
		select {}
	}
	os.Exit(m.Run())
}

func endpointOf(s *Server) string {
	if s == nil {
		return "none"
	}
	return s.Endpoint()
}

func start(t *testing.T, o Options) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// call sends one request and returns the status and the body of the answer.
func call(t *testing.T, s *Server, operation, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Endpoint(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	req.Header.Set("X-Amz-Date", "20260101T000000Z")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local, SignedHeaders=host, Signature=none")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

const createTable = `{"TableName":"kept","BillingMode":"PAY_PER_REQUEST",
	"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],
	"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}]}`

func TestTablesInMemoryEndWithTheServer(t *testing.T) {
	s := start(t, Options{})
	if code, body := call(t, s, "CreateTable", createTable); code != http.StatusOK {
		t.Fatalf("CreateTable: %d %s", code, body)
	}
	asked := time.Now()
	for body := ""; !strings.Contains(body, `"ACTIVE"`); {
		if time.Since(asked) > 10*time.Second {
			t.Fatalf("a table does not become active: %s", body)
		}
		_, body = call(t, s, "DescribeTable", `{"TableName":"kept"}`)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, body := call(t, start(t, Options{}), "ListTables", "{}"); strings.Contains(body, "kept") {
		t.Errorf("a new server has a table of the former server: %s", body)
	}
}

func TestDataDirKeepsTables(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on", "the", "way")
	s := start(t, Options{DataDir: dir})
	if code, body := call(t, s, "CreateTable", createTable); code != http.StatusOK {
		t.Fatalf("CreateTable: %d %s", code, body)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, body := call(t, start(t, Options{DataDir: dir}), "ListTables", "{}"); !strings.Contains(body, "kept") {
		t.Errorf("the table is gone after a restart: %s", body)
	}
}

// A server that listens on every interface answers on the other addresses of
// the loopback network and on the machine's own addresses too.
func TestListensOnLoopbackOnly(t *testing.T) {
	s := start(t, Options{})
	_, port, err := net.SplitHostPort(s.listenAddr)
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"127.0.0.2", "::1"}
	for _, a := range addrs {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			hosts = append(hosts, ip.String())
		}
	}
	for _, host := range hosts {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), time.Second)
		if err == nil {
			c.Close()
			t.Errorf("the server answers on %s", host)
		}
	}
}

func TestDiesWithItsParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), helperEnv+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var endpoint, startErr string
	_, _ = fmt.Sscan(line, &endpoint, &startErr) // an error of the start follows the endpoint, or nothing
	conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "http://"))
	if err != nil {
		t.Fatalf("helper printed %q: %v", line, err)
	}
	defer conn.Close()
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	// The server keeps idle connections, so the connection ends only with it.
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the server still runs after its parent was killed")
	}
}

// Without the launcher, dynalite ends when a client closes its connection within
// a request, as the kernel does for a function that is killed during a write.
func TestSurvivesClientsThatGoAway(t *testing.T) {
	s := start(t, Options{})
	for range 5 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.Endpoint(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: local\r\nContent-Length: 1000\r\n\r\n{")
		// The server must see the request before its end.
		if code, body := call(t, s, "ListTables", "{}"); code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // sends a reset, as the end of a process does
			t.Fatal(err)
		}
		conn.Close()
	}
	if code, body := call(t, s, "ListTables", "{}"); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
}

func TestCloseEndsTheProcess(t *testing.T) {
	s := start(t, Options{})
	if s.Pid() <= 0 || s.Pid() == os.Getpid() {
		t.Errorf("Pid() = %d", s.Pid())
	}
	select {
	case <-s.Done():
		t.Fatal("done before Close")
	default:
	}
	for range 2 { // closing twice does no harm
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-s.Done():
	default:
		t.Fatal("not done after Close")
	}
	if c, err := net.Dial("tcp", strings.TrimPrefix(s.Endpoint(), "http://")); err == nil {
		c.Close()
		t.Error("something still listens on the port")
	}
}

func TestCloseReportsThatTheServerWasKilled(t *testing.T) {
	s := start(t, Options{})
	p, err := os.FindProcess(s.Pid())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "server ended") {
		t.Errorf("Close() = %v", err)
	}
}

func TestStartErrorsNameTheRemedy(t *testing.T) {
	running := start(t, Options{DataDir: t.TempDir()})
	empty := t.TempDir()
	held := t.TempDir()
	start(t, Options{DataDir: held})
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name    string
		ctx     context.Context
		options Options
		path    string // "" for the real PATH
		want    string
	}{
		{"no npm package in the directory given", t.Context(), Options{Dirs: []string{empty}}, "", "no Node package node_modules/dynalite in " + empty + " or above: run make setup"},
		{"no Node", t.Context(), Options{}, empty, "node is not on the PATH: install Node.js"},
		{"port taken", t.Context(), Options{Listen: running.listenAddr}, "", "listen on " + running.listenAddr + ": address already in use"},
		{"no port", t.Context(), Options{Listen: "localhost"}, "", "listen on localhost: address localhost: missing port"},
		{"port out of range", t.Context(), Options{Listen: "127.0.0.1:65536"}, "", "the port must be a number from 0 to 65535"},
		{"data directory of a running server", t.Context(), Options{DataDir: held}, "", "does another server use " + held},
		{"the caller's context is cancelled", canceled, Options{}, "", "context canceled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.path != "" {
				t.Setenv("PATH", c.path)
			}
			ctx, cancel := context.WithTimeout(c.ctx, 30*time.Second)
			defer cancel()
			s, err := Start(ctx, c.options)
			if err == nil {
				s.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q does not contain %q in one line", err, c.want)
			}
		})
	}
}

func TestModuleDirLooksUpwards(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "a", "b")
	for _, d := range []string{deep, filepath.Join(root, "node_modules", "dynalite")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(deep)
	if _, err := moduleDir(""); err == nil || !strings.Contains(err.Error(), "or above") {
		t.Errorf("an empty folder counts as the package: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "node_modules", "dynalite", "package.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := moduleDir("")
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := filepath.EvalSymlinks(root); got != root && got != want {
		t.Errorf("found %s, want %s", got, root)
	}
}
