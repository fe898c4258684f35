package gateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

	apigw "github.com/aws/aws-lambda-go/events"
)

// answer is the HTTP answer to a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

const contentType = "Content-Type"

// newAnswer returns an answer whose body has the media type kind.
func newAnswer(status int, kind string, body []byte) answer {
	return answer{status, http.Header{contentType: {kind}}, body}
}

// rejection returns an answer of API Gateway itself, without the function.
func rejection(status int) answer {
	return newAnswer(status, "application/json", fmt.Appendf(nil, `{"message":%q}`, http.StatusText(status)))
}

// write sends the answer.
func (a answer) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // fails only if the client has gone away
}

// fromFunction returns the HTTP answer that the function's answer stands for.
// An object with a statusCode describes the HTTP answer; any other JSON is the
// body of an answer with status 200. Output that is not JSON, or that describes
// an impossible answer, is an error.
func fromFunction(out []byte) (answer, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(out, &fields); err == nil && fields["statusCode"] != nil {
		return fromResponse(out)
	}
	var text string
	switch err := json.Unmarshal(out, &text); {
	case !json.Valid(out):
		return answer{}, errors.New("the function's answer is not JSON")
	case err == nil && string(out) != "null":
		return newAnswer(http.StatusOK, "application/json", []byte(text)), nil
	}
	return newAnswer(http.StatusOK, "application/json", out), nil
}

// fromResponse returns the HTTP answer that an object with a statusCode
// describes.
func fromResponse(out []byte) (answer, error) {
	var r apigw.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(out, &r); err != nil {
		return answer{}, fmt.Errorf("the function's answer: %w", err)
	}
	if r.StatusCode < 200 || r.StatusCode > 599 {
		return answer{}, fmt.Errorf("the function's answer has status %d, want 200 to 599", r.StatusCode)
	}
	// If the function names no type, the type is text/plain, as in AWS's own
	// emulator (github.com/aws/aws-lambda-dotnet, LambdaTestTool-v2).
	a := newAnswer(r.StatusCode, "text/plain; charset=utf-8", []byte(r.Body))
	if r.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(r.Body)
		if err != nil {
			return answer{}, fmt.Errorf("the body of the function's answer: %w", err)
		}
		a.body = body
	}
	// The function's headers and cookies; the length is that of the body.
	for name, value := range r.Headers {
		a.header.Set(name, value)
	}
	for _, c := range r.Cookies {
		a.header.Add("Set-Cookie", c)
	}
	a.header.Del("Content-Length") // net/http sets the length of the body
	return a, nil
}
