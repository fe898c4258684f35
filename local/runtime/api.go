package runtime

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// handler serves the Runtime API. The first element of a request's path is the
// id of the sending process, taken from AWS_LAMBDA_RUNTIME_API.
func (r *Runtime) handler() http.Handler {
	mux := http.NewServeMux()
	const base = "/{process}/2018-06-01/runtime"
	mux.HandleFunc("GET "+base+"/invocation/next", r.withProcess((*process).serveNext))
	mux.HandleFunc("POST "+base+"/invocation/{id}/response", r.withProcess((*process).serveResponse))
	mux.HandleFunc("POST "+base+"/invocation/{id}/error", r.withProcess((*process).serveError))
	mux.HandleFunc("POST "+base+"/init/error", r.withProcess((*process).serveInitError))
	return mux
}

// withProcess passes a request to the sending process. A removed process is
// unknown: the process was killed while its last request was on the way.
func (r *Runtime) withProcess(serve func(*process, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		p := r.processes[req.PathValue("process")]
		r.mu.Unlock()
		if p == nil {
			reject(w, http.StatusForbidden, "UnknownProcess", "the process that this request names is not running")
			return
		}
		serve(p, w, req)
	}
}

// add makes a process known to the API.
func (r *Runtime) add(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.processes[p.id] = p
}

// remove makes a process unknown to the API.
func (r *Runtime) remove(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.processes, p.id)
}

// serveNext writes an event to the process. If the process dies while the event
// is written, finish fails the invocation.
func (p *process) serveNext(w http.ResponseWriter, req *http.Request) {
	inv := p.next(req.Context())
	if inv == nil {
		return
	}
	defer close(inv.payloadFree)
	// The headers of the Runtime API.
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(inv.payload)))
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", p.env.f.arn())
	h.Set("Lambda-Runtime-Trace-Id", traceID(inv.id, time.Now()))
	w.Write(inv.payload)
}

// traceID returns the X-Ray trace header of an invocation, derived from its
// request id: a root of the start time and 96 bits, a parent of 64 bits, and
// not sampled.
func traceID(requestID string, now time.Time) string {
	digits := strings.ReplaceAll(requestID, "-", "")
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", now.Unix(), digits[:24], digits[16:])
}

// serveResponse takes the function's answer. The body is read before the
// invocation is checked. If the invocation times out during the read, the
// timeout is the result and the answer is rejected.
func (p *process) serveResponse(w http.ResponseWriter, req *http.Request) {
	id := req.PathValue("id")
	body, err := io.ReadAll(io.LimitReader(req.Body, MaxResponse+1))
	if err != nil {
		return // the process has died, or its invocation will time out
	}
	// The answer is too long: fail the invocation, as Lambda does.
	if len(body) > MaxResponse {
		// Read the rest, or the process would see a broken connection instead
		// of the status.
		_, _ = io.Copy(io.Discard, req.Body)
		message := fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxResponse)
		p.settleCurrent(id, result{err: &FunctionError{Function: p.env.f.Name, RequestID: id, Type: TypeResponseTooLarge, Message: message}})
		reject(w, http.StatusRequestEntityTooLarge, TypeResponseTooLarge, message)
		return
	}
	p.respond(w, id, result{answer: body, err: p.trailerError(id, req.Trailer)})
}

// trailerError returns the error of a function whose answer broke off, or nil.
// Such a function has begun the body already and reports the error in the
// trailers.
func (p *process) trailerError(id string, trailer http.Header) error {
	kind := trailer.Get("Lambda-Runtime-Function-Error-Type")
	if kind == "" {
		return nil
	}
	body, err := base64.StdEncoding.DecodeString(trailer.Get("Lambda-Runtime-Function-Error-Body"))
	if err != nil {
		body = nil
	}
	return parseError(p.env.f.Name, id, kind, body)
}

// serveError takes an error that the function reports for its invocation.
func (p *process) serveError(w http.ResponseWriter, req *http.Request) {
	id := req.PathValue("id")
	p.respond(w, id, result{err: p.readError(id, req)})
}

// serveInitError records why the function cannot start. Its process ends next,
// and finish fails the invocation that waits for the environment with this
// error.
func (p *process) serveInitError(w http.ResponseWriter, req *http.Request) {
	failure := p.readError("", req)
	p.env.f.mu.Lock()
	p.initErr = failure
	p.env.f.mu.Unlock()
	accept(w)
}

// readError returns the error that a function posted.
func (p *process) readError(id string, req *http.Request) *FunctionError {
	body, err := io.ReadAll(io.LimitReader(req.Body, MaxResponse))
	if err != nil {
		body = []byte(err.Error())
	}
	return parseError(p.env.f.Name, id, req.Header.Get("Lambda-Runtime-Function-Error-Type"), body)
}

// respond settles the invocation with the id. If another invocation or none is
// under way, for example after a timeout, the request is rejected.
func (p *process) respond(w http.ResponseWriter, id string, res result) {
	if !p.settleCurrent(id, res) {
		reject(w, http.StatusBadRequest, "InvalidRequestID", "the process has no such invocation under way")
		return
	}
	accept(w)
}

// accept writes the API's answer to a request that succeeded.
func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

// reject writes the API's answer to a request that failed.
func reject(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Strings always encode; a write error means that the process has died.
	_ = json.NewEncoder(w).Encode(map[string]string{"errorType": kind, "errorMessage": message})
}
