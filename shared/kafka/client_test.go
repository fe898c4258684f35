package kafka

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestConfigMistakes(t *testing.T) {
	static := credentials.NewStaticCredentialsProvider("AKID", "secret", "")
	for _, c := range []struct {
		name   string
		config Config
		want   string // part of the error, "" for none
	}{
		{"brokers alone", Config{Brokers: []string{"127.0.0.1:9092"}}, ""},
		{"authentication none, written out", Config{Brokers: []string{"127.0.0.1:9092"}, Auth: "none"}, ""},
		{"iam", Config{Brokers: []string{"b-1.x.kafka.eu-central-1.amazonaws.com:9098"}, Auth: "iam", Credentials: static}, ""},
		{"no brokers", Config{}, "no brokers"},
		{"iam without credentials", Config{Brokers: []string{"b:9098"}, Auth: "iam"}, "needs AWS credentials"},
		{"another authentication", Config{Brokers: []string{"b:9098"}, Auth: "IAM"}, `"IAM" is neither none nor iam`},
		{"a broker without a port number", Config{Brokers: []string{"b:port"}}, "client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl, err := NewClient(c.config)
			if err == nil {
				cl.Close()
			}
			if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// MSK checks the challenge. It is signed with the credentials that are valid when
// the connection is made, for the region in the name of the broker.
func TestIAMSignsWithCurrentCredentials(t *testing.T) {
	now := aws.Credentials{AccessKeyID: "AKID1", SecretAccessKey: "secret", SessionToken: "token1"}
	mechanism := iam(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return now, nil }))
	if mechanism.Name() != "AWS_MSK_IAM" {
		t.Errorf("mechanism %s, want AWS_MSK_IAM", mechanism.Name())
	}
	for _, want := range []string{"1", "2"} {
		_, challenge, err := mechanism.Authenticate(t.Context(), "b-1.x.kafka.eu-central-1.amazonaws.com:9098")
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]string
		if err := json.Unmarshal(challenge, &fields); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(fields["x-amz-credential"], "AKID"+want+"/") ||
			!strings.Contains(fields["x-amz-credential"], "/eu-central-1/kafka-cluster/") ||
			fields["x-amz-security-token"] != "token"+want {
			t.Errorf("challenge %v, want access key AKID%s and token%s for eu-central-1", fields, want, want)
		}
		now.AccessKeyID, now.SessionToken = "AKID2", "token2"
	}
}

func TestIAMWithoutCredentialsFails(t *testing.T) {
	mechanism := iam(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("none found")
	}))
	_, _, err := mechanism.Authenticate(t.Context(), "b-1.x.kafka.eu-central-1.amazonaws.com:9098")
	if err == nil || !strings.Contains(err.Error(), "AWS credentials: none found") {
		t.Errorf("error %v, want the cause \"none found\"", err)
	}
}

// Credentials must never be sent in plain text: with iam a connection begins with a
// TLS handshake.
func TestIAMSpeaksTLS(t *testing.T) {
	for auth, want := range map[string]byte{AuthIAM: 0x16, AuthNone: 0x00} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		cl, err := NewClient(Config{
			Brokers: []string{l.Addr().String()}, Auth: auth,
			Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		ctx, cancel := context.WithCancel(t.Context())
		pinged := make(chan error, 1)
		go func() { pinged <- cl.Ping(ctx) }()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 1)
		if _, err := conn.Read(first); err != nil || first[0] != want {
			t.Errorf("%s: first byte %#x, %v, want %#x", auth, first[0], err, want)
		}
		cancel()
		conn.Close()
		if err := <-pinged; err == nil {
			t.Errorf("%s: Ping succeeds although the broker never answers", auth)
		}
	}
}

// The error of Produce names only the deadline. The cause, a refused connection, is
// in the log.
func TestLoggerReceivesConnectionErrors(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	var log bytes.Buffer
	cl, err := NewClient(Config{
		Brokers: []string{gone.Addr().String()},
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := NewProducer(cl).Produce(within(t, 500*time.Millisecond), keyed(0, 1)); err == nil {
		t.Error("Produce succeeds although no broker listens")
	}
	cl.Close()
	for _, part := range []string{"level=WARN", "kafka client: ", gone.Addr().String(), "connection refused"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %q:\n%s", part, log.String())
		}
	}
	if strings.Contains(log.String(), "level=INFO") {
		t.Errorf("the log holds the client's info messages:\n%s", log.String())
	}
}

func TestLoggerLevels(t *testing.T) {
	for level, want := range map[slog.Level]kgo.LogLevel{
		slog.LevelDebug - 4: kgo.LogLevelDebug,
		slog.LevelDebug:     kgo.LogLevelInfo,
		slog.LevelInfo:      kgo.LogLevelWarn,
		slog.LevelError:     kgo.LogLevelError,
		slog.LevelError + 4: kgo.LogLevelNone,
	} {
		h := slog.NewTextHandler(new(bytes.Buffer), &slog.HandlerOptions{Level: level})
		if got := (slogger{slog.New(h)}).Level(); got != want {
			t.Errorf("with slog at %v the client logs at %v, want %v", level, got, want)
		}
	}
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	for fails, longest := range map[int]time.Duration{
		0: minBackoff, 1: minBackoff, 2: 2 * minBackoff, 4: 8 * minBackoff, 7: maxBackoff, 50: maxBackoff,
	} {
		for range 50 {
			if d := backoff(fails); d < longest/2 || d > longest {
				t.Fatalf("backoff(%d) = %v, want between %v and %v", fails, d, longest/2, longest)
			}
		}
	}
}
