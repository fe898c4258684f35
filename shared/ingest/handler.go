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

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/ingest/senders"
	"footfall/shared/invocation"
	"footfall/shared/pipeline"
	"footfall/shared/pseudonym"
	"footfall/shared/stage"
)

// Businesses reads the settings of a business that ingest needs.
type Businesses interface {
	// Entrance returns the settings of business b; ok is false if the business is
	// unknown. The settings may be half a minute old.
	Entrance(ctx context.Context, b events.BusinessID) (e business.Entrance, ok bool, err error)
}

// Keys reads the pseudonym keys of businesses.
type Keys interface {
	// Business returns the key of business b under the master key with an id; the
	// id "" is the first master key. An unknown id is an error.
	Business(ctx context.Context, id string, b events.BusinessID) (*pseudonym.Key, error)
}

// Deps is what a Handler depends on.
type Deps struct {
	Businesses Businesses
	Keys       Keys
	Out        stage.Producer
	Log        *slog.Logger
	// Now is the clock of rates, repetitions and ages; nil is
	// [invocation.WallClock]. A clock that stands still while Lambda has the
	// environment frozen would do harm: a sender with a post per minute would seem
	// to post without a pause, and a post of Mist from some minutes ago would seem
	// to be a moment old.
	Now func() time.Time
}

// Handler answers the requests of an HTTP API. Its methods are safe for concurrent
// use.
type Handler struct {
	Deps
	rates    rateLimiters
	accepted acceptedPosts
	joined   joinedDevices
}

var _ lambda.Handler = (*Handler)(nil)

// New returns a handler without any memory of posts.
func New(d Deps) *Handler {
	if d.Now == nil {
		d.Now = invocation.WallClock
	}
	d.Log = d.Log.With("stage", pipeline.Ingest)
	return &Handler{Deps: d, rates: newRateLimiters(), accepted: newAcceptedPosts(), joined: newJoinedDevices()}
}

// summary is the content of the log line of one request. The checks fill it in as
// the request passes them.
type summary struct {
	route    // holds a business or kind only once it is known to exist
	bytes    int
	accepted int
	leftOut  map[string]int
}

// Invoke answers one request and logs one line for it. It returns an error only if
// the payload is no request, which an HTTP API never sends.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	began := time.Now()
	r, err := readRequest(payload)
	if err != nil {
		return nil, err
	}
	s := summary{bytes: len(r.Body)}

	// If the producer hangs, the sender still gets an answer.
	ctx, cancel := invocation.AnswerMargin.WithDeadline(ctx)
	defer cancel()
	response, rejected := h.serve(ctx, r, &s)
	if rejected != nil {
		response = rejected.response()
	}
	h.report(ctx, &s, response.StatusCode, rejected, time.Since(began))
	return json.Marshal(response)
}

// serve answers a request. A panic becomes a rejection. Its error holds only the
// type of the panic's value, since the value may be a piece of the body.
func (h *Handler) serve(ctx context.Context, r *request, s *summary) (response apigw.APIGatewayV2HTTPResponse, rejected *rejection) {
	defer func() {
		if p := recover(); p != nil {
			rejected = rejectFailure(internal, fmt.Errorf("panic of a %T\n%s", p, debug.Stack()))
		}
	}()

	// The checks of the request line and the size, which need no settings.
	to, ok := r.route()
	if !ok {
		return response, reject(unknown)
	}
	method := r.RequestContext.HTTP.Method
	if allowed := allowedMethods(to.kind); !allowed.has(method) {
		return response, &rejection{rejectionKind: methodNotAllowed, allow: allowed.String()}
	}
	if len(r.Body) > maxBody {
		return response, reject(tooLarge)
	}

	// The configured sender. A kind that exists may be logged now. The business may
	// be logged only once it is found: until then it may be a MAC address or a secret
	// that was put into the path by mistake.
	if _, known := senders.ByKind(to.kind); known {
		s.kind = to.kind
	}
	from, rejected := h.sender(ctx, to)
	if rejected != nil {
		return response, rejected
	}
	s.route = to

	if method == http.MethodGet {
		return from.validatorResponse()
	}
	if rejected := h.accept(ctx, r, from, s); rejected != nil {
		return response, rejected
	}
	return acceptedResponse(s), nil
}

// knownSender is a sender that a business has configured.
type knownSender struct {
	route
	business.Sender
	entrance business.Entrance
	format   senders.Format
}

// sender returns the sender that is configured for a route.
//
// It reads the business even if the kind is unknown. Otherwise the time of the
// answer would reveal which of the two is unknown.
func (h *Handler) sender(ctx context.Context, to route) (*knownSender, *rejection) {
	format, known := senders.ByKind(to.kind)
	e, ok, err := h.Businesses.Entrance(ctx, to.business)
	if err != nil {
		// The table did not answer, so the business in the path may still be a MAC
		// address or a secret. The error must not quote it.
		text := strings.ReplaceAll(err.Error(), string(to.business), "*")
		return nil, rejectFailure(notStored, errors.New("read the settings of the business: "+text))
	}
	s, configured := e.Senders[to.kind]
	if !known || !ok || !configured {
		return nil, reject(unknown)
	}
	return &knownSender{to, s, e, format}, nil
}

// accept checks the body of a request and produces its records: all of them, or
// none. It returns nil once all records are acknowledged.
func (h *Handler) accept(ctx context.Context, r *request, from *knownSender, s *summary) *rejection {
	// Verify the sender on the decoded body: the signature is of the body before gzip.
	body, rejected := readBody(r)
	if rejected != nil {
		return rejected
	}
	s.bytes = len(body)
	if err := from.format.Verify(r.header.Get, body, from.Secrets); err != nil {
		return rejectFor(err)
	}

	// Rate and repetition. They come after the secret, so that only a verified post
	// counts against the rate of the sender.
	now, digest := h.Now(), digestPost(from.route, body)
	if wait := h.rates.reserve(from.route, from.PostsPerMinute, now); wait > 0 {
		return &rejection{rejectionKind: tooManyPosts, retryAfter: wait}
	}
	if h.accepted.within(digest, from.repeatWindow(), now) {
		return reject(alreadyTaken)
	}

	post, err := from.format.Parse(body, senders.Arrival{
		At: now, Zone: from.entrance.Zone, Hold: from.entrance.Hold, Limits: senders.DefaultLimits,
	})
	if err != nil {
		return rejectFor(err)
	}
	records, rejected := h.records(ctx, from, post, now, s)
	if rejected != nil {
		return rejected
	}

	// If Kafka acknowledged only some of the records, or acknowledged them and the
	// acknowledgement was lost, the sender posts the body again. The body is not
	// remembered then, and all records are produced again.
	if err := h.Out.Produce(ctx, records); err != nil {
		return rejectFailure(notStored, err)
	}
	s.accepted = len(records)

	// A body without records is not remembered: CloudTrax posts the same body every
	// minute while no device is near.
	if len(records) > 0 {
		h.accepted.add(digest, now)
	}
	return nil
}

// repeatWindow returns how long an equal body of the sender counts as a repetition.
// Posts of Mist carry no times: after a minute an equal body is a new post.
func (f *knownSender) repeatWindow() time.Duration {
	if f.kind == senders.Mist {
		return repeatWindowMist
	}
	return repeatWindow
}
