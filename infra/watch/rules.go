package watch

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"

	"footfall/shared/pipeline"
)

// rule is one kind of alarm. Its name is part of the names of its alarms, and the
// anchor of its section in docs/runbook.md.
type rule struct {
	name    string
	means   string // the meaning of the alarm, for an operator
	do      string // the first thing to do
	metric  func(target) awscloudwatch.IMetric
	compare awscloudwatch.ComparisonOperator
	limit   func(target) float64
	period  time.Duration
	// The alarm goes off when the limit is broken in breaches of the last of
	// periods.
	breaches, of int
	missing      awscloudwatch.TreatMissingData
	why          string            // the reason for the limit and for the treatment of missing data
	applies      func(target) bool // nil if the rule applies everywhere
	// release reports whether the alarm also rolls a release back, see
	// ReleaseAlarms.
	release bool
}

const (
	atLeast = awscloudwatch.ComparisonOperator_GREATER_THAN_OR_EQUAL_TO_THRESHOLD
	below   = awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD

	// Missing data is fine: the metric exists only while there is something to
	// count.
	fine = awscloudwatch.TreatMissingData_NOT_BREACHING
	// Missing data is a fault: the metric exists as long as the system works.
	wrong = awscloudwatch.TreatMissingData_BREACHING
	// Missing data means nothing: the alarm keeps its state.
	unknown = awscloudwatch.TreatMissingData_IGNORE
)

// at returns a limit that is the same for all targets.
func at(n float64) func(target) float64 { return func(target) float64 { return n } }

