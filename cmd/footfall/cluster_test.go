package main

import (
	"context"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Requests and records have a limit of time: a cluster that is gone is an error.
func TestPatienceReachesTheClient(t *testing.T) {
	client, err := clusterFlags{Brokers: []string{"127.0.0.1:1"}, KafkaAuth: "none"}.client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if got := client.OptValue(kgo.RecordDeliveryTimeout); got != patience {
		t.Errorf("a record is tried for %v, want %v", got, patience)
	}
}

// With iam the client opens the connection with TLS, otherwise without.
func TestKafkaAuthReachesTheClient(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	for auth, want := range map[string]byte{"iam": 0x16, "none": 0x00} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client, err := clusterFlags{Brokers: []string{l.Addr().String()}, KafkaAuth: auth}.client(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ctx, cancel := context.WithCancel(t.Context())
		pinged := make(chan error, 1)
		go func() { pinged <- client.Ping(ctx) }()
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
			t.Errorf("%s: a ping of a broker that does not answer succeeds", auth)
		}
	}
}
