package watch

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// logMetric is a metric from the log lines of shared/lambdarun, shared/ingest or the
// API. With JSON as the function's log format Lambda stores such a line unchanged. A
// metric costs $0.30 a month for every value of its dimension, so only figures that
// no other metric holds are here.
type logMetric struct {
	name string
	// pattern names all fields that are used, the dimension as well: CloudWatch
	// takes values only from fields that a pattern matched.
	pattern string
	value   string
	by      dimension
}

// dimension is the dimension of a metric, or "" for none. Only a field with few
// values can be a dimension: a client that can invent values could run up the bill.
type dimension string

const (
	byStage dimension = "Stage"
	byCode  dimension = "Code" // of a rejection; shared/ingest lists all codes
)

// selector returns the field of a log line with the dimension's value.
func (d dimension) selector() string { return "$." + strings.ToLower(string(d)) }

var (
	handledRecords = logMetric{"RecordsHandled", `{ ($.message = "event handled") && ($.records = *) && ($.stage = *) }`, "$.records", byStage}
	failedEvents   = logMetric{"FailedEvents", `{ ($.message = "event handled") && ($.failedPartitions > 0) && ($.stage = *) }`, "1", byStage}
	oldestMs       = logMetric{"OldestRecordMs", `{ ($.message = "event handled") && ($.oldestMs = *) && ($.stage = *) }`, "$.oldestMs", byStage}
	deadRecords    = logMetric{"DeadLetters", `{ ($.message = "dead letters written") && ($.records = *) && ($.stage = *) }`, "$.records", byStage}
)

// Metrics of the posts that ingest answers.
var (
	acceptedSightings = logMetric{"SightingsAccepted", `{ ($.message = "post handled") && ($.accepted = *) }`, "$.accepted", ""}
	leftOut           = logMetric{"LeftOut", `{ ($.message = "post handled") && ($.leftOut = *) }`, "$.leftOut", ""}
	refusals          = logMetric{"Refusals", `{ ($.message = "post handled") && ($.status > 399) && ($.code = *) }`, "1", byCode}
	failedPosts       = logMetric{"FailedPosts", `{ ($.message = "post handled") && ($.status > 499) }`, "1", ""}
	unauthorisedPosts = logMetric{"UnauthorisedPosts", `{ ($.message = "post handled") && ($.status = 401) }`, "1", ""}
)

// throttledPosts counts the posts that the API or ingest rejected by a rate limit.
var throttledPosts = logMetric{"ThrottledPosts", `{ ($.status = "429") && ($.lambda = *) }`, "1", ""}

// AccessLog is the line that the API logs for a request (API Gateway developer
// guide, on access logs of HTTP APIs). It is billed by the byte, so it has short
// names and only fields that no other log has: "lambda" is the status of Lambda's
// answer, or "-" if the API did not invoke the function; with "-" a status of 404
// means that no such route exists. The id is mandatory. There are no IP addresses
// and no paths: ingest's line has business and kind. All values are strings.
const AccessLog = `{"id":"$context.requestId","status":"$context.status","lambda":"$context.integrationStatus",` +
	`"error":"$context.integrationErrorMessage","ms":"$context.responseLatency"}`

// namespace returns the namespace of the deployment's metrics, which differs between
// the deployments of an account.
func namespace(scope constructs.IConstruct) string {
	return "Footfall/" + *awscdk.Stack_Of(scope).StackName()
}

// filter adds the metric filter to the log of s. Without a default value, the metric
// is missing while no line matches; CloudWatch allows no default beside a dimension.
func (m logMetric) filter(scope constructs.Construct, s *Stage) { m.filterOf(scope, s, s.Logs) }

// filterOf adds the metric filter to another log.
func (m logMetric) filterOf(scope constructs.Construct, s *Stage, logs awslogs.ILogGroup) {
	var dimensions *map[string]*string
	if m.by != "" {
		dimensions = &map[string]*string{string(m.by): jsii.String(m.by.selector())}
	}
	awslogs.NewMetricFilter(scope, jsii.String("Filter-"+m.name+"-"+s.Spec.Name), &awslogs.MetricFilterProps{
		LogGroup:        logs,
		FilterPattern:   awslogs.FilterPattern_Literal(jsii.String(m.pattern)),
		MetricNamespace: jsii.String(namespace(s.Logs)),
		MetricName:      jsii.String(m.name),
		MetricValue:     jsii.String(m.value),
		Dimensions:      dimensions,
	})
}

// of returns the metric of stage s, with the dimension stage if the metric has it.
func (m logMetric) of(s *Stage, statistic string) awscloudwatch.Metric {
	dimensions := map[string]*string{}
	if m.by == byStage {
		dimensions[string(byStage)] = jsii.String(s.Spec.Name)
	}
	return metric(namespace(s.Logs), m.name, statistic, dimensions)
}
