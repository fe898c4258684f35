package watch

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"
)

// Statistics of metrics.
const (
	sum     = "Sum"
	longest = "Maximum"
	samples = "SampleCount"
)

// metric returns one CloudWatch metric. The alarm or graph that uses it sets the
// period.
func metric(namespace, name, statistic string, dimensions map[string]*string) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String(namespace), MetricName: jsii.String(name), Statistic: jsii.String(statistic),
		DimensionsMap: &dimensions,
	})
}

// formula returns metric math. It uses && instead of AND, as Go does.
func formula(expression string, using map[string]awscloudwatch.IMetric) awscloudwatch.MathExpression {
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String(expression), UsingMetrics: &using, Label: jsii.String(expression),
	})
}

// query returns a query of CloudWatch Metrics Insights: one figure over all metrics
// of a name, however many there are, whether or not all have data.
func query(function, name, namespace string, dimensions []string, where map[string]*string) awscloudwatch.MathExpression {
	var conditions []string
	for _, k := range slices.Sorted(maps.Keys(where)) {
		conditions = append(conditions, fmt.Sprintf(`"%s" = '%s'`, k, *where[k]))
	}
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String(fmt.Sprintf(`SELECT %s(%s) FROM SCHEMA("%s", "%s") WHERE %s`,
			function, name, namespace, strings.Join(dimensions, `", "`), strings.Join(conditions, " AND "))),
		Label: jsii.String(name),
	})
}

// Metrics of functions, by their live alias (Lambda developer guide, "Types of
// metrics for Lambda functions").

func aliasMetric(s *Stage, name, statistic string) awscloudwatch.Metric {
	return s.Alias.Metric(jsii.String(name), &awscloudwatch.MetricOptions{Statistic: jsii.String(statistic)})
}

func aliasErrorShare(t target) awscloudwatch.IMetric {
	return formula("100 * errors / invocations", map[string]awscloudwatch.IMetric{
		"errors": aliasMetric(t.stage, "Errors", sum), "invocations": aliasMetric(t.stage, "Invocations", sum),
	})
}

func aliasLongest(t target) awscloudwatch.IMetric   { return aliasMetric(t.stage, "Duration", longest) }
func aliasThrottles(t target) awscloudwatch.IMetric { return aliasMetric(t.stage, "Throttles", sum) }
func aliasInvocations(t target) awscloudwatch.IMetric {
	return aliasMetric(t.stage, "Invocations", sum)
}

// Metrics from logs, see logs.go.

func failedEventShare(t target) awscloudwatch.IMetric {
	return formula("100 * failed / invocations", map[string]awscloudwatch.IMetric{
		"failed": failedEvents.of(t.stage, sum), "invocations": aliasMetric(t.stage, "Invocations", sum),
	})
}

func failedPostShare(t target) awscloudwatch.IMetric {
	return formula("100 * failed / invocations", map[string]awscloudwatch.IMetric{
		"failed": failedPosts.of(t.stage, sum), "invocations": aliasMetric(t.stage, "Invocations", sum),
	})
}

func oldestRecord(t target) awscloudwatch.IMetric { return oldestMs.of(t.stage, longest) }
func deadLetters(t target) awscloudwatch.IMetric  { return deadRecords.of(t.stage, sum) }

// Metrics of event source mappings (Lambda developer guide, "Event source mapping
// metrics").

func mappingMetric(m *Mapping, name, statistic string) awscloudwatch.Metric {
	return metric("AWS/Lambda", name, statistic, map[string]*string{"EventSourceMappingUUID": m.ID})
}

// waitingRecords returns the poller's metric if pollers are provisioned, and the
// cluster's otherwise.
func waitingRecords(t target) awscloudwatch.IMetric {
	if provisioned(t) {
		return mappingMetric(t.mapping, "SumOffsetLag", longest)
	}
	return groupMetric(t, "SumOffsetLag")
}

