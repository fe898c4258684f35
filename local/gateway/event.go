package gateway

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	apigw "github.com/aws/aws-lambda-go/events"
)

// defaultName is the name of the route and of the stage. The route takes every
// request, and the stage adds nothing to its path.
const defaultName = "$default"

// newEvent returns the event of a request in payload format 2.0, as JSON. id is
// the request's id, and now the time at which the request came.
func newEvent(r *http.Request, body []byte, id string, now time.Time) ([]byte, error) {
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil, fmt.Errorf("address of the client: %w", err)
	}
	path := rawPath(r.URL)
	prefix, _, _ := strings.Cut(r.Host, ".")
	event := apigw.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: defaultName,
		RawPath: path, RawQueryString: r.URL.RawQuery, QueryStringParameters: joinValues(r.URL.Query()),
		Headers: headers(r, source, len(body), now), Cookies: cookies(r),
		RequestContext: apigw.APIGatewayV2HTTPRequestContext{
			RouteKey: defaultName, Stage: defaultName, RequestID: id,
			AccountID: "000000000000", APIID: "local", DomainName: r.Host, DomainPrefix: prefix,
			Time: now.UTC().Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: now.UnixMilli(),
			HTTP: apigw.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: r.Method, Path: path, Protocol: r.Proto, SourceIP: source, UserAgent: r.UserAgent(),
			},
		},
		Body: string(body),
	}
	if len(body) > 0 && !isText(r.Header.Get("Content-Type")) {
		event.Body, event.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	// Bytes of a text body that are not UTF-8 become replacement characters
	// here, so a signature over the body no longer matches. API Gateway does
	// not document what it does with such bytes.
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // escaping would make six bytes of each < in a body
	if err := e.Encode(event); err != nil {
		return nil, fmt.Errorf("encode the event of a request: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// rawPath returns the path as an HTTP API puts it into rawPath: decoded, in
// spite of the field's name, and cut off at a question mark that decoding has
// produced (both captured from a live API:
// github.com/middleapi/standard-server/pull/93).
func rawPath(u *url.URL) string {
	path, _, _ := strings.Cut(u.Path, "?")
	return path
}

// isText reports whether a body of the media type is put into the event
// unencoded. The guide states that binary bodies are encoded in base64, but not
// which media types are binary: captures from a live HTTP API show every type
// except these, forms and bodies without a type included
// (github.com/ministackorg/ministack/pull/766). For Content-Encoding there is
// neither documentation nor a capture, so it has no effect here: a compressed
// body with the type JSON is damaged.
func isText(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch media {
	case "application/json", "application/xml", "application/javascript":
		return true
	}
	return strings.HasPrefix(media, "text/")
}

// headers returns the request's headers, with names in lower case, and the
// headers that API Gateway adds. Cookies have a field of their own in the
// event.
func headers(r *http.Request, source string, length int, now time.Time) map[string]string {
	all := map[string]string{}
	for name, value := range joinValues(r.Header) {
		if name = strings.ToLower(name); name != "cookie" {
			all[name] = value
		}
	}
	// The headers that API Gateway adds or sets.
	_, port, _ := net.SplitHostPort(r.Host)
	all["host"] = r.Host
	all["content-length"] = strconv.Itoa(length)
	all["x-forwarded-port"] = cmp.Or(port, "80")
	all["x-forwarded-proto"] = "http"
	all["x-amzn-trace-id"] = fmt.Sprintf("Root=1-%08x-%024x", now.Unix(), now.UnixNano())
	all["x-forwarded-for"] = strings.Join(append(r.Header.Values("X-Forwarded-For"), source), ", ")
	return all
}

// joinValues joins the values of each name with commas, as format 2.0 does for
// headers and query parameters.
func joinValues(values map[string][]string) map[string]string {
	all := make(map[string]string, len(values))
	for name, v := range values {
		all[name] = strings.Join(v, ",")
	}
	return all
}

// cookies returns the request's cookies, each as "name=value".
func cookies(r *http.Request) (all []string) {
	for _, line := range r.Header.Values("Cookie") {
		for cookie := range strings.SplitSeq(line, ";") {
			all = append(all, strings.TrimSpace(cookie))
		}
	}
	return all
}

// headBytes returns the size that the quota limits: "total combined size of
// request line and header values".
func headBytes(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len(r.Host)
	for _, values := range r.Header {
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}
