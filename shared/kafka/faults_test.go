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

// A retry overcomes these faults of a broker. In some cases the broker has written
// the records before it fails. In every case each record must be written once and
// in order.
func TestRetriesKeepOrderWithoutDuplicates(t *testing.T) {
	for _, f := range []struct {
		name  string
		fault kfake.Fault
	}{
		{"the leader moved", kfake.Fault{Err: kerr.NotLeaderForPartition}},
		{"too few replicas", kfake.Fault{Err: kerr.NotEnoughReplicas, Count: 3}},
		{"too few replicas after the write", kfake.Fault{Err: kerr.NotEnoughReplicasAfterAppend, Count: 3}},
		{"timed out after the write", kfake.Fault{Err: kerr.RequestTimedOut, Count: 2}},
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
				t.Error("no request met the fault")
			}
			hit.Remove()
			produce(t, p, keyed(400, 100)...)
			wantExactly(t, c, keyed(0, 500))
		})
	}
}

// The broker closes the connection before it reads the request, three times in a
// row.
func TestConnectionClosedBeforeTheRequestIsRead(t *testing.T) {
	c := cluster(t, topic)
	p := NewProducer(client(t, c.ListenAddrs()))
	for n := range 3 { // the first time on a new connection
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
			t.Errorf("%d requests were cut off, want 3", cut.Load())
		}
	}
	wantExactly(t, c, keyed(0, 300))
}

// answerLosingConn is a connection that closes when the answer to a produce request
// arrives: the broker has written the records, and the client does not learn it.
type answerLosingConn struct {
	net.Conn
	left  *atomic.Int64 // answers yet to lose
	armed atomic.Bool
}

// Write recognises a produce request by its key, which follows its length.
func (l *answerLosingConn) Write(b []byte) (int, error) {
	if len(b) > 6 && kmsg.Key(int16(b[4])<<8|int16(b[5])) == kmsg.Produce && l.left.Add(-1) >= 0 {
		l.armed.Store(true)
	}
	return l.Conn.Write(b)
}

// Read waits for the answer, so that the broker has carried out the request, and
// drops the answer.
func (l *answerLosingConn) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if l.armed.Load() {
		l.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

// The broker writes the records and the answer is lost, up to three times in a row.
// The client sends the records again, and each is written once.
func TestLostAnswersMakeNoDuplicates(t *testing.T) {
	c := cluster(t, topic)
	var left atomic.Int64
	dial := func(ctx context.Context, network, host string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, host)
		if err != nil {
			return nil, err
		}
		return &answerLosingConn{Conn: conn, left: &left}, nil
	}
	p := NewProducer(client(t, c.ListenAddrs(), kgo.Dialer(dial)))
	for n := range 4 {
		left.Store(int64(n)) // the first call loses none, the last one three
		produce(t, p, keyed(n*100, 100)...)
		if left.Load() > 0 {
			t.Errorf("%d answers are left to lose, want 0", left.Load())
		}
	}
	wantExactly(t, c, keyed(0, 400))
}

// A topic is deleted and created again with another number of partitions. The
// client writes to the new topic, and the partition of a key follows from the new
// number of partitions.
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
					t.Errorf("with %d partitions, key %s is in partition %d, want %d", count, r.Key, number, want)
				}
			}
		}
		if total != len(records) {
			t.Errorf("the topic with %d partitions holds %d records, want %d", count, total, len(records))
		}
	}
}

// shortTimeout is the timeout of calls that cannot succeed. Produce returns a tenth
// of the timeout early, and a tenth must be more than the delay of a test on a busy
// machine.
const shortTimeout = 2 * time.Second

