package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	apigw "github.com/aws/aws-lambda-go/events"
)

// eventOf posts a request, given as bytes, and returns the event that the
// function received.
func eventOf(t *testing.T, head, body string) (e apigw.APIGatewayV2HTTPRequest, raw map[string]json.RawMessage) {
	t.Helper()
	var event []byte
	g := serve(t, func(payload []byte) string { event = bytes.Clone(payload); return `{}` })
	if got := exchange(t, g, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n\r\n"+body); got.status != http.StatusOK {
		t.Fatalf("status %d", got.status)
	}
	if err := json.Unmarshal(event, &e); err != nil {
		t.Fatalf("%v in %s", err, event)
	}
	if err := json.Unmarshal(event, &raw); err != nil {
		t.Fatal(err)
	}
	return e, raw
}

func TestEventOfAPost(t *testing.T) {
	before := time.Now().UnixMilli()
	e, raw := eventOf(t, `POST /v1/cafe-1/meraki?a=1&a=2&b=x%20y HTTP/1.1
Host: api.example.com:8080
Content-Type: application/json; charset=utf-8
Content-Length: 15
Accept: text/html
Accept: text/plain
X-Mist-Signature-v2: 00Ff
Cookie: one=1; two=2
Cookie: three=3
User-Agent: router/7
X-Forwarded-For: 192.0.2.7
X-Forwarded-Proto: https`, `{"a":"<&>\u00e9"}`[:9]+"é\"}"+"  ")
	trace := e.Headers["x-amzn-trace-id"]
	delete(e.Headers, "x-amzn-trace-id")
	if want := map[string]string{
		"host": "api.example.com:8080", "content-type": "application/json; charset=utf-8", "content-length": "15",
		"accept": "text/html,text/plain", "x-mist-signature-v2": "00Ff", "user-agent": "router/7",
		"x-forwarded-for": "192.0.2.7, 127.0.0.1", "x-forwarded-port": "8080", "x-forwarded-proto": "http",
	}; !maps.Equal(e.Headers, want) {
		t.Errorf("headers %v,\nwant %v", e.Headers, want)
	}
	if len(trace) != len("Root=1-67891233-abcdef012345678912345678") {
		t.Errorf("trace id %q", trace)
	}
	if want := map[string]string{"a": "1,2", "b": "x y"}; !maps.Equal(e.QueryStringParameters, want) {
		t.Errorf("parameters %v, want %v", e.QueryStringParameters, want)
	}
	c := e.RequestContext
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", c.Time)
	if err != nil || !strings.HasSuffix(c.Time, " +0000") || at.Unix() != c.TimeEpoch/1000 || c.TimeEpoch < before || c.TimeEpoch > time.Now().UnixMilli() {
		t.Errorf("time %q, %d (%v)", c.Time, c.TimeEpoch, err)
	}
	for _, c := range []struct{ what, got, want string }{
		{"version", e.Version, "2.0"},
		{"routeKey", e.RouteKey, "$default"},
		{"rawPath", e.RawPath, "/v1/cafe-1/meraki"},
		{"rawQueryString", e.RawQueryString, "a=1&a=2&b=x%20y"},
		{"cookies", strings.Join(e.Cookies, "|"), "one=1|two=2|three=3"},
		{"method", c.HTTP.Method, "POST"},
		{"path", c.HTTP.Path, "/v1/cafe-1/meraki"},
		{"protocol", c.HTTP.Protocol, "HTTP/1.1"},
		{"sourceIp", c.HTTP.SourceIP, "127.0.0.1"},
		{"userAgent", c.HTTP.UserAgent, "router/7"},
		{"stage", c.Stage, "$default"},
		{"routeKey in the context", c.RouteKey, "$default"},
		{"domainName", c.DomainName, "api.example.com:8080"},
		{"domainPrefix", c.DomainPrefix, "api"},
		{"body", e.Body, `{"a":"<&>é"}  `},
		{"isBase64Encoded", string(raw["isBase64Encoded"]), "false"},
		{"body in bytes", string(raw["body"]), `"{\"a\":\"<&>é\"}  "`},
	} {
		if c.got != c.want {
			t.Errorf("%s is %q, want %q", c.what, c.got, c.want)
		}
	}
	if len(c.RequestID) != 16 {
		t.Errorf("request id %q", c.RequestID)
	}
}

