package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/local/esm"
	"footfall/local/gateway"
	"footfall/local/runtime"
	"footfall/shared/dynamo"
	"footfall/shared/pipeline"
)

// The region and the credentials of the functions. No server of the stack
// checks them.
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
	api     *gateway.Gateway // nil if no posts are taken

	temporary  bool // Close removes the data directory
	hasHistory bool // the topics or tables are those of an earlier stack

	mappings []mapping

	closers      []func() error // in the order in which the parts were started
	closeOnce    sync.Once
	closed       error
	firstFailure sync.Once
	done         chan struct{} // closed when a part has failed
	err          error         // the first failure; read it after done is closed
}

// mapping is the event source mapping of a stage on one of its topics.
type mapping struct {
	stage string
	*esm.Poller
}

// Start starts all parts of the graph and returns when sightings can be
// produced. ctx bounds the start only: the stack runs until Close. If a part
// does not start, the parts that did are stopped.
func Start(ctx context.Context, o Options) (*Stack, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	graph := pipeline.Default()
	err := graph.Validate()
	s := &Stack{o: o, done: make(chan struct{})}
	// Each part needs the parts before it.
	for _, part := range []struct {
		name  string
		start func(context.Context, pipeline.Graph) error
	}{
		{"binaries", s.checkInstalled},
		{"data directory", s.openData},
		{"broker", s.startBroker},
		{"table server", s.startTables},
		{"data directory", s.checkData},
		{"keys", s.openKeys},
		{"topics and tables", s.createTopicsAndTables},
		{"expiry", s.startExpiry},
		{"functions", s.startFunctions},
		{"event source mappings", s.startMappings},
		{"schedules", s.startSchedules},
		{"HTTP API", s.startAPI},
	} {
		if err != nil {
			break
		}
		if o.Starting != nil {
			o.Starting(part.name)
		}
		err = part.start(ctx, graph)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("local: %w", err), s.Close())
	}
	return s, nil
}

// onClose registers f to be called by Close, before the parts that were started
// earlier are stopped.
func (s *Stack) onClose(f func() error) { s.closers = append(s.closers, f) }

// DataDir returns the data directory in use.
func (s *Stack) DataDir() string { return s.o.DataDir }

// Brokers returns the endpoints of the Kafka brokers in use.
func (s *Stack) Brokers() []string { return s.brokers }

// TableEndpoint returns the URL of the table server in use.
func (s *Stack) TableEndpoint() string { return s.tables }

// TableClient returns a client of the table server in use.
func (s *Stack) TableClient() *dynamodb.Client {
	return dynamo.New(aws.Config{
		Region: region, BaseEndpoint: aws.String(s.tables),
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, accessKey, ""),
	})
}

// TablePrefix returns the prefix of the names of the tables.
func (s *Stack) TablePrefix() string { return s.o.TablePrefix }

// Invoke invokes a function with payload and returns its answer; see
// runtime.Runtime.Invoke for the errors.
func (s *Stack) Invoke(ctx context.Context, function string, payload []byte) ([]byte, error) {
	return s.runtime.Invoke(ctx, function, payload)
}

// Kill kills one process of a function with SIGKILL, in the middle of an
// invocation if one is under way, and returns its process id.
func (s *Stack) Kill(function string) (pid int, err error) { return s.runtime.Kill(function) }

// Done returns a channel that is closed when a part that the stack cannot run
// without has failed. Err returns the failure.
func (s *Stack) Done() <-chan struct{} { return s.done }

// Err returns nil until Done is closed, and then the failure.
func (s *Stack) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// failed records the first failure of a part and closes Done. After Close it
// does nothing: parts that end then were meant to.
func (s *Stack) failed(err error) {
	s.firstFailure.Do(func() {
		s.err = err
		close(s.done)
	})
}

// Close stops the parts that Start started, the last one first, and waits until
// they have ended. Close may be called more than once.
func (s *Stack) Close() error {
	s.closeOnce.Do(func() {
		s.firstFailure.Do(func() {}) // from here on, parts are meant to end
		var errs []error
		for _, end := range slices.Backward(s.closers) {
			errs = append(errs, end())
		}
		s.closed = errors.Join(errs...)
	})
	return s.closed
}

// admin returns a client for reading offsets.
func (s *Stack) admin() *kadm.Client { return kadm.NewClient(s.client) }
