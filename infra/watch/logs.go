package watch

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// logMetric is a metric made of the lines that shared/lambdarun logs. With JSON
// as the function's log format Lambda stores such a line as it is. Each costs
// $0.30 a month and stage, so there are only those that nothing else tells.
type logMetric struct {
	name string
	// pattern names every field that is used, the dimension as well: CloudWatch
	// takes values only from fields that a pattern matched.
	pattern string
	value   string
}

var (
	handledRecords = logMetric{"RecordsHandled", `{ ($.message = "event handled") && ($.records = *) && ($.stage = *) }`, "$.records"}
	failedEvents   = logMetric{"FailedEvents", `{ ($.message = "event handled") && ($.failedPartitions > 0) && ($.stage = *) }`, "1"}
	oldestMs       = logMetric{"OldestRecordMs", `{ ($.message = "event handled") && ($.oldestMs = *) && ($.stage = *) }`, "$.oldestMs"}
	deadRecords    = logMetric{"DeadLetters", `{ ($.message = "dead letters written") && ($.records = *) && ($.stage = *) }`, "$.records"}
)

// namespace keeps the deployments of an account apart.
func namespace(scope constructs.IConstruct) string {
	return "Footfall/" + *awscdk.Stack_Of(scope).StackName()
}

// filter makes the metric from the log of s, with the stage as its dimension.
// Without a default value, a metric is missing where there is nothing to tell;
// CloudWatch allows none beside a dimension.
func (m logMetric) filter(scope constructs.Construct, s *Stage) {
	awslogs.NewMetricFilter(scope, jsii.String("Filter-"+m.name+"-"+s.Spec.Name), &awslogs.MetricFilterProps{
		LogGroup:        s.Logs,
		FilterPattern:   awslogs.FilterPattern_Literal(jsii.String(m.pattern)),
		MetricNamespace: jsii.String(namespace(s.Logs)),
		MetricName:      jsii.String(m.name),
		MetricValue:     jsii.String(m.value),
		Dimensions:      &map[string]*string{"Stage": jsii.String("$.stage")},
	})
}

// of is the metric of stage s.
func (m logMetric) of(s *Stage, statistic string) awscloudwatch.Metric {
	return metric(namespace(s.Logs), m.name, statistic, map[string]*string{"Stage": jsii.String(s.Spec.Name)})
}
