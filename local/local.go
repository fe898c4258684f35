// Package local runs the graph on this machine: a Kafka broker, a table server,
// the Lambda runtime with the function binaries, an event source mapping for
// every topic a stage reads, and an HTTP API for the stage that takes posts.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/local/broker"
	"footfall/local/dynalite"
	"footfall/local/esm"
	"footfall/local/gateway"
	"footfall/local/runtime"
	"footfall/shared/dynamo"
	"footfall/shared/kafka"
	"footfall/shared/pipeline"
)

// Options of a stack. BinDir is needed.
type Options struct {
	// DataDir keeps the broker's data, and the tables where TablesOnDisk is set;
	// it can be used again after a crash. "" takes a temporary directory, which
	// Close removes unless KeepData is set.
	DataDir      string
	KeepData     bool
	TablesOnDisk bool
	// Partitions is how many every topic gets; 0 is as many as events.Topics says.
	Partitions int32
	// Brokers and TableEndpoint are used instead of servers of the stack's own.
	Brokers       []string
	TableEndpoint string
	TablePrefix   string
	// BinDir holds the functions as <name>/bootstrap.
	BinDir string
	// Environments is how many processes serve a function; 0 means one. Each is
	// given events of its own, on disjoint partitions.
	Environments int
	// InTurn hands a function's events to its environments strictly in turn.
	InTurn bool
	// SessionTimeout is how long the broker keeps the partitions of this stack for
	// it while it hears nothing of it; 0 is the mappings' own default.
	SessionTimeout time.Duration
	// Schedule starts the scheduled functions by the wall clock. A replay brings
	// ticks of its own instead.
	Schedule bool
	// Listen is where posts of routers are taken, host:port; port 0 is one that is
	// free. "" takes none.
	Listen string
	// PseudonymKeys is the file with the keys of pseudonyms. "" takes the one in
	// DataDir, which is made with a fresh key where there is none.
	PseudonymKeys string
	// Prepare, where there is one, puts into the tables what has to be there
	// before anything runs, such as the businesses.
	Prepare func(ctx context.Context, tables *dynamodb.Client) error
	// FunctionLogs takes what the functions print; nil drops it.
	FunctionLogs io.Writer
	// LogLevel is the lowest level that the functions log.
	LogLevel slog.Level
	Log      *slog.Logger // nil drops everything
}

// Region and credentials of the functions. No server here looks at them.
const (
	region    = "us-east-1"
	accessKey = "local"
)

// Stack is a running graph.
type Stack struct {
	o       Options
	brokers []string
	tables  string
	runtime *runtime.Runtime
	client  *kgo.Client
	api     *gateway.Gateway // nil where no posts are taken

	mappings []mapping

	closers      []func() error // in the order of starting
	closeOnce    sync.Once
	closed       error
	firstFailure sync.Once
	done         chan struct{}
	err          error
}

// mapping is the event source mapping of a stage on one of its topics.
type mapping struct {
	stage string
	*esm.Poller
}

// Start starts everything and returns once sightings can be put on their topic.
// ctx bounds the start only: the stack runs until Close. Where any part does
// not start, those that did are stopped.
func Start(ctx context.Context, o Options) (*Stack, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	graph := pipeline.Default()
	err := graph.Validate()
	s := &Stack{o: o, done: make(chan struct{})}
	for _, start := range []func(context.Context, pipeline.Graph) error{
		s.checkBinaries, s.openData, s.openKeys, s.startBroker, s.startTables, s.startFunctions,
		s.startMappings, s.startSchedules, s.startAPI,
	} {
		if err == nil {
			err = start(ctx, graph)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("local: %w", err), s.Close())
	}
	return s, nil
}

// onClose has Close call f, before what was started earlier is stopped.
func (s *Stack) onClose(f func() error) { s.closers = append(s.closers, f) }

func (s *Stack) binary(function string) string {
	return filepath.Join(s.o.BinDir, function, "bootstrap")
}