// stageRules are the alarms of each stage. Metrics of functions are those of the
// live alias: a function that is invoked by hand, without the alias, triggers no
// alarm.
var stageRules = []rule{
	{
		name: "function-errors", release: true,
		means:  "Over 1 % of a minute's invocations crashed, ran out of time or memory, or received an event that cannot be read. Their records are redelivered, their posts are posted again.",
		do:     "Read the log of the failed invocations; if a release was just made, roll it back.",
		metric: aliasErrorShare, compare: atLeast, limit: at(1), period: time.Minute, breaches: 1, of: 1, missing: fine,
		why: "A stage reports failed partitions in its answer, so an error of the function is a defect, or a fault of the platform. " +
			"A share, since one fault of the platform in 1,200 invocations a minute must not wake an operator, and a canary " +
			"with a tenth of the invocations must be seen at once. Without invocations there are no errors: idle covers that case.",
	},
	{
		name: "failed-partitions", release: true, applies: readsTopics,
		means:  "Over 5 % of the events had a partition that failed. The partition is redelivered until it succeeds, and holds up the records after it.",
		do:     "Look for the line \"partition failed\" in the log: it names the partition, the first offset and the cause.",
		metric: failedEventShare, compare: atLeast, limit: at(5), period: time.Minute, breaches: 2, of: 5, missing: fine,
		why: "Function errors do not show failed partitions. A throttled write fails one partition once, so a single minute is not enough; " +
			"a canary that always fails shows as 10 %. The count is missing while nothing fails.",
	},
	{
		name: "failed-posts", release: true, applies: takesPosts,
		means:  "Over 5 % of the posts were answered with an internal failure (5xx). Some senders post again, others do not.",
		do:     "Look for \"post handled\" with a status of 500 and more in the log: it has the cause. If a release was just made, roll it back.",
		metric: failedPostShare, compare: atLeast, limit: at(5), period: time.Minute, breaches: 2, of: 5, missing: fine,
		why: "Ingest answers posts that it could not store, so errors of the function do not show them. As for failed-partitions, a canary that " +
			"always fails shows as 10 %, and the restart of one broker takes less than a minute. The count is missing while nothing fails.",
	},
	{
		name: "slow-invocations", release: true,
		means:  "An invocation took over 80 % of its timeout. Shortly before the timeout the rest of an event is given up and redelivered.",
		do:     "Check whether Kafka or DynamoDB is slow, and whether events have grown.",
		metric: aliasLongest, compare: atLeast, limit: ofTimeout(0.8), period: time.Minute, breaches: 2, of: 5, missing: fine,
		why: "The runner stops 2 s before the timeout, so from there on only failed partitions show. " +
			"A cold start on a long changelog takes up to one slow minute. Without invocations there is no duration.",
	},
	{
		name:   "throttles",
		means:  "Invocations are rejected for lack of concurrency. Records wait, nothing is lost; posts are answered 5xx, and are lost unless their senders post again.",
		do:     "Compare the function's reserved concurrency and the account's limit with its concurrent executions.",
		metric: aliasThrottles, compare: atLeast, limit: at(1), period: time.Minute, breaches: 3, of: 5, missing: fine,
		why: "Reserved concurrency is one per partition, so the pollers cannot need more, and the reserved concurrency of ingest is enough for posts at an even rate; " +
			"a minute or two of throttles is normal while a deployment moves the alias. Without invocations there are no throttles.",
	},
	{
		name: "idle", applies: alwaysFed,
		means: "The function has not been called for five minutes, although ticks should bring it input every minute. " +
			"The watermarks stand still: no visit is confirmed by time or ended.",
		do:     "For tick check its schedule, for detect its event source mapping.",
		metric: aliasInvocations, compare: below, limit: at(1), period: time.Minute, breaches: 5, of: 5, missing: wrong,
		why: "A tick goes to every partition of sightings each minute, also when all shops are closed. A function that is not called has no " +
			"metric at all, so missing data is the alarm.",
	},
	{
		name: "event-age", applies: readsTopics,
		means:  "Records waited too long in their topic before the function received them: walk-ins are produced late.",
		do:     "Check lag-time and throttles of the same stage. After a replay or a reset of offsets this is expected.",
		metric: oldestRecord, compare: atLeast, limit: allowedMilliseconds, period: time.Minute, breaches: 3, of: 5, missing: fine,
		why: "Measured by the function itself, from the records' timestamps: it works even if the cluster's and the mapping's own " +
			"metrics are missing. Without events there is no age: idle and no-progress cover that case.",
	},
	{
		name: "dead-letters", applies: readsTopics,
		means:  "Records that can never be processed went to the dead letters. Other records go on; the dead letters wait for an operator.",
		do:     "List them with footfall dead-letters list: each has its reason.",
		metric: deadLetters, compare: atLeast, limit: at(1), period: 5 * time.Minute, breaches: 1, of: 1, missing: fine,
		why: "No dead letter is expected: each is a producer's mistake, or a walk-in that was not reported. " +
			"The count is missing while there are none.",
	},
}

