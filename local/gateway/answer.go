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

// answer is what a client gets.
type answer struct {
	status int
	header http.Header
	body   []byte
}

const contentType = "Content-Type"

func newAnswer(status int, kind string, body []byte) answer {
	return answer{status, http.Header{contentType: {kind}}, body}
}

// rejection is an answer of API Gateway's own.
func rejection(status int) answer {
	return newAnswer(status, "application/json", fmt.Appendf(nil, `{"message":%q}`, http.StatusText(status)))
}

func (a answer) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client may be gone
}

// fromFunction makes an answer of what the function returned. With a statusCode that
// says what to answer; any other JSON is the body of a 200. What is no JSON, or
// says what cannot be, is an error.
func fromFunction(out []byte) (answer, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(out, &fields); err == nil && fields["statusCode"] != nil {
		return fromResponse(out)
	}
	var text string
	switch err := json.Unmarshal(out, &text); {
	case !json.Valid(out):
		return answer{}, errors.New("the function's answer is no JSON")
	case err == nil && string(out) != "null":
		return newAnswer(http.StatusOK, "application/json", []byte(text)), nil
	}
	return newAnswer(http.StatusOK, "application/json", out), nil
}

func fromResponse(out []byte) (answer, error) {
	var r apigw.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(out, &r); err != nil {
		return answer{}, fmt.Errorf("the function's answer: %w", err)
	}
	if r.StatusCode < 200 || r.StatusCode > 599 {
		return answer{}, fmt.Errorf("the function's answer has status %d", r.StatusCode)
	}
	// This type for a body of none is what AWS's own emulator gives it
	// (github.com/aws/aws-lambda-dotnet, LambdaTestTool-v2).
	a := newAnswer(r.StatusCode, "text/plain; charset=utf-8", []byte(r.Body))
	if r.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(r.Body)
		if err != nil {
			return answer{}, fmt.Errorf("the body of the function's answer: %w", err)
		}
		a.body = body
	}
	for name, value := range r.Headers {
		a.header.Set(name, value)
	}
	for _, c := range r.Cookies {
		a.header.Add("Set-Cookie", c)
	}
	a.header.Del("Content-Length") // that of the body counts
	return a, nil
}
