package watch

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"

	"footfall/shared/pipeline"
)

// rule is one kind of alarm. Its name is part of the name of its alarms, and
// the anchor of its section in docs/runbook.md.
type rule struct {
	name    string
	means   string // what it says when it rings, for people
	do      string // what to look at first
	metric  func(target) awscloudwatch.IMetric
	compare awscloudwatch.ComparisonOperator
	limit   func(target) float64
	period  time.Duration
	// It rings when the limit is broken in breaches of the last of periods.
	breaches, of int
	missing      awscloudwatch.TreatMissingData
	why          string            // this limit, and this treatment of missing data
	applies      func(target) bool // nil for everywhere
	// release says that it also rolls a release back, see ReleaseAlarms.
	release bool
}

const (
	atLeast = awscloudwatch.ComparisonOperator_GREATER_THAN_OR_EQUAL_TO_THRESHOLD
	below   = awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD

	// Missing is fine: the metric exists only where there is something to tell.
	fine = awscloudwatch.TreatMissingData_NOT_BREACHING
	// Missing is wrong: the metric exists as long as things work.
	wrong = awscloudwatch.TreatMissingData_BREACHING
	// Missing tells nothing: the alarm stays what it is.
	unknown = awscloudwatch.TreatMissingData_IGNORE
)

// at is a limit that is the same everywhere.
func at(n float64) func(target) float64 { return func(target) float64 { return n } }

// stageRules are the alarms of each stage. Metrics of functions are those of
// the live alias: what is invoked by hand past it wakes nobody.
var stageRules = []rule{
	{
		name: "function-errors", release: true,
		means:  "Over 1 % of a minute's invocations crashed, ran out of time or memory, or got an event that cannot be read. Their records, or posts, come again.",
		do:     "Read the log of the failed invocations; if a release was just made, roll it back.",
		metric: aliasErrorShare, compare: atLeast, limit: at(1), period: time.Minute, breaches: 1, of: 1, missing: fine,
		why: "A stage answers failed partitions in its answer, so an error of the function is a defect or the platform's. " +
			"A share, since one hiccup of the platform in 1,200 invocations a minute must not wake anybody, and a canary " +
			"that gets a tenth must be seen at once. No invocations, no errors: idle tells of those.",
	},
	{
		name: "failed-partitions", release: true, applies: readsTopics,
		means:  "Over 5 % of the events had a partition that could not be done. It is given again until it can be, and holds up what is behind it.",
		do:     "Look for the line \"partition failed\" in the log: it says which partition, from which offset on, and why.",
		metric: failedEventShare, compare: atLeast, limit: at(5), period: time.Minute, breaches: 2, of: 5, missing: fine,
		why: "Function errors do not show these. A throttled write fails one partition for one try, so a single minute is not enough; " +
			"a canary that fails everything it gets shows as 10 %. The count is missing while nothing fails.",
	},
	{
		name: "failed-posts", release: true, applies: takesPosts,
		means:  "Over 5 % of the posts were answered with a failure of ours (5xx). Their senders post them again, those that do.",
		do:     "Look for \"post handled\" with a status of 500 and more in the log: it says why. If a release was just made, roll it back.",
		metric: failedPostShare, compare: atLeast, limit: at(5), period: time.Minute, breaches: 2, of: 5, missing: fine,
		why: "Ingest answers what it could not store, so errors of the function do not show it. As for failed-partitions, a canary that " +
			"fails everything shows as 10 %, and one broker that restarts is over within a minute. The count is missing while nothing fails.",
	},
	{
		name: "slow-invocations", release: true,
		means:  "An invocation took over 80 % of its timeout. Shortly before the timeout what is left is given up and comes again.",
		do:     "See which of Kafka and DynamoDB is slow, and whether events are larger than they were.",
		metric: aliasLongest, compare: atLeast, limit: ofTimeout(0.8), period: time.Minute, breaches: 2, of: 5, missing: fine,
		why: "The runner stops 2 s before the timeout, so from there on nothing shows but failed partitions. " +
			"One slow minute is what a cold start on a long chain takes. No invocations, no duration.",
	},
	{
		name:   "throttles",
		means:  "Invocations are refused for lack of concurrency. Records wait, nothing is lost; posts are answered 5xx, and are up to their senders.",
		do:     "Compare the function's reserved concurrency and the account's limit with its concurrent executions.",
		metric: aliasThrottles, compare: atLeast, limit: at(1), period: time.Minute, breaches: 3, of: 5, missing: fine,
		why: "Reserved concurrency is one per partition, so the pollers cannot need more, and what is let in of posts at an even pace can be worked off with theirs; " +
			"a minute or two of it is normal while a deployment moves the alias. No invocations, no throttles.",
	},
	{
		name: "idle", applies: alwaysFed,
		means: "The function has not been called for five minutes, although ticks should bring it input every minute. " +
			"Time stands still: no visit begins or ends.",
		do:     "For tick look at its schedule, for detect at its event source mapping.",
		metric: aliasInvocations, compare: below, limit: at(1), period: time.Minute, breaches: 5, of: 5, missing: wrong,
		why: "A tick goes to every partition of sightings each minute, whatever the shops do. A function that is not called has no " +
			"metric at all, so missing is what this looks for.",
	},
	{
		name: "event-age", applies: readsTopics,
		means:  "Records waited too long in their topic before the function got them: walk-ins are told late.",
		do:     "Look at lag-time and throttles of the same stage. After a replay or a reset of offsets this is expected.",
		metric: oldestRecord, compare: atLeast, limit: allowedMilliseconds, period: time.Minute, breaches: 3, of: 5, missing: fine,
		why: "Measured by the function itself, from the records' timestamps: it holds where the cluster's and the mapping's own " +
			"figures are missing. No events, no age: idle and no-progress tell of those.",
	},
	{
		name: "dead-letters", applies: readsTopics,
		means:  "Records that can never be processed were put aside. The others go on, these wait for people.",
		do:     "List them with footfall dead-letters list: each says why.",
		metric: deadLetters, compare: atLeast, limit: at(1), period: 5 * time.Minute, breaches: 1, of: 1, missing: fine,
		why: "None is expected: each is a producer's mistake, or a walk-in that nobody was told of. " +
			"The count is missing while there are none.",
	},
}

