package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	lambda "footfall/local/runtime"
)

// serve starts a gateway in front of a function that returns the answer.
func serve(t *testing.T, answer func(payload []byte) string) *Gateway {
	t.Helper()
	return serveFunc(t, func(_ context.Context, payload []byte) ([]byte, error) { return []byte(answer(payload)), nil })
}

func serveFunc(t *testing.T, invoke func(context.Context, []byte) ([]byte, error)) *Gateway {
	t.Helper()
	g, err := Start(Options{
		Listen: "127.0.0.1:0", Invoke: invoke,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() }) // a second time does nothing
	return g
}

func dial(t *testing.T, g *Gateway) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", g.listenAddr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// reply is the HTTP answer that a client received.
type reply struct {
	status int
	header http.Header
	body   string
}

// exchange sends bytes and reads one response.
func exchange(t *testing.T, g *Gateway, request string) reply {
	t.Helper()
	conn := dial(t, g)
	go func() { _, _ = io.WriteString(conn, request) }() // a refusal may come before the end
	return receive(t, conn)
}

func receive(t *testing.T, conn net.Conn) reply {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(body)}
}

func TestAnswers(t *testing.T) {
	const internal = `{"message":"Internal Server Error"}`
	for _, c := range []struct {
		name, function string
		status         int
		kind, body     string
	}{
		{"full", `{"statusCode":202,"headers":{"content-type":"text/x"},"body":"done"}`, 202, "text/x", "done"},
		{"full, no type", `{"statusCode":404,"body":"none"}`, 404, "text/plain; charset=utf-8", "none"},
		{"full, no body", `{"statusCode":204}`, 204, "text/plain; charset=utf-8", ""},
		{"base64", `{"statusCode":200,"body":"/wA=","isBase64Encoded":true}`, 200, "text/plain; charset=utf-8", "\xff\x00"},
		{"unknown fields", `{"statusCode":200,"body":"x","more":1}`, 200, "text/plain; charset=utf-8", "x"},
		{"a wrong length", `{"statusCode":200,"headers":{"Content-Length":"99"},"body":"x"}`, 200, "text/plain; charset=utf-8", "x"},
		{"object without a status", `{"message":"hello"}`, 200, "application/json", `{"message":"hello"}`},
		{"string", `"hello <é>"`, 200, "application/json", `hello <é>`},
		{"number", `5`, 200, "application/json", `5`},
		{"null", `null`, 200, "application/json", `null`},
		{"list", `["statusCode"]`, 200, "application/json", `["statusCode"]`},
		{"not JSON", `{"statusCode":200,`, 500, "application/json", internal},
		{"nothing", ``, 500, "application/json", internal},
		{"status is text", `{"statusCode":"200"}`, 500, "application/json", internal},
		{"status is null", `{"statusCode":null}`, 500, "application/json", internal},
		{"status is none", `{"statusCode":42}`, 500, "application/json", internal},
		{"interim status", `{"statusCode":103}`, 500, "application/json", internal},
		{"header is a number", `{"statusCode":200,"headers":{"a":1}}`, 500, "application/json", internal},
		{"body is an object", `{"statusCode":200,"body":{}}`, 500, "application/json", internal},
		{"broken base64", `{"statusCode":200,"body":"=","isBase64Encoded":true}`, 500, "application/json", internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := serve(t, func([]byte) string { return c.function })
			got := exchange(t, g, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if kind := got.header.Get("Content-Type"); got.status != c.status || kind != c.kind || got.body != c.body {
				t.Errorf("%d, %q, %q, want %d, %q, %q", got.status, kind, got.body, c.status, c.kind, c.body)
			}
		})
	}
}

