// Package gateway puts a function behind HTTP on this machine, as an HTTP API
// of Amazon API Gateway does whose one route is $default and whose integration
// is a Lambda proxy with payload format 2.0. Its rules are those of the API
// Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs"
// and "Quotas for configuring and running an HTTP API"; a comment says where
// one was only seen.
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

	"footfall/local/runtime"
)

// Limits of an HTTP API (its quotas, none of which can be raised).
const (
	maxHead = 10_240   // bytes of the request line and all header values
	maxBody = 10 << 20 // bytes; 10,485,760 says the answer to a longer one
	timeout = 30 * time.Second
)

// What is not API Gateway's, but keeps this server from hanging.
const (
	headTimeout = 10 * time.Second // for the request line and the headers
	readTimeout = 30 * time.Second // for the whole request
	grace       = 3 * time.Second  // for what is under way when it is closed
)

// Options of a gateway. Listen and Invoke are needed.
type Options struct {
	// Listen is where to serve, host:port; port 0 is one that is free.
	Listen string
	// Invoke gives the function an event and returns its answer, or why there is
	// none, as runtime.Runtime does. It is called from many goroutines.
	Invoke func(ctx context.Context, event []byte) ([]byte, error)
	// Log takes why a request had no answer of the function's; nil drops it.
	// Nothing of a request is logged.
	Log *slog.Logger
}

// Stats are counters since the start.
type Stats struct {
	Requests int64 // answered, whatever the answer
	Rejected int64 // of these, with a status from 400 to 499
	Failed   int64 // of these, with 500 or above
}

// Gateway serves one function until it is closed.
type Gateway struct {
	o          Options
	server     http.Server
	listenAddr string
	serveErr   chan error
	timeout    time.Duration // of the integration
	grace      time.Duration // for what is under way at the end

	// ctx is that of all invocations. It is not the request's: when a client
	// goes away, its invocation goes on.
	ctx  context.Context
	stop context.CancelFunc
	// serving is held for reading while a request is served, and for writing once
	// the gateway is closed.
	serving sync.RWMutex
	closing sync.Once
	closed  error

	requests, rejected, failed atomic.Int64
}

// Start serves o.Invoke at o.Listen until Close.
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
		MaxHeaderBytes:    4 * maxHead, // far beyond what is counted here
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	go func() { g.serveErr <- g.server.Serve(ln) }()
	return g, nil
}

// URL is where the gateway is, without a path: http://host:port.
func (g *Gateway) URL() string { return "http://" + g.listenAddr }

// Stats gives the counters.
func (g *Gateway) Stats() Stats {
	return Stats{g.requests.Load(), g.rejected.Load(), g.failed.Load()}
}

// Close takes no more requests, gives those under way a few seconds to be
// answered, and returns when all are done with.
func (g *Gateway) Close() error {
	g.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), g.grace)
		defer cancel()
		err := g.server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = nil // what is left is cut off
		}
		g.stop()
		err = errors.Join(err, g.server.Close())
		g.serving.Lock() // for good: waits for the last request, and nothing is served after it
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
	id := rand.Text()[:15] + "=" // looks like API Gateway's
	w.Header().Set("Apigw-Requestid", id)
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

// answer hands the request to the function, unless it is over a limit.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request, id string) answer {
	if headBytes(r) > maxHead {
		return rejection(http.StatusRequestHeaderFieldsTooLarge) // the status is not documented
	}
	if r.ContentLength > maxBody {
		return rejection(http.StatusRequestEntityTooLarge)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return rejection(http.StatusRequestEntityTooLarge)
	}
	if err != nil {
		return rejection(http.StatusBadRequest) // it broke off, or took too long
	}
	event, err := newEvent(r, body, id, time.Now())
	if err != nil {
		return g.errorAnswer(err)
	}
	return g.invoke(event)
}

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

// errorAnswer turns what went wrong into an answer that does not tell it. The
// statuses are those seen of HTTP APIs: REST APIs answer with 502 and 504.
func (g *Gateway) errorAnswer(err error) answer {
	status := http.StatusInternalServerError
	if f, ok := errors.AsType[*runtime.FunctionError](err); ok && f.Type == runtime.TypeRequestTooLarge {
		// In the event, a body may be larger than it was: Lambda's limit can be
		// met by one that is within that of the API.
		return rejection(http.StatusRequestEntityTooLarge)
	}
	if errors.Is(err, context.DeadlineExceeded) || g.ctx.Err() != nil {
		status = http.StatusServiceUnavailable
	}
	g.o.Log.Warn("a request had no answer of the function's", "status", status, "error", err)
	return rejection(status)
}
