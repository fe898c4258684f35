// Command footfall runs Footfall on one machine: the whole pipeline, a recording or
// a simulated town through the pipeline, or one function on one event. It measures
// and calibrates settings on recordings, and it operates a pipeline on this machine
// or on AWS: settings, dead letters, offsets, topics, audits and erasure.
//
// Start with cli below: each field is a command in a file of its own, with flags and
// output. The work is done by packages of shared, local and lab.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Local    localCmd    `cmd:"" help:"Run the whole pipeline until interrupted."`
	Replay   replayCmd   `cmd:"" help:"Run recorded sightings through the pipeline and print a summary."`
	Simulate simulateCmd `cmd:"" help:"Simulate a town; run it through the pipeline, or write it to a file."`
	Invoke   invokeCmd   `cmd:"" set:"partitions=0" help:"Invoke one function with one event, as Lambda would."`
	Topics   topicsCmd   `cmd:"" help:"Create and change the topics of a cluster as the pipeline needs them."`

	Evaluate  evaluateCmd  `cmd:"" help:"Measure how right the visits are that given settings find in a recording."`
	Calibrate calibrateCmd `cmd:"" help:"Find the settings that suit a store from a recording of it."`

	Business businessCmd `cmd:"" help:"Show and change the settings of businesses."`

	DeadLetters deadLettersCmd `cmd:"" help:"Show records that could not be processed, and put them back."`
	Forget      forgetCmd      `cmd:"" help:"Remove the data of a contact or a device."`
	Audit       auditCmd       `cmd:"" help:"Recount walk-ins from the topics and compare with the counts."`
	Offsets     offsetsCmd     `cmd:"" help:"Show how far the stages have read, and skip batches that no client can read."`

	Completion  completionCmd    `cmd:"" help:"Print a script that completes command lines in a shell."`
	Complete    completeCmd      `cmd:"" name:"__complete" hidden:""`
	Help        helpCmd          `cmd:"" help:"Print the help of a command."`
	Version     versionCmd       `cmd:"" help:"Print the version, the commit and the date of the commit."`
	VersionFlag kong.VersionFlag `name:"version" help:"Print the version, the commit and the date of the commit."`
}

// streams are the input and outputs of a command.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// newParser returns the parser of the command line c, whose help goes to s.
func newParser(c *cli, s streams, options ...kong.Option) (*kong.Kong, error) {
	stderr, ok := s.err.(*errorStream)
	if !ok {
		stderr = &errorStream{w: s.err}
	}
	return kong.New(c, append([]kong.Option{
		kong.Name("footfall"),
		kong.Description("Footfall reports to a merchant, as it happens, that a known customer has walked in."),
		kong.Writers(s.out, s.err),
		kong.Help(printHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: textWidth}),
		durations(),
		kong.Vars{
			"version":       versionText(),
			"partitions":    strconv.Itoa(defaultPartitions),
			"broker_listen": defaultBrokerListen, "tables_listen": defaultTablesListen, "http_listen": defaultHTTPListen,
		},
		kong.Bind(s, stderr),
	}, options...)...)
}

// run parses and runs one command line and returns the exit status: 0 success, 1
// failure, 2 invalid command line, 130 interrupted.
func run(args []string, s streams) int {
	stderr := &errorStream{w: s.err}
	s.err = stderr
	status := -1
	parser, err := newParser(&cli{}, s, kong.Exit(func(code int) { status = code }))
	if err != nil {
		stderr.fail(err.Error())
		return 2
	}
	// help COMMAND is COMMAND --help.
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	// Parse. Help and version end the parser through kong.Exit, after they are printed.
	parsed, err := parser.Parse(args)
	if status >= 0 {
		return status
	}
	if err == nil {
		err = refuseIgnored(parsed.Path)
	}
	if incomplete, ok := errors.AsType[*kong.ParseError](err); ok && isIncomplete(incomplete) {
		err = incomplete.Context.PrintUsage(false)
		if err == nil {
			return 0
		}
	}
	if err != nil {
		stderr.fail(fmt.Sprintf("%v (see footfall --help)", err))
		return 2
	}
	// Run the command. A signal that asks for its end cancels its context.
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	switch err := untilClosed(ctx, func() error { return parsed.Run() }); {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		stderr.fail("interrupted")
		return 130
	default:
		stderr.fail(err.Error())
		return 1
	}
}

// closingTime is how long a command may take to stop its pipeline after a signal: a
// pipeline with data on disk finishes its batches first.
const closingTime = time.Minute

// untilClosed runs a command and returns its error. If the context ends and the
// command goes on for longer than closingTime, untilClosed returns without it.
func untilClosed(ctx context.Context, command func() error) error {
	done := make(chan error, 1)
	go func() { done <- command() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(closingTime):
		return fmt.Errorf("the command did not stop within %s: %w", closingTime, ctx.Err())
	}
}

// untilDone runs work that cannot be interrupted, such as a computation or a read
// from stdin, and returns its error. If the context ends first, untilDone returns
// its error at once; the work goes on until the process ends, and its results must
// not be used.
func untilDone(ctx context.Context, work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// endSignals returns the signals that ask a command to end: of a terminal, of a
// service manager, and of a terminal that is closed, unless nohup had the last
// ignored.
func endSignals() []os.Signal {
	all := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}
