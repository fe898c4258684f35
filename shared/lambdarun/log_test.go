package lambdarun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"footfall/events"
	"footfall/shared/invocation"
	"footfall/shared/stage"
)

// Metric filters find lines by message and field name. A change of a name is also
// a change of infra's filters and of the runbook.
func TestNamesOfMessagesAndFields(t *testing.T) {
	var log bytes.Buffer
	r := New("count", handlerFunc(func(context.Context, stage.Batch) error { return errors.New("no") }), invocation.NewLogger(&log, slog.LevelInfo))
	invoke(t, r, t.Context(), partitionEvent([]int64{1}))
	dead := stage.Record{Topic: "sightings", Value: []byte("x")}
	out := LogDeadLetters(&sink{}, "detect", invocation.NewLogger(&log, slog.LevelInfo))
	if err := out.Produce(t.Context(), []stage.Record{stage.DeadLetter("detect", &dead, events.TooLarge, errors.New("large"))}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"event received":       "level message offsets records stage timestamp",
		"partition failed":     "error firstOffset lastOffset level message partition retryFrom stage timestamp topic",
		"event handled":        "durationMs failedPartitions level message oldestMs partitions records stage timestamp undoneRecords",
		"dead letters written": "firstOffset level message partition reason records stage timestamp topic",
	}
	for _, line := range lines(t, &log) {
		message, _ := line["message"].(string)
		if got := strings.Join(slices.Sorted(maps.Keys(line)), " "); got != want[message] {
			t.Errorf("fields of %q: got %s, want %s", message, got, want[message])
		}
		delete(want, message)
	}
	if len(want) > 0 {
		t.Errorf("not logged: %v", want)
	}
}

// oldestMs is the age of the oldest record of all partitions when the event
// arrives. A record without a timestamp, or with one in the future, does not count.
func TestOldestMs(t *testing.T) {
	for _, tt := range []struct {
		name string
		ages []time.Duration // by partition; a negative one is in the future
		want float64
	}{
		{"no records", nil, 0},
		{"none has a timestamp", []time.Duration{math.MaxInt64, math.MaxInt64}, 0},
		{"the oldest record counts", []time.Duration{time.Second, 90 * time.Second, 5 * time.Millisecond}, 90_000},
		{"a record beside one without a timestamp", []time.Duration{math.MaxInt64, 7 * time.Millisecond}, 7},
		{"a timestamp in the future", []time.Duration{-time.Hour}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				r := New("count", handlerFunc(func(context.Context, stage.Batch) error {
					time.Sleep(time.Minute) // on the bubble's clock: the time of handling does not count
					return nil
				}), invocation.NewLogger(&log, slog.LevelInfo))
				var parts []string
				for p, age := range tt.ages {
					ms := int64(-1)
					if age != math.MaxInt64 {
						ms = time.Now().Add(-age).UnixMilli()
					}
					parts = append(parts, fmt.Sprintf(`"t-%d":[{"topic":"t","partition":%d,"offset":1,"timestamp":%d}]`, p, p, ms))
				}
				withTimeout(t, 14*time.Minute, func(ctx context.Context) {
					invoke(t, r, ctx, []byte(`{"records":{`+strings.Join(parts, ",")+`}}`))
				})
				all := lines(t, &log)
				wantLine(t, all[len(all)-1], map[string]any{"message": "event handled", "oldestMs": tt.want})
			})
		})
	}
}

// Logs cost by the byte. The comment of received computes the cost of the line
// from these sizes.
func TestSizeOfTheReceivedLine(t *testing.T) {
	for _, tt := range []struct{ partitions, most int }{{1, 219}, {32, 986}} {
		var log bytes.Buffer
		r := New("detect", nil, invocation.NewLogger(&log, slog.LevelInfo))
		var parts []Partition
		for p := range tt.partitions {
			b := stage.Batch{Topic: events.Sightings, Partition: int32(p), Records: []stage.Record{{Offset: 9_876_543_210}, {Offset: 9_876_543_366}}}
			parts = append(parts, Partition{ID: fmt.Sprint(events.Sightings, "-", p), Batch: b})
		}
		ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"})
		r.received(ctx, parts)
		t.Logf("%d partitions: %d bytes", tt.partitions, log.Len())
		if log.Len() > tt.most {
			t.Errorf("%d partitions: got %d bytes, want at most %d: %s", tt.partitions, log.Len(), tt.most, &log)
		}
	}
}

// sink is a producer that keeps its records, and returns err.
type sink struct {
	records []stage.Record
	err     error
}

func (s *sink) Produce(_ context.Context, records []stage.Record) error {
	s.records = append(s.records, records...)
	return s.err
}

// deadLetters returns n dead letters of a topic for a reason, with offsets from
// first on.
func deadLetters(topic string, reason events.Reason, partition int32, first int64, n int) (all []stage.Record) {
	for o := first; o < first+int64(n); o++ {
		r := stage.Record{Topic: topic, Partition: partition, Offset: o, Key: []byte("cafe/secret"), Value: []byte("00:00:5e:00:53:01"),
			Headers: []stage.Header{{Key: "own", Value: []byte("secret")}}}
		all = append(all, stage.DeadLetter("detect", &r, reason, errors.New("secret is not good")))
	}
	return all
}

