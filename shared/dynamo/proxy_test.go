package dynamo

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// fault is what the proxy does to one request instead of passing it on.
type fault func(p *proxy, w http.ResponseWriter, r *http.Request)

// proxy stands between a client and the table server and spoils requests.
type proxy struct {
	forward *httputil.ReverseProxy
	conns   atomic.Int64 // connections ever opened to it

	mu     sync.Mutex
	faults []fault        // of the next requests
	seen   map[string]int // requests by operation
}

// newProxy gives a proxy and a client that goes through it.
func newProxy(t *testing.T) (*proxy, *dynamodb.Client) {
	t.Helper()
	target, err := url.Parse(server.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{forward: httputil.NewSingleHostReverseProxy(target), seen: map[string]int{}}
	s := httptest.NewUnstartedServer(p)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			p.conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return p, New(localConfig(s.URL))
}

// next spoils the requests that come from now on, in this order.
func (p *proxy) next(faults ...fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = faults
}

// count tells how many requests of an operation came.
func (p *proxy) count(operation string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[operation]
}

// ServeHTTP spoils the request or passes it on.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	p.mu.Lock()
	p.seen[operation]++
	var f fault
	if len(p.faults) > 0 {
		f, p.faults = p.faults[0], p.faults[1:]
	}
	p.mu.Unlock()
	if f == nil {
		p.forward.ServeHTTP(w, r)
		return
	}
	f(p, w, r)
}

// hangUp ends the connection without an answer; the request did nothing.
func hangUp(_ *proxy, w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}

// loseAnswer has the request carried out and ends the connection then.
func loseAnswer(p *proxy, w http.ResponseWriter, r *http.Request) {
	p.forward.ServeHTTP(httptest.NewRecorder(), r)
	hangUp(p, w, r)
}

// throttle answers as DynamoDB does when a partition of a table gets too much.
func throttle(_ *proxy, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"too much"}`)
}

// unprocessed answers a BatchGetItem with all of its keys left over.
func unprocessed(_ *proxy, w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Write(bytes.Replace(body, []byte(`"RequestItems"`), []byte(`"Responses":{},"UnprocessedKeys"`), 1))
}

// silence keeps the request without an answer until the client gives up.
func silence(_ *proxy, _ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}
