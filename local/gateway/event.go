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

// defaultName is the name of the route and of the stage: the route takes every
// request, and the stage puts nothing before its path.
const defaultName = "$default"

// newEvent makes the event of payload format 2.0 for a request. id is the
// request's, now when it came.
func newEvent(r *http.Request, body []byte, id string, now time.Time) ([]byte, error) {
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil, fmt.Errorf("client of a request: %w", err)
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
	// Bytes of a text that are no UTF-8 become replacement characters here, so no
	// signature fits any more. What API Gateway does with them is not documented.
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // would make six bytes of each < in a body
	if err := e.Encode(event); err != nil {
		return nil, fmt.Errorf("event of a request: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// rawPath is the path as an HTTP API gives it in rawPath: decoded, whatever its
// name says, and cut off at a question mark that decoding brought to light
// (both captured from a live one: github.com/middleapi/standard-server/pull/93).
func rawPath(u *url.URL) string {
	path, _, _ := strings.Cut(u.Path, "?")
	return path
}

// isText says whether a body of the media type is given to the function as it
// is. The guide says that binary ones are given in base64, not which ones these
// are: everything but these, forms and bodies of no type included, was captured
// from a live HTTP API (github.com/ministackorg/ministack/pull/766). Nothing is
// known of Content-Encoding, so it changes nothing here: a packed body that says
// it is JSON is damaged.
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

// headers are the request's, their names in lower case, with what API Gateway
// adds to them. Cookies have a field of their own.
func headers(r *http.Request, source string, length int, now time.Time) map[string]string {
	all := map[string]string{}
	for name, value := range joinValues(r.Header) {
		if name = strings.ToLower(name); name != "cookie" {
			all[name] = value
		}
	}
	_, port, _ := net.SplitHostPort(r.Host)
	all["host"] = r.Host
	all["content-length"] = strconv.Itoa(length)
	all["x-forwarded-port"] = cmp.Or(port, "80")
	all["x-forwarded-proto"] = "http"
	all["x-amzn-trace-id"] = fmt.Sprintf("Root=1-%08x-%024x", now.Unix(), now.UnixNano())
	all["x-forwarded-for"] = strings.Join(append(r.Header.Values("X-Forwarded-For"), source), ", ")
	return all
}

// joinValues combines what has one name with commas, as format 2.0 does for headers
// and for the parameters of a query.
func joinValues(values map[string][]string) map[string]string {
	all := make(map[string]string, len(values))
	for name, v := range values {
		all[name] = strings.Join(v, ",")
	}
	return all
}

func cookies(r *http.Request) (all []string) {
	for _, line := range r.Header.Values("Cookie") {
		for cookie := range strings.SplitSeq(line, ";") {
			all = append(all, strings.TrimSpace(cookie))
		}
	}
	return all
}

// headBytes counts what the quota counts: "total combined size of request line
// and header values".
func headBytes(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len(r.Host)
	for _, values := range r.Header {
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}
