package ingest

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	apigw "github.com/aws/aws-lambda-go/events"

	"footfall/shared/ingest/senders"
	"footfall/shared/invocation"
)

// allowed is methods, in the order of the header Allow.
type allowed []string

func (a allowed) has(method string) bool { return slices.Contains(a, method) }

func (a allowed) String() string { return strings.Join(a, ", ") }

// methods of a kind. Meraki's dashboard asks with GET whether a receiver is the
// customer's before it posts there.
func methods(kind string) allowed {
	if kind == senders.Meraki {
		return allowed{http.MethodGet, http.MethodPost}
	}
	return allowed{http.MethodPost}
}

// validate answers that question.
func (g *gate) validate() (r apigw.APIGatewayV2HTTPResponse, refusal *refused) {
	if g.Validator == "" {
		return r, refuse(unknown)
	}
	return apigw.APIGatewayV2HTTPResponse{
		StatusCode: http.StatusOK,
		Headers:    map[string]string{"Content-Type": "text/plain; charset=utf-8"},
		Body:       g.Validator,
	}, nil
}

// accepted is the answer to a post all of whose records are acknowledged. 200
// and no other 2xx: not every sender's documentation says that those will do.
func accepted(v *visit) apigw.APIGatewayV2HTTPResponse {
	return answer(http.StatusOK, struct {
		Accepted int            `json:"accepted"`
		LeftOut  map[string]int `json:"left_out"`
	}{v.accepted, v.left})
}

func (r *refused) response() apigw.APIGatewayV2HTTPResponse {
	type problem struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	a := answer(r.Status, struct {
		Error problem `json:"error"`
	}{problem{r.Code, r.Message}})
	if r.allow != "" {
		a.Headers["Allow"] = r.allow
	}
	if r.retryAfter > 0 {
		a.Headers["Retry-After"] = strconv.Itoa(int(math.Ceil(r.retryAfter.Seconds())))
	}
	return a
}

func answer(status int, body any) apigw.APIGatewayV2HTTPResponse {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // a string, a number and a map of numbers can always be written
	}
	return apigw.APIGatewayV2HTTPResponse{
		StatusCode: status, Headers: map[string]string{"Content-Type": "application/json"}, Body: string(text),
	}
}

// report logs what became of a request. Metric filters read the line.
func (h *Handler) report(ctx context.Context, v *visit, status int, r *refused, took time.Duration) {
	level, code := slog.LevelInfo, "ok"
	var attrs []slog.Attr
	if v.business != "" {
		attrs = append(attrs, slog.String("business", string(v.business)))
	}
	if v.kind != "" {
		attrs = append(attrs, slog.String("kind", v.kind))
	}
	if r != nil {
		code = r.Code
	}
	left := 0
	for _, n := range v.left {
		left += n
	}
	attrs = append(attrs, slog.String("code", code), slog.Int("status", status),
		slog.Int("accepted", v.accepted), slog.Int("leftOut", left), slog.Int("bytes", v.bytes),
		invocation.Took(took))
	if r != nil && r.err != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", r.err.Error()))
	}
	invocation.WithRequest(ctx, h.Log).LogAttrs(ctx, level, "post handled", attrs...)
}
