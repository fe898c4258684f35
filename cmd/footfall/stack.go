package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"footfall/lab/check"
	"footfall/lab/feed"
	"footfall/lab/score"
	"footfall/local"
	"footfall/shared/dynamo"
	"footfall/shared/presence"
)

// stackFlags configure the local pipeline.
type stackFlags struct {
	Bin            string        `help:"Directory with the binaries of the functions, as make build writes them; by default the directory of footfall itself." placeholder:"DIR"`
	DataDir        string        `help:"Directory that keeps topics, tables and pseudonym keys; by default they are removed when the command ends." placeholder:"DIR"`
	TablesOnDisk   bool          `hidden:""` // of earlier versions, see Validate
	Partitions     *int32        `help:"Partitions of every topic that is created, by default ${partitions}; 0 for as many as in AWS. Topics that exist must have as many; by default they may have any number."`
	Brokers        []string      `voids:"broker-listen" help:"Use this Kafka instead of starting one (host:port,...)." placeholder:"ADDR"`
	TableEndpoint  string        `voids:"tables-listen" help:"Use this DynamoDB endpoint instead of starting a table server." placeholder:"URL"`
	TablePrefix    string        `help:"Prefix of the table names." placeholder:"TEXT"`
	Environments   int           `default:"2" help:"Processes per function."`
	SessionTimeout time.Duration `default:"10s" help:"How long the partitions of a killed pipeline wait until another pipeline takes them over; 6s or more." placeholder:"SPAN"`
	FunctionLogs   bool          `help:"Print the logs of the functions, and everything else on stderr, as one JSON object a line. Without it, warnings and errors are shown as text, each once and its number of times at the end."`
}

// defaultPartitions is how many partitions a topic gets: few enough for one machine.
const defaultPartitions = 4

// minSessionTimeout is the minimum that brokers accept
// (group.min.session.timeout.ms).
const minSessionTimeout = 6 * time.Second

// Validate returns an error if a number is out of range, or a flag of an earlier
// version is given.
func (f *stackFlags) Validate() error {
	if f.TablesOnDisk {
		return errors.New("--tables-on-disk no longer exists: leave it out, --data-dir keeps the tables too")
	}
	if f.Partitions != nil && *f.Partitions < 0 {
		return fmt.Errorf("--partitions %d is negative", *f.Partitions)
	}
	if f.Environments < 1 {
		return fmt.Errorf("--environments %d is less than 1", f.Environments)
	}
	if f.SessionTimeout < minSessionTimeout {
		return fmt.Errorf("--session-timeout %v is less than %v", f.SessionTimeout, minSessionTimeout)
	}
	return nil
}

// unusedDataDir returns an error if a run without posts would keep nothing in the data
// directory: the broker and the tables are elsewhere.
func (f *stackFlags) unusedDataDir() error {
	if f.DataDir != "" && len(f.Brokers) > 0 && f.TableEndpoint != "" {
		return errors.New("--data-dir has no effect with --brokers and --table-endpoint: leave it out")
	}
	return nil
}

// speedFlag is the number of seconds of event time per second of the wall clock, 0
// for as many as the machine can process.
type speedFlag float64

// Validate returns an error if the speed is negative or infinite.
func (f speedFlag) Validate() error {
	if !(f >= 0) || math.IsInf(float64(f), 1) {
		return fmt.Errorf("%v is not a number of seconds", float64(f))
	}
	return nil
}

// AfterApply makes stderr a stream of JSON objects if --function-logs asks for it.
func (f *stackFlags) AfterApply(e *errorStream) error { //nolint:unparam // kong calls hooks that return an error
	if f.FunctionLogs {
		e.useJSON()
	}
	return nil
}

// options returns the options of the pipeline, whose logs go to log.
func (f *stackFlags) options(log *stackLog, schedule bool) (local.Options, error) {
	beside, err := ownDir()
	if err != nil {
		return local.Options{}, err
	}
	// Without the flag, topics that exist keep their number of partitions.
	partitions := int32(defaultPartitions)
	if f.Partitions != nil {
		partitions = *f.Partitions
	}
	return local.Options{
		DataDir: f.DataDir, TablePrefix: f.TablePrefix,
		Partitions: partitions, KeepPartitions: f.Partitions == nil, Brokers: f.Brokers, TableEndpoint: f.TableEndpoint,
		BinDir: cmp.Or(f.Bin, beside), NodeDirs: []string{beside},
		Environments: f.Environments, Schedule: schedule, FunctionLogs: log,
		SessionTimeout: f.SessionTimeout,
		Log:            log.logger(),
	}, nil
}

// ownDir returns the directory of the executable of this process. A symbolic link to
// the executable does not count as its place.
func ownDir() (string, error) {
	path, err := os.Executable()
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("look up the directory of footfall, which holds the functions: %w", err)
	}
	return filepath.Dir(path), nil
}