func TestHeadersAndCookiesOfAnAnswer(t *testing.T) {
	g := serve(t, func([]byte) string {
		return `{"statusCode":200,"headers":{"x-one":"a, b","retry-after":"5"},"cookies":["a=1; Secure","b=2"]}`
	})
	h := exchange(t, g, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").header
	if h.Get("X-One") != "a, b" || h.Get("Retry-After") != "5" || strings.Join(h.Values("Set-Cookie"), "|") != "a=1; Secure|b=2" {
		t.Errorf("headers %v", h)
	}
}

// TestErrorsAreNotRevealed: whatever goes wrong, the answer does not contain
// the reason.
func TestErrorsAreNotRevealed(t *testing.T) {
	failed := func(kind string) func(context.Context, []byte) ([]byte, error) {
		return func(context.Context, []byte) ([]byte, error) {
			return nil, &lambda.FunctionError{Type: kind, Message: "what went wrong"}
		}
	}
	for _, c := range []struct {
		name   string
		invoke func(context.Context, []byte) ([]byte, error)
		status int
		body   string
	}{
		{"error", failed("errorString"), 500, `{"message":"Internal Server Error"}`},
		{"death", failed(lambda.TypeExit), 500, `{"message":"Internal Server Error"}`},
		{"the function's own timeout", failed(lambda.TypeTimeout), 500, `{"message":"Internal Server Error"}`},
		{"over what Lambda takes", failed(lambda.TypeRequestTooLarge), 413, `{"message":"Request Entity Too Large"}`},
		{"no answer in time", func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, 503, `{"message":"Service Unavailable"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := serveFunc(t, c.invoke)
			g.timeout = 10 * time.Millisecond
			got := exchange(t, g, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
			if got.status != c.status || got.body != c.body {
				t.Errorf("%d, %s, want %d, %s", got.status, got.body, c.status, c.body)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	head := func(n int) string { // a whole request whose line and header values have n bytes
		const line, host = "GET / HTTP/1.1", "x"
		return line + "\r\nHost: " + host + "\r\nX-Long: " + strings.Repeat("v", n-len("GET/HTTP/1.1")-len(host)) + "\r\n\r\n"
	}
	declared := func(n string) string {
		return "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: " + n + "\r\n\r\n"
	}
	const chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	long := strings.Repeat("x", maxBody)
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"header at the limit", head(maxHead), 200},
		{"header over it", head(maxHead + 1), 431},
		{"path over it", "GET /" + strings.Repeat("p", maxHead) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
		{"header far over it", head(10 * maxHead), 431},
		{"body at the limit", declared("10485760") + long, 200},
		{"body over it is not waited for", declared("10485761"), 413},
		{"absurd length", declared("9223372036854775807"), 413},
		{"chunks over it", chunked + "A00000\r\n" + long + "\r\n1\r\nx\r\n0\r\n\r\n", 413},
		{"chunks that are none", chunked + "zz\r\n", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			invoked := false
			g := serve(t, func([]byte) string { invoked = true; return `{}` })
			got := exchange(t, g, c.request)
			if got.status != c.status || invoked != (c.status == http.StatusOK) {
				t.Errorf("status %d, invoked %v, want %d", got.status, invoked, c.status)
			}
		})
	}
}

// TestIncompleteBodyIsNotPassedOn: half a post must not be taken for a whole
// post.
func TestIncompleteBodyIsNotPassedOn(t *testing.T) {
	g := serve(t, func([]byte) string { t.Error("invoked"); return `{}` })
	conn := dial(t, g)
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, conn); got.status != http.StatusBadRequest {
		t.Errorf("status %d", got.status)
	}
}

// TestStats counts answers, not invocations.
func TestStats(t *testing.T) {
	answers := []string{`{}`, `{"statusCode":401}`, `{"statusCode":429}`, `{"statusCode":503}`, `no JSON`}
	g := serve(t, func([]byte) string { next := answers[0]; answers = answers[1:]; return next })
	for range 5 {
		exchange(t, g, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	exchange(t, g, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
	if got, want := g.Stats(), (Stats{Requests: 6, Rejected: 3, Failed: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestAnInvocationOutlivesItsClient: a post is processed whether its sender
// waits for the answer or not.
func TestAnInvocationOutlivesItsClient(t *testing.T) {
	begun, gone, outlived := make(chan bool), make(chan bool), make(chan error, 1)
	g := serveFunc(t, func(ctx context.Context, _ []byte) ([]byte, error) {
		close(begun)
		<-gone
		outlived <- ctx.Err()
		return []byte("{}"), nil
	})
	conn := dial(t, g)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	close(gone)
	if err := <-outlived; err != nil {
		t.Error(err)
	}
}

// TestCloseWaitsForRequestsUnderWay: requests under way are answered, and
// nothing is left behind, although a client has sent half a request.
func TestCloseWaitsForRequestsUnderWay(t *testing.T) {
	begun, finish := make(chan bool), make(chan bool)
	g := serveFunc(t, func(context.Context, []byte) ([]byte, error) {
		close(begun)
		<-finish
		return []byte(`"done"`), nil
	})
	waiting, closed := closeDuring(t, g, begun)
	close(finish)
	if got := receive(t, waiting); got.body != "done" {
		t.Errorf("the request under way got %q", got.body)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	wantNothingLeft(t)
}

// TestCloseCutsOffLongRequests: requests that take too long are cut off, and
// Close returns when they have ended.
func TestCloseCutsOffLongRequests(t *testing.T) {
	begun, cut, finish := make(chan bool), make(chan bool), make(chan bool)
	g := serveFunc(t, func(ctx context.Context, _ []byte) ([]byte, error) {
		close(begun)
		<-ctx.Done()
		close(cut)
		<-finish
		return nil, ctx.Err()
	})
	began := time.Now()
	_, closed := closeDuring(t, g, begun)
	<-cut
	if took := time.Since(began); took >= g.timeout {
		t.Errorf("cut off after %v", took)
	}
	for range 1000 {
		select {
		case err := <-closed:
			t.Fatalf("closed while a request is served (%v)", err)
		default:
			runtime.Gosched()
		}
	}
	close(finish)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	wantNothingLeft(t)
}

// closeDuring closes a gateway while it serves a request and waits for the rest
// of another.
func closeDuring(t *testing.T, g *Gateway, begun <-chan bool) (waiting net.Conn, closed <-chan error) {
	t.Helper()
	g.grace = 500 * time.Millisecond // of which the half request takes all
	half, waiting := dial(t, g), dial(t, g)
	if _, err := io.WriteString(half, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nx"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(waiting, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-begun
	done := make(chan error, 1)
	go func() { done <- g.Close() }()
	awaitNoConnections(t, g)
	return waiting, done
}

// awaitNoConnections waits until the gateway takes no more connections.
func awaitNoConnections(t *testing.T, g *Gateway) {
	t.Helper()
	for {
		conn, err := net.Dial("tcp", g.listenAddr)
		if err != nil {
			return
		}
		_ = conn.Close()
		if t.Context().Err() != nil {
			t.Fatal("connections are still taken")
		}
	}
}

// wantNothingLeft fails if goroutines of the gateway are left. Those of the
// server's connections end by themselves after the connections are closed.
func wantNothingLeft(t *testing.T) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for deadline := time.Now().Add(10 * time.Second); ; {
		all := stacks[:runtime.Stack(stacks, true)]
		if !bytes.Contains(all, []byte("gateway.(*Gateway)")) && !bytes.Contains(all, []byte("http.(*conn).serve")) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("goroutines are left:\n%s", all)
		}
		runtime.Gosched()
	}
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	g := serve(t, func([]byte) string { return `{}` })
	again, err := Start(Options{Listen: g.listenAddr, Invoke: g.o.Invoke})
	if err == nil {
		t.Fatal(errors.Join(errors.New("started"), again.Close()))
	}
}
