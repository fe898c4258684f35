package kafka

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"footfall/events"
	"footfall/shared/stage"
)

// The faults of a broker that a retry overcomes. Whether the broker wrote the
// records before it failed or not, they must be there once and in order.
func TestRetriesKeepOrderAndMakeNoDoubles(t *testing.T) {
	for _, f := range []struct {
		name  string
		fault kfake.Fault
	}{
		{"the leader moved", kfake.Fault{Err: kerr.NotLeaderForPartition}},
		{"too few replicas", kfake.Fault{Err: kerr.NotEnoughReplicas, Count: 3}},
		{"too few replicas after it was written", kfake.Fault{Err: kerr.NotEnoughReplicasAfterAppend, Count: 3}},
		{"timed out after it was written", kfake.Fault{Err: kerr.RequestTimedOut, Count: 2}},
		{"one partition only", kfake.Fault{Err: kerr.NotEnoughReplicas, Count: 3, Partitions: []int32{2}}},
		{"the leader epoch is old", kfake.Fault{Err: kerr.FencedLeaderEpoch, Count: 2}},
	} {
		t.Run(f.name, func(t *testing.T) {
			c := cluster(t, topic)
			p := NewProducer(client(t, c.ListenAddrs()))
			produce(t, p, keyed(0, 100)...)
			f.fault.Keys = []kmsg.Key{kmsg.Produce}
			hit := c.Fault(f.fault)
			produce(t, p, keyed(100, 300)...)
			if hit.Hits() == 0 {
				t.Error("the fault was never met")
			}
			hit.Remove()
			produce(t, p, keyed(400, 100)...)
			wantExactly(t, c, keyed(0, 500))
		})
	}
}

func TestConnectionEndsBeforeTheRequestIsRead(t *testing.T) {
	c := cluster(t, topic)
	p := NewProducer(client(t, c.ListenAddrs()))
	for n := range 3 { // the third time after some success
		var cut atomic.Int64
		c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			if cut.Add(1) > 3 {
				c.DropControl()
				return nil, nil, false
			}
			c.KeepControl()
			return nil, errors.New("connection ended"), true
		})
		produce(t, p, keyed(n*100, 100)...)
		if cut.Load() < 3 {
			t.Errorf("only %d requests were cut off", cut.Load())
		}
	}
	wantExactly(t, c, keyed(0, 300))
}

// lossy is a connection that ends itself in place of giving the answer to a
// produce request: the broker has written the records, and nobody knows.
type lossy struct {
	net.Conn
	left  *atomic.Int64 // answers yet to lose
	armed atomic.Bool
}

// Write looks at the request's key, which follows its length.
func (l *lossy) Write(b []byte) (int, error) {
	if len(b) > 6 && kmsg.Key(int16(b[4])<<8|int16(b[5])) == kmsg.Produce && l.left.Add(-1) >= 0 {
		l.armed.Store(true)
	}
	return l.Conn.Write(b)
}

// Read waits for the answer, so that the request is carried out, and drops it.
func (l *lossy) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if l.armed.Load() {
		l.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

func TestLostAnswersMakeNoDoubles(t *testing.T) {
	c := cluster(t, topic)
	var left atomic.Int64
	dial := func(ctx context.Context, network, host string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, host)
		if err != nil {
			return nil, err
		}
		return &lossy{Conn: conn, left: &left}, nil
	}
	p := NewProducer(client(t, c.ListenAddrs(), kgo.Dialer(dial)))
	for n := range 4 {
		left.Store(int64(n)) // the first call loses none, the last one three
		produce(t, p, keyed(n*100, 100)...)
		if left.Load() > 0 {
			t.Errorf("%d answers were not lost", left.Load())
		}
	}
	wantExactly(t, c, keyed(0, 400))
}

// The partition of a key is a matter of the new topic's partitions.
func TestTopicRecreatedBetweenCalls(t *testing.T) {
	c := cluster(t, topic)
	p := NewProducer(client(t, c.ListenAddrs()))
	produce(t, p, keyed(0, 100)...)
	for n, count := range []int32{partitions, 5, 11} {
		if err := c.DeleteTopic(topic); err != nil {
			t.Fatal(err)
		}
		if err := c.CreateTopic(topic, count, nil); err != nil {
			t.Fatal(err)
		}
		records := keyed(100*n+100, 100)
		produce(t, p, records...)
		total := 0
		for number, got := range stored(t, c, topic) {
			total += len(got)
			for _, r := range got {
				if want := events.Partition(r.Key, count); number != want {
					t.Errorf("of %d partitions, %s is in %d, want %d", count, r.Key, number, want)
				}
			}
		}
		if total != len(records) {
			t.Errorf("the topic with %d partitions holds %d records, want %d", count, total, len(records))
		}
	}
}