// mappingRules are the alarms of each event source mapping. Lag comes from two
// sources, the poller and the cluster, so that the failure of one source does not
// hide it.
var mappingRules = []rule{
	{
		name:   "lag-records",
		means:  "More records wait than arrive in the allowed time at the rate that this deployment is made for.",
		do:     "Check whether input grew or processing slowed down: compare in, latency and errors of the stage's row on the dashboard.",
		metric: waitingRecords, compare: atLeast, limit: allowedRecords, period: time.Minute, breaches: 10, of: 10, missing: fine,
		why: "Ten minutes, since adding pollers takes three. A dead poller has no metric: " +
			"lag-time, no-progress and idle detect it by metrics of the cluster.",
	},
	{
		name:   "lag-time",
		means:  "At the present rate the waiting records take longer than allowed.",
		do:     "As for lag-records. If the lag in records is small, the rate fell: look for errors and throttles.",
		metric: estimatedLag, compare: atLeast, limit: allowedSeconds, period: time.Minute, breaches: 5, of: 5, missing: unknown,
		why: "The cluster's own estimate. It is missing while a consumer group rebalances, which means nothing " +
			"for the lag: neither all clear nor an alarm.",
	},
	{
		name:   "no-progress",
		means:  "Records wait, and for ten minutes the lag of the partition furthest behind never fell. Either its records are not processed, or far more arrive.",
		do:     "Look for \"partition failed\" in the log: one partition may be stuck. Then check the state of the event source mapping.",
		metric: notShrinking, compare: atLeast, limit: at(1), period: time.Minute, breaches: 10, of: 10, missing: unknown,
		why: "The cluster's metric, since a dead poller has none. The partition furthest behind, since a stuck partition soon is the furthest behind, " +
			"while the sum falls with the others. Lag that is worked off goes up and down, and does not rise ten times in a row.",
	},
	{
		name: "failed-invokes", applies: provisioned,
		means:  "Over 10 % of the records passed to the function were not processed: it failed, was throttled, or must not be called.",
		do:     "If function-errors, failed-partitions and throttles are quiet, read the mapping's log: the function was not reached.",
		metric: failedInvokeShare, compare: atLeast, limit: at(10), period: time.Minute, breaches: 3, of: 5, missing: fine,
		why: "Counted by the poller, so it includes records that never reach the function. Retries succeed after a minute or two. " +
			"Only provisioned pollers have the metric; on demand function-errors shows every failed batch.",
	},
	{
		name: "dropped-records", applies: provisioned,
		means:  "The event source mapping gave records up and could not write them to its failure destination either. The records are only in their topic now.",
		do:     "At once: find the offsets, mend the destination, and shift the group's offsets back to them.",
		metric: dropped, compare: atLeast, limit: at(1), period: 5 * time.Minute, breaches: 1, of: 1, missing: fine,
		why: "The only way in which a record can bypass the pipeline. Pollers on demand never give up, so they drop nothing. " +
			"The metric is missing while nothing is dropped.",
	},
	{
		name: "given-up-records", applies: provisioned,
		means:  "Records failed in all their attempts and went to the failure destination. They are kept, but not counted.",
		do:     "Find the cause in the log, mend it, then redrive the records with footfall dead-letters redrive.",
		metric: givenUp, compare: atLeast, limit: at(1), period: 5 * time.Minute, breaches: 1, of: 1, missing: fine,
		why: "100 attempts come before this. Pollers on demand have no failure destination and hold the partition instead: " +
			"no-progress. The metric is missing while nothing is given up.",
	},
}

// tableRules are the alarms of each table.
var tableRules = []rule{
	{
		name:   "table-system-errors",
		means:  "DynamoDB keeps answering with internal errors. Clients retry, then partitions fail and are redelivered.",
		do:     "Check the AWS Health Dashboard; there is nothing to mend in the deployment.",
		metric: systemErrors, compare: atLeast, limit: at(1), period: 5 * time.Minute, breaches: 2, of: 3, missing: fine,
		why: "Single errors are normal and are retried by the SDK. The metric is missing while there are none.",
	},
	{
		name:   "conflict-rate",
		means:  "The condition of over 20 % of the writes failed: environments compete for the same items, or records are redelivered.",
		do:     "On visit-log look for two consumers of one partition. On counts it is expected during a replay: an id that is counted already fails its condition.",
		metric: conflictShare, compare: atLeast, limit: at(20), period: 5 * time.Minute, breaches: 3, of: 3, missing: fine,
		why: "A failed write is decided again and costs its write units. Redelivery after a crash causes a burst, not a quarter of an hour. " +
			"Under 100 writes in five minutes a share means nothing. The count of conflicts is missing while there are none.",
	},
}

// accessRules are the alarms of reads and of writes of each table.
var accessRules = []rule{
	{
		name:   "table-throttles",
		means:  "DynamoDB rejects requests because a partition of the table, or the table, receives more than it can take. The requests are retried.",
		do:     "If it lasts, check whether one key is hot, or whether a replay or a backfill runs too fast.",
		metric: throttleEvents, compare: atLeast, limit: at(1), period: time.Minute, breaches: 3, of: 5, missing: fine,
		why: "A table on demand doubles its capacity within minutes, and rejects some requests meanwhile. Read and write events are separate, " +
			"since a sum of two metrics is missing if one of them is. The metric is missing while there are none.",
	},
}

