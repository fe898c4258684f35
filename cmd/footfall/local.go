package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"text/tabwriter"

	"footfall/local"
	"footfall/shared/dynamo"
)

// localCmd runs the whole pipeline.
type localCmd struct {
	Ticks         bool   `default:"true" negatable:"" help:"Produce a tick each minute; with --no-ticks another producer has to put ticks on sightings."`
	BrokerListen  string `help:"Address of the broker (host:port; port 0 for any free port); by default ${broker_listen}, or a free port if that one is taken." placeholder:"ADDR"`
	TablesListen  string `help:"Address of the tables, likewise; by default ${tables_listen}." placeholder:"ADDR"`
	HTTPListen    string `name:"http-listen" help:"Address for posts of routers, likewise; by default ${http_listen}." placeholder:"ADDR"`
	JSON          bool   `help:"Print the addresses as one line of JSON, and nothing else on stdout: brokers, table_endpoint, ingest_url."`
	PseudonymKeys string `help:"Keys for the pseudonyms of MAC addresses; by default they are generated and kept in the data directory." placeholder:"FILE"`
	businessesFlags
	stackFlags
}

// Addresses that local listens on by default. The ports lie below those that operating
// systems give to connections, so that only another server takes them.
const (
	defaultBrokerListen = "127.0.0.1:19092"
	defaultTablesListen = "127.0.0.1:18000"
	defaultHTTPListen   = "127.0.0.1:18080"
)

// localAddresses are the addresses that other commands and routers need.
type localAddresses struct {
	Brokers       string `json:"brokers"` // host:port,... as --brokers takes it
	TableEndpoint string `json:"table_endpoint"`
	IngestURL     string `json:"ingest_url"`
}

// Validate returns an error if an address is not host:port, or a flag of the pipeline
// is out of range.
func (c *localCmd) Validate() error {
	for _, flag := range []struct{ name, value string }{
		{"--broker-listen", c.BrokerListen}, {"--tables-listen", c.TablesListen}, {"--http-listen", c.HTTPListen},
	} {
		if flag.value == "" {
			continue
		}
		if _, port, err := net.SplitHostPort(flag.value); err != nil || port == "" {
			return fmt.Errorf("%s %s is not host:port, such as %s", flag.name, flag.value, defaultHTTPListen)
		}
	}
	return c.stackFlags.Validate()
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
	addresses := localAddresses{strings.Join(stack.Brokers(), ","), stack.TableEndpoint(), stack.IngestURL()}
	c.noteOtherPorts(s.err, addresses)
	if err := c.noteClosedDoor(ctx, s.err, stack); err != nil && ctx.Err() == nil {
		return closeStack(stack, err)
	}
	if err := c.print(s.out, addresses); err != nil {
		return closeStack(stack, err)
	}
	// Wait for an interrupt, or for a part that stopped by itself.
	select {
	case <-ctx.Done():
		fmt.Fprintln(s.err, "stopping")
		return closeStack(stack, nil)
	case <-stack.Done():
		return closeStack(stack, stack.Err())
	}
}

// print prints the addresses.
func (c *localCmd) print(w io.Writer, a localAddresses) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(a)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "broker\t%s\n", a.Brokers)
	fmt.Fprintf(t, "tables\t%s\n", a.TableEndpoint)
	fmt.Fprintf(t, "ingest\t%s\n", a.IngestURL)
	flush(t)
	fmt.Fprintln(w, "running until interrupted")
	fmt.Fprintln(w, "routers post to /v1/{business}/{kind} of ingest; counts are on walk-in-counts")
	return nil
}

// noteOtherPorts names each default address that was taken.
func (c *localCmd) noteOtherPorts(w io.Writer, a localAddresses) {
	for _, server := range []struct{ place, flag, asked, byDefault, used string }{
		{"the broker is", "--broker-listen", c.BrokerListen + strings.Join(c.Brokers, ","), defaultBrokerListen, a.Brokers},
		{"the tables are", "--tables-listen", c.TablesListen + c.TableEndpoint, defaultTablesListen, a.TableEndpoint},
		{"ingest is", "--http-listen", c.HTTPListen, defaultHTTPListen, a.IngestURL},
	} {
		if used := strings.TrimPrefix(server.used, "http://"); server.asked == "" && used != server.byDefault {
			fmt.Fprintf(w, "note: %s is taken: %s at %s;\n  %s chooses an address\n", server.byDefault, server.place, used, server.flag)
		}
	}
}

// noteClosedDoor explains that every post will be rejected if no business has a
// sender.
func (c *localCmd) noteClosedDoor(ctx context.Context, w io.Writer, stack *runningStack) error {
	table := dynamo.NewBusinesses(stack.TableClient(), c.TablePrefix)
	ids, err := table.List(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		stored, _, err := table.Read(ctx, id)
		if err != nil {
			return err
		}
		if stored.Door != nil && len(stored.Door.Senders) > 0 {
			return nil
		}
	}
	fmt.Fprintln(w, "note: no business has a sender: every post will be answered 404.")
	fmt.Fprintln(w, "  Start again with --businesses FILE, such as examples/businesses.json, or now:")
	prefix := ""
	if c.TablePrefix != "" {
		prefix = " --table-prefix " + c.TablePrefix
	}
	fmt.Fprintf(w, "  footfall business import FILE --table-endpoint %s%s\n", stack.TableEndpoint(), prefix)
	return nil
}

// setDoor sets the addresses and opens the door for posts of routers.
func (c *localCmd) setDoor(o *local.Options) {
	o.BrokerListen = listenAddress(c.BrokerListen, defaultBrokerListen)
	o.TablesListen = listenAddress(c.TablesListen, defaultTablesListen)
	o.HTTPListen = listenAddress(c.HTTPListen, defaultHTTPListen)
	o.PseudonymKeys = c.PseudonymKeys
}

// listenAddress returns the address that was asked for, or the default one, which is
// replaced by a free port if it is taken.
func listenAddress(asked, byDefault string) local.Address {
	if asked != "" {
		return local.Address{HostPort: asked}
	}
	return local.Address{HostPort: byDefault, OrFree: true}
}
