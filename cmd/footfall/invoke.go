package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"footfall/local"
)

// invokeCmd invokes one function with one event.
type invokeCmd struct {
	Function string        `arg:"" help:"Name of the function, such as detect."`
	Event    string        `arg:"" help:"File with the event as JSON; - for stdin."`
	Timeout  time.Duration `default:"1m" help:"How long to wait for the answer."`

	stackFlags `group:"The pipeline:"`
}

// Run starts a pipeline of its own, unless flags name another broker and table
// endpoint, invokes the function and prints its answer.
func (c *invokeCmd) Run(ctx context.Context, s streams) error {
	payload, err := readEvent(ctx, s, c.Event)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	stack, err := c.start(ctx, s, false, c.setPartitions)
	if err != nil {
		return err
	}
	// Print the answer of the function as it is.
	answer, err := stack.Invoke(ctx, c.Function, payload)
	if err == nil {
		_, err = fmt.Fprintf(s.out, "%s\n", answer)
	}
	return closeStack(stack, err)
}

// setPartitions creates topics with as many partitions as in AWS, which is how events
// name them.
func (c *invokeCmd) setPartitions(o *local.Options) {
	if c.Partitions == nil {
		o.Partitions = 0
	}
}

// readEvent returns the content of a file, or of stdin for "-", which must be JSON.
func readEvent(ctx context.Context, s streams, path string) ([]byte, error) {
	payload, err := readInput(ctx, s, path)
	if err != nil {
		return nil, fmt.Errorf("read the event: %w", err)
	}
	if !json.Valid(payload) {
		return nil, fmt.Errorf("the event in %s is not JSON", path)
	}
	return payload, nil
}
