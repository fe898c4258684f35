package watch_test

import (
	"slices"
	"strings"
	"testing"
)

// repeat is the same point n times over.
func repeat(n int, point float64) []float64 { return slices.Repeat([]float64{point}, n) }

// then returns the points of all parts in sequence.
func then(parts ...[]float64) []float64 { return slices.Concat(parts...) }

// rising is n points from a number on, each higher by step.
func rising(n int, from, step float64) []float64 {
	points := make([]float64, n)
	for i := range points {
		points[i] = from + float64(i)*step
	}
	return points
}

// ruleCase is the behaviour of an alarm on some data. Points are one period of the
// rule apart.
type ruleCase struct {
	alarm string // without the stack
	story string
	data  series
	want  string
}

// ruleCases have data on which each rule goes off, and similar data on which it does
// not. They are of size small; broker-disk is of an existing cluster.
var ruleCases = []ruleCase{
	{"function-errors-count", "a release that crashes, as a canary of a tenth",
		series{"errors": {0, 120}, "invocations": {1200, 1200}}, "ALARM"},
	{"function-errors-count", "one hiccup of the platform in a busy minute",
		series{"errors": {0, 1}, "invocations": {1200, 1200}}, "OK"},
	{"function-errors-count", "nothing to do, so no metric",
		series{"errors": {none, none}, "invocations": {none, none}}, "OK"},

	{"failed-partitions-count", "a release that fails all it gets, as a canary of a tenth",
		series{"failed": {none, none, none, 110, 120}, "invocations": repeat(5, 1200)}, "ALARM"},
	{"failed-partitions-count", "one throttled minute",
		series{"failed": {none, none, none, 300, none}, "invocations": repeat(5, 1200)}, "OK"},
	{"failed-partitions-count", "no failure, so no metric",
		series{"failed": repeat(5, none), "invocations": repeat(5, 1200)}, "OK"},

	{"failed-posts-ingest", "a release that stores nothing, as a canary of a tenth",
		series{"failed": {none, none, none, 110, 120}, "invocations": repeat(5, 1200)}, "ALARM"},
	{"failed-posts-ingest", "a broker restarts: one minute of failures",
		series{"failed": {none, none, 900, none, none}, "invocations": repeat(5, 1200)}, "OK"},
	{"failed-posts-ingest", "no failure, so no metric",
		series{"failed": repeat(5, none), "invocations": repeat(5, 1200)}, "OK"},

	{"api-errors-ingest", "ingest is not reached: the API answers in its place",
		series{"errors": {0, 0, 60, 60, 60}, "posts": repeat(5, 60)}, "ALARM"},
	{"api-errors-ingest", "a broker restarts", series{"errors": {0, 0, 60, 10, 0}, "posts": repeat(5, 60)}, "OK"},
	{"api-errors-ingest", "nothing is posted, so no metric", series{"errors": repeat(5, none), "posts": repeat(5, none)}, "OK"},

	{"refused-posts-ingest", "a cloud changes its format: a third is refused",
		series{"refused": repeat(3, 5_000), "posts": repeat(3, 15_000)}, "ALARM"},
	{"refused-posts-ingest", "a few routers with an old secret", series{"refused": repeat(3, 500), "posts": repeat(3, 15_000)}, "OK"},
	{"refused-posts-ingest", "somebody tries addresses where nothing is posted",
		series{"refused": repeat(3, 15), "posts": repeat(3, 15)}, "OK"},

	{"unauthorised-posts-ingest", "somebody guesses", series{"value": {4_000}}, "ALARM"},
	{"unauthorised-posts-ingest", "one router with an old secret", series{"value": {5}}, "OK"},
	{"unauthorised-posts-ingest", "none, so no metric", series{"value": {none}}, "OK"},

	{"throttled-posts-ingest", "more posts than are let in", series{"value": {none, 9_000, 8_000, none, 9_500}}, "ALARM"},
	{"throttled-posts-ingest", "all routers post on the minute, after an outage", series{"value": {none, 9_000, 300, none, none}}, "OK"},

	{"slow-posts-ingest", "the brokers are slow to acknowledge", series{"value": {200, 6_000, 9_000, 300, 7_000}}, "ALARM"},
	{"slow-posts-ingest", "cold starts after a release", series{"value": {200, 2_600, 6_100, 300, 200}}, "OK"},

	{"no-sightings-ingest", "nothing is posted, so no metric", series{"value": repeat(3, none)}, "ALARM"},
	{"no-sightings-ingest", "posts come, and nothing in them is taken", series{"value": repeat(3, 0)}, "ALARM"},
	{"no-sightings-ingest", "one till in the night", series{"value": {none, none, 5}}, "OK"},

	{"slow-invocations-detect", "a table that answers in seconds, two minutes of five",
		series{"value": {900, 49_000, 1_000, 58_000, 900}}, "ALARM"},
	{"slow-invocations-detect", "one cold start on a long chain",
		series{"value": {900, 52_000, 1_000, 900, 900}}, "OK"},

	{"throttles-enrich", "concurrency is used up", series{"value": {0, 3, 40, 0, 60}}, "ALARM"},
	{"throttles-enrich", "refused for two minutes while the alias moves", series{"value": {0, 3, 40, 0, 0}}, "OK"},

	{"idle-detect", "the mapping is disabled: no invocations, so no metric", series{"value": then(repeat(5, 60), repeat(5, none))}, "ALARM"},
	{"idle-tick", "one minute was skipped", series{"value": {1, 1, none, 1, 1}}, "OK"},

	{"event-age-detect", "records wait for six minutes", series{"value": {1_000, 200_000, 310_000, 360_000, 380_000}}, "ALARM"},
	{"event-age-detect", "a batch was tried again for a while", series{"value": {1_000, 310_000, 320_000, 2_000, 1_000}}, "OK"},
	{"event-age-identify", "a backfill waits behind live events", series{"value": repeat(5, 3_600_000)}, "OK"},

	{"dead-letters-count", "a single record", series{"value": {1}}, "ALARM"},
	{"dead-letters-count", "none, so no metric", series{"value": {none}}, "OK"},

	{"lag-records-detect-sightings", "six minutes of sightings, for ten minutes", series{"value": repeat(10, 1_800_000)}, "ALARM"},
	{"lag-records-detect-sightings", "a burst that more pollers work off in time",
		series{"value": then(repeat(8, 2_000_000), repeat(2, 400_000))}, "OK"},
	{"lag-records-detect-sightings", "a dead poller has no metric: others tell of it", series{"value": repeat(10, none)}, "OK"},
	{"lag-records-identify-crm-events-backfill", "a backfill of 100,000 logins", series{"value": repeat(10, 100_000)}, "OK"},

	{"lag-time-count-enriched-walk-ins", "ten minutes to go, and it stays so", series{"value": repeat(5, 600)}, "ALARM"},
	{"lag-time-count-enriched-walk-ins", "a minute to go", series{"value": repeat(5, 60)}, "OK"},
	{"lag-time-count-enriched-walk-ins", "the group rebalances, and the cluster has no estimate",
		series{"value": then(repeat(2, 600), repeat(5, none))}, "kept"},
	{"lag-time-identify-crm-events-backfill", "an hour to go in a backfill", series{"value": repeat(5, 3_600)}, "OK"},

	{"no-progress-detect-sightings", "one partition is stuck: ticks alone add one a minute",
		series{"lag": rising(12, 1, 1)}, "ALARM"},
	{"no-progress-detect-sightings", "the poller is dead and nothing more comes in",
		series{"lag": repeat(12, 7)}, "ALARM"},
	{"no-progress-detect-sightings", "nothing waits", series{"lag": repeat(12, 0)}, "OK"},
	{"no-progress-detect-sightings", "behind, and worked off", series{"lag": rising(12, 90_000, -5_000)}, "OK"},
	{"no-progress-detect-sightings", "lag goes up and down as ever",
		series{"lag": {40, 90, 70, 120, 20, 60, 80, 90, 30, 10, 50, 90}}, "OK"},
	{"no-progress-detect-sightings", "stuck, while the group rebalances: what was rung stays",
		series{"lag": then(rising(5, 1, 1), repeat(7, none))}, "kept"},

	{"failed-invokes-enrich-walk-ins", "the alias was deleted", series{"failed": repeat(5, 500), "invoked": repeat(5, 500)}, "ALARM"},
	{"failed-invokes-enrich-walk-ins", "a minute of retries", series{"failed": {none, none, 400, none, none}, "invoked": repeat(5, 500)}, "OK"},

	{"dropped-records-detect-sightings", "the dead letters could not be written", series{"value": {500}}, "ALARM"},
	{"dropped-records-detect-sightings", "nothing was dropped, so no metric", series{"value": {none}}, "OK"},
	{"given-up-records-detect-sightings", "a record that kills the process, after 100 tries", series{"value": {1}}, "ALARM"},
	{"given-up-records-detect-sightings", "nothing was given up, so no metric", series{"value": {none}}, "OK"},

	{"table-throttles-counts-writes", "a hot key", series{"value": {none, 5, 80, none, 90}}, "ALARM"},
	{"table-throttles-counts-writes", "the table grows for two minutes", series{"value": {none, 900, 80, none, none}}, "OK"},
	{"table-system-errors-pending", "errors for ten minutes", series{"value": {none, 12, 30}}, "ALARM"},
	{"table-system-errors-pending", "a single error", series{"value": {none, 1, none}}, "OK"},

	{"conflict-rate-visit-log", "two environments fight for a partition",
		series{"conflicts": repeat(3, 3_000), "writes": repeat(3, 9_000)}, "ALARM"},
	{"conflict-rate-visit-log", "no conflict, so no metric", series{"conflicts": repeat(3, none), "writes": repeat(3, 9_000)}, "OK"},
	{"conflict-rate-counts", "a burst of redelivery after a crash",
		series{"conflicts": {none, 4_000, none}, "writes": repeat(3, 9_000)}, "OK"},
	{"conflict-rate-identities", "three logins in a quiet night, of which one lost",
		series{"conflicts": repeat(3, 1), "writes": repeat(3, 3)}, "OK"},

	{"broker-cpu-cluster", "the busiest broker is 70 % busy", series{"value": repeat(15, 30)}, "ALARM"},
	{"broker-cpu-cluster", "the cluster is gone", series{"value": repeat(15, none)}, "ALARM"},
	{"broker-cpu-cluster", "busy for ten minutes", series{"value": then(repeat(5, 70), repeat(10, 20))}, "OK"},
	{"broker-disk-cluster", "a disk is 80 % full", series{"value": repeat(3, 80)}, "ALARM"},
	{"broker-disk-cluster", "Express brokers have no such metric", series{"value": repeat(3, none)}, "OK"},

	// Size small is planned for 5,000 sightings/s: 3.6 GB an hour.
	{"storage-growth-cluster", "twice the sightings planned, for six hours", series{"storage": rising(8, 1e12, 7.2e9)}, "ALARM"},
	{"storage-growth-cluster", "a busy morning", series{"storage": then(rising(4, 1e12, 3e9), rising(4, 1.02e12, 7.2e9))}, "OK"},
	{"storage-growth-cluster", "retention drops as much as comes in", series{"storage": repeat(8, 1e12)}, "OK"},
}