// short is the time that calls get which will not succeed. Produce returns a
// tenth of it early, which has to be more than a busy machine delays a test.
const short = 2 * time.Second

// answerless has the brokers leave requests of a kind without an answer until
// again is called. asked is closed when the first such request is there.
func answerless(c *kfake.Cluster, key kmsg.Key) (asked <-chan struct{}, again func()) {
	var over atomic.Bool
	first := make(chan struct{})
	once := sync.OnceFunc(func() { close(first) })
	c.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		if over.Load() {
			c.DropControl()
			return nil, nil, false
		}
		once()
		c.KeepControl()
		return nil, nil, true
	})
	return first, func() { over.Store(true) }
}

// wantLate checks that Produce gave up before the deadline of ctx, and why.
func wantLate(t *testing.T, ctx context.Context, err error) {
	t.Helper()
	var failed *RecordError
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failed) || failed.Topic != topic {
		t.Errorf("error %v, want that the deadline passed, for %s", err, topic)
	}
	if ctx.Err() != nil {
		t.Error("it returned after the deadline")
	}
}

func TestGivesUpBeforeTheDeadline(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.Metadata, kmsg.InitProducerID, kmsg.ApiVersions} {
		t.Run("no answer to "+key.Name(), func(t *testing.T) {
			t.Parallel()
			c := cluster(t, topic)
			// A connection counts as dead after a second here, to be quick.
			p := NewProducer(client(t, c.ListenAddrs(), kgo.RequestTimeoutOverhead(time.Second), kgo.ProduceRequestTimeout(time.Second)))
			_, again := answerless(c, key)
			ctx := within(t, short)
			wantLate(t, ctx, p.Produce(ctx, keyed(0, 50)))
			again()
			produce(t, p, keyed(50, 50)...)
		})
	}
	t.Run("no answer on a connection in use", func(t *testing.T) {
		t.Parallel()
		c := cluster(t, topic)
		p := NewProducer(client(t, c.ListenAddrs()))
		produce(t, p, keyed(0, 50)...)
		_, again := answerless(c, kmsg.Produce)
		ctx := within(t, short)
		wantLate(t, ctx, p.Produce(ctx, keyed(50, 50)))
		again()
		produce(t, p, keyed(50, 50)...)
		wantExactly(t, c, keyed(0, 100))
	})
	t.Run("a port that accepts and says nothing", func(t *testing.T) {
		t.Parallel()
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		ctx := within(t, short)
		wantLate(t, ctx, NewProducer(client(t, []string{silent.Addr().String()})).Produce(ctx, keyed(0, 1)))
	})
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		gone, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		gone.Close()
		ctx := within(t, short)
		wantLate(t, ctx, NewProducer(client(t, []string{gone.Addr().String()})).Produce(ctx, keyed(0, 1)))
	})
	t.Run("a broker that always says later", func(t *testing.T) {
		t.Parallel()
		c := cluster(t, topic)
		c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		ctx := within(t, short)
		wantLate(t, ctx, NewProducer(client(t, c.ListenAddrs())).Produce(ctx, keyed(0, 50)))
	})
}

// A call with little time must not wait for one with much, behind which its
// records stand in the queue to the same broker.
func TestShortCallBehindALongOne(t *testing.T) {
	t.Parallel()
	c := cluster(t, topic)
	p := NewProducer(client(t, c.ListenAddrs()))
	produce(t, p, keyed(0, 50)...)
	asked, again := answerless(c, kmsg.Produce)
	long, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Produce(long, keyed(50, 50)) }()
	<-asked
	ctx := within(t, short)
	wantLate(t, ctx, p.Produce(ctx, keyed(50, 50)))
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the long call: %v", err)
	}
	again()
	produce(t, p, keyed(100, 50)...)
}

