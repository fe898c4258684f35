// Package broker runs a Kafka broker inside this process: kfake of franz-go,
// with its data on disk. The local stack uses it
// if no other Kafka cluster is given, and tests use it where a broker must
// survive kill -9.
//
// Start reading at Start. A lock file (lock_unix.go) keeps two processes from
// opening one data directory.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// DefaultRetentionBytes bounds how many bytes one partition keeps on disk. A
// full pipeline of about 150 partitions stays under 80 GB; a site whose topics
// have even partitions uses a fraction of that. As on any broker, the bound can
// also delete records that a stage has not read yet.
const DefaultRetentionBytes = 512 << 20

// Options of a broker. The zero value is a broker in memory on a free port.
type Options struct {
	// Dir holds the data. It is created if it does not exist, and can be opened
	// again after a crash. If empty, the data is kept in memory and takes 2.7
	// times the payload.
	Dir string
	// Listen is the host:port to listen on, which clients connect to: the broker
	// tells them this address. Port 0 takes a free port. If empty, the broker
	// takes a free port of 127.0.0.1.
	Listen string
	// RetentionBytes bounds each partition. 0 means DefaultRetentionBytes, -1
	// means no bound. A topic's own retention.bytes takes precedence.
	RetentionBytes int64
	// Log receives the broker's warnings and errors. nil discards them.
	Log *slog.Logger
}

// Broker is a running broker.
type Broker struct {
	cluster *kfake.Cluster
	addrs   []string
	unlock  func() error
	closing sync.Once
	err     error
}

// Start opens the data directory and listens. ctx is checked before the start
// only: the broker runs until Close. Start returns an error if another process
// has the directory open.
//
// Records that were acknowledged survive kill -9 of this process. Records are
// not synced to the disk one by one, so a power cut can lose the last moments,
// as with Kafka's own defaults.
func Start(ctx context.Context, o Options) (*Broker, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	b := &Broker{unlock: func() error { return nil }}
	// Lock the directory before kfake opens it. A process that was killed with
	// kill -9 has left the lock file but no lock.
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o755); err != nil {
			return nil, fmt.Errorf("broker: data directory: %w", err)
		}
		unlock, err := lock(o.Dir)
		if err != nil {
			return nil, fmt.Errorf("broker: data directory %s: %w", o.Dir, err)
		}
		b.unlock = unlock
	}
	// Listen and open the data. If either fails, the directory is released.
	ln, err := listen(ctx, o.Listen)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("broker: %w", err), b.unlock())
	}
	cluster, err := kfake.NewCluster(clusterOptions(o, ln)...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("broker: open %q: %w", o.Dir, err), ln.Close(), b.unlock())
	}
	// kfake deletes expired records only after a request that changes topics, and then
	// every cleanEvery: a directory may have been closed for longer than records live.
	cluster.ApplyRetention()
	b.cluster, b.addrs = cluster, cluster.ListenAddrs()
	return b, nil
}

// listen listens on a host:port, or on a free port of 127.0.0.1 if listenAddr is
// empty. A host that stands for all addresses of the machine, such as 0.0.0.0, is
// an error: clients cannot connect to such an address.
func listen(ctx context.Context, listenAddr string) (net.Listener, error) {
	if listenAddr == "" {
		listenAddr = "127.0.0.1:0"
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", listenAddr)
	if err != nil {
		return nil, err
	}
	if ln.Addr().(*net.TCPAddr).IP.IsUnspecified() {
		return nil, errors.Join(fmt.Errorf("listen on %s: clients connect to the address that the broker listens on: "+
			"name one address of this machine, such as 127.0.0.1", listenAddr), ln.Close())
	}
	return ln, nil
}

// clusterOptions turns o into kfake's options. The broker serves on ln.
func clusterOptions(o Options, ln net.Listener) []kfake.Opt {
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return ln, nil }),
		kfake.WithLogger(logger{o.Log}),
		kfake.BrokerConfigs(brokerConfigs(o)),
	}
	if o.Dir != "" {
		opts = append(opts, kfake.DataDir(o.Dir))
	}
	return opts
}

// cleanEvery is how often retention and compaction run. While they run, every
// request waits, and compacted partitions are read again.
const cleanEvery = 5 * time.Minute

// brokerConfigs returns broker settings that bound disk and memory.
func brokerConfigs(o Options) map[string]string {
	if o.RetentionBytes == 0 {
		o.RetentionBytes = DefaultRetentionBytes
	}
	return map[string]string{
		"log.cleaner.backoff.ms": strconv.FormatInt(cleanEvery.Milliseconds(), 10),
		// Retention frees whole segments, and opening the directory reads whole
		// segments into memory.
		"log.segment.bytes":   strconv.Itoa(16 << 20),
		"log.retention.bytes": strconv.FormatInt(o.RetentionBytes, 10),
		// As soon as one topic has a retention of its own, kfake applies the
		// broker's retention to all other topics, compacted ones included. With
		// the default of a week, a compacted topic would lose its oldest keys.
		"log.retention.ms": "-1",
		// Committed offsets outlive a long pause of the local stack.
		"offsets.retention.minutes": strconv.Itoa(90 * 24 * 60),
	}
}

// Addrs returns the endpoints of the bootstrap brokers, each "127.0.0.1:port".
func (b *Broker) Addrs() []string { return append([]string(nil), b.addrs...) }

// Close writes buffered data to the disk, stops listening and releases the
// directory. Close may be called more than once.
func (b *Broker) Close() error {
	b.closing.Do(func() {
		b.cluster.Close()
		if err := b.unlock(); err != nil {
			b.err = fmt.Errorf("broker: unlock the data directory: %w", err)
		}
	})
	return b.err
}

// logger passes kfake's warnings and errors to log.
type logger struct{ log *slog.Logger }

// Logf implements kfake.Logger.
func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	if l.log == nil || level > kfake.LogLevelWarn {
		return
	}
	to := slog.LevelWarn
	if level == kfake.LogLevelError {
		to = slog.LevelError
	}
	l.log.Log(context.Background(), to, "broker", "message", fmt.Sprintf(format, args...))
}
