package esm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/local/broker"
	"footfall/local/runtime"
	"footfall/shared/pipeline"
)

// BenchmarkThroughput moves records of 200 bytes from a broker on disk through
// the poller and the Runtime API to the processes of a function that does
// nothing.
func BenchmarkThroughput(b *testing.B) {
	const records, batch = 400_000, 5000
	bk, err := broker.Start(b.Context(), broker.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer bk.Close()
	fill(b, bk.Addrs(), records)
	r, err := runtime.Start(b.Context(), runtime.Options{
		Functions: []runtime.Function{{Name: "echo", Path: buildEcho(b), Environments: 2}},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	run := 0
	for b.Loop() {
		run++
		p, err := New(Options{
			Brokers: bk.Addrs(), Stage: "echo", Group: fmt.Sprint("run-", run), DeadLetters: deadLetterTopic, Concurrency: 2,
			Mapping: pipeline.Mapping{Topic: topic, BatchSize: batch, Window: 100 * time.Millisecond},
			Invoke:  func(ctx context.Context, payload []byte) ([]byte, error) { return r.Invoke(ctx, "echo", payload) },
		})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error)
		go func() { ended <- p.Run(ctx) }()
		for p.Stats().Records < records {
			time.Sleep(time.Millisecond)
		}
		cancel()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(records)/float64(p.Stats().Invocations), "records/invocation")
	}
	b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func buildEcho(b testing.TB) string {
	path := filepath.Join(b.TempDir(), "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", path, "footfall/local/runtime/testdata/echo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

func fill(b *testing.B, brokers []string, records int) {
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if _, err := kadm.NewClient(c).CreateTopic(b.Context(), 8, 1, nil, topic); err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range records {
		value := make([]byte, 200)
		for j := range 100 { // the other half compresses
			value[j] = byte(random.Uint32())
		}
		c.Produce(b.Context(), &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "shop/%d", i%5000), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := c.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}
