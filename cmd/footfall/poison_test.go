package main

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/events"
	"footfall/local"
	"footfall/local/broker"
	"footfall/local/broker/brokertest"
	"footfall/local/dynalite"
	"footfall/local/esm"
	"footfall/local/runtime"
	"footfall/shared/dynamo"
	"footfall/shared/kafka"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// site is a broker, tables and the real count function behind an event source
// mapping that gives up after a few retries.
type site struct {
	*testing.T
	dir     string // of the broker's data
	brokers []string
	tables  string // endpoint that denies some requests
	denied  atomic.Pointer[string]
	runtime *runtime.Runtime
	client  *kgo.Client
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{T: t, dir: t.TempDir()}
	none := ""
	s.denied.Store(&none)
	b, err := broker.Start(t.Context(), broker.Options{Dir: s.dir})
	s.must(err)
	t.Cleanup(func() { _ = b.Close() })
	s.brokers = b.Addrs()
	s.client, err = kafka.NewClient(kafka.Config{Brokers: s.brokers})
	s.must(err)
	t.Cleanup(s.client.Close)
	s.must(kafka.CreateTopics(t.Context(), s.client, events.Topics(), 2, 1))
	server, err := dynalite.Start(t.Context(), dynalite.Options{Dirs: []string{binaries}})
	s.must(err)
	t.Cleanup(func() { _ = server.Close() })
	s.tables = s.proxy(server.Endpoint())
	s.must(dynamo.CreateTables(t.Context(), s.tableClient(), "", pipeline.Default().Tables))
	s.runtime, err = runtime.Start(t.Context(), runtime.Options{Output: t.Output(), Functions: []runtime.Function{{
		Name: pipeline.Count, Path: filepath.Join(binaries, pipeline.Count, "bootstrap"), Env: []string{
			"FOOTFALL_BROKERS=" + s.brokers[0], "FOOTFALL_KAFKA_AUTH=none", "AWS_ENDPOINT_URL_DYNAMODB=" + s.tables,
			"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		},
	}}})
	s.must(err)
	t.Cleanup(func() { _ = s.runtime.Close() })
	return s
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// proxy rejects table requests that contain the denied text, as a policy would.
func (s *site) proxy(endpoint string) string {
	target, err := url.Parse(endpoint)
	s.must(err)
	forward := httputil.NewSingleHostReverseProxy(target)
	forward.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) {
		w.WriteHeader(http.StatusBadGateway) // the client gave the request up
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if denied := *s.denied.Load(); err != nil || denied != "" && bytes.Contains(body, []byte(denied)) {
			const denial = `{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not this one"}`
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(denial))), 10))
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, denial)
			return
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		forward.ServeHTTP(w, r)
	}))
	s.Cleanup(server.Close)
	return server.URL
}

func (s *site) tableClient() *dynamodb.Client {
	return dynamo.New(aws.Config{
		Region: "us-east-1", BaseEndpoint: &s.tables,
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
}

// start runs the mapping until the test ends or stop is called.
func (s *site) start(log io.Writer) (stop func()) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	p, err := esm.New(esm.Options{
		Brokers: s.brokers, Stage: pipeline.Count, DeadLetters: events.EnrichedWalkIns + "-dead-letters",
		Mapping:    pipeline.Mapping{Topic: events.EnrichedWalkIns, BatchSize: 100, Window: 200 * time.Millisecond, Retries: 2, Bisect: true},
		MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond, Log: slog.New(slog.NewTextHandler(log, nil)),
		Invoke: func(ctx context.Context, payload []byte) ([]byte, error) {
			return s.runtime.Invoke(ctx, pipeline.Count, payload)
		},
	})
	s.must(err)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.Error(err)
		}
	})
	s.Cleanup(stop)
	return stop
}

// process runs the mapping until it has committed everything.
func (s *site) process() {
	s.Helper()
	stop := s.start(s.Output())
	defer stop()
	s.await(func() bool { return s.lag() == 0 })
}

// await polls until done, for as long as the test may run. The polled calls take a
// broker's answer, so await does not spin.
func (s *site) await(done func() bool) {
	s.Helper()
	deadline := time.Now().Add(time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			s.Fatal("the awaited condition did not hold within a minute")
		}
	}
}

