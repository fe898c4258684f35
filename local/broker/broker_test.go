package broker

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// dirVariable, if set, makes the test binary a broker on the directory that it
// names, so that a test can kill the broker.
const dirVariable = "BROKER_TEST_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(dirVariable)
	if dir == "" {
		os.Exit(m.Run())
	}
	b, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(b.Addrs()[0])
	select {}
}

func start(t *testing.T, o Options) *Broker {
	t.Helper()
	b, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func client(t *testing.T, addr string, opts ...kgo.Opt) (*kgo.Client, *kadm.Client) {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, kadm.NewClient(c)
}

func createTopic(t *testing.T, adm *kadm.Client, topic string, configs map[string]string) {
	t.Helper()
	pointers := map[string]*string{}
	for k, v := range configs {
		pointers[k] = &v
	}
	if _, err := adm.CreateTopic(t.Context(), 1, 1, pointers, topic); err != nil {
		t.Fatal(err)
	}
}

// produce sends each record as a batch of its own.
func produce(t *testing.T, c *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	for _, r := range records {
		if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// consume reads a one-partition topic from its start to its end.
func consume(t *testing.T, addr, topic string) (values []string) {
	t.Helper()
	c, adm := client(t, addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	ends, err := adm.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for next := int64(0); next < end.Offset; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			values = append(values, string(r.Value))
			next = r.Offset + 1
		})
	}
	return values
}

// TestSurvivesKill: a broker's process is killed with SIGKILL and its directory
// opened again. Every acknowledged record and every commit is still there.
func TestSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), dirVariable+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr = addr[:len(addr)-1]
	c, adm := client(t, addr)
	createTopic(t, adm, "kept", nil)
	want := make([]string, 300)
	for i := range want {
		want[i] = fmt.Sprint("value ", i)
		produce(t, c, &kgo.Record{Topic: "kept", Value: []byte(want[i])})
	}
	committed := kadm.Offsets{}
	committed.AddOffset("kept", 0, 123, -1)
	if err := adm.CommitAllOffsets(t.Context(), "group", committed); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // "signal: killed"

	b := start(t, Options{Dir: dir})
	if got := consume(t, b.Addrs()[0], "kept"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %d records, want the %d that were acknowledged", len(got), len(want))
	}
	_, adm = client(t, b.Addrs()[0])
	offsets, err := adm.FetchOffsets(t.Context(), "group")
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := offsets.Lookup("kept", 0); o.At != 123 {
		t.Errorf("committed offset is %d after the kill, want 123", o.At)
	}
}

func TestSecondBrokerIsKeptOut(t *testing.T) {
	dir := t.TempDir()
	first := start(t, Options{Dir: dir})
	if b, err := Start(t.Context(), Options{Dir: dir}); err == nil {
		b.Close()
		t.Fatal("two brokers opened one directory")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, Options{Dir: dir})
}

func TestPortInUseIsAnErrorAndFreesTheDirectory(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir := t.TempDir()
	if b, err := Start(t.Context(), Options{Dir: dir, Listen: ln.Addr().String()}); err == nil {
		b.Close()
		t.Fatal("started on a port that is taken")
	}
	start(t, Options{Dir: dir})
}

func TestListensOnLoopbackOnly(t *testing.T) {
	for _, addr := range start(t, Options{}).Addrs() {
		if host, _, err := net.SplitHostPort(addr); err != nil || host != "127.0.0.1" {
			t.Errorf("listens on %s", addr)
		}
	}
}

// TestDiskStaysBounded writes three times the bytes that a partition may keep.
func TestDiskStaysBounded(t *testing.T) {
	const limit = 20 << 20
	dir := t.TempDir()
	b := start(t, Options{Dir: dir, RetentionBytes: limit})
	c, adm := client(t, b.Addrs()[0])
	createTopic(t, adm, "big", map[string]string{"retention.ms": "7776000000"})
	value := make([]byte, 900<<10)
	rand.Read(value)
	for range 3 * limit / len(value) {
		produce(t, c, &kgo.Record{Topic: "big", Value: value})
	}
	b.cluster.ApplyRetention()
	const segment = 16 << 20
	if size := diskUsage(t, dir); size > limit+segment {
		t.Errorf("%d MB on disk, want at most %d", size>>20, (limit+segment)>>20)
	}
}

func diskUsage(t *testing.T, dir string) (total int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// TestCompactedTopicKeepsOldKeys: if another topic has a retention of its own,
// a compacted topic still loses superseded records only, however old a key is.
func TestCompactedTopicKeepsOldKeys(t *testing.T) {
	b := start(t, Options{})
	c, adm := client(t, b.Addrs()[0])
	createTopic(t, adm, "expiring", map[string]string{"retention.ms": "1000"})
	createTopic(t, adm, "compacted", map[string]string{"cleanup.policy": "compact"})
	longAgo := time.Now().Add(-60 * 24 * time.Hour)
	at := func(topic, key, value string, when time.Time) *kgo.Record {
		return &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value), Timestamp: when}
	}
	produce(t, c,
		at("expiring", "a", "gone", longAgo),
		at("expiring", "a", "kept", time.Now().Add(time.Hour)),
		at("compacted", "a", "superseded", longAgo),
		at("compacted", "old", "old but current", longAgo),
		at("compacted", "a", "current", longAgo),
		at("compacted", "last", "never compacted", longAgo),
	)
	b.cluster.Compact()
	for topic, want := range map[string]string{
		"expiring":  "[kept]",
		"compacted": "[old but current current never compacted]",
	} {
		if got := fmt.Sprint(consume(t, b.Addrs()[0], topic)); got != want {
			t.Errorf("%s holds %s, want %s", topic, got, want)
		}
	}
}

// TestExpiredRecordsGoAtStart: a broker on a directory that was not used for long
// serves no record that has expired meanwhile, and no request has to come first.
func TestExpiredRecordsGoAtStart(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Options{Dir: dir})
	c, adm := client(t, b.Addrs()[0])
	createTopic(t, adm, "expiring", map[string]string{"retention.ms": "7776000000"})
	produce(t, c,
		&kgo.Record{Topic: "expiring", Value: []byte("gone"), Timestamp: time.Now().Add(-91 * 24 * time.Hour)},
		&kgo.Record{Topic: "expiring", Value: []byte("kept"), Timestamp: time.Now().Add(-89 * 24 * time.Hour)},
	)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(consume(t, start(t, Options{Dir: dir}).Addrs()[0], "expiring")); got != "[kept]" {
		t.Errorf("the topic holds %s, want [kept]", got)
	}
}

// TestCancelledStart: a start with a cancelled context leaves no lock behind.
func TestCancelledStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := Start(ctx, Options{Dir: dir}); err == nil {
		t.Fatal("started although the context was done")
	}
	start(t, Options{Dir: dir})
}

func TestLogKeepsToWarnings(t *testing.T) {
	var out bytes.Buffer
	l := testLogger(&out)
	l.Logf(4, "debug %d", 1)
	l.Logf(3, "info %d", 2)
	l.Logf(2, "warning %d", 3)
	l.Logf(1, "error %d", 4)
	want := "level=WARN msg=broker message=\"warning 3\"\nlevel=ERROR msg=broker message=\"error 4\"\n"
	if out.String() != want {
		t.Errorf("logged %q, want %q", out.String(), want)
	}
}

func testLogger(w io.Writer) logger {
	return logger{slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))}
}
