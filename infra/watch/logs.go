package watch

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// logMetric is a metric made of the lines that shared/lambdarun and
// shared/ingest log, or the API. With JSON as the function's log format Lambda
// stores such a line as it is. Each costs $0.30 a month for every value of its
// dimension, so there are only those that nothing else tells.
type logMetric struct {
	name string
	// pattern names every field that is used, the dimension as well: CloudWatch
	// takes values only from fields that a pattern matched.
	pattern string
	value   string
	by      dimension
}

// dimension is what a metric is told apart by, or nothing. Only what has few
// values will do: whoever can invent one can run up the bill.
type dimension string

const (
	byStage dimension = "Stage"
	byCode  dimension = "Code" // of a refusal; shared/ingest has all there are
)

// selector is where a line has it.
func (d dimension) selector() string { return "$." + strings.ToLower(string(d)) }

var (
	handledRecords = logMetric{"RecordsHandled", `{ ($.message = "event handled") && ($.records = *) && ($.stage = *) }`, "$.records", byStage}
	failedEvents   = logMetric{"FailedEvents", `{ ($.message = "event handled") && ($.failedPartitions > 0) && ($.stage = *) }`, "1", byStage}
	oldestMs       = logMetric{"OldestRecordMs", `{ ($.message = "event handled") && ($.oldestMs = *) && ($.stage = *) }`, "$.oldestMs", byStage}
	deadRecords    = logMetric{"DeadLetters", `{ ($.message = "dead letters written") && ($.records = *) && ($.stage = *) }`, "$.records", byStage}
)

// Of the posts that ingest answers.
var (
	acceptedSightings = logMetric{"SightingsAccepted", `{ ($.message = "post handled") && ($.accepted = *) }`, "$.accepted", ""}
	leftOut           = logMetric{"LeftOut", `{ ($.message = "post handled") && ($.leftOut = *) }`, "$.leftOut", ""}
	refusals          = logMetric{"Refusals", `{ ($.message = "post handled") && ($.status > 399) && ($.code = *) }`, "1", byCode}
	failedPosts       = logMetric{"FailedPosts", `{ ($.message = "post handled") && ($.status > 499) }`, "1", ""}
	unauthorisedPosts = logMetric{"UnauthorisedPosts", `{ ($.message = "post handled") && ($.status = 401) }`, "1", ""}
)

// throttledPosts are those that the API or ingest refused for their number.
var throttledPosts = logMetric{"ThrottledPosts", `{ ($.status = "429") && ($.lambda = *) }`, "1", ""}

// AccessLog is the line that the API logs of a request (API Gateway developer
// guide, on access logs of HTTP APIs). It is paid for by the byte, so it has
// what only the API knows, and short names: "lambda" is the status that Lambda
// answered with, "-" where the API did not ask it, and then status is 404 where
// there is no such route. The id has to be there. There are no addresses and no
// paths: ingest's line has business and kind. All values are text.
const AccessLog = `{"id":"$context.requestId","status":"$context.status","lambda":"$context.integrationStatus",` +
	`"error":"$context.integrationErrorMessage","ms":"$context.responseLatency"}`

// namespace keeps the deployments of an account apart.
func namespace(scope constructs.IConstruct) string {
	return "Footfall/" + *awscdk.Stack_Of(scope).StackName()
}

// filter makes the metric from the log of s. Without a default value, a metric
// is missing where there is nothing to tell; CloudWatch allows none beside a
// dimension.
func (m logMetric) filter(scope constructs.Construct, s *Stage) { m.filterOf(scope, s, s.Logs) }

// filterOf makes the metric from another log.
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

// of is the metric of stage s, where it is told apart by stage or not at all.
func (m logMetric) of(s *Stage, statistic string) awscloudwatch.Metric {
	dimensions := map[string]*string{}
	if m.by == byStage {
		dimensions[string(byStage)] = jsii.String(s.Spec.Name)
	}
	return metric(namespace(s.Logs), m.name, statistic, dimensions)
}
