package faults

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// codes are what a broker may answer, by request, where trying again is right.
// It has done nothing then, except with RequestTimedOut and
// NotEnoughReplicasAfterAppend.
var codes = map[kmsg.Key][]*kerr.Error{
	kmsg.Produce: {
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch,
		kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.KafkaStorageError,
	},
	kmsg.Fetch: {
		kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.ReplicaNotAvailable,
		kerr.KafkaStorageError, kerr.UnknownServerError, kerr.OffsetNotAvailable,
	},
	kmsg.OffsetCommit: {
		kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.RequestTimedOut,
		kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.UnknownServerError,
	},
	kmsg.OffsetFetch:     {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator},
	kmsg.Heartbeat:       {kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.CoordinatorNotAvailable},
	kmsg.JoinGroup:       {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.CoordinatorNotAvailable},
	kmsg.SyncGroup:       {kerr.CoordinatorLoadInProgress, kerr.RebalanceInProgress, kerr.NotCoordinator},
	kmsg.FindCoordinator: {kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress},
	kmsg.InitProducerID:  {kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable},
	kmsg.ListOffsets:     {kerr.NotLeaderForPartition, kerr.LeaderNotAvailable},
	kmsg.Metadata:        nil, // fails as a connection only
}

// brokers is a cluster that fails as its history says.
type brokers struct {
	*history
	net     kfake.VirtualNetwork
	cluster *kfake.Cluster
	often   float64 // how likely each way of failing is, per request
}

// startBrokers starts a cluster with topic, of so many partitions. watch sees
// every commit before the broker does.
func startBrokers(t *testing.T, h *history, topic string, partitions int32, watch func(*kmsg.OffsetCommitRequest)) *brokers {
	t.Helper()
	dice := h.dice("run")
	h.budget = 1 + dice.IntN(40)
	number := 1 + 2*dice.IntN(2)
	b := &brokers{history: h, often: []float64{0.01, 0.05, 0.15}[dice.IntN(3)]}
	var err error
	b.cluster, err = kfake.NewCluster(kfake.NumBrokers(number), kfake.Ports([]int{9092, 9093, 9094}[:number]...),
		kfake.ListenFn(b.net.Listen), kfake.SeedTopics(partitions, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.cluster.Close)
	t.Cleanup(func() { time.Sleep(time.Minute) }) // a cluster must not be closed while requests wait in it
	for key, answers := range codes {
		b.control(key, watch)
		if len(answers) > 0 {
			b.refuse(key, answers)
		}
	}
	return b
}

// control has requests of a kind wait, or stay without an answer.
func (b *brokers) control(key kmsg.Key, watch func(*kmsg.OffsetCommitRequest)) {
	b.cluster.ControlKey(int16(key), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if commit, ok := r.(*kmsg.OffsetCommitRequest); ok {
			watch(commit)
		}
		dice := b.dice("control " + key.Name())
		switch p := dice.Float64(); {
		case p < b.often/2 && b.fault("%s stays without an answer", key.Name()):
			return nil, nil, true
		case p < b.often && b.fault("the broker ends the connection instead of %s", key.Name()):
			return nil, errors.New("connection ended"), true
		case p < 2*b.often:
			d := time.Duration(dice.Int64N(int64(4 * time.Second)))
			if b.fault("%s waits for %v", key.Name(), d) {
				b.cluster.SleepControl(func() { time.Sleep(d) })
			}
		}
		return nil, nil, false
	})
}

// refuse answers requests of a kind with errors.
func (b *brokers) refuse(key kmsg.Key, answers []*kerr.Error) {
	for i, answer := range answers {
		b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: answer, Count: -1, When: func(kmsg.Request) bool {
			return b.dice("refuse "+key.Name()+answers[i].Message).Float64() < b.often/float64(len(answers)) &&
				b.fault("%s is answered with %s", key.Name(), answer.Message)
		}})
	}
}

// moveLeaders moves partitions and groups between the brokers now and then, until
// ctx is done.
func (b *brokers) moveLeaders(ctx context.Context) {
	for {
		dice := b.dice("move")
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(dice.Int64N(int64(20 * time.Second)))):
		}
		switch {
		case dice.IntN(2) == 0 && b.fault("leaders move"):
			b.cluster.ShufflePartitionLeaders()
		case dice.IntN(4) == 0 && b.fault("coordinators move"):
			b.cluster.RehashCoordinators()
		}
	}
}

// dial connects by a wire that fails.
func (b *brokers) dial(ctx context.Context, network, host string) (net.Conn, error) {
	if b.dice("dial").Float64() < b.often && b.fault("%s refuses a connection", host) {
		return nil, broken("connect", syscall.ECONNREFUSED)
	}
	conn, err := b.net.DialContext(ctx, network, host)
	if err != nil {
		return nil, err
	}
	return &wire{Conn: conn, b: b}, nil
}

// wire is a connection that loses requests and answers.
type wire struct {
	net.Conn
	b    *brokers
	lose atomic.Bool  // the next answer
	late atomic.Int64 // how long the next answer takes, in nanoseconds
}

// spoiled are the requests that a wire looks at.
var spoiled = slices.Collect(func(yield func(kmsg.Key) bool) {
	for key := range codes {
		if !yield(key) {
			return
		}
	}
})

// Write looks at the request's key, which follows its length: the client writes
// a request at once.
func (w *wire) Write(p []byte) (int, error) {
	if len(p) < 6 {
		return w.write(p)
	}
	key := kmsg.Key(int16(p[4])<<8 | int16(p[5]))
	if !slices.Contains(spoiled, key) {
		return w.write(p)
	}
	// A client that asks again and again without a pause would otherwise hold up
	// the clock that it waits for.
	time.Sleep(time.Millisecond)
	dice := w.b.dice("wire " + key.Name())
	switch r := dice.Float64(); {
	case r < w.b.often && w.b.fault("%s never reaches the broker", key.Name()):
		w.Close()
		return 0, broken("write", syscall.EPIPE)
	case r < 2*w.b.often && w.b.fault("the answer to %s is lost", key.Name()):
		w.lose.Store(true)
	case r < 3*w.b.often:
		w.delay(key, dice)
	}
	return w.write(p)
}

// write fails as a socket does, and not as a pipe.
func (w *wire) write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = broken("write", syscall.EPIPE)
	}
	return n, err
}

// broken is what package net makes of a socket's error.
func broken(call string, number syscall.Errno) error {
	return &net.OpError{Op: call, Net: "tcp", Err: os.NewSyscallError(call, number)}
}

func (w *wire) delay(key kmsg.Key, dice *rand.Rand) {
	d := dice.Int64N(int64(15 * time.Second)) // beyond the client's patience, at times
	if w.b.fault("the answer to %s takes %v", key.Name(), time.Duration(d)) {
		w.late.Store(d)
	}
}

// Read waits for the answer, so that the request is carried out.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = broken("read", syscall.ECONNRESET)
	}
	if w.lose.Load() {
		w.Close()
		return 0, io.EOF
	}
	if d := w.late.Swap(0); d > 0 {
		time.Sleep(time.Duration(d))
	}
	return n, err
}