func TestRules(t *testing.T) {
	small, existing := deployments()[1].parsed(t), deployments()[3].parsed(t)
	tried := map[string]map[string]bool{}
	for _, c := range ruleCases {
		template := small
		if strings.HasPrefix(c.alarm, "broker-disk") {
			template = existing
		}
		a := alarmNamed(t, template, prefix+"-"+c.alarm)
		t.Run(c.alarm+": "+c.story, func(t *testing.T) {
			if got := state(t, a, c.data); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
		kind, _ := a.Anchor()
		if tried[kind] == nil {
			tried[kind] = map[string]bool{}
		}
		tried[kind][c.want] = true
	}
	for _, d := range deployments() {
		for _, a := range d.parsed(t).Alarms() {
			if kind, _ := a.Anchor(); !tried[kind]["ALARM"] || !tried[kind]["OK"] {
				t.Errorf("rule %s has no case in which it rings and one in which it does not", kind)
			}
		}
	}
}

// TestLimitsFollowTheDeployment compares computed limits with the figures that they
// are computed from.
func TestLimitsFollowTheDeployment(t *testing.T) {
	for _, c := range []struct {
		alarm             string
		dev, small, large float64
		why               string
	}{
		{"lag-records-detect-sightings", 30_000, 1_500_000, 30_000_000, "five minutes of 100, 5,000 and 100,000 sightings/s"},
		{"lag-records-enrich-walk-ins", 1_500, 75_000, 1_500_000, "a walk-in per 20 sightings at most"},
		{"lag-records-identify-crm-events", 1_000, 7_500, 150_000, "an event per 200 sightings, and 1,000 are no queue"},
		{"lag-records-identify-crm-events-backfill", 10_800, 540_000, 10_800_000, "six hours of them"},
		{"event-age-identify", 21_600_000, 21_600_000, 21_600_000, "its most patient topic is the backfill: six hours"},
		{"slow-invocations-ingest", 20_000, 20_000, 20_000, "80 % of 25 s"},
		{"slow-invocations-tick", 24_000, 24_000, 24_000, "80 % of 30 s"},
		{"slow-invocations-detect", 48_000, 48_000, 48_000, "80 % of a minute"},
	} {
		for i, want := range []float64{c.dev, c.small, c.large} {
			d := deployments()[i]
			if got := alarmNamed(t, d.parsed(t), prefix+"-"+c.alarm).Properties["Threshold"]; got != want {
				t.Errorf("%s of size %s: %v, want %v: %s", c.alarm, d.name, got, want, c.why)
			}
		}
	}
}

// TestLagHasTwoSources checks that one missing source does not silence all alarms of
// lag. Pollers on demand have no metrics that AWS promises, so their alarms use the
// cluster's metrics alone.
func TestLagHasTwoSources(t *testing.T) {
	for _, d := range deployments() {
		fromPoller, fromCluster := 0, 0
		for _, a := range d.parsed(t).Alarms() {
			if !strings.Contains(a.Name, "-detect-sightings") {
				continue
			}
			text := mustJSON(t, a.Properties)
			switch {
			case strings.Contains(text, "EventSourceMappingUUID"):
				fromPoller++
			case strings.Contains(text, `"Consumer Group"`):
				fromCluster++
			}
		}
		if fromCluster == 0 {
			t.Errorf("%s: no alarm of lag works when the poller is dead", d.name)
		}
		if provisioned := d.size.Pollers.Max > 0; provisioned != (fromPoller > 0) {
			t.Errorf("%s: %d alarms on metrics of pollers, which are provisioned: %v", d.name, fromPoller, provisioned)
		}
	}
}