func (s *site) lag() int64 {
	s.Helper()
	return s.lagOf(pipeline.Group(pipeline.LocalDeployment, pipeline.Count, events.EnrichedWalkIns), events.EnrichedWalkIns)
}

func (s *site) lagOf(group, topic string) (lag int64) {
	s.Helper()
	offsets, err := kafka.GroupOffsets(s.Context(), s.client, group, topic)
	s.must(err)
	for _, o := range offsets {
		lag += o.Lag()
	}
	return lag
}

// comes produces a walk-in of each contact, in one batch, to a partition or to those
// of their keys.
func (s *site) comes(partition int32, contacts ...events.ContactID) {
	s.Helper()
	start := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	var records []stage.Record
	for _, c := range contacts {
		device := events.DeviceID("phone of " + c)
		value, err := events.Encode(nil, &events.EnrichedWalkIn{
			ID: events.NewWalkInID("cafe", device, start), Business: "cafe", Device: device, Contact: c, StartedAt: start, BoundAt: start,
		})
		s.must(err)
		records = append(records, stage.Record{
			Topic: events.EnrichedWalkIns, Partition: partition, Key: events.ContactKey("cafe", c), Value: value,
			Headers: []stage.Header{{Key: "trace", Value: []byte(c)}},
		})
	}
	s.must(kafka.NewProducer(s.client).Produce(s.Context(), records))
}

// wantCounts checks the counts of contacts, in the form "ann 1, bob 0".
func (s *site) wantCounts(want string) {
	s.Helper()
	var got []string
	for one := range strings.SplitSeq(want, ", ") {
		contact, _, _ := strings.Cut(one, " ")
		months, err := dynamo.NewCounts(s.tableClient(), "").Get(s.Context(), stage.CountKey{Business: "cafe", Contact: events.ContactID(contact)})
		s.must(err)
		total := int64(0)
		for _, m := range months {
			total += m.Total
		}
		got = append(got, fmt.Sprintf("%s %d", contact, total))
	}
	if g := strings.Join(got, ", "); g != want {
		s.Errorf("counted are %s, want %s", g, want)
	}
}

