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

// errorCodes are the errors, by request, that a broker may answer with and
// after which the client must try again. The broker has not carried out the
// request, except with RequestTimedOut and NotEnoughReplicasAfterAppend.
var errorCodes = map[kmsg.Key][]*kerr.Error{
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

// brokers is a cluster that fails as its history decides.
type brokers struct {
	*history
	net       kfake.VirtualNetwork
	cluster   *kfake.Cluster
	faultRate float64 // probability of each kind of fault, per request
}

// startBrokers starts a cluster with one topic. watch is called with every
// commit before the broker handles it.
func startBrokers(t *testing.T, h *history, topic string, partitions int32, watch func(*kmsg.OffsetCommitRequest)) *brokers {
	t.Helper()
	dice := h.dice("run")
	h.budget = 1 + dice.IntN(40)
	number := 1 + 2*dice.IntN(2)
	b := &brokers{history: h, faultRate: []float64{0.01, 0.05, 0.15}[dice.IntN(3)]}
	var err error
	b.cluster, err = kfake.NewCluster(kfake.NumBrokers(number), kfake.Ports([]int{9092, 9093, 9094}[:number]...),
		kfake.ListenFn(b.net.Listen), kfake.SeedTopics(partitions, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.cluster.Close)
	t.Cleanup(func() { time.Sleep(time.Minute) }) // the cluster must not be closed while requests wait in it
	for key, answers := range errorCodes {
		b.delayOrDrop(key, watch)
		if len(answers) > 0 {
			b.answerWithErrors(key, answers)
		}
	}
	return b
}

// delayOrDrop delays requests of a kind, leaves them without an answer, or
// closes their connection.
func (b *brokers) delayOrDrop(key kmsg.Key, watch func(*kmsg.OffsetCommitRequest)) {
	b.cluster.ControlKey(int16(key), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if commit, ok := r.(*kmsg.OffsetCommitRequest); ok {
			watch(commit)
		}
		dice := b.dice("control " + key.Name())
		switch p := dice.Float64(); {
		case p < b.faultRate/2 && b.fault("%s gets no answer", key.Name()):
			return nil, nil, true
		case p < b.faultRate && b.fault("the broker ends the connection instead of %s", key.Name()):
			return nil, errors.New("connection ended"), true
		case p < 2*b.faultRate:
			d := time.Duration(dice.Int64N(int64(4 * time.Second)))
			if b.fault("%s waits for %v", key.Name(), d) {
				b.cluster.SleepControl(func() { time.Sleep(d) })
			}
		}
		return nil, nil, false
	})
}

// answerWithErrors answers some requests of a kind with errors.
func (b *brokers) answerWithErrors(key kmsg.Key, answers []*kerr.Error) {
	for i, answer := range answers {
		b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: answer, Count: -1, When: func(kmsg.Request) bool {
			return b.dice("refuse "+key.Name()+answers[i].Message).Float64() < b.faultRate/float64(len(answers)) &&
				b.fault("%s is answered with %s", key.Name(), answer.Message)
		}})
	}
}

// moveLeaders moves partition leaders and group coordinators to other brokers
// now and then, until ctx is done.
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

// dial opens a connection that fails at times.
func (b *brokers) dial(ctx context.Context, network, host string) (net.Conn, error) {
	if b.dice("dial").Float64() < b.faultRate && b.fault("%s refuses a connection", host) {
		return nil, broken("connect", syscall.ECONNREFUSED)
	}
	conn, err := b.net.DialContext(ctx, network, host)
	if err != nil {
		return nil, err
	}
	return &wire{Conn: conn, b: b}, nil
}

// wire is a connection that loses and delays requests and answers.
type wire struct {
	net.Conn
	b           *brokers
	loseAnswer  atomic.Bool  // lose the next answer
	answerDelay atomic.Int64 // delay of the next answer, in nanoseconds
}

// faultyRequests are the requests that a wire may lose.
var faultyRequests = slices.Collect(func(yield func(kmsg.Key) bool) {
	for key := range errorCodes {
		if !yield(key) {
			return
		}
	}
})

// Write decides on a fault by the request's key, which follows its length: the
// client writes a request with one call.
func (w *wire) Write(p []byte) (int, error) {
	if len(p) < 6 {
		return w.write(p)
	}
	key := kmsg.Key(int16(p[4])<<8 | int16(p[5]))
	if !slices.Contains(faultyRequests, key) {
		return w.write(p)
	}
	// A client that retries without a pause would otherwise keep the bubble's
	// clock from moving, while waiting for that clock.
	time.Sleep(time.Millisecond)
	dice := w.b.dice("wire " + key.Name())
	switch r := dice.Float64(); {
	case r < w.b.faultRate && w.b.fault("%s never reaches the broker", key.Name()):
		w.Close()
		return 0, broken("write", syscall.EPIPE)
	case r < 2*w.b.faultRate && w.b.fault("the answer to %s is lost", key.Name()):
		w.loseAnswer.Store(true)
	case r < 3*w.b.faultRate:
		w.delay(key, dice)
	}
	return w.write(p)
}

// write returns the errors of a socket instead of those of a pipe.
func (w *wire) write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = broken("write", syscall.EPIPE)
	}
	return n, err
}

// broken returns an error as package net returns it for a socket.
func broken(call string, number syscall.Errno) error {
	return &net.OpError{Op: call, Net: "tcp", Err: os.NewSyscallError(call, number)}
}

func (w *wire) delay(key kmsg.Key, dice *rand.Rand) {
	d := dice.Int64N(int64(15 * time.Second)) // at times longer than the client's timeout
	if w.b.fault("the answer to %s takes %v", key.Name(), time.Duration(d)) {
		w.answerDelay.Store(d)
	}
}

// Read reads an answer before it loses or delays it, so that the broker has
// carried out the request.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = broken("read", syscall.ECONNRESET)
	}
	if w.loseAnswer.Load() {
		w.Close()
		return 0, io.EOF
	}
	if d := w.answerDelay.Swap(0); d > 0 {
		time.Sleep(time.Duration(d))
	}
	return n, err
}
