package ingest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	apigw "github.com/aws/aws-lambda-go/events"

	"footfall/events"
)

// request is a request in the form in which an HTTP API passes it on (API Gateway
// developer guide, "Working with AWS Lambda proxy integrations for HTTP APIs",
// payload format version 2.0).
type request struct {
	apigw.APIGatewayV2HTTPRequest
	header http.Header
}

// readRequest decodes a payload. It returns an error if the payload is no request
// in format 2.0. The error does not quote the payload, which holds MAC addresses
// and secrets.
func readRequest(payload []byte) (*request, error) {
	var r request
	if err := json.Unmarshal(payload, &r.APIGatewayV2HTTPRequest); err != nil || r.Version != "2.0" {
		return nil, fmt.Errorf("ingest: decode a payload of %d bytes: not an HTTP request in format 2.0", len(payload))
	}
	r.header = make(http.Header, len(r.Headers))
	for name, value := range r.Headers {
		r.header.Set(name, value)
	}
	return &r, nil
}

// route is the business and the kind that a path names: /v1/{business}/{kind}.
type route struct {
	business events.BusinessID
	kind     string
}

// route reads the path; ok is false if it does not have the form of a route. The
// name of the API's stage may precede the path.
//
// HTTP APIs pass the path on unescaped, other servers as it arrived. A business
// that cannot be unescaped is taken literally.
func (r *request) route() (to route, ok bool) {
	const version = "/v1/"
	rest, ok := strings.CutPrefix(r.RawPath, "/"+r.RequestContext.Stage+version)
	if !ok {
		rest, ok = strings.CutPrefix(r.RawPath, version)
	}
	if !ok {
		return route{}, false
	}
	business, kind, ok := strings.Cut(rest, "/")
	if !ok || business == "" || kind == "" || strings.Contains(kind, "/") {
		return route{}, false
	}
	// No business has a slash or more bytes than an id may have.
	if plain, err := url.PathUnescape(business); err == nil {
		business = plain
	}
	return route{events.BusinessID(business), kind}, len(business) <= events.MaxIDBytes && !strings.Contains(business, "/")
}