// checkBinaries names every function that was not built, before anything is
// started.
func (s *Stack) checkBinaries(_ context.Context, g pipeline.Graph) error {
	var errs []error
	for _, spec := range g.Stages {
		switch _, err := os.Stat(s.binary(spec.Name)); {
		case errors.Is(err, fs.ErrNotExist):
			errs = append(errs, fmt.Errorf("%s is missing: run `make build`", s.binary(spec.Name)))
		case err != nil:
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *Stack) openData(context.Context, pipeline.Graph) error {
	if s.o.DataDir != "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "footfall-")
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	s.o.DataDir = dir
	if !s.o.KeepData {
		s.onClose(func() error { return os.RemoveAll(dir) })
	}
	return nil
}

// startBroker starts the broker, unless there is one outside, and sees to the
// topics. A function that produced to a missing topic would fail its batch.
func (s *Stack) startBroker(ctx context.Context, _ pipeline.Graph) error {
	s.brokers = s.o.Brokers
	replication := int16(-1) // as the outside broker has it
	if len(s.brokers) == 0 {
		replication = 1
		b, err := broker.Start(ctx, broker.Options{Dir: filepath.Join(s.o.DataDir, "broker"), Log: s.o.Log})
		if err != nil {
			return err
		}
		s.onClose(b.Close)
		s.brokers = b.Addrs()
	}
	client, err := kafka.NewClient(kafka.Config{Brokers: s.brokers, Auth: "none", ClientID: "footfall-local", Logger: s.o.Log})
	if err != nil {
		return err
	}
	s.client = client
	s.onClose(func() error { client.Close(); return nil })
	return kafka.CreateTopics(ctx, client, events.Topics(), s.o.Partitions, replication)
}

// startTables starts the table server, unless there is one outside, and sees to
// the tables.
func (s *Stack) startTables(ctx context.Context, g pipeline.Graph) error {
	s.tables = s.o.TableEndpoint
	if s.tables == "" {
		o := dynalite.Options{Dir: s.o.BinDir} // below the repository, which holds the Node packages
		if s.o.TablesOnDisk {
			o.DataDir = filepath.Join(s.o.DataDir, "tables")
		}
		server, err := dynalite.Start(ctx, o)
		if err != nil {
			return err
		}
		s.onClose(server.Close)
		s.tables = server.Endpoint()
		go func() {
			<-server.Done()
			s.failed(errors.New("local: the table server ended"))
		}()
	}
	err := dynamo.CreateTables(ctx, s.TableClient(), s.o.TablePrefix, g.Tables)
	if err == nil && s.o.Prepare != nil {
		err = s.o.Prepare(ctx, s.TableClient())
	}
	return err
}

// startFunctions starts the processes of every stage with the environment that
// infra gives them on AWS, but for the addresses.
func (s *Stack) startFunctions(ctx context.Context, g pipeline.Graph) error {
	env := []string{
		"FOOTFALL_BROKERS=" + strings.Join(s.brokers, ","),
		"FOOTFALL_KAFKA_AUTH=none",
		"FOOTFALL_TABLE_PREFIX=" + s.o.TablePrefix,
		"FOOTFALL_LOG_LEVEL=" + s.o.LogLevel.String(),
		"AWS_ENDPOINT_URL_DYNAMODB=" + s.tables,
		"AWS_REGION=" + region,
		"AWS_ACCESS_KEY_ID=" + accessKey,
		"AWS_SECRET_ACCESS_KEY=" + accessKey,
	}
	var functions []runtime.Function
	for _, spec := range g.Stages {
		env := slices.Clip(env)
		if spec.HTTP { // nobody else may turn addresses into pseudonyms
			env = append(env, "FOOTFALL_PSEUDONYM_KEYS="+s.o.PseudonymKeys)
		}
		functions = append(functions, runtime.Function{
			Name: spec.Name, Path: s.binary(spec.Name), Env: env,
			Timeout: spec.Timeout, MemoryMB: spec.MemoryMB, Environments: s.o.Environments,
		})
	}
	r, err := runtime.Start(ctx, runtime.Options{
		Functions: functions, InTurn: s.o.InTurn, Output: s.o.FunctionLogs, Log: s.o.Log,
	})
	if err != nil {
		return err
	}
	s.runtime = r
	s.onClose(r.Close)
	return nil
}

// startMappings starts a poller for every topic a stage reads. It runs as many
// invocations side by side as the stage has environments: more would only wait
// for one another, with their timeouts not yet running.
func (s *Stack) startMappings(_ context.Context, g pipeline.Graph) error {
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	s.onClose(func() error { stop(); wg.Wait(); return nil })
	var client []kgo.Opt
	if s.o.SessionTimeout > 0 {
		client = append(client, kgo.SessionTimeout(s.o.SessionTimeout))
	}
	for _, spec := range g.Stages {
		for _, m := range spec.Reads {
			topic, _ := events.TopicByName(m.Topic)
			p, err := esm.New(esm.Options{
				Brokers: s.brokers, Client: client, Stage: spec.Name, Mapping: m, DeadLetters: topic.DeadLetters,
				Concurrency: s.o.Environments, Log: s.o.Log,
				Invoke: func(ctx context.Context, payload []byte) ([]byte, error) {
					return s.runtime.Invoke(runtime.WithKeys(ctx, esm.Partitions(ctx)...), spec.Name, payload)
				},
			})
			if err != nil {
				return err
			}
			s.mappings = append(s.mappings, mapping{spec.Name, p})
			wg.Go(func() {
				if err := p.Run(ctx); err != nil && ctx.Err() == nil {
					s.failed(err)
				}
			})
		}
	}
	return nil
}

// DataDir is the directory in use.
func (s *Stack) DataDir() string { return s.o.DataDir }

// Brokers are the addresses of the Kafka in use.
func (s *Stack) Brokers() []string { return s.brokers }

// TableEndpoint is the URL of the DynamoDB in use.
func (s *Stack) TableEndpoint() string { return s.tables }

// TableClient makes a client of the DynamoDB in use.
func (s *Stack) TableClient() *dynamodb.Client {
	return dynamo.New(aws.Config{
		Region: region, BaseEndpoint: aws.String(s.tables),
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, accessKey, ""),
	})
}

// TablePrefix is what the names of its tables begin with.
func (s *Stack) TablePrefix() string { return s.o.TablePrefix }

// Invoke gives a function an event and gives its answer.
func (s *Stack) Invoke(ctx context.Context, function string, payload []byte) ([]byte, error) {
	return s.runtime.Invoke(ctx, function, payload)
}

// Kill kills -9 one environment of a function, one at work if there is one.
func (s *Stack) Kill(function string) (pid int, err error) { return s.runtime.Kill(function) }

// Done is closed when a part of the stack ended that it cannot go on without.
// Err says which.
func (s *Stack) Done() <-chan struct{} { return s.done }

// Err is nil until Done is closed.
func (s *Stack) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// failed tells the first of what ended. Close uses the once up: what ends after
// it was meant to.
func (s *Stack) failed(err error) {
	s.firstFailure.Do(func() {
		s.err = err
		close(s.done)
	})
}

// Close stops what Start started, the last first, and waits until it is gone.
func (s *Stack) Close() error {
	s.closeOnce.Do(func() {
		s.firstFailure.Do(func() {}) // what ends from here on was meant to
		var errs []error
		for _, end := range slices.Backward(s.closers) {
			errs = append(errs, end())
		}
		s.closed = errors.Join(errs...)
	})
	return s.closed
}

// admin is for looking at offsets.
func (s *Stack) admin() *kadm.Client { return kadm.NewClient(s.client) }