// A call whose time is up before it gives up by itself, as on a busy machine.
type overdue struct {
	context.Context
	done chan struct{}
}

func (o overdue) Done() <-chan struct{} { return o.done }

func (o overdue) Err() error {
	select {
	case <-o.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// A call that has time left is not failed with the records of one that has none,
// which stand before its own.
func TestLongCallBehindOneThatIsOverdue(t *testing.T) {
	t.Parallel()
	c := cluster(t, topic)
	cl := client(t, c.ListenAddrs())
	p := NewProducer(cl)
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	calls := [2]chan error{make(chan error, 1), make(chan error, 1)}
	first := overdue{t.Context(), make(chan struct{})}
	for n, ctx := range []context.Context{first, t.Context()} {
		go func() {
			calls[n] <- p.Produce(ctx, []stage.Record{{Topic: topic, Partition: 0, Value: []byte("value")}})
		}()
		for cl.BufferedProduceRecords() <= int64(n) { // until it is the client's
			runtime.Gosched()
		}
	}
	close(first.done)
	if err := <-calls[0]; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the overdue call: %v", err)
	}
	fault.Remove()
	noError(t, <-calls[1])
}

func TestContextThatIsDone(t *testing.T) {
	c := cluster(t, topic)
	p := NewProducer(client(t, c.ListenAddrs()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Produce(ctx, keyed(0, 5)); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if err := p.Produce(past, keyed(0, 5)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("past its deadline: %v", err)
	}
	for _, info := range c.PartitionInfos(topic) {
		if info.HighWatermark != 0 {
			t.Errorf("partition %d holds %d records all the same", info.Partition, info.HighWatermark)
		}
	}
}

// After a call that gave up, the caller puts the next batch into the same
// memory. Here the call's record stands in one batch of the client with those
// of calls that go on, so it is still sent; it must be what it was.
func TestMemoryIsTheCallersAfterGivingUp(t *testing.T) {
	t.Parallel()
	c := cluster(t, topic)
	cl := client(t, c.ListenAddrs())
	p := NewProducer(cl)
	produce(t, p, stage.Record{Topic: topic, Partition: 0, Value: []byte("warm")})
	release := make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.SleepControl(func() { <-release })
		return nil, nil, false
	})
	// More calls than the client sends at once, so that the last ones wait.
	const others = 10
	ended := make(chan error, others)
	for n := range int64(others) {
		go func() {
			ended <- p.Produce(t.Context(), []stage.Record{{Topic: topic, Partition: 0, Value: []byte("other")}})
		}()
		for cl.BufferedProduceRecords() <= n { // until it is the client's
			runtime.Gosched()
		}
	}
	key, value := []byte("shop/device"), []byte("first")
	record := []stage.Record{{Topic: topic, Partition: 0, Key: key, Value: value, Headers: []stage.Header{{Key: "h", Value: value}}}}
	ctx := within(t, short)
	wantLate(t, ctx, p.Produce(ctx, record))
	copy(key, "xxxxxxxxxxx")
	copy(value, "later")
	close(release)
	for range others {
		noError(t, <-ended)
	}
	written := false
	for _, r := range stored(t, c, topic)[0] {
		if len(r.Headers) == 0 {
			continue // one of the others
		}
		written = true
		if string(r.Key) != "shop/device" || string(r.Value) != "first" || string(r.Headers[0].Value) != "first" {
			t.Errorf("%q: %q was written", r.Key, r.Value)
		}
	}
	if !written {
		t.Error("the record was not left in the client, so nothing was tested")
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMarginIsATenthAndAtMostTwoSeconds(t *testing.T) {
	for _, c := range []struct{ left, margin time.Duration }{
		{time.Minute, 2 * time.Second},
		{20 * time.Second, 2 * time.Second},
		{10 * time.Second, time.Second},
		{time.Second, 100 * time.Millisecond},
	} {
		ctx := within(t, c.left)
		deadline, _ := ctx.Deadline()
		giveUp, margin := patience(ctx)
		if margin > c.margin || margin < c.margin*9/10 || !giveUp.Equal(deadline.Add(-margin)) {
			t.Errorf("with %v left: margin %v, want about %v", c.left, margin, c.margin)
		}
	}
	if giveUp, _ := patience(context.Background()); giveUp != nil {
		t.Errorf("without a deadline it gives up at %v", giveUp)
	}
}
