//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/local/dynalite"
	"footfall/shared/dynamo"
	"footfall/shared/kafka"
	"footfall/shared/stage"
)

const (
	partitions = 4
	// session is how long a group waits for a member that died: the smallest
	// value that the broker accepts.
	session = 6 * time.Second
	// patience bounds every wait for an event that must happen. It is many times
	// the time that such an event takes on a busy machine.
	patience = 3 * time.Minute
)

// rig is the pipeline under test, as processes. Only one goroutine at a time
// acts on it.
type rig struct {
	dir, bin string
	dice     *rand.Rand
	out      io.Writer // for progress messages

	broker     *process
	brokerPort int
	tables     *dynalite.Server
	tablePort  int
	pollers    []*process // running `footfall local` processes
	pollerLog  *os.File
	brokerLog  *os.File

	client       *kgo.Client
	admin        *kadm.Client
	done         counters
	rules        map[events.BusinessID][]stage.RulesSince
	faultRunning atomic.Bool // a fault is under way
}

// counters count the faults.
type counters struct {
	functions, pollers, brokers, tables int // killed
	duplicates                          int
	rewinds                             int   // partitions whose offset was set back
	rewound                             int64 // records redelivered because of that
	replayed                            int64 // records redelivered from the beginning
}

func (c counters) kills() int { return c.functions + c.pollers + c.brokers + c.tables }

// newRig starts all processes on an empty directory. close ends them, also
// after an error.
func newRig(ctx context.Context, dir, bin string, seed uint64, out io.Writer) (*rig, error) {
	r := &rig{dir: dir, bin: bin, out: out, dice: dice(seed + 1)}
	var err error
	if r.pollerLog, err = appendTo(dir, "pollers.log"); err != nil {
		return r, err
	}
	if r.brokerLog, err = appendTo(dir, "broker.log"); err != nil {
		return r, err
	}
	if r.brokerPort, err = stablePort(); err != nil {
		return r, err
	}
	if err := r.startBroker(ctx); err != nil {
		return r, err
	}
	if r.tablePort, err = stablePort(); err != nil { // the broker listens on its own port by now
		return r, err
	}
	if err := r.startTables(ctx); err != nil {
		return r, err
	}
	if r.client, err = kafka.NewClient(kafka.Config{Brokers: []string{r.brokerAddr()}, Auth: kafka.AuthNone, ClientID: "soak"}); err != nil {
		return r, err
	}
	r.admin = kadm.NewClient(r.client)
	return r, r.startPoller(ctx)
}

func dice(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func appendTo(dir, name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}

func (r *rig) brokerAddr() string { return "127.0.0.1:" + strconv.Itoa(r.brokerPort) }

func (r *rig) startBroker(ctx context.Context) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), brokerDir+"="+filepath.Join(r.dir, "broker"), brokerListen+"="+r.brokerAddr())
	r.broker, err = spawn(ctx, "the broker", cmd, brokerUp, r.brokerLog)
	return err
}

func (r *rig) startTables(ctx context.Context) (err error) {
	r.tables, err = dynalite.Start(ctx, dynalite.Options{
		Dirs: []string{repository}, DataDir: filepath.Join(r.dir, "tables"), Listen: net.JoinHostPort("127.0.0.1", strconv.Itoa(r.tablePort)),
	})
	return err
}

// tableClient returns a client of the table server.
func (r *rig) tableClient() *dynamodb.Client {
	return dynamo.New(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(r.tables.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
}

// startPoller starts another `footfall local`: the event source mappings, and
// functions of its own. The first one creates the topics and tables.
func (r *rig) startPoller(ctx context.Context) error {
	cmd := exec.Command(filepath.Join(r.bin, "footfall"), "local", "--no-ticks",
		"--bin", r.bin, "--brokers", r.brokerAddr(), "--table-endpoint", r.tables.Endpoint(),
		"--partitions", strconv.Itoa(partitions), "--session-timeout", session.String(), "--function-logs")
	cmd.Env = append(os.Environ(), "TMPDIR="+r.dir) // a poller that is killed leaves its files there
	p, err := spawn(ctx, "footfall local", cmd, "running until interrupted", r.pollerLog)
	if err == nil {
		r.pollers = append(r.pollers, p)
	}
	return err
}

// alive returns an error if a process has ended that the test did not kill.
func (r *rig) alive() error {
	errs := []error{r.broker.alive()}
	for _, p := range r.pollers {
		errs = append(errs, p.alive())
	}
	select {
	case <-r.tables.Done():
		errs = append(errs, errors.New("the table server ended by itself"))
	default:
	}
	return errors.Join(errs...)
}

// stopPollers ends the pollers as an operator does, and fails if a poller ends
// with an error.
func (r *rig) stopPollers() error {
	var errs []error
	for _, p := range r.pollers {
		errs = append(errs, p.stop(patience))
	}
	r.pollers = nil
	return errors.Join(errs...)
}

// close ends all processes that run.
func (r *rig) close() error {
	if r.client != nil {
		r.client.Close()
	}
	var errs []error
	for _, p := range append(r.pollers, r.broker) {
		if p != nil && p.alive() == nil {
			errs = append(errs, p.kill())
		}
	}
	if r.tables != nil {
		errs = append(errs, r.tables.Close())
	}
	for _, f := range []*os.File{r.pollerLog, r.brokerLog} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// eventually calls look until it reports done. look may fail as long as a
// process is down. eventually gives up when look has returned the same figure,
// such as a lag, for the time of patience: as long as the figure changes, the
// pipeline is not stuck.
func eventually(ctx context.Context, what string, look func(context.Context) (done bool, figure int64, err error)) error {
	last, since := int64(-1), time.Now()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		try, cancel := context.WithTimeout(ctx, 10*time.Second)
		done, figure, err := look(try)
		cancel()
		if err == nil && done {
			return nil
		}
		if err == nil && figure != last {
			last, since = figure, time.Now()
		}
		if time.Since(since) > patience {
			return fmt.Errorf("%s: no progress for %v at %d: %w", what, patience, last, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
	}
}
