package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"footfall/events"
	"footfall/local/runtime"
)

// binary is the function, built as for Lambda.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "topics")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the function: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// output collects the lines that the function prints.
type output struct {
	mu    sync.Mutex
	lines bytes.Buffer
	text  string        // awaited
	seen  chan struct{} // closed once a line holds text; nil if no text is awaited
}

// await returns a channel that is closed once a line holds text.
func (o *output) await(text string) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text, o.seen = text, make(chan struct{})
	return o.seen
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen != nil && strings.Contains(string(p), o.text) {
		close(o.seen)
		o.seen = nil
	}
	return o.lines.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lines.String()
}

// deployment is the function as a process, and CloudFormation.
type deployment struct {
	*testing.T
	function *runtime.Runtime
	output   output
	answers  chan cfn.Response // of at most one event at a time
	sizes    chan int          // of the answers, in bytes
	stack    *httptest.Server
	failures int // how many answers CloudFormation still rejects with 503
}

// deploy starts the function with a timeout and an environment.
func deploy(t *testing.T, timeout time.Duration, env ...string) *deployment {
	t.Helper()
	d := newStack(t)
	var err error
	d.function, err = runtime.Start(t.Context(), runtime.Options{Output: &d.output, Functions: []runtime.Function{{
		Name: "topics", Path: binary, Timeout: timeout, Env: append(env, "AWS_REGION=eu-central-1"),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.function.Close() })
	return d
}

// newStack returns CloudFormation without a function.
func newStack(t *testing.T) *deployment {
	d := &deployment{T: t, answers: make(chan cfn.Response, 1), sizes: make(chan int, 1)}
	d.stack = httptest.NewServer(http.HandlerFunc(d.takeAnswer))
	t.Cleanup(d.stack.Close)
	return d
}

// takeAnswer is CloudFormation's response URL.
func (d *deployment) takeAnswer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var a cfn.Response
	if err == nil {
		err = json.Unmarshal(body, &a)
	}
	if err != nil || r.Method != http.MethodPut || r.URL.RequestURI() != "/answer?signed=1" {
		d.Errorf("%s %s with %s: %v", r.Method, r.URL, body, err)
	}
	if d.failures > 0 {
		d.failures--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	d.answers <- a
	d.sizes <- len(body)
}

func (d *deployment) event(kind cfn.RequestType, properties map[string]any) cfn.Event {
	return cfn.Event{
		RequestType: kind, RequestID: "request-1", ResponseURL: d.stack.URL + "/answer?signed=1",
		LogicalResourceID: "Topics", StackID: "stack-1", ResourceProperties: properties,
	}
}

// send calls the function with an event of CloudFormation, and returns the error of
// the invocation.
func (d *deployment) send(kind cfn.RequestType, properties map[string]any) error {
	event, err := json.Marshal(d.event(kind, properties))
	if err != nil {
		return err
	}
	_, err = d.function.Invoke(d.Context(), "topics", event)
	return err
}

// want sends an event and checks the answer: a success without reason, otherwise a
// failure whose reason holds each of the texts.
func (d *deployment) want(kind cfn.RequestType, partitions any, reason ...string) {
	d.Helper()
	d.wantMeanwhile(func() {}, kind, partitions, reason...)
}

// wantMeanwhile is want that calls meanwhile while the function handles the event.
func (d *deployment) wantMeanwhile(meanwhile func(), kind cfn.RequestType, partitions any, reason ...string) {
	d.Helper()
	sent := make(chan error, 1)
	go func() {
		sent <- d.send(kind, map[string]any{"ServiceToken": "arn", "Topics": "any", "Partitions": partitions})
	}()
	meanwhile()
	if err := <-sent; err != nil {
		d.Fatalf("%v\n%s", err, &d.output)
	}
	a, size := <-d.answers, <-d.sizes
	if a.PhysicalResourceID != physicalID || a.RequestID != "request-1" || a.StackID != "stack-1" || a.LogicalResourceID != "Topics" {
		d.Errorf("%s: got %+v, want the ids of the event", kind, a)
	}
	if size > 4096 {
		d.Errorf("%s: got an answer of %d bytes, want at most 4096", kind, size)
	}
	if (a.Status == cfn.StatusSuccess) != (len(reason) == 0) {
		d.Errorf("%s: got %s, %s\n%s", kind, a.Status, a.Reason, &d.output)
	}
	for _, part := range reason {
		if !strings.Contains(a.Reason, part) {
			d.Errorf("%s: got reason %s, want one with %q", kind, a.Reason, part)
		}
	}
}

// cluster starts a broker.
func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (d *deployment) wantPartitions(c *kfake.Cluster, want func(events.Topic) int) {
	d.Helper()
	for _, topic := range events.Topics() {
		if n := len(c.PartitionInfos(topic.Name)); n != want(topic) {
			d.Errorf("%s: got %d partitions, want %d", topic.Name, n, want(topic))
		}
	}
}

// A deployment is created, updated and deleted. A difference that may not be applied
// is logged and does not fail the update, and the topics outlive the deployment.
func TestCreateUpdateDelete(t *testing.T) {
	c := cluster(t)
	d := deploy(t, time.Minute, "FOOTFALL_BROKERS="+c.ListenAddrs()[0])
	two := func(events.Topic) int { return 2 }
	d.want(cfn.RequestCreate, "2")
	d.wantPartitions(c, two)
	if err := c.DeleteTopic(events.WalkIns); err != nil {
		t.Fatal(err)
	}
	d.want(cfn.RequestUpdate, "0")
	d.wantPartitions(c, func(topic events.Topic) int {
		if topic.Name == events.WalkIns {
			return int(topic.Partitions)
		}
		return 2
	})
	if log := d.output.String(); !strings.Contains(log, `"message":"topic differs"`) || !strings.Contains(log, "drain first") {
		t.Errorf("the log does not name the difference that was left:\n%s", log)
	}
	before := c.TopicInfo(events.Sightings)
	d.want(cfn.RequestDelete, "0")
	if after := c.TopicInfo(events.Sightings); after == nil || after.TopicID != before.TopicID {
		t.Error("topic sightings was deleted or recreated")
	}
}

// A stack whose creation failed can be deleted without a cluster and settings.
func TestDeleteNeedsNoCluster(t *testing.T) {
	deploy(t, time.Minute).want(cfn.RequestDelete, nil)
}

// CloudFormation receives the mistakes in properties and settings.
func TestMistakesAreInTheAnswer(t *testing.T) {
	for _, partitions := range []any{nil, "", "two", "-1", 2.0, "99999999999"} {
		t.Run(fmt.Sprint("partitions ", partitions), func(t *testing.T) {
			deploy(t, time.Minute, "FOOTFALL_BROKERS=127.0.0.1:1").want(cfn.RequestCreate, partitions, "property Partitions is ")
		})
	}
	t.Run("settings", func(t *testing.T) {
		deploy(t, time.Minute, "FOOTFALL_KAFKA_AUTH=kerberos").want(cfn.RequestCreate, "0",
			"FOOTFALL_BROKERS: not set", `FOOTFALL_KAFKA_AUTH: "kerberos" is neither`)
	})
}

// An error that would recur at each attempt fails the deployment at once.
func TestPermanentErrorIsNotTriedAgain(t *testing.T) {
	c := cluster(t)
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.PolicyViolation, Count: -1})
	d := deploy(t, time.Minute, "FOOTFALL_BROKERS="+c.ListenAddrs()[0])
	d.want(cfn.RequestCreate, "0", "create topic "+events.Sightings+": POLICY_VIOLATION")
	if n := fault.Hits(); n != 1 {
		t.Errorf("got %d attempts, want 1", n)
	}
}

