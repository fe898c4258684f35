package lambdarun_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"footfall/local/esm"
	"footfall/local/runtime"
	"footfall/shared/invocation"
	"footfall/shared/lambdarun"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

const topic = "sightings"

// deathVariable makes the test binary a function, which dies in the way it names
// in the middle of its first event. directoryVariable is where it keeps what it
// has done.
const (
	deathVariable     = "LAMBDARUN_TEST_DEATH"
	directoryVariable = "LAMBDARUN_TEST_DIRECTORY"
)

// deaths are ways to end that leave a process no time to say anything, with what
// Lambda says of the invocation.
var deaths = map[string]struct {
	die  func()
	said string
}{
	// As Lambda ends an environment that is over its memory.
	"killed": {said: "signal: killed", die: func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }},
	// As the Go runtime ends when the system gives it no more memory. Nothing
	// recovers from that.
	"out of memory": {said: "exit status", die: func() {
		limit := uint64(addressSpace() + 128<<20)
		if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			panic(err)
		}
		for held := [][]byte{}; ; {
			held = append(held, bytes.Repeat([]byte{1}, 16<<20))
		}
	}},
}

// addressSpace is how much this process has, in bytes.
func addressSpace() (size int) {
	text, err := os.ReadFile("/proc/self/statm") // in pages, the first figure
	if err == nil {
		_, err = fmt.Sscan(string(text), &size)
	}
	if err != nil {
		panic(err)
	}
	return size * os.Getpagesize()
}

func TestMain(m *testing.M) {
	if death, ok := deaths[os.Getenv(deathVariable)]; ok {
		log := invocation.NewLogger(os.Stdout, nil)
		lambdarun.New("detect", mortal{os.Getenv(directoryVariable), death.die}, log).Start()
	}
	os.Exit(m.Run())
}

// mortal is a stage that writes down each record it has done, and dies half way
// through the first batch that it is ever given.
type mortal struct {
	directory string
	die       func()
}

func (m mortal) Handle(_ context.Context, b stage.Batch) error {
	f, err := os.OpenFile(filepath.Join(m.directory, fmt.Sprint(b.Partition)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for i, r := range b.Records {
		if i == len(b.Records)/2 {
			if err := os.Mkdir(filepath.Join(m.directory, "died"), 0o700); err == nil {
				m.die()
			}
		}
		if _, err := fmt.Fprintln(f, r.Offset); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// output takes what the function prints, a line a call.
type output struct {
	mu    sync.Mutex
	lines []string
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, string(p))
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.lines, "")
}

// received gives the offsets of every event received, as logged.
func (o *output) received(t *testing.T) (all []string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, line := range o.lines {
		var entry struct {
			Message string
			Offsets map[string]string
		}
		_, text, _ := strings.Cut(line, " ")
		if json.Unmarshal([]byte(text), &entry) == nil && entry.Message == "event received" {
			all = append(all, entry.Offsets[topic])
		}
	}
	return all
}

// A process that ends in the middle of a batch cannot say which records it had.
// The line that it wrote before does, the mapping gives them again, and all of
// them are done in the end.
func TestDeathInTheMiddleOfABatch(t *testing.T) {
	const partitions, perPartition = 3, 20
	for death, expected := range deaths {
		t.Run(death, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic))
			must(t, err)
			t.Cleanup(cluster.Close)
			produce(t, ctx, cluster, partitions, perPartition)

			directory, printed := t.TempDir(), &output{}
			functions, err := runtime.Start(ctx, runtime.Options{Output: printed, Functions: []runtime.Function{{
				Name: "detect", Path: os.Args[0],
				Env: []string{deathVariable + "=" + death, directoryVariable + "=" + directory},
			}}})
			must(t, err)
			t.Cleanup(func() { functions.Close() })
			invoked, died := make(chan struct{}, 100), make(chan error, 100)
			poller, err := esm.New(esm.Options{
				Brokers: cluster.ListenAddrs(), Stage: "detect", MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond,
				Mapping: pipeline.Mapping{Topic: topic, BatchSize: partitions * perPartition, Retries: -1},
				Invoke: func(ctx context.Context, payload []byte) ([]byte, error) {
					defer func() { invoked <- struct{}{} }()
					answer, err := functions.Invoke(ctx, "detect", payload)
					if err != nil {
						died <- err
					}
					return answer, err
				},
			})
			must(t, err)
			running, stop := context.WithCancel(ctx)
			defer stop()
			ended := make(chan error, 1)
			go func() { ended <- poller.Run(running) }()
			for poller.Stats().Records < partitions*perPartition {
				if !await(ctx, invoked) || !await(ctx, poller.Idle()) {
					t.Fatalf("not done in time: %+v, and the function printed\n%s", poller.Stats(), printed)
				}
			}
			stop()
			must(t, <-ended)
			must(t, functions.Close()) // everything that it printed is there then

			if len(died) != 1 {
				t.Fatalf("%d invocations failed, want one", len(died))
			}
			if err := <-died; !strings.Contains(err.Error(), expected.said) {
				t.Errorf("died of %v, want %s", err, expected.said)
			}
			all := printed.received(t)
			if len(all) < 2 {
				t.Fatalf("received %q, want the event of the death and those after it", all)
			}
			given := parse(t, all[0])
			for p, done := range readDone(t, directory) {
				if missing := absent(done, perPartition); len(missing) > 0 {
					t.Errorf("partition %d: offsets %v are lost", p, missing)
				}
				if again := len(done) - perPartition; again > 0 && given[p].last == 0 {
					t.Errorf("partition %d had %d records twice, and is not in the line %q", p, again, all[0])
				}
			}
			if !comesAgain(t, given, all[1:]) {
				t.Errorf("of %q not everything comes again in %q", all[0], all[1:])
			}
		})
	}
}