// runningStack is a running pipeline with its log.
type runningStack struct {
	*local.Stack
	log *stackLog
}

// Close stops the pipeline and prints the end of its log.
func (r *runningStack) Close() error {
	err := r.Stack.Close()
	r.log.finish()
	return err
}

// start starts the pipeline. With schedule the tick function is invoked each minute
// of the wall clock. more sets the options of a single command.
func (f *stackFlags) start(ctx context.Context, s streams, schedule bool, more ...func(*local.Options)) (*runningStack, error) {
	log := newStackLog(s.err, f.FunctionLogs)
	o, err := f.options(log, schedule)
	if err != nil {
		return nil, err
	}
	for _, set := range more {
		set(&o)
	}
	var part atomic.Value
	part.Store("")
	o.Starting = func(name string) { part.Store(name) }
	var stack *local.Stack
	err = during(s.err, "starting the pipeline", func() string { return part.Load().(string) }, func() (err error) {
		stack, err = local.Start(ctx, o)
		return err
	})
	if err != nil {
		log.finish()
		return nil, err
	}
	return &runningStack{stack, log}, nil
}

// closeStack stops the pipeline and returns err joined with the error of the stop.
func closeStack(stack *runningStack, err error) error { return errors.Join(err, stack.Close()) }

// outcome is the result of running a recording or a town.
type outcome struct {
	fed    feed.Stats
	took   time.Duration // until everything fed was processed
	report *check.Report
}

// visits returns the found visits: the walk-ins, and the visits of resident devices.
func (o *outcome) visits() []score.FoundVisit {
	return slices.Concat(o.report.Visits, o.report.ResidentVisits)
}

// runThrough feeds a source into the pipeline, waits until everything is processed
// and compares the results with the oracle.
func runThrough(ctx context.Context, s streams, stack *local.Stack, src feed.Source, speed speedFlag, fed func(*progress, feed.Stats)) (*outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// A pipeline that stops by itself, such as by the end of its broker, ends the run
	// with the error of the pipeline.
	go func() {
		select {
		case <-stack.Done():
			cancel(stack.Err())
		case <-ctx.Done():
		}
	}()
	o, err := feedAndCompare(ctx, s, stack, src, speed, fed)
	// The end of the pipeline is the cause of later errors: name it first.
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return o, err
}

// feedAndCompare does the work of runThrough. It does not notice the end of the
// pipeline, except by errors of the broker and the tables.
func feedAndCompare(ctx context.Context, s streams, stack *local.Stack, src feed.Source, speed speedFlag, fed func(*progress, feed.Stats)) (*outcome, error) {
	deps, err := openDeps(ctx, stack)
	if err != nil {
		return nil, err
	}
	defer deps.Close()
	// Produce the source, with progress.
	p := newProgress(s.err, "feeding", -1)
	began := time.Now()
	stats, err := feed.Run(ctx, src, feed.Options{
		Out: deps.Out, Partitions: deps.Partitions, Speed: float64(speed), Settle: stack.DrainCRM,
		Fed: func(st feed.Stats) { fed(p, st) },
	})
	p.finish()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(s.err, "produced %d sightings and %d CRM events of %s in %s\n",
		stats.Sightings, stats.CRMEvents, durationText(stats.To.Sub(stats.From)), durationText(time.Since(began)))
	// Wait until every stage has processed everything.
	err = during(s.err, "waiting for the functions", func() string { return lagText(ctx, stack) }, func() error { return stack.Drain(ctx) })
	if err != nil {
		return nil, fmt.Errorf("wait for the functions: %w", err)
	}
	o := &outcome{fed: stats, took: time.Since(began)}
	// Compare topics and tables with the oracle.
	businesses, err := ruleHistories(ctx, dynamo.NewBusinesses(stack.TableClient(), stack.TablePrefix()))
	if err != nil {
		return nil, err
	}
	var read atomic.Int64
	var topic atomic.Value
	topic.Store("")
	words := func() string { return fmt.Sprintf("%d records read, at %s", read.Load(), topic.Load()) }
	err = during(s.err, "comparing with the oracle", words, func() error {
		return untilDone(ctx, func() (err error) {
			o.report, err = check.Run(ctx, check.Sources{
				Brokers: stack.Brokers(), Topics: deps.Topics, Log: deps.Log, Pending: deps.Pending, Counts: deps.Counts,
				Rules: presence.DefaultRules(), Businesses: businesses,
				Read: func(name string) { read.Add(1); topic.Store(name) },
			})
			return err
		})
	})
	return o, err
}

// lagText returns how many records the stages have left to process, as text.
func lagText(ctx context.Context, stack *local.Stack) string {
	all, err := stack.Stats(ctx)
	if err != nil {
		return err.Error()
	}
	lag := int64(0)
	for _, s := range all {
		lag += s.Lag
	}
	return fmt.Sprintf("%d records left", lag)
}
