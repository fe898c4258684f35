package ingest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"footfall/shared/ingest/senders"
)

// rejectionKind is one way to reject a request. Status and Code are for programs,
// Message is for the reader of the response. None of them quotes the request.
type rejectionKind struct {
	Status  int
	Code    string // also the code of the log line
	Message string
}

// The kinds of rejections of this package, in the order of the checks. Those of
// package senders come between alreadyTaken and clockSkew, and those of secrets
// before tooManyPosts.
var (
	unknown = rejectionKind{http.StatusNotFound, "unknown",
		"No sender is configured for this path. Check the business, the kind, and the names of the routers."}
	methodNotAllowed = rejectionKind{http.StatusMethodNotAllowed, "method-not-allowed",
		"This path does not allow the method. See the header Allow."}
	tooLarge = rejectionKind{http.StatusRequestEntityTooLarge, "too-large",
		"The body is too large, packed or unpacked. Post more often, or compress it with gzip."}
	unsupportedEncoding = rejectionKind{http.StatusUnsupportedMediaType, "unsupported-encoding",
		"Content-Encoding must be gzip, or absent."}
	badEncoding = rejectionKind{http.StatusBadRequest, "bad-encoding",
		"The body is not valid gzip or base64. With gzip, Content-Type must be application/octet-stream."}
	tooManyPosts = rejectionKind{http.StatusTooManyRequests, "too-many-posts",
		"This sender posts too often. Wait for the seconds in the header Retry-After."}
	alreadyTaken = rejectionKind{http.StatusConflict, "already-taken",
		"An equal body was accepted before. There is no need to post it again."}
	clockSkew = rejectionKind{http.StatusUnprocessableEntity, "clock-skew",
		"Every record was seen over an hour ago, or lies in the future. Check the clock of the sender."}
	nothingUsable = rejectionKind{http.StatusUnprocessableEntity, "nothing-usable",
		"No record of the body could be used. Posted again, it would be answered the same."}
	notStored = rejectionKind{http.StatusServiceUnavailable, "not-stored",
		"Not every record could be stored. Post the body again; no record is counted twice."}
	internal = rejectionKind{http.StatusInternalServerError, "internal",
		"Ingest failed. Post the body again; no record is counted twice."}
)

// rejection is the reason why a request is not accepted.
type rejection struct {
	rejectionKind
	allow      string        // value of the header Allow, with methodNotAllowed
	retryAfter time.Duration // value of the header Retry-After, 0 for none
	err        error         // what failed in ingest, for the log; nil for a mistake of the sender
}

// reject returns a rejection for a mistake of the sender.
func reject(kind rejectionKind) *rejection { return &rejection{rejectionKind: kind} }

// rejectUnusable returns a rejection for a post of which every record was left out
// for a mistake. The message has the reasons, in alphabetical order.
func rejectUnusable(leftOut map[string]int) *rejection {
	r := reject(nothingUsable)
	r.Message += " Left out:"
	for i, reason := range slices.Sorted(maps.Keys(leftOut)) {
		if i > 0 {
			r.Message += ","
		}
		r.Message += fmt.Sprintf(" %d %s", leftOut[reason], reason)
	}
	r.Message += "."
	return r
}

// rejectFailure returns a rejection for a failure of ingest. The sender posts the
// body again after failureRetryAfter.
func rejectFailure(kind rejectionKind, err error) *rejection {
	return &rejection{rejectionKind: kind, retryAfter: failureRetryAfter, err: err}
}

// rejectFor returns the rejection for an error of package senders.
func rejectFor(err error) *rejection {
	if r, ok := errors.AsType[*senders.Rejection](err); ok {
		return reject(rejectionKind{Status: r.Status, Code: r.Code, Message: r.Err.Error()})
	}
	return rejectFailure(internal, err)
}

// failureRetryAfter is how long a sender waits after a failure of ingest: about as
// long as a broker takes to restart.
const failureRetryAfter = 5 * time.Second