func TestDeadLettersAreLogged(t *testing.T) {
	var log bytes.Buffer
	inner := &sink{}
	out := LogDeadLetters(inner, "detect", invocation.NewLogger(&log, slog.LevelInfo))
	records := deadLetters(events.Sightings, events.InvalidField, 3, 17, 2)
	records = append(records, deadLetters(events.Sightings, events.TooLarge, 4, 5, 1)...)
	records = append(records, stage.Record{Topic: events.WalkIns, Key: []byte("k")})
	records = append(records, deadLetters(events.Sightings, events.InvalidField, 9, 1, 3)...)
	records = append(records, deadLetters(events.CRMEvents, events.InvalidField, 0, 8, 1)...)
	if err := out.Produce(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	if len(inner.records) != len(records) {
		t.Errorf("%d of %d records passed on, want all", len(inner.records), len(records))
	}
	got := lines(t, &log)
	if len(got) != 3 {
		t.Fatalf("got %d lines, want one per topic and reason: %s", len(got), &log)
	}
	for i, want := range []map[string]any{
		{"topic": "sightings", "reason": "invalid-field", "records": 5.0, "partition": 3.0, "firstOffset": 17.0},
		{"topic": "sightings", "reason": "too-large", "records": 1.0, "partition": 4.0, "firstOffset": 5.0},
		{"topic": "crm-events", "reason": "invalid-field", "records": 1.0, "partition": 0.0, "firstOffset": 8.0},
	} {
		want["level"], want["message"], want["stage"] = "WARN", "dead letters written", "detect"
		wantLine(t, got[i], want)
	}
	for _, private := range []string{"secret", "00:00:5e", "cafe"} {
		if strings.Contains(log.String(), private) {
			t.Errorf("the log holds %q of a record: %s", private, &log)
		}
	}
}

// A dead letter that was put back and failed again carries the headers of both
// failures. The line holds those of the second.
func TestSecondFailureOfADeadLetterIsLogged(t *testing.T) {
	first := deadLetters(events.Sightings, events.TooLarge, 3, 17, 1)[0]
	again := stage.Record{Topic: events.Sightings, Partition: 3, Offset: 99, Headers: first.Headers}
	var log bytes.Buffer
	out := LogDeadLetters(&sink{}, "detect", invocation.NewLogger(&log, slog.LevelInfo))
	dead := stage.DeadLetter("detect", &again, events.Undecodable, errors.New("still"))
	if err := out.Produce(t.Context(), []stage.Record{dead}); err != nil {
		t.Fatal(err)
	}
	wantLine(t, lines(t, &log)[0], map[string]any{"reason": "undecodable", "firstOffset": 99.0})
}

// Dead letters that were not acknowledged are produced again, and logged then.
// Other records are never logged.
func TestNoLineWithoutAcknowledgedDeadLetters(t *testing.T) {
	for name, c := range map[string]struct {
		records []stage.Record
		err     error
	}{
		"dead letters that were not acknowledged": {deadLetters(events.Sightings, events.TooLarge, 0, 1, 1), errors.New("no broker")},
		"other records": {[]stage.Record{{Topic: events.WalkIns}, {Topic: "unknown"}}, nil},
		"nothing":       {nil, nil},
	} {
		var log bytes.Buffer
		out := LogDeadLetters(&sink{err: c.err}, "detect", invocation.NewLogger(&log, slog.LevelInfo))
		if err := out.Produce(t.Context(), c.records); !errors.Is(err, c.err) {
			t.Errorf("%s: error %v, want %v", name, err, c.err)
		}
		if log.Len() > 0 {
			t.Errorf("%s: logged %s, want nothing", name, &log)
		}
	}
}

// On-demand pollers would take a partial answer for a success. With WholeBatch the
// event fails as a whole, and the error names the failed partitions.
func TestWholeBatch(t *testing.T) {
	someError := errors.New("throttled")
	var many [][]int64
	all := map[int32]error{}
	for p := range int32(12) {
		many, all[p] = append(many, []int64{5}), someError
	}
	for _, tt := range []struct {
		name    string
		offsets [][]int64
		errs    map[int32]error
		want    string // "" for a success
	}{
		{name: "no records"},
		{name: "all partitions succeed", offsets: [][]int64{{1, 2}, {7}}},
		{"one partition fails at its second record", [][]int64{{1, 2}, {7, 8}, {5}}, map[int32]error{1: &stage.Failure{Offset: 8, Err: someError}},
			"stage count: 1 of 3 partitions undone (t-1 from offset 8 on): from offset 8: throttled"},
		{"two partitions fail", [][]int64{{1, 2}, {7, 8}, {5}}, map[int32]error{0: someError, 2: errors.New("other")},
			"stage count: 2 of 3 partitions undone (t-0 from offset 1 on, t-2 from offset 5 on): throttled"},
		{"more partitions fail than an error names", many, all,
			"stage count: 12 of 12 partitions undone (t-0 from offset 5 on, t-1 from offset 5 on, t-2 from offset 5 on, t-3 from offset 5 on, " +
				"t-4 from offset 5 on, t-5 from offset 5 on, t-6 from offset 5 on, t-7 from offset 5 on, and 4 more): throttled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			r := New("count", handlerFunc(func(_ context.Context, b stage.Batch) error { return tt.errs[b.Partition] }), invocation.NewLogger(&log, slog.LevelInfo))
			r.WholeBatch = true
			got, err := r.Invoke(t.Context(), partitionEvent(tt.offsets...))
			switch {
			case tt.want == "" && (err != nil || string(got) != `{}`):
				t.Errorf("got %s, %v, want {}", got, err)
			case tt.want != "" && (err == nil || err.Error() != tt.want || got != nil):
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
			all := lines(t, &log)
			wantLine(t, all[len(all)-1], map[string]any{"message": "event handled", "failedPartitions": float64(len(tt.errs))})
		})
	}
}
