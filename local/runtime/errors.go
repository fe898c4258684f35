package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrClosed is the error of an invocation that was queued or under way when the
// runtime was closed, and of every later invocation.
var ErrClosed = errors.New("runtime: closed")

// Types of the errors that Lambda itself reports for a function.
const (
	TypeExit             = "Runtime.ExitError"             // the process ended
	TypeTimeout          = "Sandbox.Timedout"              // the invocation took longer than the function's timeout
	TypeResponseTooLarge = "Function.ResponseSizeTooLarge" // the answer is longer than MaxResponse
	TypeRequestTooLarge  = "RequestTooLarge"               // the event is longer than MaxPayload
	TypeNoAnswer         = "Runtime.NoAnswer"              // the function asked for the next event instead of answering
)

// FunctionError is the error of an invocation that failed in its function or by
// the end of the function's process.
type FunctionError struct {
	Function  string
	RequestID string // empty if no environment took the invocation
	Type      string // one of the types above, or the type that the function reported
	Message   string
}

// Error returns the function, the type and the message.
func (e *FunctionError) Error() string {
	return fmt.Sprintf("function %s: %s: %s", e.Function, e.Type, e.Message)
}

// parseError decodes an error that a function posted. A body that is not in
// Lambda's form becomes the message unchanged. kind is the type if the body
// names none.
func parseError(function, requestID, kind string, body []byte) *FunctionError {
	var e struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		e.Message = string(body)
	}
	if e.Type == "" {
		e.Type = kind
	}
	return &FunctionError{Function: function, RequestID: requestID, Type: e.Type, Message: e.Message}
}

// exitError returns the error of a process that ended, worded as Lambda words
// it. state is "exit status 1" or "signal: killed".
func exitError(function, requestID, state string) *FunctionError {
	reason := "Runtime exited with error: " + state
	if state == "exit status 0" {
		reason = "Runtime exited without providing a reason"
	}
	return lambdaError(function, requestID, TypeExit, reason)
}

// timeoutError returns the error of an invocation or initialisation that took
// longer than after, worded as Lambda words it.
func timeoutError(function, requestID string, after time.Duration) *FunctionError {
	return lambdaError(function, requestID, TypeTimeout, fmt.Sprintf("Task timed out after %.2f seconds", after.Seconds()))
}

// lambdaError returns an error that Lambda reports on behalf of a function,
// with the request id in front of the reason.
func lambdaError(function, requestID, kind, reason string) *FunctionError {
	return &FunctionError{
		Function: function, RequestID: requestID, Type: kind,
		Message: fmt.Sprintf("RequestId: %s Error: %s", requestID, reason),
	}
}