// mappingRules are the alarms of each event source mapping. Lag is read from
// two sources, the poller and the cluster, so that the failure of one of them is
// not silence.
var mappingRules = []rule{
	{
		name:   "lag-records",
		means:  "More records wait than come in during the time allowed, at the rate this deployment is made for.",
		do:     "See whether input grew or processing slowed: compare in, latency and errors of the stage's row on the dashboard.",
		metric: waitingRecords, compare: atLeast, limit: allowedRecords, period: time.Minute, breaches: 10, of: 10, missing: fine,
		why: "Ten minutes, for pollers need three to become more. A poller that is dead has no metric: " +
			"lag-time, no-progress and idle see that from the cluster.",
	},
	{
		name:   "lag-time",
		means:  "At the present pace it takes longer than allowed to work off what waits.",
		do:     "As for lag-records. If the lag in records is small, the pace is what fell: look for errors and throttles.",
		metric: estimatedLag, compare: atLeast, limit: allowedSeconds, period: time.Minute, breaches: 5, of: 5, missing: unknown,
		why: "The cluster's own estimate. It has none while a consumer group rebalances, which says nothing " +
			"about the lag: neither all clear nor an alarm.",
	},
	{
		name:   "no-progress",
		means:  "Records wait, and for ten minutes their number never shrank in the partition that is furthest behind. Either nothing is taken off it, or far more comes in.",
		do:     "Look for \"partition failed\" in the log: one partition may be stuck. Then at the state of the event source mapping.",
		metric: notShrinking, compare: atLeast, limit: at(1), period: time.Minute, breaches: 10, of: 10, missing: unknown,
		why: "The cluster's figure, since a dead poller has none. The partition furthest behind, since a stuck one soon is that, " +
			"while the sum shrinks with the others. Lag that is worked off goes up and down, and does not rise ten times in a row.",
	},
	{
		name: "failed-invokes", applies: provisioned,
		means:  "Over 10 % of the records given to the function were not done: it failed, was throttled, or may not be called.",
		do:     "If function-errors, failed-partitions and throttles are quiet, read the mapping's log: the function was not reached.",
		metric: failedInvokeShare, compare: atLeast, limit: at(10), period: time.Minute, breaches: 3, of: 5, missing: fine,
		why: "Counted by the poller, so it sees what never reaches the function. Retries succeed after a minute or two. " +
			"Only provisioned pollers have the metric; on demand function-errors shows every failed batch.",
	},
	{
		name: "dropped-records", applies: provisioned,
		means:  "The event source mapping gave records up and could not put them at its failure destination either. They are only in their topic now.",
		do:     "At once: find which offsets, mend the destination, and shift the group's offsets back to them.",
		metric: dropped, compare: atLeast, limit: at(1), period: 5 * time.Minute, breaches: 1, of: 1, missing: fine,
		why: "The one way in which a record passes the pipeline by. Pollers on demand never give up, so there is nothing to drop. " +
			"The metric is missing while nothing is dropped.",
	},
	{
		name: "given-up-records", applies: provisioned,
		means:  "Records failed in every one of their tries and went to the failure destination. They are kept, but not counted.",
		do:     "Find the cause in the log, mend it, then bring the records back with footfall dead-letters redrive.",
		metric: givenUp, compare: atLeast, limit: at(1), period: 5 * time.Minute, breaches: 1, of: 1, missing: fine,
		why: "100 tries are over before this. Pollers on demand have no failure destination and hold the partition instead: " +
			"no-progress. The metric is missing while nothing is given up.",
	},
}

