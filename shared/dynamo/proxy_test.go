package dynamo

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// fault handles one request in place of passing it on.
type fault func(p *proxy, w http.ResponseWriter, r *http.Request)

// proxy is an HTTP proxy between a client and the table server that makes requests
// fail.
type proxy struct {
	server *httputil.ReverseProxy
	conns  atomic.Int64 // connections that clients opened, closed ones too

	// returnsItems adds the stored item to the error of a failed condition, if the
	// write asked for it. DynamoDB does so, dynalite cannot.
	returnsItems bool
	// conditionless removes the condition of every write, as an adapter without
	// conditions would.
	conditionless bool

	exact  sync.Mutex     // keeps a write and the read of the item that it failed on together
	mu     sync.Mutex     // guards the fields below
	faults []fault        // for the next requests, in order
	chance func() fault   // for the requests after faults, nil for none
	seen   map[string]int // requests by operation
}

// newProxy returns a proxy and a client of it. The functions in set change the proxy
// before the first request.
func newProxy(t *testing.T, set ...func(*proxy)) (*proxy, *dynamodb.Client) {
	t.Helper()
	target, err := url.Parse(server.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{server: httputil.NewSingleHostReverseProxy(target), seen: map[string]int{}}
	p.server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of clients that gave up
	for _, change := range set {
		change(p)
	}
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

// returnItems makes the proxy add items to the errors of failed conditions.
func returnItems(p *proxy) { p.returnsItems = true }

// next sets the faults of the next requests, in order.
func (p *proxy) next(faults ...fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = faults
}

// count returns how many requests of an operation came.
func (p *proxy) count(operation string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[operation]
}

// operation returns the DynamoDB action of a request, like "PutItem".
func operation(r *http.Request) string {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return name
}

// ServeHTTP handles the request with the next fault, or passes it on.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen[operation(r)]++
	var f fault
	switch {
	case len(p.faults) > 0:
		f, p.faults = p.faults[0], p.faults[1:]
	case p.chance != nil:
		f = p.chance()
	}
	p.mu.Unlock()
	if f == nil {
		p.forward(w, r)
		return
	}
	f(p, w, r)
}

// forward passes the request to the table server, changed as the proxy is set.
func (p *proxy) forward(w http.ResponseWriter, r *http.Request) {
	if !p.returnsItems && !p.conditionless {
		p.server.ServeHTTP(w, r)
		return
	}
	p.exact.Lock()
	defer p.exact.Unlock()
	request := body{}
	request.read(r)
	if p.conditionless {
		request.dropCondition(operation(r))
	}
	request.write(r)
	answer := httptest.NewRecorder()
	p.server.ServeHTTP(answer, r)
	text := answer.Body.Bytes()
	if request["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD" && bytes.Contains(text, []byte("ConditionalCheckFailedException")) {
		text = p.withItem(text, request, r)
		answer.Header().Del("X-Amz-Crc32") // of the text without the item
	}
	send(w, answer, text, len(text))
}

// withItem returns the error of a failed condition with the stored item, in the form
// of the API reference.
func (p *proxy) withItem(text []byte, request body, r *http.Request) []byte {
	key, ok := request["Key"].(map[string]any)
	if !ok {
		key = maps.Clone(request["Item"].(map[string]any))
		maps.DeleteFunc(key, func(name string, _ any) bool {
			return !slices.Contains([]string{keyChain, keySeq, keyPK, keySK, keyMonth}, name)
		})
	}
	get := r.Clone(r.Context())
	get.Header.Set("X-Amz-Target", "DynamoDB_20120810.GetItem")
	body{"TableName": request["TableName"], "Key": key, "ConsistentRead": true}.write(get)
	answer := httptest.NewRecorder()
	p.server.ServeHTTP(answer, get)
	var found, failure body
	hangUpOn(json.Unmarshal(answer.Body.Bytes(), &found))
	hangUpOn(json.Unmarshal(text, &failure))
	if item, ok := found["Item"]; ok {
		failure["Item"] = item
	}
	return failure.text()
}

// body is the JSON body of a request or an answer.
type body map[string]any

// read decodes the body of a request.
func (b *body) read(r *http.Request) {
	text, err := io.ReadAll(r.Body)
	hangUpOn(err)
	hangUpOn(json.Unmarshal(text, b))
}

// text encodes the body.
func (b body) text() []byte {
	text, err := json.Marshal(b)
	hangUpOn(err)
	return text
}

// write replaces the body of a request.
func (b body) write(r *http.Request) {
	text := b.text()
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Length", strconv.Itoa(len(text)))
}

// dropCondition removes the condition of a write, and the values that only the
// condition names: DynamoDB rejects a request with unused values.
func (b body) dropCondition(operation string) {
	condition, ok := b["ConditionExpression"].(string)
	if !ok {
		return
	}
	delete(b, "ConditionExpression")
	values, _ := b["ExpressionAttributeValues"].(map[string]any)
	maps.DeleteFunc(values, func(name string, _ any) bool {
		update, _ := b["UpdateExpression"].(string)
		return strings.Contains(condition, name) && !strings.Contains(update, name)
	})
	if operation == "PutItem" {
		delete(b, "ExpressionAttributeValues")
	}
}

// hangUpOn ends the connection in the way of net/http if a request or an answer is
// incomplete: the client has gone.
func hangUpOn(err error) {
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}

// send answers with a recorded answer whose body is text, cut after n bytes.
func send(w http.ResponseWriter, answer *httptest.ResponseRecorder, text []byte, n int) {
	maps.Copy(w.Header(), answer.Header())
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(answer.Code)
	w.Write(text[:n])
}

// hangUp ends the connection without an answer. The request is not applied.
func hangUp(_ *proxy, w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}

// loseAnswer applies the request and then ends the connection without an answer.
func loseAnswer(p *proxy, w http.ResponseWriter, r *http.Request) {
	p.forward(httptest.NewRecorder(), r)
	hangUp(p, w, r)
}

// cutAnswer applies the request and ends the connection in the middle of the answer.
func cutAnswer(p *proxy, w http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	p.forward(answer, r)
	send(w, answer, answer.Body.Bytes(), answer.Body.Len()/2)
	hangUpOn(io.ErrUnexpectedEOF)
}

// slowAnswer applies the request and answers after 50 ms.
func slowAnswer(p *proxy, w http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	p.forward(answer, r)
	time.Sleep(50 * time.Millisecond)
	send(w, answer, answer.Body.Bytes(), answer.Body.Len())
}

// failWith answers with an error of DynamoDB. The request is not applied.
func failWith(status int, name string) fault {
	return func(_ *proxy, w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		w.Write(body{"__type": name, "message": "not now"}.text())
	}
}

// The errors that a client should retry (DynamoDB developer guide, "Error handling
// with DynamoDB": errors marked "OK to retry").
var (
	throttle        = failWith(http.StatusBadRequest, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException")
	throttleTable   = failWith(http.StatusBadRequest, "com.amazon.coral.availability#ThrottlingException")
	throttleAccount = failWith(http.StatusBadRequest, "com.amazonaws.dynamodb.v20120810#RequestLimitExceeded")
	internalError   = failWith(http.StatusInternalServerError, "com.amazonaws.dynamodb.v20120810#InternalServerError")
	unavailable     = failWith(http.StatusServiceUnavailable, "com.amazonaws.dynamodb.v20120810#ServiceUnavailable")
)

// unprocessed answers a BatchGetItem with all of its keys unprocessed.
func unprocessed(_ *proxy, w http.ResponseWriter, r *http.Request) {
	b := body{}
	b.read(r)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Write(body{"Responses": body{}, "UnprocessedKeys": b["RequestItems"]}.text())
}

// halfProcessed answers the first half of the keys of a BatchGetItem, with the other
// keys unprocessed.
func halfProcessed(p *proxy, w http.ResponseWriter, r *http.Request) {
	b := body{}
	b.read(r)
	left := body{}
	for name, v := range b["RequestItems"].(map[string]any) {
		ask := v.(map[string]any)
		keys := ask["Keys"].([]any)
		rest := maps.Clone(ask)
		ask["Keys"], rest["Keys"] = keys[:(len(keys)+1)/2], keys[(len(keys)+1)/2:]
		if len(keys) > 1 {
			left[name] = rest
		}
	}
	b.write(r)
	answer := httptest.NewRecorder()
	p.server.ServeHTTP(answer, r)
	out := body{}
	hangUpOn(json.Unmarshal(answer.Body.Bytes(), &out))
	out["UnprocessedKeys"] = left
	answer.Header().Del("X-Amz-Crc32")
	text := out.text()
	send(w, answer, text, len(text))
}

// neverAnswer holds the request without an answer until the client gives up.
func neverAnswer(_ *proxy, _ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}
