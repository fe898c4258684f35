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

// handler serves the Runtime API. The first element of a path is the id of the
// process that asks, as its AWS_LAMBDA_RUNTIME_API says.
func (r *Runtime) handler() http.Handler {
	mux := http.NewServeMux()
	const base = "/{process}/2018-06-01/runtime"
	mux.HandleFunc("GET "+base+"/invocation/next", r.withProcess((*process).serveNext))
	mux.HandleFunc("POST "+base+"/invocation/{id}/response", r.withProcess((*process).serveResponse))
	mux.HandleFunc("POST "+base+"/invocation/{id}/error", r.withProcess((*process).serveError))
	mux.HandleFunc("POST "+base+"/init/error", r.withProcess((*process).serveInitError))
	return mux
}

// withProcess finds the process that asks. One that is dead already is unknown:
// its last request can still be on its way.
func (r *Runtime) withProcess(serve func(*process, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		p := r.processes[req.PathValue("process")]
		r.mu.Unlock()
		if p == nil {
			reject(w, http.StatusForbidden, "UnknownProcess", "no such process is running")
			return
		}
		serve(p, w, req)
	}
}

func (r *Runtime) add(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.processes[p.id] = p
}

func (r *Runtime) remove(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.processes, p.id)
}

// serveNext hands over an event. If the process dies while it is written, the
// end of the process fails the invocation.
func (p *process) serveNext(w http.ResponseWriter, req *http.Request) {
	inv := p.next(req.Context())
	if inv == nil {
		return
	}
	defer close(inv.payloadFree)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(inv.payload)))
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", p.env.f.arn())
	h.Set("Lambda-Runtime-Trace-Id", traceID(inv.id, time.Now()))
	w.Write(inv.payload)
}

// traceID is the X-Ray trace header of an invocation, made of its request id:
// a root of the start time and 96 bits, and a parent of 64 bits, not sampled.
func traceID(requestID string, now time.Time) string {
	digits := strings.ReplaceAll(requestID, "-", "")
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", now.Unix(), digits[:24], digits[16:])
}

// serveResponse takes an answer. It is read before it is known to be wanted: an
// invocation that times out meanwhile has its result then, and this one is
// refused.
func (p *process) serveResponse(w http.ResponseWriter, req *http.Request) {
	id := req.PathValue("id")
	body, err := io.ReadAll(io.LimitReader(req.Body, MaxResponse+1))
	if err != nil {
		return // the process is gone, or will time out
	}
	if len(body) > MaxResponse {
		// The rest must be read, or the process would see a broken connection in
		// place of the status.
		_, _ = io.Copy(io.Discard, req.Body)
		message := fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxResponse)
		p.settleCurrent(id, result{err: &FunctionError{Function: p.env.f.Name, RequestID: id, Type: TypeResponseTooLarge, Message: message}})
		reject(w, http.StatusRequestEntityTooLarge, TypeResponseTooLarge, message)
		return
	}
	p.respond(w, id, result{answer: body, err: p.trailerError(id, req.Trailer)})
}

// trailerError is the error of a function whose answer broke off: the client
// has begun the body by then and reports in the trailers.
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

func (p *process) serveError(w http.ResponseWriter, req *http.Request) {
	id := req.PathValue("id")
	p.respond(w, id, result{err: p.readError(id, req)})
}

// serveInitError keeps why a function cannot start. Its process ends next, and
// the invocation that waits for it gets this error.
func (p *process) serveInitError(w http.ResponseWriter, req *http.Request) {
	failure := p.readError("", req)
	p.env.f.mu.Lock()
	p.initErr = failure
	p.env.f.mu.Unlock()
	accept(w)
}

func (p *process) readError(id string, req *http.Request) *FunctionError {
	body, err := io.ReadAll(io.LimitReader(req.Body, MaxResponse))
	if err != nil {
		body = []byte(err.Error())
	}
	return parseError(p.env.f.Name, id, req.Header.Get("Lambda-Runtime-Function-Error-Type"), body)
}

// respond settles the invocation and tells the function whether that was the
// one under way.
func (p *process) respond(w http.ResponseWriter, id string, res result) {
	if !p.settleCurrent(id, res) {
		reject(w, http.StatusBadRequest, "InvalidRequestID", "not the invocation under way")
		return
	}
	accept(w)
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

func reject(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Strings always encode; a write error means that the process is gone.
	_ = json.NewEncoder(w).Encode(map[string]string{"errorType": kind, "errorMessage": message})
}
