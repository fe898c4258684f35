package deps_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/local/broker"
	"footfall/local/dynalite"
	"footfall/local/runtime"
	"footfall/shared/dynamo"
	"footfall/shared/kafka"
	"footfall/shared/pipeline"
)

// binaries is the directory of the functions, built as for Lambda.
var binaries string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	var err error
	if binaries, err = os.MkdirTemp("", "functions"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(binaries) }()
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-o", binaries+"/", "footfall/functions/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the functions: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

const tablePrefix = "deps-test-"

// output collects the lines that the functions print.
type output struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lines.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lines.String()
}

// stack is all functions as processes, on a broker with all topics and a table
// server.
type stack struct {
	client    *kgo.Client
	functions *runtime.Runtime
	output    *output
}

// start starts a stack with tables. env is the environment of the functions besides
// the addresses of the stack.
func start(t *testing.T, tables []pipeline.Table, env ...string) *stack {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, err := broker.Start(ctx, broker.Options{})
	must(t, err)
	t.Cleanup(func() { b.Close() })
	client, err := kafka.NewClient(kafka.Config{Brokers: b.Addrs()})
	must(t, err)
	t.Cleanup(client.Close)
	must(t, kafka.CreateTopics(ctx, client, events.Topics(), 0, 1))

	server, err := dynalite.Start(ctx, dynalite.Options{})
	must(t, err)
	t.Cleanup(func() { server.Close() })
	db := dynamo.New(aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(server.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider("x", "x", ""),
	})
	must(t, dynamo.CreateTables(ctx, db, tablePrefix, tables))

	s := &stack{client: client, output: &output{}}
	keys := filepath.Join(t.TempDir(), "keys.json")
	must(t, os.WriteFile(keys, []byte(`{"1": "a key for tests that is long enough"}`), 0o600))
	o := runtime.Options{Output: s.output}
	for _, spec := range pipeline.Default().Stages {
		o.Functions = append(o.Functions, runtime.Function{
			Name: spec.Name, Path: filepath.Join(binaries, spec.Name), Timeout: spec.Timeout,
			Env: append([]string{
				"FOOTFALL_BROKERS=" + strings.Join(b.Addrs(), ","), "FOOTFALL_TABLE_PREFIX=" + tablePrefix,
				"FOOTFALL_PSEUDONYM_KEYS=" + keys,
				"AWS_REGION=eu-central-1", "AWS_ENDPOINT_URL_DYNAMODB=" + server.Endpoint(),
				"AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x",
			}, env...),
		})
	}
	s.functions, err = runtime.Start(ctx, o)
	must(t, err)
	t.Cleanup(func() { s.functions.Close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// invoke calls the function of a stage with the sample event of the stage.
func (s *stack) invoke(t *testing.T, name string) (answer string) {
	t.Helper()
	event, err := os.ReadFile("../../../events/testdata/" + name + ".json")
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := s.functions.Invoke(ctx, name, event)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.output)
	}
	return string(got)
}

// records returns all records of a topic.
func (s *stack) records(t *testing.T, topic string) (all []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ends, err := kadm.NewClient(s.client).ListEndOffsets(ctx, topic)
	must(t, err)
	count := 0
	ends.Each(func(o kadm.ListedOffset) { count += int(o.Offset) })
	reader, err := kgo.NewClient(kgo.SeedBrokers(s.client.OptValue(kgo.SeedBrokers).([]string)...),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	must(t, err)
	defer reader.Close()
	for len(all) < count {
		fetched := reader.PollFetches(ctx)
		must(t, fetched.Err())
		all = append(all, fetched.Records()...)
	}
	return all
}

// The sample events are one sequence: a device walks in and is unattributed, its
// contact logs in, the walk-in is attributed to the contact, and the first visit is
// counted. Every function runs as the process that AWS runs. Each event is delivered
// twice, and the result is the same as for once.
func TestFunctionsHandleTheSampleEvents(t *testing.T) {
	s := start(t, pipeline.Default().Tables)
	for range 2 {
		// No business has settings here, so ingest rejects its sample.
		if got := s.invoke(t, pipeline.Ingest); !strings.Contains(got, `"statusCode":404`) {
			t.Errorf("ingest: got %s, want status 404\n%s", got, s.output)
		}
		for _, name := range []string{pipeline.Tick, pipeline.Detect, pipeline.Enrich, pipeline.Identify, pipeline.Count} {
			if got := s.invoke(t, name); got != `{}` {
				t.Fatalf("%s: got %s, want {}\n%s", name, got, s.output)
			}
		}
	}

	perPartition := map[int32]int{}
	for _, r := range s.records(t, events.Sightings) {
		if string(r.Key) == "tick" {
			perPartition[r.Partition]++
		}
	}
	for p := range int32(32) {
		if perPartition[p] != 2 {
			t.Errorf("partition %d of sightings: got %d ticks from two events, want 2", p, perPartition[p])
		}
	}

	walkIn, err := events.DecodeWalkIn(keyValue(t, s.records(t, events.WalkIns)))
	must(t, err)
	enriched, err := events.DecodeEnrichedWalkIn(keyValue(t, s.records(t, events.EnrichedWalkIns)))
	must(t, err)
	if enriched.ID != walkIn.ID || enriched.Contact != "contact-17" || !enriched.Late {
		t.Errorf("got %+v for walk-in %+v, want a late one attributed to contact-17", enriched, walkIn)
	}
	binding, err := events.DecodeDeviceContact(keyValue(t, s.records(t, events.DeviceContacts)))
	must(t, err)
	if binding.Device != walkIn.Device || binding.Contact != "contact-17" {
		t.Errorf("got %+v, want the device bound to contact-17", binding)
	}
	count, err := events.DecodeWalkInCount(keyValue(t, s.records(t, events.WalkInCounts)))
	must(t, err)
	if count.Contact != "contact-17" || count.WalkIn != walkIn.ID || count.Total != 1 || count.MonthTotal != 1 {
		t.Errorf("got %+v, want the walk-in as the first of contact-17", count)
	}
	for _, topic := range events.Topics() {
		if topic.DeadLetters == "" {
			if dead := s.records(t, topic.Name); len(dead) > 0 {
				t.Errorf("%s: got %d dead letters, want none", topic.Name, len(dead))
			}
		}
	}
	checkLog(t, s.logged(t))
}

// keyValue returns the key and value of rs, and fails the test if the records
// differ or there are none.
func keyValue(t *testing.T, rs []*kgo.Record) (key, value []byte) {
	t.Helper()
	if len(rs) == 0 {
		t.Fatal("nothing was produced")
	}
	for _, r := range rs {
		if !bytes.Equal(r.Key, rs[0].Key) || !bytes.Equal(r.Value, rs[0].Value) {
			t.Errorf("%s/%d: got %q=%q, want %q=%q as in the first record", r.Topic, r.Partition, r.Key, r.Value, rs[0].Key, rs[0].Value)
		}
	}
	return rs[0].Key, rs[0].Value
}

// logged ends the functions and returns everything that they printed.
func (s *stack) logged(t *testing.T) string {
	t.Helper()
	must(t, s.functions.Close())
	return s.output.String()
}

// checkLog fails the test if a function logged anything but two lines per event, or
// one line per event of a schedule or an HTTP API.
func checkLog(t *testing.T, log string) {
	t.Helper()
	handled := map[string]int{}
	for line := range strings.Lines(log) {
		function, text, _ := strings.Cut(line, " ")
		var entry struct{ Level, Message, Stage, RequestID string }
		if err := json.Unmarshal([]byte(text), &entry); err != nil {
			t.Errorf("not JSON: %s", line)
		}
		if entry.Level != "INFO" || entry.Stage != function || entry.RequestID == "" {
			t.Errorf("logged %s", line)
		}
		handled[function]++
	}
	for _, spec := range pipeline.Default().Stages {
		want := 4
		if spec.Schedule > 0 || spec.HTTP {
			want = 2
		}
		if handled[spec.Name] != want {
			t.Errorf("%s: got %d lines for two events, want %d", spec.Name, handled[spec.Name], want)
		}
	}
}

// Without its table a function answers with the records that are not done.
func TestFunctionAnswersWithUndoneRecords(t *testing.T) {
	s := start(t, nil)
	var answer struct {
		BatchItemFailures []struct {
			ItemIdentifier struct {
				Partition string
				Offset    int64
			}
		}
	}
	must(t, json.Unmarshal([]byte(s.invoke(t, pipeline.Count)), &answer))
	if fs := answer.BatchItemFailures; len(fs) != 1 || fs[0].ItemIdentifier.Partition != "enriched-walk-ins-14" || fs[0].ItemIdentifier.Offset != 100 {
		t.Errorf("got %+v, want offset 100 of enriched-walk-ins-14", answer)
	}
	if log := s.logged(t); !strings.Contains(log, `"message":"partition failed"`) || !strings.Contains(log, tablePrefix+pipeline.CountsTable) {
		t.Errorf("the log does not name the table:\n%s", log)
	}
}

// On-demand pollers take any answer for a success: the function must fail instead.
func TestFunctionFailsWholeBatches(t *testing.T) {
	s := start(t, nil, "FOOTFALL_WHOLE_BATCH=true")
	event, err := os.ReadFile("../../../events/testdata/count.json")
	must(t, err)
	answer, err := s.functions.Invoke(t.Context(), pipeline.Count, event)
	if err == nil || !strings.Contains(err.Error(), "1 of 1 partitions undone (enriched-walk-ins-14 from offset 100 on)") {
		t.Errorf("got %s, %v, want an error that names the partition", answer, err)
	}
}

// Dead letters do not fail an event. Each of them is counted in a log line.
func TestFunctionLogsDeadLetters(t *testing.T) {
	s := start(t, pipeline.Default().Tables)
	event, err := os.ReadFile("../../../events/testdata/bad-records.json")
	must(t, err)
	answer, err := s.functions.Invoke(t.Context(), pipeline.Detect, event)
	if err != nil || string(answer) != `{}` {
		t.Fatalf("got %s, %v, want {}", answer, err)
	}
	logged := 0
	for line := range strings.Lines(s.logged(t)) {
		_, text, _ := strings.Cut(line, " ")
		var entry struct {
			Level, Message, Stage, Topic, Reason string
			Records                              int
		}
		must(t, json.Unmarshal([]byte(text), &entry))
		if entry.Message != "dead letters written" {
			continue
		}
		logged += entry.Records
		if entry.Level != "WARN" || entry.Stage != pipeline.Detect || entry.Topic != events.Sightings || entry.Reason == "" {
			t.Errorf("logged %s", line)
		}
	}
	if dead := len(s.records(t, events.Sightings+"-dead-letters")); dead == 0 || logged != dead {
		t.Errorf("got %d dead letters and %d logged, want the same, not 0", dead, logged)
	}
}

// A function with wrong settings logs every mistake and exits with 1.
func TestFunctionWithWrongSettings(t *testing.T) {
	for _, spec := range pipeline.Default().Stages {
		t.Run(spec.Name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), filepath.Join(binaries, spec.Name))
			cmd.Env = []string{"FOOTFALL_KAFKA_AUTH=kerberos", "AWS_LAMBDA_RUNTIME_API=127.0.0.1:1"}
			out, err := cmd.Output()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
				t.Errorf("got %v, want exit code 1", err)
			}
			var line struct{ Level, Message, Stage, Error string }
			must(t, json.Unmarshal(out, &line))
			if line.Level != "ERROR" || line.Stage != spec.Name ||
				!strings.Contains(line.Error, "FOOTFALL_BROKERS") || !strings.Contains(line.Error, "FOOTFALL_KAFKA_AUTH") {
				t.Errorf("logged %s", out)
			}
		})
	}
}