// await waits for a channel, and says whether it was in time.
func await(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-ctx.Done():
		return false
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func produce(t *testing.T, ctx context.Context, c *kfake.Cluster, partitions, each int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(t, err)
	defer client.Close()
	for n := range partitions * each {
		must(t, client.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: int32(n % partitions), Value: []byte("v")}).FirstErr())
	}
}

// readDone gives the offsets that were done, by partition.
func readDone(t *testing.T, directory string) map[int][]int64 {
	t.Helper()
	done := map[int][]int64{}
	for p := range 3 {
		f, err := os.Open(filepath.Join(directory, strconv.Itoa(p)))
		must(t, err)
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			o, err := strconv.ParseInt(lines.Text(), 10, 64)
			must(t, err)
			done[p] = append(done[p], o)
		}
	}
	return done
}

// absent gives the offsets below n that are not among done.
func absent(done []int64, n int64) (missing []int64) {
	for o := range n {
		if !slices.Contains(done, o) {
			missing = append(missing, o)
		}
	}
	return missing
}

type span struct{ first, last int64 }

// parse reads the offsets of a line, "partition:first-last" each.
func parse(t *testing.T, text string) map[int]span {
	t.Helper()
	spans := map[int]span{}
	for part := range strings.FieldsSeq(text) {
		var p int
		var s span
		if _, err := fmt.Sscanf(part, "%d:%d-%d", &p, &s.first, &s.last); err != nil {
			t.Fatalf("%q in %q: %v", part, text, err)
		}
		spans[p] = s
	}
	return spans
}

// comesAgain says that later events hold everything that was given.
func comesAgain(t *testing.T, given map[int]span, later []string) bool {
	t.Helper()
	again := map[int]span{}
	for _, text := range later {
		for p, s := range parse(t, text) {
			if known, ok := again[p]; ok {
				s = span{min(s.first, known.first), max(s.last, known.last)}
			}
			again[p] = s
		}
	}
	for p, s := range given {
		if a, ok := again[p]; !ok || a.first > s.first || a.last < s.last {
			return false
		}
	}
	return true
}
