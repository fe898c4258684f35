// Package broker runs a Kafka broker inside this process: kfake of franz-go,
// with its data on disk and on 127.0.0.1 only.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// DefaultRetentionBytes bounds what one partition keeps on disk. A full
// pipeline of about 150 partitions stays under 80 GB, of which a site with even
// topics uses a fraction; what a stage has not read yet can be dropped by it
// too, as on any broker.
const DefaultRetentionBytes = 512 << 20

// Options of a broker. The zero value is a broker in memory on a free port.
type Options struct {
	// Dir keeps the data; it is made where it does not exist and can be reopened
	// after a crash. "" keeps everything in memory, at 2.7 times the payload.
	Dir string
	// Port to listen on at 127.0.0.1; 0 takes a free one.
	Port int
	// RetentionBytes bounds each partition; 0 means DefaultRetentionBytes, -1 no
	// bound. Topics with a retention.bytes of their own keep that.
	RetentionBytes int64
	// Log takes the broker's warnings and errors; nil drops them.
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

// Start opens the data directory and listens. ctx is looked at before the
// start only: the broker runs until Close. A directory that another process
// has open is an error.
//
// What was acknowledged survives kill -9 of this process. It is not synced to
// the disk one by one, so a power cut can lose the last moments, as with
// Kafka's own defaults.
func Start(ctx context.Context, o Options) (*Broker, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	b := &Broker{unlock: func() error { return nil }}
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
	cluster, err := kfake.NewCluster(clusterOptions(o)...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("broker: open %q on port %d: %w", o.Dir, o.Port, err), b.unlock())
	}
	b.cluster, b.addrs = cluster, cluster.ListenAddrs()
	return b, nil
}

// clusterOptions turns o into settings under which disk and memory stay
// bounded.
func clusterOptions(o Options) []kfake.Opt {
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.Ports(o.Port),
		kfake.WithLogger(logger{o.Log}),
		kfake.BrokerConfigs(brokerConfigs(o)),
	}
	if o.Dir != "" {
		opts = append(opts, kfake.DataDir(o.Dir))
	}
	return opts
}

// cleanEvery is how often retention and compaction run. They hold up every
// request while they do, and re-read compacted partitions.
const cleanEvery = 5 * time.Minute

func brokerConfigs(o Options) map[string]string {
	if o.RetentionBytes == 0 {
		o.RetentionBytes = DefaultRetentionBytes
	}
	return map[string]string{
		"log.cleaner.backoff.ms": strconv.FormatInt(cleanEvery.Milliseconds(), 10),
		// Space comes back by whole segments, and opening the directory reads
		// whole segments into memory.
		"log.segment.bytes":   strconv.Itoa(16 << 20),
		"log.retention.bytes": strconv.FormatInt(o.RetentionBytes, 10),
		// As soon as one topic has a retention of its own, kfake applies the
		// broker's to all the others, compacted ones included: with the default
		// of a week a compacted topic would lose its oldest keys.
		"log.retention.ms": "-1",
		// Groups outlive a long pause of the local stack.
		"offsets.retention.minutes": strconv.Itoa(90 * 24 * 60),
	}
}

// Addrs gives the bootstrap addresses, "127.0.0.1:port".
func (b *Broker) Addrs() []string { return append([]string(nil), b.addrs...) }

// Close writes what is left to the disk and stops listening. It may be called
// more than once.
func (b *Broker) Close() error {
	b.closing.Do(func() {
		b.cluster.Close()
		if err := b.unlock(); err != nil {
			b.err = fmt.Errorf("broker: unlock the data directory: %w", err)
		}
	})
	return b.err
}

// logger hands kfake's warnings and errors on.
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
