package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrClosed is the error of an invocation that was under way or asked for when
// the runtime was closed.
var ErrClosed = errors.New("runtime: closed")

// Types of errors that Lambda itself reports for a function.
const (
	TypeExit             = "Runtime.ExitError"             // its process ended
	TypeTimeout          = "Sandbox.Timedout"              // it took longer than its timeout
	TypeResponseTooLarge = "Function.ResponseSizeTooLarge" // its answer is over MaxResponse
	TypeRequestTooLarge  = "RequestTooLarge"               // the event is over MaxPayload
	TypeNoAnswer         = "Runtime.NoAnswer"              // it asked for the next event instead of answering
)

// FunctionError is an invocation that failed in its function, or by the end of
// it.
type FunctionError struct {
	Function  string
	RequestID string // "" where no environment got the invocation
	Type      string // one of the types above, or what the function reported
	Message   string
}

// Error gives function, type and message.
func (e *FunctionError) Error() string {
	return fmt.Sprintf("function %s: %s: %s", e.Function, e.Type, e.Message)
}

// parseError decodes the error a function posted. What is not in Lambda's form
// becomes the message as it is.
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

// exitError words the end of a process as Lambda does. state is "exit status
// 1" or "signal: killed".
func exitError(function, requestID, state string) *FunctionError {
	reason := "Runtime exited with error: " + state
	if state == "exit status 0" {
		reason = "Runtime exited without providing a reason"
	}
	return lambdaError(function, requestID, TypeExit, reason)
}

// timeoutError words the end of an invocation, or of an initialisation, that
// took too long.
func timeoutError(function, requestID string, after time.Duration) *FunctionError {
	return lambdaError(function, requestID, TypeTimeout, fmt.Sprintf("Task timed out after %.2f seconds", after.Seconds()))
}

// lambdaError is an error that Lambda reports in the function's place, with the
// request id in front of the reason.
func lambdaError(function, requestID, kind, reason string) *FunctionError {
	return &FunctionError{
		Function: function, RequestID: requestID, Type: kind,
		Message: fmt.Sprintf("RequestId: %s Error: %s", requestID, reason),
	}
}
