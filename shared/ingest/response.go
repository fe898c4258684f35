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

// methodList is HTTP methods in the order of the header Allow.
type methodList []string

func (m methodList) has(method string) bool { return slices.Contains(m, method) }

// String returns the value of the header Allow.
func (m methodList) String() string { return strings.Join(m, ", ") }

// allowedMethods returns the methods of a kind. Before Meraki posts to a path, its
// dashboard asks with GET whether the path is the customer's.
func allowedMethods(kind string) methodList {
	if kind == senders.Meraki {
		return methodList{http.MethodGet, http.MethodPost}
	}
	return methodList{http.MethodPost}
}

// validatorResponse answers the GET of Meraki's dashboard with the validator that
// the customer copied into the settings.
func (f *knownSender) validatorResponse() (r apigw.APIGatewayV2HTTPResponse, rejected *rejection) {
	if f.Validator == "" {
		return r, reject(unknown)
	}
	return apigw.APIGatewayV2HTTPResponse{
		StatusCode: http.StatusOK,
		Headers:    map[string]string{"Content-Type": "text/plain; charset=utf-8"},
		Body:       f.Validator,
	}, nil
}

// acceptedResponse answers a post with all records acknowledged. The status is 200
// and no other 2xx: not every sender documents that it accepts the others.
func acceptedResponse(s *summary) apigw.APIGatewayV2HTTPResponse {
	return jsonResponse(http.StatusOK, struct {
		Accepted int            `json:"accepted"`
		LeftOut  map[string]int `json:"left_out"`
	}{s.accepted, s.leftOut})
}

// response returns the HTTP response of a rejection.
func (r *rejection) response() apigw.APIGatewayV2HTTPResponse {
	type problem struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	response := jsonResponse(r.Status, struct {
		Error problem `json:"error"`
	}{problem{r.Code, r.Message}})
	if r.allow != "" {
		response.Headers["Allow"] = r.allow
	}
	if r.retryAfter > 0 {
		response.Headers["Retry-After"] = strconv.Itoa(int(math.Ceil(r.retryAfter.Seconds())))
	}
	return response
}

// jsonResponse returns a response with a body of JSON.
func jsonResponse(status int, body any) apigw.APIGatewayV2HTTPResponse {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings, numbers and maps of numbers can always be encoded
	}
	return apigw.APIGatewayV2HTTPResponse{
		StatusCode: status, Headers: map[string]string{"Content-Type": "application/json"}, Body: string(text),
	}
}

// report logs the line of a request. Metric filters read the message and the
// fields. rejected is nil for an accepted request.
func (h *Handler) report(ctx context.Context, s *summary, status int, rejected *rejection, took time.Duration) {
	level, code := slog.LevelInfo, "ok"
	if rejected != nil {
		code = rejected.Code
	}
	// A business or kind that may not exist is empty in the summary.
	var attrs []slog.Attr
	if s.business != "" {
		attrs = append(attrs, slog.String("business", string(s.business)))
	}
	if s.kind != "" {
		attrs = append(attrs, slog.String("kind", s.kind))
	}
	leftOut := 0
	for _, n := range s.leftOut {
		leftOut += n
	}
	attrs = append(attrs, slog.String("code", code), slog.Int("status", status),
		slog.Int("accepted", s.accepted), slog.Int("leftOut", leftOut), slog.Int("bytes", s.bytes),
		invocation.Took(took))

	// A failure of ingest, and not a mistake of the sender.
	if rejected != nil && rejected.err != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", rejected.err.Error()))
	}
	invocation.WithRequest(ctx, h.Log).LogAttrs(ctx, level, "post handled", attrs...)
}
