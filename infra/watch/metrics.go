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

// metric is one metric of CloudWatch. Its period is that of the alarm or graph
// that shows it.
func metric(namespace, name, statistic string, dimensions map[string]*string) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String(namespace), MetricName: jsii.String(name), Statistic: jsii.String(statistic),
		DimensionsMap: &dimensions,
	})
}

// formula is metric math. It uses && and not AND, so that it reads as Go does.
func formula(expression string, using map[string]awscloudwatch.IMetric) awscloudwatch.MathExpression {
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String(expression), UsingMetrics: &using, Label: jsii.String(expression),
	})
}

// query is a query of CloudWatch Metrics Insights: one figure over all metrics
// of a name, however many there are and whichever of them have data.
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

// Of functions, by their live alias (Lambda developer guide, "Types of metrics
// for Lambda functions").

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

// Of the log, see logs.go.

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

// Of event source mappings (Lambda developer guide, "Event source mapping
// metrics").

func mappingMetric(m *Mapping, name, statistic string) awscloudwatch.Metric {
	return metric("AWS/Lambda", name, statistic, map[string]*string{"EventSourceMappingUUID": m.ID})
}

// waitingRecords is the poller's figure where pollers are provisioned, and the
// cluster's where they are not.
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

// Of consumer groups and brokers (MSK developer guide, "Amazon MSK metrics for
// monitoring Express brokers", "Monitor MSK Serverless clusters").

// groupMetric is free at every level of monitoring. The guide's table for
// Express brokers leaves the dimension "Cluster Name" out, the one for
// Serverless has it; CloudWatch keeps these metrics with it.
func groupMetric(t target, name string) awscloudwatch.Metric {
	return metric("AWS/Kafka", name, longest, map[string]*string{
		"Cluster Name": t.d.Cluster.Name, "Consumer Group": jsii.String(t.mapping.Group), "Topic": jsii.String(t.mapping.Of.Topic),
	})
}

func estimatedLag(t target) awscloudwatch.IMetric { return groupMetric(t, "EstimatedMaxTimeLag") }

// notShrinking is 1 for a minute in which the partition furthest behind did not
// come nearer.
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

// Of tables (DynamoDB developer guide, "DynamoDB metrics and dimensions").

func tableMetric(t target, name, statistic string) awscloudwatch.Metric {
	return metric("AWS/DynamoDB", name, statistic, map[string]*string{"TableName": t.d.Tables[t.table]})
}

// systemErrors are counted by operation; the query adds them up, those of
// operations to come as well.
func systemErrors(t target) awscloudwatch.IMetric {
	return query("SUM", "SystemErrors", "AWS/DynamoDB", []string{"Operation", "TableName"}, map[string]*string{"TableName": t.d.Tables[t.table]})
}

// conflictShare compares with the number of write requests, which is the
// number of samples of the units they took.
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
