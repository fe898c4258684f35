package lambdarun

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"footfall/events"
	"footfall/shared/invocation"
	"footfall/shared/stage"
)

// handlerFunc is a stage that is one function.
type handlerFunc func(context.Context, stage.Batch) error

func (f handlerFunc) Handle(ctx context.Context, b stage.Batch) error { return f(ctx, b) }

// partitionEvent returns an event of topic t with one partition per list of offsets.
func partitionEvent(offsets ...[]int64) []byte {
	var entries []string
	for p, os := range offsets {
		var records []string
		for _, o := range os {
			records = append(records, fmt.Sprintf(`{"topic":"t","partition":%d,"offset":%d}`, p, o))
		}
		entries = append(entries, fmt.Sprintf(`"t-%d":[%s]`, p, strings.Join(records, ",")))
	}
	return []byte(`{"records":{` + strings.Join(entries, ",") + `}}`)
}

// failures returns the answer that names these offsets by partition.
func failures(parts map[int][]int64) string {
	var items []string
	for p := range 16 {
		for _, o := range parts[p] {
			items = append(items, fmt.Sprintf(`{"itemIdentifier":{"partition":"t-%d","offset":%d}}`, p, o))
		}
	}
	if len(items) == 0 {
		return `{}`
	}
	return `{"batchItemFailures":[` + strings.Join(items, ",") + `]}`
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// invoke returns the answer of r, and fails the test if there is an error.
func invoke(t *testing.T, r *Runner, ctx context.Context, payload []byte) string {
	t.Helper()
	got, err := r.Invoke(ctx, payload)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestInvokeAnswer(t *testing.T) {
	someError := errors.New("throttled")
	for _, tt := range []struct {
		name    string
		offsets [][]int64
		errs    map[int32]error // by partition
		want    map[int][]int64
	}{
		{name: "no records"},
		{name: "all partitions succeed", offsets: [][]int64{{1, 2}, {7}}},
		{name: "a plain error fails its whole partition and no other",
			offsets: [][]int64{{1, 2}, {7, 8}, {5}}, errs: map[int32]error{1: someError},
			want: map[int][]int64{1: {7, 8}}},
		{name: "a failure fails the records from its offset on",
			offsets: [][]int64{{1, 2, 3, 4}}, errs: map[int32]error{0: &stage.Failure{Offset: 3, Err: someError}},
			want: map[int][]int64{0: {3, 4}}},
		{name: "a failure may be wrapped",
			offsets: [][]int64{{1, 2, 3}}, errs: map[int32]error{0: fmt.Errorf("count: %w", &stage.Failure{Offset: 3, Err: someError})},
			want: map[int][]int64{0: {3}}},
		// Compaction leaves gaps in the offsets.
		{name: "a failure in a gap begins with the offset after the gap",
			offsets: [][]int64{{1, 2, 8, 9}}, errs: map[int32]error{0: &stage.Failure{Offset: 5, Err: someError}},
			want: map[int][]int64{0: {8, 9}}},
		{name: "a failure before the batch fails the whole batch",
			offsets: [][]int64{{5, 6}}, errs: map[int32]error{0: &stage.Failure{Offset: 4, Err: someError}},
			want: map[int][]int64{0: {5, 6}}},
		{name: "a failure beyond the batch fails the whole batch",
			offsets: [][]int64{{5, 6}}, errs: map[int32]error{0: &stage.Failure{Offset: 7, Err: someError}},
			want: map[int][]int64{0: {5, 6}}},
		{name: "if every partition fails, the answer has the same form",
			offsets: [][]int64{{1, 2}, {3}}, errs: map[int32]error{0: someError, 1: &stage.Failure{Offset: 3, Err: someError}},
			want: map[int][]int64{0: {1, 2}, 1: {3}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := New("count", handlerFunc(func(_ context.Context, b stage.Batch) error { return tt.errs[b.Partition] }), discard())
			if got, want := invoke(t, r, t.Context(), partitionEvent(tt.offsets...)), failures(tt.want); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// The mapping knows a partition only by its key in the event.
func TestInvokeNamesPartitionsByTheirKeyInTheEvent(t *testing.T) {
	r := New("count", handlerFunc(func(context.Context, stage.Batch) error { return errors.New("no") }), discard())
	got := invoke(t, r, t.Context(), []byte(`{"records":{"<\u0061>":[{"topic":"t","partition":0,"offset":1}]}}`))
	var a answer
	if err := json.Unmarshal([]byte(got), &a); err != nil || len(a.Failures) != 1 || a.Failures[0].Item.Partition != "<a>" {
		t.Errorf("got %s, %v, want a failure of partition <a>", got, err)
	}
}

func TestInvokePassesTheDecodedBatches(t *testing.T) {
	var mu sync.Mutex
	got := map[int32]stage.Batch{}
	r := New("count", handlerFunc(func(_ context.Context, b stage.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		got[b.Partition] = b
		return nil
	}), discard())
	payload := partitionEvent([]int64{3, 4}, []int64{9})
	invoke(t, r, t.Context(), payload)
	want, _ := reference(payload)
	for _, p := range want {
		same(t, []Partition{{Batch: got[p.Batch.Partition]}}, []Partition{{Batch: p.Batch}})
	}
}

func TestInvokeFailsForAMalformedEvent(t *testing.T) {
	r := New("count", handlerFunc(func(context.Context, stage.Batch) error { return nil }), discard())
	got, err := r.Invoke(t.Context(), []byte(`{"records":{"t-0":[}`))
	if got != nil || err == nil || err.Error() != `stage count: decode an event of 20 bytes: byte 19: want '{', found '}'` {
		t.Errorf("got %s, %v", got, err)
	}
}

// A record with a field that is not base64 is delivered to its stage. The codec of
// the stage must reject the record, even if its plain text spells a valid record
// under a valid key.
func TestInvokeDeliversRecordThatIsNotBase64(t *testing.T) {
	sighting := `{"business":"b","sensor":"s","device":"d","rssi_dbm":-50,"seen_at":"2026-01-01T00:00:00Z","associated":true,"randomised":false}`
	if err := events.DecodeSightings([]byte("b/d"), []byte(sighting), new(events.SightingsRecord)); err != nil {
		t.Fatal("the sighting of the test is not valid:", err)
	}
	plain, _ := json.Marshal(sighting)
	encoded := base64.StdEncoding.EncodeToString([]byte(sighting))
	payload := fmt.Appendf(nil, `{"records":{"t-0":[
		{"topic":"t","partition":0,"offset":1,"key":"b/d","value":%s},
		{"topic":"t","partition":0,"offset":2,"key":"b/d","value":%q},
		{"topic":"t","partition":0,"offset":3,"key":"Yi9k","value":%q}]}}`, plain, encoded, encoded)
	var errs []error
	r := New("detect", handlerFunc(func(_ context.Context, b stage.Batch) error {
		for _, rec := range b.Records {
			errs = append(errs, events.DecodeSightings(rec.Key, rec.Value, new(events.SightingsRecord)))
		}
		return nil
	}), discard())
	if got := invoke(t, r, t.Context(), payload); got != `{}` {
		t.Error(got)
	}
	if len(errs) != 3 {
		t.Fatalf("%d records delivered, want 3", len(errs))
	}
	for i, what := range []string{"value", "key"} {
		bad, ok := errors.AsType[*events.BadRecord](errs[i])
		if !ok || bad.Reason != events.Undecodable {
			t.Errorf("broken %s: got %v, want reason undecodable", what, errs[i])
		}
	}
	if errs[2] != nil {
		t.Errorf("the valid record: got %v, want no error", errs[2])
	}
}

func TestPanicFailsOnlyItsPartition(t *testing.T) {
	r := New("count", handlerFunc(func(_ context.Context, b stage.Batch) error {
		if b.Partition == 1 {
			panic("index out of range")
		}
		return nil
	}), discard())
	event := partitionEvent([]int64{1}, []int64{2, 3}, []int64{4})
	for range 2 { // the second time as a redelivery: a panic leaves no partition held
		if got, want := invoke(t, r, t.Context(), event), failures(map[int][]int64{1: {2, 3}}); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// Partitions run side by side, up to the limit. In the test as many handlers wait
// for one another as may run at the same time: with fewer at a time it would hang.
func TestInvokeRunsPartitionsSideBySide(t *testing.T) {
	const limit = 3
	var meet sync.WaitGroup
	meet.Add(limit)
	var running, most atomic.Int32
	r := New("count", handlerFunc(func(_ context.Context, b stage.Batch) error {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if b.Partition < limit {
			meet.Done()
			meet.Wait()
		}
		return nil
	}), discard())
	r.limit = limit
	event := partitionEvent([]int64{1}, []int64{1}, []int64{1}, []int64{1}, []int64{1}, []int64{1}, []int64{1})
	if got := invoke(t, r, t.Context(), event); got != `{}` {
		t.Error(got)
	}
	if most.Load() != limit {
		t.Errorf("%d handlers at the same time, want %d", most.Load(), limit)
	}
}

// lines decodes the lines that a logger wrote.
func lines(t *testing.T, log *bytes.Buffer) (all []map[string]any) {
	t.Helper()
	for line := range bytes.Lines(log.Bytes()) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, m)
	}
	return all
}

// wantLine fails the test if a field of want differs in a logged line.
func wantLine(t *testing.T, line, want map[string]any) {
	t.Helper()
	for k, v := range want {
		if line[k] != v {
			t.Errorf("field %s: got %v, want %v, in %v", k, line[k], v, line)
		}
	}
}

func TestInvokeLogs(t *testing.T) {
	var log bytes.Buffer
	r := New("count", handlerFunc(func(_ context.Context, b stage.Batch) error {
		switch b.Partition {
		case 1:
			return &stage.Failure{Offset: 6, Err: errors.New("throttled")}
		case 2:
			panic("out of range")
		}
		return nil
	}), invocation.NewLogger(&log, slog.LevelInfo))
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "8476a536"})
	invoke(t, r, ctx, partitionEvent([]int64{1}, []int64{5, 6, 7}, []int64{4, 9}))

	got := lines(t, &log)
	if len(got) != 4 {
		t.Fatalf("got %d lines, want one per failed partition and two for the event: %s", len(got), &log)
	}
	wantLine(t, got[0], map[string]any{"level": "INFO", "message": "event received", "stage": "count", "requestId": "8476a536",
		"records": 6.0})
	if offsets, _ := json.Marshal(got[0]["offsets"]); string(offsets) != `{"t":"0:1-1 1:5-7 2:4-9"}` {
		t.Errorf("offsets: got %s", offsets)
	}
	got = got[1:]
	wantLine(t, got[0], map[string]any{"level": "ERROR", "message": "partition failed", "stage": "count", "requestId": "8476a536",
		"topic": "t", "partition": 1.0, "firstOffset": 5.0, "lastOffset": 7.0, "retryFrom": 6.0, "error": "from offset 6: throttled", "stack": nil})
	wantLine(t, got[1], map[string]any{"level": "ERROR", "partition": 2.0, "firstOffset": 4.0, "lastOffset": 9.0, "retryFrom": 4.0,
		"error": "panic: out of range"})
	if stack, _ := got[1]["stack"].(string); !strings.Contains(stack, "TestInvokeLogs") {
		t.Errorf("the stack does not name the handler: %s", stack)
	}
	wantLine(t, got[2], map[string]any{"level": "INFO", "message": "event handled", "stage": "count", "requestId": "8476a536",
		"records": 6.0, "partitions": 3.0, "failedPartitions": 2.0, "undoneRecords": 4.0})
	for _, key := range []string{"timestamp", "durationMs"} {
		if got[2][key] == nil {
			t.Errorf("no %s in %v", key, got[2])
		}
	}
}
