package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"footfall/local"
)

// localCmd runs the whole pipeline.
type localCmd struct {
	Ticks         bool   `default:"true" negatable:"" help:"Produce a tick each minute; with --no-ticks another producer has to put ticks on sightings."`
	Listen        string `default:"127.0.0.1:0" help:"Address for posts of routers (host:port; port 0 for any free port)." placeholder:"ADDR"`
	PseudonymKeys string `help:"Keys for the pseudonyms of MAC addresses; by default they are generated and kept in the data directory." placeholder:"FILE"`
	businessesFlags
	stackFlags
}

// Run starts the pipeline, prints its addresses, and stops it when interrupted, which
// is no error.
func (c *localCmd) Run(ctx context.Context, s streams) error {
	stack, err := c.start(ctx, s, c.Ticks, c.setDoor, c.storeBefore(s.err))
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(s.err, "stopping")
		return nil
	}
	if err != nil {
		return err
	}
	// Print the addresses that other commands and routers need.
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "broker\t%s\n", strings.Join(stack.Brokers(), ","))
	fmt.Fprintf(t, "tables\t%s\n", stack.TableEndpoint())
	fmt.Fprintf(t, "ingest\t%s\n", stack.IngestURL())
	flush(t)
	fmt.Fprintln(s.out, "running until interrupted\nrouters post to /v1/{business}/{kind} of ingest; counts are on topic walk-in-counts")
	// Wait for an interrupt, or for a part that stopped by itself.
	select {
	case <-ctx.Done():
		fmt.Fprintln(s.err, "stopping")
		return closeStack(stack, nil)
	case <-stack.Done():
		return closeStack(stack, stack.Err())
	}
}

// setDoor opens the door for posts of routers.
func (c *localCmd) setDoor(o *local.Options) {
	o.Listen, o.PseudonymKeys = c.Listen, c.PseudonymKeys
}