// withholdAnswers makes the brokers leave requests of a kind unanswered until resume
// is called. asked is closed when the first such request arrives.
func withholdAnswers(c *kfake.Cluster, key kmsg.Key) (asked <-chan struct{}, resume func()) {
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

// wantLate checks that Produce gave up before the deadline of ctx, with an error
// that names the deadline and the topic.
func wantLate(t *testing.T, ctx context.Context, err error) {
	t.Helper()
	var failed *RecordError
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failed) || failed.Topic != topic {
		t.Errorf("error %v, want a deadline exceeded for %s", err, topic)
	}
	if ctx.Err() != nil {
		t.Error("Produce returned after the deadline")
	}
}

func TestGivesUpBeforeTheDeadline(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.Metadata, kmsg.InitProducerID, kmsg.ApiVersions} {
		t.Run("no answer to "+key.Name(), func(t *testing.T) {
			t.Parallel()
			c := cluster(t, topic)
			// The client regards a connection as dead after one second, so that the
			// next call finds a new connection soon.
			p := NewProducer(client(t, c.ListenAddrs(), kgo.RequestTimeoutOverhead(time.Second), kgo.ProduceRequestTimeout(time.Second)))
			_, resume := withholdAnswers(c, key)
			ctx := within(t, shortTimeout)
			wantLate(t, ctx, p.Produce(ctx, keyed(0, 50)))
			resume()
			produce(t, p, keyed(50, 50)...)
		})
	}
	t.Run("no answer on a connection in use", func(t *testing.T) {
		t.Parallel()
		c := cluster(t, topic)
		p := NewProducer(client(t, c.ListenAddrs()))
		produce(t, p, keyed(0, 50)...)
		_, resume := withholdAnswers(c, kmsg.Produce)
		ctx := within(t, shortTimeout)
		wantLate(t, ctx, p.Produce(ctx, keyed(50, 50)))
		resume()
		produce(t, p, keyed(50, 50)...)
		wantExactly(t, c, keyed(0, 100))
	})
	t.Run("a port that accepts connections and never answers", func(t *testing.T) {
		t.Parallel()
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		ctx := within(t, shortTimeout)
		wantLate(t, ctx, NewProducer(client(t, []string{silent.Addr().String()})).Produce(ctx, keyed(0, 1)))
	})
	t.Run("a port without a listener", func(t *testing.T) {
		t.Parallel()
		gone, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		gone.Close()
		ctx := within(t, shortTimeout)
		wantLate(t, ctx, NewProducer(client(t, []string{gone.Addr().String()})).Produce(ctx, keyed(0, 1)))
	})
	t.Run("a broker that always answers with a retriable error", func(t *testing.T) {
		t.Parallel()
		c := cluster(t, topic)
		c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		ctx := within(t, shortTimeout)
		wantLate(t, ctx, NewProducer(client(t, c.ListenAddrs())).Produce(ctx, keyed(0, 50)))
	})
}

// A call with a short timeout returns in time although its records wait in the queue
// to the broker behind those of a call without a timeout.
func TestShortCallBehindALongCall(t *testing.T) {
	t.Parallel()
	c := cluster(t, topic)
	p := NewProducer(client(t, c.ListenAddrs()))
	produce(t, p, keyed(0, 50)...)
	asked, resume := withholdAnswers(c, kmsg.Produce)
	long, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Produce(long, keyed(50, 50)) }()
	<-asked
	ctx := within(t, shortTimeout)
	wantLate(t, ctx, p.Produce(ctx, keyed(50, 50)))
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the long call: %v, want %v", err, context.Canceled)
	}
	resume()
	produce(t, p, keyed(100, 50)...)
}

// expiringContext has no deadline and ends with DeadlineExceeded when done is
// closed. A call with it runs into the end of its time before it gives up itself, as
// may happen on a busy machine.
type expiringContext struct {
	context.Context
	done chan struct{}
}

func (o expiringContext) Done() <-chan struct{} { return o.done }

