// Command echo is the function that the runtime's tests run. The event names
// what it does.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// event names an action and its arguments.
type event struct {
	Do   string
	Text string
	Size int
}

type handler struct{}

// Invoke performs the action that the event names. Events of an event source
// mapping are acknowledged without being read.
func (handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if bytes.HasPrefix(payload, []byte(`{"eventSource"`)) {
		return []byte("{}"), nil
	}
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, err
	}
	switch e.Do {
	case "echo":
		return payload, nil
	case "sleep":
		time.Sleep(time.Hour)
	case "panic":
		panic(e.Text)
	case "exit":
		os.Exit(e.Size)
	case "error":
		return nil, errors.New(e.Text)
	case "print":
		fmt.Print(e.Text)
	case "big":
		return []byte(`"` + strings.Repeat("x", e.Size-2) + `"`), nil
	case "describe":
		return describe(ctx)
	}
	return []byte("null"), nil
}

// describe answers with the process id and with the context and environment of
// the invocation.
func describe(ctx context.Context) ([]byte, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return json.Marshal(map[string]any{
		"pid":       os.Getpid(),
		"requestID": lc.AwsRequestID,
		"arn":       lc.InvokedFunctionArn,
		"trace":     os.Getenv("_X_AMZN_TRACE_ID"),
		"left":      time.Until(deadline).Milliseconds(),
		"env":       os.Environ(),
	})
}

func main() {
	if os.Getenv("ECHO_FAILS_AT_START") != "" {
		fmt.Fprintln(os.Stderr, "cannot start")
		os.Exit(3)
	}
	lambda.Start(handler{})
}