func TestPathIsDecoded(t *testing.T) {
	for raw, want := range map[string]string{
		"/v1/caf%C3%A9/mist":   "/v1/café/mist",
		"/v1/a%2Fb/mist":       "/v1/a/b/mist",
		"/v1/../x//y/":         "/v1/../x//y/",
		"/v1/a%3Fb/mist?q=%3F": "/v1/a",
		"/v1/100%25/mist":      "/v1/100%/mist",
	} {
		e, _ := eventOf(t, "GET "+raw+" HTTP/1.1\nHost: x", "")
		if e.RawPath != want || e.RequestContext.HTTP.Path != want {
			t.Errorf("%s: rawPath %q, path %q, want %q", raw, e.RawPath, e.RequestContext.HTTP.Path, want)
		}
	}
}

func TestBodyIsTextOrBase64(t *testing.T) {
	body := "{\"a\":\"\xff\"}"
	asText, inBase64 := "{\"a\":\"\ufffd\"}", base64.StdEncoding.EncodeToString([]byte(body))
	for kind, want := range map[string]string{
		"application/json":                  asText,
		"Application/JSON; charset=UTF-8":   asText,
		"text/plain":                        asText,
		"text/x-log":                        asText,
		"application/xml":                   asText,
		"application/javascript":            asText,
		"application/x-www-form-urlencoded": inBase64, // the default of curl -d
		"application/octet-stream":          inBase64,
		"application/vnd.api+json":          inBase64,
		"application/x-ndjson":              inBase64,
		"nonsense;;":                        inBase64,
		"":                                  inBase64,
	} {
		e, _ := eventOf(t, "POST / HTTP/1.1\nHost: x\nContent-Length: 9\nContent-Type: "+kind, body)
		if e.Body != want || e.IsBase64Encoded != (want == inBase64) {
			t.Errorf("%q: body %q, isBase64Encoded %v, want %q", kind, e.Body, e.IsBase64Encoded, want)
		}
	}
}

func TestEmptyAndChunkedBodies(t *testing.T) {
	e, raw := eventOf(t, "GET /v1/cafe-1/meraki HTTP/1.1\nHost: x", "")
	if raw["body"] != nil || e.IsBase64Encoded || e.Headers["content-length"] != "0" {
		t.Errorf("event of an empty body has body %s, isBase64Encoded %v, content-length %q", raw["body"], e.IsBase64Encoded, e.Headers["content-length"])
	}
	e, _ = eventOf(t, "POST / HTTP/1.1\nHost: x\nContent-Type: text/plain\nTransfer-Encoding: chunked", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
	if e.Body != "abcde" || e.Headers["content-length"] != "5" {
		t.Errorf("event of a chunked body has body %q, content-length %q", e.Body, e.Headers["content-length"])
	}
}

// TestEveryRequestHasAnIDOfItsOwn: the id in the answer's header is the id in
// the event.
func TestEveryRequestHasAnIDOfItsOwn(t *testing.T) {
	var ids []string
	g := serve(t, func(payload []byte) string {
		var e apigw.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(payload, &e); err != nil {
			t.Error(err)
		}
		ids = append(ids, e.RequestContext.RequestID)
		return `{}`
	})
	var answered []string
	for range 3 {
		answered = append(answered, exchange(t, g, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").header.Get("Apigw-Requestid"))
	}
	if !slices.Equal(ids, answered) || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 3 {
		t.Errorf("ids in the events %q, in the answers %q", ids, answered)
	}
}
