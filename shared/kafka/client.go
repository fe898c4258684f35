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

// Config holds the brokers of a client and how it authenticates to them.
type Config struct {
	Brokers []string // bootstrap addresses, host:port, at least one
	Auth    string   // AuthNone or AuthIAM; "" is AuthNone
	// Credentials sign the IAM authentication of every new connection. AuthIAM
	// requires them. The region is part of the broker's host name.
	Credentials aws.CredentialsProvider
	ClientID    string // the name in the log of the brokers; "" is "footfall"
	// Logger receives the warnings and errors inside the client, such as failed
	// connections. Produce retries a failed connection until its deadline, and
	// its error then names only the deadline, so the cause is in this log alone.
	// nil drops the log.
	Logger *slog.Logger
}

// Timeouts of connections and requests. Lambda freezes the process between two
// invocations, for seconds or for hours. Meanwhile timers stand still, and the
// broker closes sockets without the client noticing.
const (
	// connIdle is the idle time after which a connection is replaced before its
	// next use. The client measures idle time by the wall clock, so frozen time
	// counts. A new connection costs some 10 ms with TLS and IAM; a request into
	// a dead connection costs requestTimeout.
	connIdle = 30 * time.Second
	// dialTimeout is short because other brokers can be asked instead.
	dialTimeout = 3 * time.Second
	// A produce request may take brokerTimeout on the broker, which waits for
	// its replicas, and requestTimeout more before the client regards the
	// connection as dead. Both leave time for another attempt within one
	// invocation.
	brokerTimeout  = 5 * time.Second
	requestTimeout = 5 * time.Second
	// metadataMinAge is the least time between two requests for the leaders of
	// partitions. After a long freeze the leaders that the client remembers are
	// often wrong, and the client's default of 5 s would delay a batch by 5 s.
	metadataMinAge = 250 * time.Millisecond
	// The first retry follows soon; later ones leave more and more time to a
	// broker that is in trouble.
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// linger is the longest time that a record waits for other records of its
// partition. Produce ends the wait as soon as all records of its call are
// buffered, so a call goes out as one request per broker. Only the first records
// to a topic wait for the whole linger, because the client does not know the
// partitions of the topic yet.
const linger = 5 * time.Millisecond

// zstdFastest is the fastest level of zstd (of klauspost/compress).
const zstdFastest = 1

// NewClient returns a client for all functions of this package. The client
// connects on its first request. opts follow the package's own options and can
// override them. The caller closes the client; after Produce has returned without
// an error, the client buffers no records. The error names a mistake in cfg.
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
		kgo.DisableClientMetrics(), // a frozen process cannot push metrics

		kgo.ConnIdleTimeout(connIdle),
		kgo.DialTimeout(dialTimeout),
		kgo.ProduceRequestTimeout(brokerTimeout),
		kgo.RequestTimeoutOverhead(requestTimeout),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.RetryBackoffFn(backoff),
		// A broker that is restarting accepts connections and closes them at once.
		// Without this option the client takes the closed connection for a mistake
		// in its settings and fails the records.
		kgo.AlwaysRetryEOF(),

		// Writes are idempotent, in order and acknowledged by all in-sync
		// replicas, which is the client's default. If the answer to a write is
		// lost, the client sends the batch again, and the broker recognises the
		// repetition.
		//
		// Unlike the default, a call ends at its deadline, because Lambda kills an
		// invocation that waits longer, and a killed invocation reports nothing.
		// If a cancelled call has written records, the next attempt writes them
		// again. This is harmless: the ids of records are hashes of data, so
		// consumers recognise the repetition.
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.AllowIdempotentProduceCancellation(),
		kgo.ProducerLinger(linger),
		kgo.RecordPartitioner(partitioner()),
		kgo.ProducerBatchMaxBytesFn(maxBatchBytes),
		// zstd at its fastest level shrinks walk-ins to 37 %, snappy to 62 %. zstd
		// takes 0.6 µs a record more, which costs less than storing the
		// difference for 90 days and sending it between zones.
		kgo.ProducerBatchCompression(kgo.ZstdCompression().WithLevel(zstdFastest), kgo.NoCompression()),
	}
	if c.Logger != nil {
		opts = append(opts, kgo.WithLogger(slogger{c.Logger}))
	}
	return opts
}

// auth checks the brokers and the authentication of the configuration, and
// returns the options for the authentication.
func (c Config) auth() ([]kgo.Opt, error) {
	if len(c.Brokers) == 0 {
		return nil, errors.New("no brokers: name at least one as host:port")
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

// iam returns the AWS_MSK_IAM mechanism. It asks for credentials anew for each
// connection, since the credentials of a function expire after some hours.
func iam(credentials aws.CredentialsProvider) sasl.Mechanism {
	return mskiam.ManagedStreamingIAM(func(ctx context.Context) (mskiam.Auth, error) {
		c, err := credentials.Retrieve(ctx)
		if err != nil {
			return mskiam.Auth{}, fmt.Errorf("retrieve AWS credentials: %w", err)
		}
		return mskiam.Auth{AccessKey: c.AccessKeyID, SecretKey: c.SecretAccessKey, SessionToken: c.SessionToken}, nil
	})
}

// maxBatchBytes returns the greatest size of a record batch before compression.
// The broker applies the same limit to the compressed batch, so it accepts every
// batch that the client sends.
func maxBatchBytes(topic string) int32 {
	if t, ok := events.TopicByName(topic); ok {
		return t.MaxMessage
	}
	return 1 << 20 // Kafka's default
}

// partitioner returns a partitioner that keeps the partition of a record that
// names one, and otherwise takes the partition of the record's key. Records
// without a key go to the partition of the empty key. The partitioner is
// consistent: a record waits for its partition while the partition cannot be
// written to, because order goes before availability.
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
