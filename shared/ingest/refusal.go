package ingest

import (
	"net/http"
	"time"
)

// refusal is one way to answer a request with an error. Its code and status are
// for programs, its message for people; none of them has a word of the request.
type refusal struct {
	Status  int
	Code    string // also that of the log line
	Message string
}

// The refusals, in the order of the checks.
var (
	unknown = refusal{http.StatusNotFound, "unknown",
		"Nothing is taken at this address. Check the business, the kind, and which routers were named."}
	methodNotAllowed = refusal{http.StatusMethodNotAllowed, "method-not-allowed",
		"This address does not take this method. See the header Allow."}
	tooLarge = refusal{http.StatusRequestEntityTooLarge, "too-large",
		"The body is too large, packed or unpacked. Post more often, or compress it with gzip."}
	tooManyPosts = refusal{http.StatusTooManyRequests, "too-many-posts",
		"This sender posts too often. See the header Retry-After."}
	unsupportedEncoding = refusal{http.StatusUnsupportedMediaType, "unsupported-encoding",
		"Content-Encoding must be gzip, or none."}
	badEncoding = refusal{http.StatusBadRequest, "bad-encoding",
		"The body is not what its encoding, gzip or base64, calls for. With gzip, Content-Type must be application/octet-stream."}
	alreadyTaken = refusal{http.StatusConflict, "already-taken",
		"This very body was taken already. There is no need to post it again."}
	clockSkew = refusal{http.StatusUnprocessableEntity, "clock-skew",
		"Everything in it was seen over an hour ago, or is yet to come. Check the clock."}
	notStored = refusal{http.StatusServiceUnavailable, "not-stored",
		"Not all of it could be stored. Post it again; what was stored is not counted twice."}
	internal = refusal{http.StatusInternalServerError, "internal",
		"Something is wrong here. Post it again; what was stored is not counted twice."}
)

// refused is the error of a request that is not taken.
type refused struct {
	refusal
	allow      string        // methods, with methodNotAllowed
	retryAfter time.Duration // 0 for none
	err        error         // what went wrong here, for the log
}

func refuse(r refusal) *refused { return &refused{refusal: r} }

// failed is a refusal for a reason of our own, after which the sender tries again.
func failed(r refusal, err error) *refused {
	return &refused{refusal: r, retryAfter: retryAfter, err: err}
}

// retryAfter is how long a sender waits after a failure of ours: about as long
// as a broker takes to restart.
const retryAfter = 5 * time.Second