// tableRules are the alarms of each table.
var tableRules = []rule{
	{
		name:   "table-system-errors",
		means:  "DynamoDB answers with internal errors, over and over. Clients try again, then partitions fail and come again.",
		do:     "Look at the AWS Health Dashboard; there is nothing to mend on our side.",
		metric: systemErrors, compare: atLeast, limit: at(1), period: 5 * time.Minute, breaches: 2, of: 3, missing: fine,
		why: "Single ones are normal and are retried by the SDK. The metric is missing while there are none.",
	},
	{
		name:   "conflict-rate",
		means:  "Over 20 % of the writes lost against another one: environments fight for the same items, or records come again.",
		do:     "On visit-log look for two consumers of one partition. On counts, during a replay, it is expected: an id that is counted already fails its condition.",
		metric: conflictShare, compare: atLeast, limit: at(20), period: 5 * time.Minute, breaches: 3, of: 3, missing: fine,
		why: "A lost write is decided again and costs its write units. Redelivery after a crash gives a burst, not a quarter of an hour. " +
			"Under 100 writes in five minutes a share says nothing. The count of conflicts is missing while there are none.",
	},
}

// accessRules are the alarms of reads and of writes of each table.
var accessRules = []rule{
	{
		name:   "table-throttles",
		means:  "DynamoDB refuses requests because a partition of the table, or the table, gets more than it can take. They are tried again.",
		do:     "If it lasts, see whether one key is hot, or whether a replay or a backfill runs too fast.",
		metric: throttleEvents, compare: atLeast, limit: at(1), period: time.Minute, breaches: 3, of: 5, missing: fine,
		why: "A table on demand doubles its capacity within minutes, and refuses a little meanwhile. Read and write events are apart, " +
			"since a sum of two metrics is missing where one of them is. The metric is missing while there are none.",
	},
}

// clusterRules are the alarms of the cluster.
var clusterRules = []rule{
	{
		name: "broker-cpu", applies: hasBrokers,
		means:  "A broker is over 60 % busy. While one of three is being patched, the others carry half as much again.",
		do:     "See which broker and whether partitions are spread evenly; then take a larger broker type or more brokers.",
		metric: idlestCPU, compare: below, limit: at(40), period: time.Minute, breaches: 12, of: 15, missing: wrong,
		why: "60 % is what Amazon advises to stay under (MSK developer guide, \"Best practices\"). By CpuIdle, one figure whatever the load is made of, " +
			"over all brokers however many there are. Brokers always report it; silence is an outage.",
	},
	{
		name: "broker-disk", applies: existingCluster,
		means:  "A broker's disk is over 75 % full. When it is full the broker stops, and producers with it.",
		do:     "Enlarge the storage or shorten the retention of the largest topics.",
		metric: fullestDisk, compare: atLeast, limit: at(75), period: 5 * time.Minute, breaches: 3, of: 3, missing: fine,
		why: "Only an existing cluster may have standard brokers, whose disks fill. Express brokers have no disk of their own, " +
			"and no such metric: storage-growth watches those.",
	},
	{
		name: "storage-growth", applies: hasBrokers,
		means:  "The topics grow by half as much again as planned for this size: storage costs more, and sightings are more than were planned for.",
		do:     "See which topic grows. If it is sightings, choose a larger size or a shorter retention.",
		metric: hourlyGrowth, compare: atLeast, limit: plannedGrowth(1.5), period: time.Hour, breaches: 6, of: 6, missing: fine,
		why: "Six hours, for a day has its peak. Retention stops the growth after 90 days, so growth counts and not size. " +
			"Serverless and standard clusters have no such metric.",
	},
}

// Allowed is how long records may wait in a topic. A backfill is loaded at
// once and worked off while live events go first.
const (
	allowedLive     = 5 * time.Minute
	allowedBackfill = 6 * time.Hour
)

// pace is how many records a topic gets per sighting, generously: a walk-in
// comes of dozens of sightings, a login or a change in the CRM of hundreds. It
// only says what a long queue is.
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

// fewRecords is no long queue at any size.
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

// allowedMilliseconds is for a whole stage: a line of its log does not say
// which of its topics an event came from, so the most patient one counts.
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

// sightingBytes is what a sighting takes in its topic, as JSON without
// compression; as Avro it is half of that.
const sightingBytes = 200

// plannedGrowth is bytes per hour, times a factor.
func plannedGrowth(factor float64) func(target) float64 {
	return func(t target) float64 {
		return factor * float64(t.d.Size.SightingsPerSecond) * sightingBytes * time.Hour.Seconds()
	}
}
