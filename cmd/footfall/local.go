package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
)

// localCmd runs the whole pipeline.
type localCmd struct {
	Ticks bool `default:"true" negatable:"" help:"Tell the time each minute; without it the clock is that of whoever puts ticks on sightings."`
	stackFlags
}

// Run starts everything, says where it is, and stops it when interrupted.
func (c *localCmd) Run(ctx context.Context, s streams) error {
	stack, err := c.start(ctx, s, c.Ticks)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "broker\t%s\n", strings.Join(stack.Brokers(), ","))
	fmt.Fprintf(t, "tables\t%s\n", stack.TableEndpoint())
	flush(t)
	fmt.Fprintln(s.out, "running until interrupted: sightings and crm-events are the topics to put things on, walk-in-counts tells what came of it")
	select {
	case <-ctx.Done():
		fmt.Fprintln(s.err, "stopping")
		return closing(stack, nil)
	case <-stack.Done():
		return closing(stack, stack.Err())
	}
}
