// Package gateway puts a function behind HTTP on this machine, as an HTTP API
// of Amazon API Gateway does that has the single route $default and a Lambda
// proxy integration with payload format 2.0. Its rules are those of the API
// Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs"
// and "Quotas for configuring and running an HTTP API". A comment marks each
// rule that was observed on a live API and is not documented.
//
// Start reading at ServeHTTP: it checks the limits, makes the event of the
// request (event.go), invokes the function and turns the function's answer into
// the HTTP answer (answer.go).
package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"footfall/local/endpoint"
	"footfall/local/runtime"
)

// Limits of an HTTP API. They are quotas that cannot be raised.
const (
	maxHead = 10_240   // bytes of the request line and all header values
	maxBody = 10 << 20 // bytes; the answer to a longer body names the limit as 10,485,760
	timeout = 30 * time.Second
)

// Limits that API Gateway does not document. They keep this server from
// hanging.
const (
	headTimeout = 10 * time.Second // for the request line and the headers
	readTimeout = 30 * time.Second // for the whole request
	grace       = 3 * time.Second  // for requests under way when the gateway is closed
)

// Options of a gateway. Listen and Invoke are required.
type Options struct {
	// Listen is the host:port to serve on. Port 0 takes a free port.
	Listen string
	// Invoke passes an event to the function and returns its answer or an
	// error, as runtime.Runtime does. Invoke is called from many goroutines.
	Invoke func(ctx context.Context, event []byte) ([]byte, error)
	// Log receives the reason when a request has no answer from the function.
	// nil discards it. Nothing of a request's content is logged.
	Log *slog.Logger
}

// Stats are the counters since Start.
type Stats struct {
	Requests int64 // answered, with any status
	Rejected int64 // of these, with a status from 400 to 499
	Failed   int64 // of these, with a status of 500 or more
}

// Gateway serves one function until it is closed.
type Gateway struct {
	o          Options
	server     http.Server
	listenAddr string
	serveErr   chan error
	timeout    time.Duration // of the integration
	grace      time.Duration // for requests under way when Close is called

	// ctx is the context of all invocations. It is not the request's: if a
	// client goes away, its invocation goes on.
	ctx  context.Context
	stop context.CancelFunc
	// serving is held for reading while a request is served, and for writing
	// for ever after Close.
	serving sync.RWMutex
	closing sync.Once
	closed  error

	requests, rejected, failed atomic.Int64
}

// Start serves o.Invoke at o.Listen until Close. It returns an error if
// o.Listen cannot be listened on.
func Start(o Options) (*Gateway, error) {
	ln, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{o: o, listenAddr: ln.Addr().String(), serveErr: make(chan error, 1), timeout: timeout, grace: grace}
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.server = http.Server{
		Handler:           g,
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       readTimeout,
		MaxHeaderBytes:    4 * maxHead, // answer rejects shorter heads than this already
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	go func() { g.serveErr <- g.server.Serve(ln) }()
	return g, nil
}

// URL returns the base URL of the gateway, http://host:port. If the gateway listens
// on all addresses of the machine, the URL has the loopback address.
func (g *Gateway) URL() string { return "http://" + endpoint.Reachable(g.listenAddr) }

// Stats returns the counters.
func (g *Gateway) Stats() Stats {
	return Stats{g.requests.Load(), g.rejected.Load(), g.failed.Load()}
}

// Close takes no more requests and returns when none is under way. Requests
// under way have a few seconds to be answered; then their connections are
// closed. Close may be called more than once.
func (g *Gateway) Close() error {
	g.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), g.grace)
		defer cancel()
		err := g.server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = nil // the requests that are left are cut off below
		}
		g.stop()
		err = errors.Join(err, g.server.Close())
		g.serving.Lock() // never unlocked: waits for the last request, and no request is served later
		if served := <-g.serveErr; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		if err != nil {
			g.closed = fmt.Errorf("gateway: %w", err)
		}
	})
	return g.closed
}

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !g.serving.TryRLock() {
		rejection(http.StatusServiceUnavailable).write(w)
		return
	}
	defer g.serving.RUnlock()
	id := rand.Text()[:15] + "=" // has the form of API Gateway's ids
	w.Header().Set("Apigw-Requestid", id)
	// Answer the request and count the answer by its status.
	a := g.answer(w, r, id)
	g.requests.Add(1)
	switch {
	case a.status >= http.StatusInternalServerError:
		g.failed.Add(1)
	case a.status >= http.StatusBadRequest:
		g.rejected.Add(1)
	}
	a.write(w)
}

// answer invokes the function with the request and returns the answer. Requests
// over a limit are rejected without an invocation.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request, id string) answer {
	if headBytes(r) > maxHead {
		return rejection(http.StatusRequestHeaderFieldsTooLarge) // the status is not documented
	}
	if r.ContentLength > maxBody {
		return rejection(http.StatusRequestEntityTooLarge)
	}
	// The length may be unknown, or too small: the limit is checked while
	// reading too.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return rejection(http.StatusRequestEntityTooLarge)
	}
	if err != nil {
		return rejection(http.StatusBadRequest) // the body broke off or took too long
	}
	event, err := newEvent(r, body, id, time.Now())
	if err != nil {
		return g.errorAnswer(err)
	}
	return g.invoke(event)
}

// invoke invokes the function with an event and returns its answer.
func (g *Gateway) invoke(event []byte) answer {
	ctx, cancel := context.WithTimeout(g.ctx, g.timeout)
	defer cancel()
	out, err := g.o.Invoke(ctx, event)
	if err != nil {
		return g.errorAnswer(err)
	}
	a, err := fromFunction(out)
	if err != nil {
		return g.errorAnswer(err)
	}
	return a
}

// errorAnswer logs err and returns an answer that does not reveal it. The
// statuses are those observed of HTTP APIs; REST APIs answer with 502 and 504.
func (g *Gateway) errorAnswer(err error) answer {
	status := http.StatusInternalServerError
	if f, ok := errors.AsType[*runtime.FunctionError](err); ok && f.Type == runtime.TypeRequestTooLarge {
		// A body can grow when it is put into an event: a body within the API's
		// limit can exceed Lambda's.
		return rejection(http.StatusRequestEntityTooLarge)
	}
	// The invocation took longer than the integration's timeout, or the gateway
	// was closed meanwhile.
	if errors.Is(err, context.DeadlineExceeded) || g.ctx.Err() != nil {
		status = http.StatusServiceUnavailable
	}
	g.o.Log.Warn("request without an answer of the function", "status", status, "error", err)
	return rejection(status)
}
