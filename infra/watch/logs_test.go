package watch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"footfall/events"
	"footfall/infra/watch/watchtest"
	"footfall/shared/invocation"
	"footfall/shared/lambdarun"
	"footfall/shared/memory"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

// outbox is the producer of a stage in these tests.
type outbox struct{ err error }

func (o outbox) Produce(context.Context, []stage.Record) error { return o.err }

// logged runs stage count on an event of two records, as the function does, and
// returns its log. produce is the result of producing.
func logged(t *testing.T, produce error) [][]byte {
	t.Helper()
	var log bytes.Buffer
	logger := invocation.NewLogger(&log, slog.LevelInfo)
	out := lambdarun.LogDeadLetters(outbox{produce}, pipeline.Count, logger)
	h := stage.NewCount(stage.CountDeps{Counts: memory.NewCounts(), Out: out})
	if _, err := lambdarun.New(pipeline.Count, h, logger).Invoke(t.Context(), []byte(twoRecords)); err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(log.Bytes()), []byte("\n"))
}

// twoRecords holds a record that cannot be decoded and a record without a value,
// from a moment in 2026.
const twoRecords = `{"records":{"` + events.EnrichedWalkIns + `-3":[
	{"topic":"` + events.EnrichedWalkIns + `","partition":3,"offset":7,"timestamp":1793613781000,"timestampType":"CREATE_TIME","key":"eA==","value":"eA=="},
	{"topic":"` + events.EnrichedWalkIns + `","partition":3,"offset":8,"timestamp":1793613781000,"timestampType":"CREATE_TIME","key":"eA=="}]}}`

// logLines returns log lines of a function that succeeded, of one that wrote dead
// letters, and of one whose producer failed.
func logLines(t *testing.T) [][]byte {
	t.Helper()
	return slices.Concat(logged(t, nil), logged(t, errors.New("no broker")), postLines(t), accessLines(t, "200", "429"))
}

// TestFiltersCountWhatIsLogged applies each filter to the log of one event that
// succeeded and one that failed.
func TestFiltersCountWhatIsLogged(t *testing.T) {
	well, failed := logged(t, nil), logged(t, errors.New("no broker"))
	for _, c := range []struct {
		metric       string
		well, failed float64 // the sum of the values that the filter publishes
		why          string
	}{
		{"RecordsHandled", 2, 2, "an event is handled, whatever comes of it"},
		{"FailedEvents", 0, 1, "one event had a partition that failed, and the other none"},
		{"DeadLetters", 2, 0, "what was not written is no dead letter; it comes again"},
	} {
		if got := published(t, c.metric, pipeline.Count, well); got != c.well {
			t.Errorf("%s of the event that went well: %v, want %v: %s", c.metric, got, c.well, c.why)
		}
		if got := published(t, c.metric, pipeline.Count, failed); got != c.failed {
			t.Errorf("%s of the event that failed: %v, want %v: %s", c.metric, got, c.failed, c.why)
		}
	}
	// 2026-11-02 is in the past; in the future the age would be 0.
	if got := published(t, "OldestRecordMs", pipeline.Count, well); got <= 0 {
		t.Errorf("age of the oldest record: %v ms, want more than 0", got)
	}
}

// published returns the sum of the values that the filter of a stage's metric makes
// of the lines.
func published(t *testing.T, metric, stageName string, lines [][]byte) float64 {
	t.Helper()
	total := 0.0
	for id, p := range deployments()[1].parsed(t).Resources("AWS::Logs::MetricFilter") {
		transformation := p["MetricTransformations"].([]any)[0].(map[string]any)
		if transformation["MetricName"] != metric || !strings.Contains(strings.ToLower(id), stageName) {
			continue
		}
		for _, line := range lines {
			one := watchtest.Template{"Resources": map[string]any{id: map[string]any{"Type": "AWS::Logs::MetricFilter", "Properties": p}}}
			if watchtest.CheckFilters(one, [][]byte{line}) != nil {
				continue // does not match
			}
			total += valueOf(t, transformation["MetricValue"].(string), line)
		}
	}
	return total
}

func valueOf(t *testing.T, value string, line []byte) float64 {
	t.Helper()
	field, selected := strings.CutPrefix(value, "$.")
	if !selected {
		return 1
	}
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		t.Fatal(err)
	}
	return fields[field].(float64)
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// replaced returns v with all occurrences of a text replaced.
func replaced(t *testing.T, v any, from, to string) any {
	t.Helper()
	quote := func(s string) string { return strings.Trim(strings.TrimSpace(mustJSON(t, s)), `"`) }
	before := mustJSON(t, v)
	var after any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(before, quote(from), quote(to))), &after); err != nil {
		t.Fatal(err)
	}
	return after
}
