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

// request is a request as an HTTP API hands it on (API Gateway developer guide,
// "Working with AWS Lambda proxy integrations for HTTP APIs", payload format
// version 2.0).
type request struct {
	apigw.APIGatewayV2HTTPRequest
	header http.Header
}

// readRequest fails on what is no request in format 2.0. Its error says nothing
// of the payload, which holds addresses and secrets.
func readRequest(payload []byte) (*request, error) {
	var r request
	if err := json.Unmarshal(payload, &r.APIGatewayV2HTTPRequest); err != nil || r.Version != "2.0" {
		return nil, fmt.Errorf("ingest: a payload of %d bytes is no HTTP request in format 2.0", len(payload))
	}
	r.header = make(http.Header, len(r.Headers))
	for name, value := range r.Headers {
		r.header.Set(name, value)
	}
	return &r, nil
}

// address is what a path names: /v1/{business}/{kind}.
type address struct {
	business events.BusinessID
	kind     string
}

// address reads the path. HTTP APIs hand it on unescaped, other servers as it
// came: what cannot be unescaped is taken as it is. In front of it may be the
// name of the API's stage.
func (r *request) address() (a address, ok bool) {
	const version = "/v1/"
	rest, ok := strings.CutPrefix(r.RawPath, "/"+r.RequestContext.Stage+version)
	if !ok {
		rest, ok = strings.CutPrefix(r.RawPath, version)
	}
	if !ok {
		return address{}, false
	}
	business, kind, ok := strings.Cut(rest, "/")
	if !ok || business == "" || kind == "" || strings.Contains(kind, "/") {
		return address{}, false
	}
	if plain, err := url.PathUnescape(business); err == nil {
		business = plain
	}
	return address{events.BusinessID(business), kind}, len(business) <= events.MaxIDBytes && !strings.Contains(business, "/")
}
