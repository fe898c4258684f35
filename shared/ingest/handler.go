// Package ingest is the door: what routers post comes in through it and leaves
// as sightings of pseudonyms, on topic sightings, and as logins, on crm-events.
// A post is answered with 200 only once all its records are acknowledged. What
// a sender posts again is written again, which changes nothing.
package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	apigw "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"golang.org/x/time/rate"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/ingest/senders"
	"footfall/shared/invocation"
	"footfall/shared/pipeline"
	"footfall/shared/pseudonym"
	"footfall/shared/stage"
)

// Businesses says what a business takes at its door. ok is false for one that
// is not known. What it gives may be half a minute old.
type Businesses interface {
	Entrance(ctx context.Context, b events.BusinessID) (e business.Entrance, ok bool, err error)
}

// Keys makes the pseudonyms of a business. id is that of the master key, "" for
// the first.
type Keys interface {
	Business(ctx context.Context, id string, b events.BusinessID) (*pseudonym.Key, error)
}

// Deps is what a Handler is made of.
type Deps struct {
	Businesses Businesses
	Keys       Keys
	Out        stage.Producer
	Log        *slog.Logger
	Now        func() time.Time // nil is the wall clock
}

// Handler answers the requests of an HTTP API. It is safe for concurrent use.
type Handler struct {
	Deps
	rates rates
	taken taken
}

var _ lambda.Handler = (*Handler)(nil)

// New makes a handler that has not seen any request.
func New(d Deps) *Handler {
	if d.Now == nil {
		// By a clock that stands still while Lambda has the environment frozen, a
		// sender that posts once a minute would post without a pause, and what Mist
		// posted some minutes ago would have been just now.
		d.Now = invocation.WallClock
	}
	d.Log = d.Log.With("stage", pipeline.Ingest)
	return &Handler{Deps: d, rates: rates{each: map[address]*rate.Limiter{}}, taken: newTaken()}
}

// visit is what is known so far of the request under way, for the log.
type visit struct {
	address  // of it, what is known to be a business and a kind
	bytes    int
	accepted int
	left     map[string]int
}

// Invoke answers one request and logs one line about it. Its error is for a
// payload that is no request at all, which an HTTP API never sends.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	began := time.Now()
	r, err := readRequest(payload)
	if err != nil {
		return nil, err
	}
	v := visit{bytes: len(r.Body)}
	ctx, cancel := invocation.AnswerMargin.WithDeadline(ctx)
	defer cancel()
	response, refusal := h.serve(ctx, r, &v)
	if refusal != nil {
		response = refusal.response()
	}
	h.report(ctx, &v, response.StatusCode, refusal, time.Since(began))
	return json.Marshal(response)
}

// serve answers a request, and a panic on the way with a refusal. What it
// panicked with may be a piece of the body, so that only its type is told.
func (h *Handler) serve(ctx context.Context, r *request, v *visit) (response apigw.APIGatewayV2HTTPResponse, refusal *refused) {
	defer func() {
		if p := recover(); p != nil {
			refusal = failed(internal, fmt.Errorf("panic of a %T\n%s", p, debug.Stack()))
		}
	}()
	a, ok := r.address()
	if !ok {
		return response, refuse(unknown)
	}
	method := r.RequestContext.HTTP.Method
	if allowed := methods(a.kind); !allowed.has(method) {
		return response, &refused{refusal: methodNotAllowed, allow: allowed.String()}
	}
	if len(r.Body) > maxBody {
		return response, refuse(tooLarge)
	}
	if _, known := senders.ByKind(a.kind); known {
		v.kind = a.kind
	}
	g, refusal := h.find(ctx, a)
	if refusal != nil {
		return response, refusal
	}
	v.address = a
	if method == http.MethodGet {
		return g.validate()
	}
	if refusal := h.post(ctx, r, g, v); refusal != nil {
		return response, refusal
	}
	return accepted(v), nil
}

// gate is where a known sender posts to.
type gate struct {
	address
	business.Sender
	entrance business.Entrance
	reader   senders.Format
}

// find looks the business up also where nobody knows the kind, so that the time
// an answer takes does not tell which of the two was wrong.
func (h *Handler) find(ctx context.Context, a address) (*gate, *refused) {
	reader, known := senders.ByKind(a.kind)
	e, ok, err := h.Businesses.Entrance(ctx, a.business)
	if err != nil {
		// Nobody knows yet whether that is a business, and not an address or a
		// secret that was put into the path by mistake.
		why := strings.ReplaceAll(err.Error(), string(a.business), "*")
		return nil, failed(notStored, errors.New("look the business up: "+why))
	}
	s, configured := e.Senders[a.kind]
	if !known || !ok || !configured {
		return nil, refuse(unknown)
	}
	return &gate{a, s, e, reader}, nil
}

// post takes the body of a known sender: all of it, or nothing.
func (h *Handler) post(ctx context.Context, r *request, g *gate, v *visit) *refused {
	body, refusal := readBody(r)
	if refusal != nil {
		return refusal
	}
	v.bytes = len(body)
	if err := g.reader.Verify(r.header.Get, body, g.Secrets); err != nil {
		return refusedBy(err)
	}
	now, digest := h.Now(), digestOf(g.address, body)
	// Only who knows the secret uses up the sender's rate.
	if wait := h.rates.allow(g.address, g.PostsPerMinute, now); wait > 0 {
		return &refused{refusal: tooManyPosts, retryAfter: wait}
	}
	if h.taken.within(digest, g.memory(), now) {
		return refuse(alreadyTaken)
	}
	post, err := g.reader.Parse(body, senders.Arrival{
		At: now, Zone: g.entrance.Zone, Hold: g.entrance.Hold, Limits: senders.DefaultLimits,
	})
	if err != nil {
		return refusedBy(err)
	}
	records, refusal := h.records(ctx, g, post, now, v)
	if refusal != nil {
		return refusal
	}
	if err := h.Out.Produce(ctx, records); err != nil {
		return failed(notStored, err)
	}
	v.accepted = len(records)
	if len(records) > 0 { // CloudTrax posts the same body each minute while nobody is near
		h.taken.remember(digest, now)
	}
	return nil
}

// memory is how long an equal body of a sender counts as the same post. Mist
// says of nothing when it was, so that an hour of quiet looks the same.
func (g *gate) memory() time.Duration {
	if g.kind == senders.Mist {
		return rememberBrief
	}
	return rememberFor
}

// refusedBy passes on what senders find wrong with a request.
func refusedBy(err error) *refused {
	if r, ok := errors.AsType[*senders.Rejection](err); ok {
		return refuse(refusal{Status: r.Status, Code: r.Code, Message: r.Err.Error()})
	}
	return failed(internal, err)
}