func failedInvokeShare(t target) awscloudwatch.IMetric {
	return formula("100 * failed / invoked", map[string]awscloudwatch.IMetric{
		"failed":  mappingMetric(t.mapping, "FailedInvokeEventCount", sum),
		"invoked": mappingMetric(t.mapping, "InvokedEventCount", sum),
	})
}

func dropped(t target) awscloudwatch.IMetric {
	return mappingMetric(t.mapping, "DroppedEventCount", sum)
}

func givenUp(t target) awscloudwatch.IMetric {
	return mappingMetric(t.mapping, "OnFailureDestinationDeliveredEventCount", sum)
}

// Metrics of consumer groups and brokers (MSK developer guide, "Amazon MSK metrics
// for monitoring Express brokers", "Monitor MSK Serverless clusters").

// groupMetric returns a metric that is free of charge at every level of monitoring.
// The guide's table for Express brokers omits the dimension "Cluster Name", the
// table for Serverless has it; CloudWatch stores these metrics with the dimension.
func groupMetric(t target, name string) awscloudwatch.Metric {
	return metric("AWS/Kafka", name, longest, map[string]*string{
		"Cluster Name": t.d.Cluster.Name, "Consumer Group": jsii.String(t.mapping.Group), "Topic": jsii.String(t.mapping.Of.Topic),
	})
}

func estimatedLag(t target) awscloudwatch.IMetric { return groupMetric(t, "EstimatedMaxTimeLag") }

// notShrinking returns a metric that is 1 in a minute in which the lag of the
// partition furthest behind did not fall.
func notShrinking(t target) awscloudwatch.IMetric {
	return formula("IF(lag > 0 && DIFF(lag) >= 0, 1, 0)", map[string]awscloudwatch.IMetric{"lag": groupMetric(t, "MaxOffsetLag")})
}

func brokerQuery(t target, function, name string) awscloudwatch.IMetric {
	return query(function, name, "AWS/Kafka", []string{"Broker ID", "Cluster Name"}, map[string]*string{"Cluster Name": t.d.Cluster.Name})
}

func idlestCPU(t target) awscloudwatch.IMetric { return brokerQuery(t, "MIN", "CpuIdle") }
func fullestDisk(t target) awscloudwatch.IMetric {
	return brokerQuery(t, "MAX", "KafkaDataLogsDiskUsed")
}

func storageUsed(t target) awscloudwatch.Metric {
	return metric("AWS/Kafka", "StorageUsed", longest, map[string]*string{"Cluster Name": t.d.Cluster.Name})
}

func hourlyGrowth(t target) awscloudwatch.IMetric {
	return formula("DIFF(storage)", map[string]awscloudwatch.IMetric{"storage": storageUsed(t)})
}

// Metrics of tables (DynamoDB developer guide, "DynamoDB metrics and dimensions").

func tableMetric(t target, name, statistic string) awscloudwatch.Metric {
	return metric("AWS/DynamoDB", name, statistic, map[string]*string{"TableName": t.d.Tables[t.table]})
}

// systemErrors returns the sum over all operations, also operations that may be
// added later.
func systemErrors(t target) awscloudwatch.IMetric {
	return query("SUM", "SystemErrors", "AWS/DynamoDB", []string{"Operation", "TableName"}, map[string]*string{"TableName": t.d.Tables[t.table]})
}

// conflictShare compares conflicts with the number of write requests, which is the
// sample count of the consumed units.
func conflictShare(t target) awscloudwatch.IMetric {
	return formula("IF(writes >= 100, 100 * conflicts / writes, 0)", map[string]awscloudwatch.IMetric{
		"conflicts": tableMetric(t, "ConditionalCheckFailedRequests", sum),
		"writes":    tableMetric(t, "ConsumedWriteCapacityUnits", samples),
	})
}

func throttleEvents(t target) awscloudwatch.IMetric {
	if t.access == reads {
		return tableMetric(t, "ReadThrottleEvents", sum)
	}
	return tableMetric(t, "WriteThrottleEvents", sum)
}
