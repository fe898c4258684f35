package dynamo

import (
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

const (
	// attemptTimeout bounds one attempt. A connection that died while the Lambda
	// environment was frozen swallows a request without an answer; the next
	// attempt goes out on a new connection, with most of the invocation left.
	attemptTimeout = 5 * time.Second
	// maxAttempts and the pauses between them take about 3 s when a table is
	// throttled. After that the batch fails and the event source redelivers it.
	maxAttempts = 8
	minPause    = 25 * time.Millisecond
	maxPause    = time.Second
	// idleConns keeps a connection for every partition that a function works on
	// at once. With the SDK's default of 10, connections would be opened and
	// closed all the time.
	idleConns = 128
	// idleTimeout lies below the minute or so after which DynamoDB ends idle
	// connections (aws-sdk-java issue 1365): a request on a connection that
	// DynamoDB has just ended costs a retry. net/http compares wall clocks, so
	// the time during which the environment is frozen counts as well.
	idleTimeout = 50 * time.Second
)

// New returns a client for the tables. Region, endpoint and credentials come
// from cfg. Its retryer is replaced; its HTTP client gets other timeouts if the
// client is of the SDK's own type. All waiting ends with the context of the call.
func New(cfg aws.Config) *dynamodb.Client {
	return dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
		o.HTTPClient = wholeBodies{tuneHTTP(cfg.HTTPClient)}
		o.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts = maxAttempts
			s.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
				return pause(attempt), nil
			})
		})
	})
}

// tuneHTTP returns an HTTP client of the SDK's type with our timeouts and limits of
// idle connections; nil stands for a new client. A client of any other type comes
// back unchanged.
func tuneHTTP(c aws.HTTPClient) aws.HTTPClient {
	if c == nil {
		c = awshttp.NewBuildableClient()
	}
	b, ok := c.(*awshttp.BuildableClient)
	if !ok {
		return c
	}
	return b.WithTimeout(attemptTimeout).WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns, t.MaxIdleConnsPerHost = idleConns, idleConns
		t.IdleConnTimeout = idleTimeout
	})
}

// pause returns how long to wait after failed attempt number attempt, counted
// from 1: twice as long each time, up to maxPause. The upper half is random, so
// that the environments of a function do not all send again at once.
func pause(attempt int) time.Duration {
	p := maxPause
	if attempt < 10 { // from 10 on the shift alone passes maxPause
		p = min(maxPause, minPause<<max(0, attempt-1))
	}
	return p/2 + rand.N(p/2+1)
}

// wholeBodies hides the type of a request's body from net/http. The SDK
// (smithy-go 1.28.8) rewinds the body as soon as the answer arrives, while
// net/http may still hold the body. Against a fast server that race makes
// net/http drop the connection, which costs retries and stalls of seconds.
type wholeBodies struct{ next aws.HTTPClient }

// Do sends the request and returns the response, as http.Client.Do does.
func (w wholeBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return w.next.Do(r)
}
