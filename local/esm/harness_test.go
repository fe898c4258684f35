package esm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awsevents "github.com/aws/aws-lambda-go/events"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/shared/pipeline"
)

const (
	topic           = "sightings"
	deadLetterTopic = "sightings-dead-letters"
)

// harness is a broker, a client and pollers in one synctest bubble. Time passes
// only while all goroutines wait, so a test can check how long something took
// and that nothing else happens.
type harness struct {
	*testing.T
	net     kfake.VirtualNetwork
	cluster *kfake.Cluster
	client  *kgo.Client
	admin   *kadm.Client
}

// bubble runs a test against a broker whose topic has four partitions.
func bubble(t *testing.T, test func(h *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &harness{T: t}
		var err error
		h.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(h.net.Listen),
			kfake.SeedTopics(4, topic), kfake.SeedTopics(1, deadLetterTopic))
		h.must(err)
		t.Cleanup(h.cluster.Close)
		h.connect()
		test(h)
	})
}

// connect creates the test's own client and replaces the one before.
func (h *harness) connect(opts ...kgo.Opt) {
	h.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers("localhost:9092"), kgo.Dialer(h.net.DialContext),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	h.must(err)
	h.Cleanup(c.Close)
	h.client, h.admin = c, kadm.NewClient(c)
}

func (h *harness) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// function is a running poller with the function double it invokes.
type function struct {
	*harness
	*Poller
	calls chan *call
	stop  func()
}

// call is one invocation, waiting for its answer.
type call struct {
	h       *harness
	payload []byte
	event   awsevents.KafkaEvent
	names   []string // of partitions, as returned by Partitions
	reply   chan reply
	at      time.Time
}

type reply struct {
	body string
	err  error
}

// start runs a poller until the test ends or stop is called.
func (h *harness) start(m pipeline.Mapping, more ...func(*Options)) *function {
	h.Helper()
	m.Topic = cmp.Or(m.Topic, topic)
	m.BatchSize = cmp.Or(m.BatchSize, 100)
	f := &function{harness: h, calls: make(chan *call)}
	o := Options{
		Brokers: []string{"localhost:9092"}, Client: []kgo.Opt{kgo.Dialer(h.net.DialContext)},
		Stage: "detect", Mapping: m, DeadLetters: deadLetterTopic, Invoke: f.invoke,
	}
	if m.Retries < 0 {
		o.DeadLetters = "" // with a dead-letter topic, retries would end
	}
	for _, change := range more {
		change(&o)
	}
	var err error
	f.Poller, err = New(o)
	h.must(err)
	ctx, cancel := context.WithCancel(h.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	f.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			h.Error(err)
		}
		ended <- nil // for the cleanup
	}
	h.Cleanup(f.stop)
	return f
}

func (f *function) invoke(ctx context.Context, payload []byte) ([]byte, error) {
	c := &call{h: f.harness, payload: slices.Clone(payload), names: Partitions(ctx), reply: make(chan reply), at: time.Now()}
	if err := json.Unmarshal(c.payload, &c.event); err != nil {
		f.Errorf("aws-lambda-go does not decode the event: %v\n%.300s", err, payload)
	}
	select {
	case f.calls <- c:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case r := <-c.reply:
		return []byte(r.body), r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// next waits for the next invocation, up to a day by the bubble's clock.
func (f *function) next() *call {
	f.Helper()
	select {
	case c := <-f.calls:
		return c
	case <-time.After(24 * time.Hour):
		f.Fatal("no invocation came")
		return nil
	}
}

// expect waits for the next invocation and checks its records; want is as
// ranges returns it.
func (f *function) expect(want string) *call {
	f.Helper()
	c := f.next()
	if got := c.ranges(); got != want {
		f.Fatalf("event holds %s, want %s", got, want)
	}
	return c
}

// wantNoInvocation fails if there is another invocation once all goroutines
// wait.
func (f *function) wantNoInvocation() {
	f.Helper()
	synctest.Wait()
	select {
	case c := <-f.calls:
		f.Fatalf("unexpected invocation with %s", c.ranges())
	default:
	}
}

// ranges returns the records of an event by partition: "0:[5-7] 1:[0-0]".
func (c *call) ranges() string {
	var parts []string
	for _, rs := range c.event.Records {
		for i, r := range rs {
			if r.Offset != rs[0].Offset+int64(i) {
				c.h.Errorf("partition %d goes from offset %d to %d", r.Partition, rs[i-1].Offset, r.Offset)
			}
		}
		parts = append(parts, fmt.Sprintf("%d:[%d-%d]", rs[0].Partition, rs[0].Offset, rs[len(rs)-1].Offset))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func (c *call) ok()                { c.reply <- reply{body: "{}"} }
func (c *call) answer(body string) { c.reply <- reply{body: body} }
func (c *call) fail()              { c.reply <- reply{err: errors.New("database down")} }

// partial answers that records failed; its arguments are pairs of partition and
// offset.
func (c *call) partial(partitionsAndOffsets ...int) {
	var items []string
	for i := 0; i < len(partitionsAndOffsets); i += 2 {
		items = append(items, fmt.Sprintf(`{"itemIdentifier":{"partition":"%s-%d","offset":%d}}`,
			topic, partitionsAndOffsets[i], partitionsAndOffsets[i+1]))
	}
	c.answer(`{"batchItemFailures":[` + strings.Join(items, ",") + `]}`)
}

// produce writes n records to a partition in one batch.
func (h *harness) produce(partition int32, n int) {
	h.Helper()
	var rs []*kgo.Record
	for i := range n {
		rs = append(rs, &kgo.Record{Topic: topic, Partition: partition, Key: []byte("k"), Value: fmt.Appendf(nil, "v%d", i)})
	}
	h.must(h.client.ProduceSync(h.Context(), rs...).FirstErr())
}

// committed returns the offset that the group has committed, -1 if none.
func (h *harness) committed(partition int32) int64 {
	h.Helper()
	synctest.Wait() // a commit may be under way
	offsets, err := h.admin.FetchOffsets(h.Context(), pipeline.Group(pipeline.LocalDeployment, "detect", topic))
	h.must(err)
	o, ok := offsets.Lookup(topic, partition)
	if !ok {
		return -1
	}
	return o.At
}

func (h *harness) wantCommitted(partition int32, want int64) {
	h.Helper()
	if got := h.committed(partition); got != want {
		h.Errorf("partition %d is committed up to %d, want %d", partition, got, want)
	}
}

// deadLetters reads the dead-letter topic, which must have n records.
func (h *harness) deadLetters(n int) (rs []*kgo.Record) {
	h.Helper()
	h.connect(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{deadLetterTopic: {0: kgo.NewOffset().AtStart()}}))
	ends, err := h.admin.ListEndOffsets(h.Context(), deadLetterTopic)
	h.must(err)
	if end, _ := ends.Lookup(deadLetterTopic, 0); end.Offset != int64(n) {
		h.Fatalf("%d dead letters, want %d", end.Offset, n)
	}
	for len(rs) < n {
		fetches := h.client.PollFetches(h.Context())
		h.must(fetches.Err())
		rs = append(rs, fetches.Records()...)
	}
	return rs
}
