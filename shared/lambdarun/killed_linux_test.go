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

// With deathVariable set, the test binary is a function that dies in the middle of
// its first event, in the way that the variable names (see deaths).
// directoryVariable names the directory in which the function notes the records
// that it has handled.
const (
	deathVariable     = "LAMBDARUN_TEST_DEATH"
	directoryVariable = "LAMBDARUN_TEST_DIRECTORY"
)

// deaths are the ways to end a process without time for a log line. reported is
// part of Lambda's error for the invocation.
var deaths = map[string]struct {
	die      func()
	reported string
}{
	// As Lambda ends an environment that exceeds its memory.
	"killed": {reported: "signal: killed", die: func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }},
	// As the Go runtime ends a process if the system has no more memory for it.
	// recover cannot catch this.
	"out of memory": {reported: "exit status", die: func() {
		limit := uint64(addressSpace() + 128<<20)
		if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			panic(err)
		}
		for held := [][]byte{}; ; {
			held = append(held, bytes.Repeat([]byte{1}, 16<<20))
		}
	}},
}

// addressSpace returns the size of this process's address space in bytes.
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

// mortal is a stage that notes each handled record in a file, and dies half way
// through the first batch that any process of it handles.
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

// output collects the lines that the function prints. Each Write holds one line.
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

// received returns the offsets in every logged line "event received".
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

// A process that dies in the middle of a batch cannot log which records it had.
// The line logged before the first record names them, the mapping redelivers
// them, and in the end every record is handled.
func TestProcessDiesInTheMiddleOfABatch(t *testing.T) {
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
				if !await(ctx, invoked) || !await(ctx, poller.WhenIdle()) {
					t.Fatalf("not done in time: %+v, and the function printed\n%s", poller.Stats(), printed)
				}
			}
			stop()
			must(t, <-ended)
			must(t, functions.Close()) // then all that the function printed has arrived

			if len(died) != 1 {
				t.Fatalf("%d invocations failed, want one", len(died))
			}
			if err := <-died; !strings.Contains(err.Error(), expected.reported) {
				t.Errorf("the invocation failed with %v, want %s", err, expected.reported)
			}
			all := printed.received(t)
			if len(all) < 2 {
				t.Fatalf("received %q, want the event of the death and at least one after it", all)
			}
			given := parse(t, all[0])
			for p, done := range readDone(t, directory) {
				if missing := absent(done, perPartition); len(missing) > 0 {
					t.Errorf("partition %d: offsets %v are lost", p, missing)
				}
				if again := len(done) - perPartition; again > 0 && given[p].last == 0 {
					t.Errorf("partition %d was handled with %d records twice, and the line %q does not name it", p, again, all[0])
				}
			}
			if !redelivered(t, given, all[1:]) {
				t.Errorf("not all of %q is redelivered in %q", all[0], all[1:])
			}
		})
	}
}

// await waits for a channel, and reports whether the channel was ready before ctx
// ended.
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

// readDone returns the handled offsets by partition.
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

// absent returns the offsets below n that done lacks.
func absent(done []int64, n int64) (missing []int64) {
	for o := range n {
		if !slices.Contains(done, o) {
			missing = append(missing, o)
		}
	}
	return missing
}

// span is a range of offsets, both ends included.
type span struct{ first, last int64 }

// parse reads the offsets of a line by partition; each is "partition:first-last".
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

// redelivered reports whether later events hold all offsets of given.
func redelivered(t *testing.T, given map[int]span, later []string) bool {
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
