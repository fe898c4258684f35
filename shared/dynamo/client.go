// Package dynamo keeps the state of the stages in DynamoDB tables: the visit
// log, the identities, the pending walk-ins and the counts of shared/stage, and
// what is set of businesses.
//
// Every write can be repeated. It is conditional, and one whose answer was lost
// meets its own result as a conflict and finds by reading that all is done; or
// it deletes, or adds to a set, what may be gone or there already. So the client retries whatever may pass, and nothing here remembers calls.
//
// DynamoDB drops expired items days late and returns them until then. No rule
// depends on an item being gone, so nothing is filtered on reading.
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
	// attemptTimeout bounds one try. A connection that died while the Lambda
	// environment was frozen swallows a request without an answer; the next try
	// goes out on a new one with most of the invocation still to come.
	attemptTimeout = 5 * time.Second
	// maxAttempts with the pauses of backoff take about 3 s when a table is
	// throttled. After that the batch fails and the event source gives it again.
	maxAttempts = 8
	minPause    = 25 * time.Millisecond
	maxPause    = time.Second
	// idleConns keeps a connection for every partition that a function works on
	// at once; the SDK's default of 10 opens and closes them all the time.
	idleConns = 128
	// idleTimeout lies below the minute or so after which DynamoDB ends idle
	// connections (aws-sdk-java issue 1365); a request that meets that end costs
	// a retry. net/http compares wall clocks, so frozen time counts as well.
	idleTimeout = 50 * time.Second
)

// New makes a client for the tables. Region, endpoint and credentials come
// from cfg; its retryer is replaced, its HTTP client is taken over where it is
// the SDK's own kind. All waiting ends with the context of the call.
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

// tuneHTTP sets timeouts and kept connections on the SDK's HTTP client, and
// leaves another one as it is.
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

// pause is how long to wait before try number attempt+1: twice as long each
// time, up to maxPause, with the upper half random so that the environments of
// a function do not come back all at once.
func pause(attempt int) time.Duration {
	p := maxPause
	if attempt < 10 { // beyond, the shift alone passes maxPause
		p = min(maxPause, minPause<<max(0, attempt-1))
	}
	return p/2 + rand.N(p/2+1)
}

// wholeBodies hides the type of a request's body from net/http. The SDK
// (smithy-go 1.28.8) rewinds the body when the answer is there, while net/http
// may still hold it; against a fast server that race makes net/http drop the
// connection, which costs retries and stalls of seconds.
type wholeBodies struct{ next aws.HTTPClient }

// Do sends the request.
func (w wholeBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return w.next.Do(r)
}