// footfall runs a command on the site's cluster and checks that its output contains
// each text.
func (s *site) footfall(status int, args string, want ...string) {
	s.Helper()
	var out bytes.Buffer
	got := run(append(strings.Fields(args), "--brokers", s.brokers[0]), streams{in: strings.NewReader(""), out: &out, err: &out})
	if got != status {
		s.Errorf("footfall %s: status %d, want %d\n%s", args, got, status, &out)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, w := range want {
		if !strings.Contains(text, w) {
			s.Errorf("footfall %s does not print %q:\n%s", args, w, &out)
		}
	}
}

// One record in a batch of many always fails: the batch is halved until the record
// is alone, and only that record becomes a dead letter. While the cause lasts, it
// becomes one again after a redrive; then it is counted, once.
func TestAPoisonRecordIsADeadLetterAloneAndComesBack(t *testing.T) {
	s := newSite(t)
	bob := "cafe/bob"
	s.denied.Store(&bob)
	s.comes(stage.AnyPartition, "ann", "bob", "carl", "dora", "emil", "fay", "gus")
	s.process()
	place := fmt.Sprintf("enriched-walk-ins-dead-letters/%d/0", events.Partition([]byte(bob), 2))
	s.footfall(0, "dead-letters list", "retries-exhausted count enriched-walk-ins/", "in all 1")
	s.footfall(0, "dead-letters show "+place, "header trace = bob", "key cafe/bob", "redrives 0", `"contact": "bob"`)

	s.footfall(0, "dead-letters redrive --yes", "1 put back")
	s.process()
	s.footfall(0, "dead-letters list", "in all 2 1 put back")
	s.footfall(0, "dead-letters show "+strings.TrimSuffix(place, "0")+"1", "header trace = bob", "redrives 1", "footfall-redriven-from = "+place)
	s.footfall(0, "dead-letters redrive --yes --max-redrives 1", "1 left out: put back 1 times or more already", "0 put back")

	none := ""
	s.denied.Store(&none)
	s.wantCounts("ann 1, bob 0, carl 1, dora 1, emil 1, fay 1, gus 1")
	s.footfall(0, "dead-letters redrive --reason retries-exhausted --stage count", "1 to put back; run again with --yes")
	s.footfall(0, "dead-letters redrive --yes", "1 put back")
	s.footfall(0, "dead-letters redrive --yes", "0 put back")
	s.process()
	s.footfall(0, "dead-letters list --open", "none of 2 dead letters match")
	s.wantCounts("ann 1, bob 1, carl 1, dora 1, emil 1, fay 1, gus 1")
}

// syncBuffer may be written to and read at the same time.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A batch whose bytes are damaged on the broker's disk stops its partition and no
// other. The log names the batch, and shifting the group past it loses its records
// and no others.
func TestShiftSkipsADamagedBatch(t *testing.T) {
	s := newSite(t)
	s.comes(0, "ann", "bob")
	s.comes(0, "carl", "dora") // offsets 2 and 3
	s.comes(0, "emil")
	s.comes(1, "fay")
	s.must(brokertest.Damage(s.dir, events.EnrichedWalkIns, 0, 2))
	var log syncBuffer
	stop := s.start(&log)
	s.await(func() bool {
		return s.lag() == 3 && strings.Contains(log.String(), "cannot read a batch") // the damaged records and those after them
	})
	s.comes(1, "gus") // the other partition goes on
	s.await(func() bool { return s.lag() == 3 })
	if want := `"cannot read a batch" stage=count topic=enriched-walk-ins partition=0 offset=2 `; !strings.Contains(log.String(), want) {
		t.Errorf("the log does not hold %q:\n%s", want, log.String())
	}
	shift := "offsets shift --group footfall-count-enriched-walk-ins --topic enriched-walk-ins --partition 0 --by "
	s.footfall(1, shift+"2 --yes", "the consumer group has members")
	stop()
	s.footfall(0, shift+"0", "is at offset 2 of 5", "2 to 3", "CANNOT BE READ: encoded crc", "4 to 4")
	s.footfall(0, shift+"1", "offset 3 is in the middle of it", "nothing was changed")
	s.footfall(0, shift+"2", "would move from offset 2 to 4 and skip 2 offsets", "nothing was changed")
	s.footfall(0, shift+"2 --yes", "continues at offset 4")
	s.process()
	s.wantCounts("ann 1, bob 1, carl 0, dora 0, emil 1, fay 1, gus 1")
}

// The same through the whole pipeline, in which detect stores offsets in its
// changelog: detect goes on after the unreadable offsets, and a visit around them is
// one walk-in.
func TestDetectContinuesAfterADamagedBatch(t *testing.T) {
	s := newSite(t)
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	key := events.DeviceKey("cafe", "phone")
	hear := func(minutes ...int) {
		t.Helper()
		var records []stage.Record
		for _, m := range minutes {
			value, err := events.Encode(nil, &events.Sighting{
				Business: "cafe", Sensor: "door", Device: "phone", RSSI: -60, SeenAt: noon.Add(time.Duration(m) * time.Minute),
			})
			s.must(err)
			records = append(records, stage.Record{Topic: events.Sightings, Partition: stage.AnyPartition, Key: key, Value: value})
		}
		s.must(kafka.NewProducer(s.client).Produce(t.Context(), records))
	}
	hear(0)
	hear(2, 3)
	hear(7)
	p := events.Partition(key, 2)
	s.must(brokertest.Damage(s.dir, events.Sightings, p, 1))
	external := func(o *local.Options) { o.Brokers, o.TableEndpoint = s.brokers, s.tables }
	stack := stackFor(t, external)
	group := pipeline.Group(pipeline.LocalDeployment, pipeline.Detect, events.Sightings)
	s.await(func() bool { return s.lagOf(group, events.Sightings) == 3 })
	s.must(stack.Close())
	if got := countWalkIns(t, stack); got != 0 {
		t.Errorf("%d walk-ins before the visit was confirmed", got)
	}
	s.footfall(0, fmt.Sprintf("offsets shift --group %s --topic sightings --partition %d --by 2 --yes", group, p), "continues at offset 3")
	stack = stackFor(t, external)
	s.must(stack.Drain(t.Context()))
	if got := countWalkIns(t, stack); got != 1 {
		t.Errorf("%d walk-ins, want the one around the damage", got)
	}
}