// clusterRules are the alarms of the cluster.
var clusterRules = []rule{
	{
		name: "broker-cpu", applies: hasBrokers,
		means:  "A broker is over 60 % busy. While one of three is being patched, the others carry 50 % more.",
		do:     "Check which broker it is and whether partitions are spread evenly; then choose a larger broker type or more brokers.",
		metric: idlestCPU, compare: below, limit: at(40), period: time.Minute, breaches: 12, of: 15, missing: wrong,
		why: "Amazon advises to stay under 60 % (MSK developer guide, \"Best practices\"). By CpuIdle, one metric for all kinds of load, " +
			"over all brokers. Brokers always report it; missing data is an outage.",
	},
	{
		name: "broker-disk", applies: existingCluster,
		means:  "A broker's disk is over 75 % full. When it is full the broker stops, and producers with it.",
		do:     "Enlarge the storage or shorten the retention of the largest topics.",
		metric: fullestDisk, compare: atLeast, limit: at(75), period: 5 * time.Minute, breaches: 3, of: 3, missing: fine,
		why: "Only an existing cluster may have standard brokers, whose disks fill. Express brokers have no disk of their own, " +
			"and no such metric: storage-growth watches their storage.",
	},
	{
		name: "storage-growth", applies: hasBrokers,
		means:  "The topics grow by 50 % more than planned for this size: storage costs more, and there are more sightings than planned.",
		do:     "Check which topic grows. If it is sightings, choose a larger size or a shorter retention.",
		metric: hourlyGrowth, compare: atLeast, limit: plannedGrowth(1.5), period: time.Hour, breaches: 6, of: 6, missing: fine,
		why: "Six hours, since each day has a peak. Retention stops the growth after 90 days, so the growth counts and not the size. " +
			"Serverless and standard clusters have no such metric.",
	},
}

// The time that records may wait in a topic. A backfill is produced at once and
// worked off while live events go first.
const (
	allowedLive     = 5 * time.Minute
	allowedBackfill = 6 * time.Hour
)

// pace returns the records of a topic per sighting, estimated generously: a walk-in
// results from dozens of sightings, a login or a CRM change from hundreds. It only
// serves to decide when a queue is long.
func pace(topic string) float64 {
	switch {
	case topic == sightingsTopic:
		return 1
	case isCRM(topic):
		return 1.0 / 200
	default:
		return 1.0 / 20
	}
}

// fewRecords is a number of waiting records that is no long queue in any size.
const fewRecords = 1000

func allowed(m pipeline.Mapping) time.Duration {
	if m.Topic == backfillTopic {
		return allowedBackfill
	}
	return allowedLive
}

func allowedSeconds(t target) float64 { return allowed(t.mapping.Of).Seconds() }

func allowedRecords(t target) float64 {
	m := t.mapping.Of
	return max(fewRecords, float64(t.d.Size.SightingsPerSecond)*pace(m.Topic)*allowed(m).Seconds())
}

// allowedMilliseconds returns the limit of a whole stage: a log line does not name
// the topic of an event, so the topic with the longest limit counts.
func allowedMilliseconds(t target) float64 {
	longest := time.Duration(0)
	for _, m := range t.stage.Spec.Reads {
		longest = max(longest, allowed(m))
	}
	return float64(longest.Milliseconds())
}

func ofTimeout(share float64) func(target) float64 {
	return func(t target) float64 { return share * float64(t.stage.Spec.Timeout.Milliseconds()) }
}

// sightingBytes is the size of a sighting in its topic, as JSON without compression;
// Avro takes half of that.
const sightingBytes = 200

// plannedGrowth returns the planned growth in bytes per hour, times a factor.
func plannedGrowth(factor float64) func(target) float64 {
	return func(t target) float64 {
		return factor * float64(t.d.Size.SightingsPerSecond) * sightingBytes * time.Hour.Seconds()
	}
}
