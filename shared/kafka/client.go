// Package kafka connects Footfall to Kafka. Stages produce with it and look
// topics up (Producer, TopicInfos). People and the audit bring topics to what they
// should be (PlanTopics), read them (Spans, Read), put dead letters back (Letter,
// Redriver), and look at the offsets of consumer groups and move them
// (GroupOffsets, PlanShift). All of it works on a client of NewClient.
package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	mskiam "github.com/twmb/franz-go/pkg/sasl/aws"

	"footfall/events"
)

// The values of Config.Auth.
const (
	AuthNone = "none" // plain text, for a broker on this machine
	AuthIAM  = "iam"  // TLS and AWS_MSK_IAM
)

// Config says which brokers to talk to and how.
type Config struct {
	Brokers []string // bootstrap addresses, host:port, at least one
	Auth    string   // AuthNone or AuthIAM; "" is AuthNone
	// Credentials sign the IAM authentication of every new connection; AuthIAM
	// needs them. The region is read off the broker's host name.
	Credentials aws.CredentialsProvider
	ClientID    string // what brokers log; "" is "footfall"
	// Logger gets what goes wrong inside of the client, such as connections
	// that cannot be made: Produce retries those until its deadline and can then
	// tell no more than that. nil drops it.
	Logger *slog.Logger
}

// Connections and patience. Between two invocations Lambda freezes the process,
// for seconds or for hours: timers stand still, and sockets die unseen.
const (
	// connIdle: an older connection is replaced before it is used, by the wall
	// clock, so frozen time counts. A new one costs some 10 ms with TLS and IAM;
	// a request into a dead one costs requestTimeout.
	connIdle = 30 * time.Second
	// dialTimeout is short because there are other brokers to ask.
	dialTimeout = 3 * time.Second
	// A produce request may take brokerTimeout on the broker, which waits for
	// its replicas, and requestTimeout more before its connection counts as
	// dead. Both leave time for another try within one invocation.
	brokerTimeout  = 5 * time.Second
	requestTimeout = 5 * time.Second
	// metadataMinAge is how soon the client may ask again who leads a partition
	// after it was told wrong, as it is after a long freeze. The client's default
	// of 5 s would hold a batch up for as long.
	metadataMinAge = 250 * time.Millisecond
	// Retries start soon and then spare a broker that is in trouble.
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// linger is how long a record may wait for others of its partition. Produce
// ends the wait as soon as all records of its call are buffered, so that a call
// goes out as one request per broker; only the first records to a topic, whose
// partitions the client does not know yet, wait it out.
const linger = 5 * time.Millisecond

// zstdFastest is the fastest level of zstd (of klauspost/compress).
const zstdFastest = 1

// NewClient makes a client for all that this package does. It connects when it is
// first used. opts come after the package's own options and can replace them. The
// caller closes it; nothing is buffered in it once Produce has returned without
// an error.
func NewClient(cfg Config, opts ...kgo.Opt) (*kgo.Client, error) {
	auth, err := cfg.auth()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	all := append(append(cfg.options(), auth...), opts...)
	client, err := kgo.NewClient(all...)
	if err != nil {
		return nil, fmt.Errorf("kafka: client: %w", err)
	}
	return client, nil
}

func (c Config) options() []kgo.Opt {
	id := c.ClientID
	if id == "" {
		id = "footfall"
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(id),
		kgo.DisableClientMetrics(), // a frozen process has none to push

		kgo.ConnIdleTimeout(connIdle),
		kgo.DialTimeout(dialTimeout),
		kgo.ProduceRequestTimeout(brokerTimeout),
		kgo.RequestTimeoutOverhead(requestTimeout),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.RetryBackoffFn(backoff),
		// A broker that restarts ends new connections at once. The client would
		// take that for a mistake in its settings and fail the records.
		kgo.AlwaysRetryEOF(),

		// Idempotent, in order and acknowledged by all in-sync replicas, which
		// is the client's default, but not beyond the deadline of a call: an
		// invocation that waits longer is killed and reports nothing. What such a
		// call wrote is written again by the next try; ids made of data make that
		// harmless.
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.AllowIdempotentProduceCancellation(),
		kgo.ProducerLinger(linger),
		kgo.RecordPartitioner(partitioner()),
		kgo.ProducerBatchMaxBytesFn(maxBatchBytes),
		// Walk-ins shrink to 37 % with zstd at its fastest and to 62 % with
		// snappy, for 0.6 µs a record more. Storage for 90 days and traffic
		// between zones cost more than that.
		kgo.ProducerBatchCompression(kgo.ZstdCompression().WithLevel(zstdFastest), kgo.NoCompression()),
	}
	if c.Logger != nil {
		opts = append(opts, kgo.WithLogger(slogger{c.Logger}))
	}
	return opts
}

// auth checks what the configuration says and turns it into options.
func (c Config) auth() ([]kgo.Opt, error) {
	if len(c.Brokers) == 0 {
		return nil, errors.New("no brokers given")
	}
	switch c.Auth {
	case "", AuthNone:
		return nil, nil
	case AuthIAM:
		if c.Credentials == nil {
			return nil, errors.New("authentication iam needs AWS credentials")
		}
		return []kgo.Opt{
			kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12}),
			kgo.SASL(iam(c.Credentials)),
		}, nil
	}
	return nil, fmt.Errorf("authentication %q is neither %s nor %s", c.Auth, AuthNone, AuthIAM)
}

// iam authenticates each connection with the credentials of that moment; those
// of a function last some hours.
func iam(credentials aws.CredentialsProvider) sasl.Mechanism {
	return mskiam.ManagedStreamingIAM(func(ctx context.Context) (mskiam.Auth, error) {
		c, err := credentials.Retrieve(ctx)
		if err != nil {
			return mskiam.Auth{}, fmt.Errorf("AWS credentials: %w", err)
		}
		return mskiam.Auth{AccessKey: c.AccessKeyID, SecretKey: c.SecretAccessKey, SessionToken: c.SessionToken}, nil
	})
}

// maxBatchBytes is how large a record batch may grow before compression. The
// broker's limit holds after it, so a batch that gets out is one it takes.
func maxBatchBytes(topic string) int32 {
	if t, ok := events.TopicByName(topic); ok {
		return t.MaxMessage
	}
	return 1 << 20 // Kafka's default
}

// partitioner keeps the partition that a record names and leaves the others to
// their key. Records without a key share the partition of the empty key. The
// partition is the right one even while it cannot be written to: order goes
// before availability.
func partitioner() kgo.Partitioner {
	return kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
		return func(r *kgo.Record, n int) int {
			if r.Partition >= 0 {
				return int(r.Partition)
			}
			return int(events.Partition(r.Key, int32(n)))
		}
	})
}