// If the cluster cannot be reached, the answer with the reason comes before the
// deadline.
func TestUnreachableClusterIsAnsweredBeforeTheDeadline(t *testing.T) {
	d := deploy(t, 3*time.Second, "FOOTFALL_BROKERS="+closedPort(t))
	d.want(cfn.RequestCreate, "0", "no time left to try again", "refused")
}

// closedPort returns an address on which no process listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A new cluster refuses connections at first. The function tries until it is up.
func TestClusterThatStartsLate(t *testing.T) {
	address := closedPort(t)
	_, text, _ := net.SplitHostPort(address)
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	d := deploy(t, time.Minute, "FOOTFALL_BROKERS="+address)
	tried := d.output.await("trying again")
	var c *kfake.Cluster
	d.wantMeanwhile(func() { <-tried; c = cluster(t, kfake.Ports(port)) }, cfn.RequestCreate, "3")
	d.wantPartitions(c, func(events.Topic) int { return 3 })
}

// An answer that does not arrive fails the invocation. Lambda then sends the event
// again, the topics exist already, and only the answer is sent again.
func TestAnswerThatDoesNotArrive(t *testing.T) {
	c := cluster(t)
	d := deploy(t, time.Minute, "FOOTFALL_BROKERS="+c.ListenAddrs()[0])
	d.failures = 1
	properties := map[string]any{"Partitions": "1"}
	if err := d.send(cfn.RequestCreate, properties); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v, want the error 503", err)
	}
	id := c.TopicInfo(events.Sightings).TopicID
	d.want(cfn.RequestCreate, "1")
	if c.TopicInfo(events.Sightings).TopicID != id {
		t.Error("the topic was created twice")
	}
}

// The longest reason fits into an answer. CloudFormation would ignore a longer answer
// and wait for an hour.
func TestLongestReasonFits(t *testing.T) {
	d := newStack(t)
	r := resource{log: slog.New(slog.DiscardHandler), connect: func(context.Context) (*kgo.Client, error) {
		return nil, errors.New(strings.Repeat("<", 10_000))
	}}
	if _, err := cfn.LambdaWrap(r.handle)(t.Context(), d.event(cfn.RequestCreate, map[string]any{"Partitions": "0"})); err != nil {
		t.Fatal(err)
	}
	if a, size := <-d.answers, <-d.sizes; a.Status != cfn.StatusFailed || size > 4096-300 { // ids of AWS are longer than these
		t.Errorf("got %s in %d bytes, want a failure in at most 3796", a.Status, size)
	}
}