func (o expiringContext) Err() error {
	select {
	case <-o.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// The records of a call with time left wait behind those of a call whose time ends.
// The client fails all of them, and the call with time left sends its own again.
func TestLongCallBehindAnExpiredCall(t *testing.T) {
	t.Parallel()
	c := cluster(t, topic)
	cl := client(t, c.ListenAddrs())
	p := NewProducer(cl)
	fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	calls := [2]chan error{make(chan error, 1), make(chan error, 1)}
	first := expiringContext{t.Context(), make(chan struct{})}
	for n, ctx := range []context.Context{first, t.Context()} {
		go func() {
			calls[n] <- p.Produce(ctx, []stage.Record{{Topic: topic, Partition: 0, Value: []byte("value")}})
		}()
		for cl.BufferedProduceRecords() <= int64(n) { // until the client holds the record
			runtime.Gosched()
		}
	}
	close(first.done)
	if err := <-calls[0]; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the expired call: error %v, want %v", err, context.DeadlineExceeded)
	}
	fault.Remove()
	mustSucceed(t, <-calls[1])
}

func TestProduceWithAnEndedContext(t *testing.T) {
	c := cluster(t, topic)
	p := NewProducer(client(t, c.ListenAddrs()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Produce(ctx, keyed(0, 5)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled context: error %v, want %v", err, context.Canceled)
	}
	past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if err := p.Produce(past, keyed(0, 5)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("context past its deadline: error %v, want %v", err, context.DeadlineExceeded)
	}
	for _, info := range c.PartitionInfos(topic) {
		if info.HighWatermark != 0 {
			t.Errorf("partition %d holds %d records, want none", info.Partition, info.HighWatermark)
		}
	}
}

// After a call has given up, the caller puts the next batch into the same memory.
// Here the client still sends the record of that call, because the record is in one
// batch with records of calls that go on. The record must have its original bytes.
func TestCallerMayReuseMemoryAfterGivingUp(t *testing.T) {
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
	// The client does not send so many calls at once, so the last ones wait.
	const others = 10
	ended := make(chan error, others)
	for n := range int64(others) {
		go func() {
			ended <- p.Produce(t.Context(), []stage.Record{{Topic: topic, Partition: 0, Value: []byte("other")}})
		}()
		for cl.BufferedProduceRecords() <= n { // until the client holds the record
			runtime.Gosched()
		}
	}
	key, value := []byte("shop/device"), []byte("first")
	record := []stage.Record{{Topic: topic, Partition: 0, Key: key, Value: value, Headers: []stage.Header{{Key: "h", Value: value}}}}
	ctx := within(t, shortTimeout)
	wantLate(t, ctx, p.Produce(ctx, record))
	copy(key, "xxxxxxxxxxx")
	copy(value, "later")
	close(release)
	for range others {
		mustSucceed(t, <-ended)
	}
	written := false
	for _, r := range stored(t, c, topic)[0] {
		if len(r.Headers) == 0 {
			continue // a record of the other calls
		}
		written = true
		if string(r.Key) != "shop/device" || string(r.Value) != "first" || string(r.Headers[0].Value) != "first" {
			t.Errorf("%q: %q was written, want the original bytes", r.Key, r.Value)
		}
	}
	if !written {
		t.Error("the client did not send the record, so the test has shown nothing")
	}
}

// mustSucceed fails the test on an error.
func mustSucceed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestGiveUpMarginIsATenthAndAtMostTwoSeconds(t *testing.T) {
	for _, c := range []struct{ left, margin time.Duration }{
		{time.Minute, 2 * time.Second},
		{20 * time.Second, 2 * time.Second},
		{10 * time.Second, time.Second},
		{time.Second, 100 * time.Millisecond},
	} {
		ctx := within(t, c.left)
		deadline, _ := ctx.Deadline()
		giveUp, margin := giveUpTime(ctx)
		if margin > c.margin || margin < c.margin*9/10 || !giveUp.Equal(deadline.Add(-margin)) {
			t.Errorf("with %v left: margin %v, want about %v", c.left, margin, c.margin)
		}
	}
	if giveUp, _ := giveUpTime(context.Background()); giveUp != nil {
		t.Errorf("without a deadline: gives up at %v, want never", giveUp)
	}
}
