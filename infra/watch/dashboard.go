package watch

import (
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/interfaces/interfacesawscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"footfall/infra/settings"
)

// fullWidth is the number of columns of a dashboard.
const fullWidth = 24

// newDashboard adds a dashboard with a row per stage in the order of the graph, so
// that a stage that lags stands above the stages that wait for its output; then the
// cluster, then the tables.
func newDashboard(scope constructs.Construct, d *Deployment, alarms []awscloudwatch.IAlarm) {
	board := awscloudwatch.NewDashboard(scope, jsii.String("Dashboard"), &awscloudwatch.DashboardProps{
		DashboardName:   jsii.String(d.Settings.Name),
		DefaultInterval: awscdk.Duration_Hours(jsii.Number(3)),
	})
	// The states of all alarms are at the top.
	refs := make([]interfacesawscloudwatch.IAlarmRef, len(alarms))
	for i, a := range alarms {
		refs[i] = a
	}
	board.AddWidgets(awscloudwatch.NewAlarmStatusWidget(&awscloudwatch.AlarmStatusWidgetProps{
		Title: jsii.String("Alarms, each with its section in docs/runbook.md"), Alarms: &refs,
		States: &[]awscloudwatch.AlarmState{awscloudwatch.AlarmState_ALARM, awscloudwatch.AlarmState_INSUFFICIENT_DATA},
		Width:  jsii.Number(fullWidth), Height: jsii.Number(4),
	}))
	// A row for each stage, with the graphs of its mappings.
	stages, mappings, tables, _, cluster := targets(d)
	for _, t := range stages {
		var own []target
		for _, m := range mappings {
			if m.stage == t.stage {
				own = append(own, m)
			}
		}
		graphs := stageGraphs
		if takesPosts(t) {
			graphs = func(t target, _ []target) []graph { return postGraphs(t) }
		}
		addRow(board, "**"+t.subject()+"** "+t.stage.Spec.Does, graphs(t, own))
	}
	// The cluster and the tables are at the bottom.
	addRow(board, "**cluster**", clusterGraphs(cluster[0]))
	var graphs []graph
	for _, t := range tables {
		graphs = append(graphs, tableGraph(t))
	}
	addRow(board, "**tables**", graphs)
}

// graph is one graph of a row. Metrics on the right have an axis of their own.
type graph struct {
	title       string
	left, right []awscloudwatch.IMetric
}

// addRow adds a line of text and graphs of equal width at the bottom.
func addRow(board awscloudwatch.Dashboard, text string, graphs []graph) {
	board.AddWidgets(awscloudwatch.NewTextWidget(&awscloudwatch.TextWidgetProps{
		Markdown: jsii.String(text), Width: jsii.Number(fullWidth), Height: jsii.Number(1),
		Background: awscloudwatch.TextWidgetBackground_TRANSPARENT,
	}))
	row := make([]awscloudwatch.IWidget, len(graphs))
	for i, g := range graphs {
		row[i] = awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{
			Title: jsii.String(g.title), Left: &g.left, Right: &g.right,
			Width: jsii.Number(fullWidth / len(graphs)), Height: jsii.Number(6),
			Period:    awscdk.Duration_Minutes(jsii.Number(1)),
			LeftYAxis: &awscloudwatch.YAxisProps{Min: jsii.Number(0)}, RightYAxis: &awscloudwatch.YAxisProps{Min: jsii.Number(0)},
		})
	}
	board.AddWidgets(row...)
}

// stageGraphs returns the graphs of a stage: input, output, lag, errors, latency,
// and cost in billing units.
func stageGraphs(t target, mappings []target) []graph {
	s := t.stage
	in := graph{title: "in: records"}
	lag := graph{title: "lag: records, seconds on the right"}
	failures := graph{title: "errors", left: []awscloudwatch.IMetric{aliasMetric(s, "Errors", sum), aliasMetric(s, "Throttles", sum)}}
	took := graph{title: "latency: ms", left: []awscloudwatch.IMetric{
		aliasMetric(s, "Duration", "p50"), aliasMetric(s, "Duration", "p99"), aliasLongest(t),
	}}
	// Input, failures and age of a stage that reads topics come from its log.
	if readsTopics(t) {
		in.left = append(in.left, handledRecords.of(s, sum))
		failures.left = append(failures.left, failedEvents.of(s, sum), deadRecords.of(s, sum))
		took.right = append(took.right, oldestMs.of(s, longest))
	} else {
		in.title = "in: invocations"
		in.left = append(in.left, aliasInvocations(t))
	}
	// Lag and failures of each mapping. Only provisioned pollers count records.
	for _, m := range mappings {
		topic := m.mapping.Of.Topic
		lag.left = append(lag.left, labelled(waitingRecords(m), topic))
		lag.right = append(lag.right, labelled(estimatedLag(m), topic))
		if provisioned(m) {
			in.right = append(in.right, labelled(mappingMetric(m.mapping, "PolledEventCount", sum), "polled "+topic))
			for _, name := range []string{
				"FailedInvokeEventCount", "DroppedEventCount", "OnFailureDestinationDeliveredEventCount", "PollingErrorCount", "CommitErrorCount",
			} {
				failures.right = append(failures.right, labelled(mappingMetric(m.mapping, name, sum), name+" "+topic))
			}
		}
	}
	graphs := []graph{in, {title: "out: bytes/s of its topics", left: written(t)}}
	if len(mappings) > 0 {
		graphs = append(graphs, lag)
	}
	return append(graphs, failures, took, cost(t))
}

// written returns the bytes written to the topics of a stage, by any producer: the
// cluster's metric, summed over its brokers.
func written(t target) []awscloudwatch.IMetric {
	var out []awscloudwatch.IMetric
	for _, topic := range t.stage.Spec.Writes {
		out = append(out, topicBytes(t, "BytesInPerSec", ` Topic="`+topic+`"`, topic))
	}
	return out
}

// topicBytes returns a search expression, since only a search finds all brokers.
func topicBytes(t target, name, where, label string) awscloudwatch.IMetric {
	dimensions := `"Broker ID","Cluster Name",Topic`
	if t.d.Cluster.Kind == settings.Serverless {
		dimensions = `"Cluster Name",Topic`
	}
	return found(fmt.Sprintf(`SUM(SEARCH('{AWS/Kafka,%s} MetricName="%s" "Cluster Name"="%s"%s', 'Average'))`,
		dimensions, name, *t.d.Cluster.Name, where), label)
}

func found(expression, label string) awscloudwatch.IMetric {
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String(expression), Label: jsii.String(label),
		UsingMetrics: &map[string]awscloudwatch.IMetric{},
	})
}

func labelled(m awscloudwatch.IMetric, label string) awscloudwatch.IMetric {
	if one, ok := m.(awscloudwatch.Metric); ok {
		return one.With(&awscloudwatch.MetricOptions{Label: jsii.String(label)})
	}
	return m
}

// cost returns the graph of billed units: invocations and GB-seconds of the
// function, and the units of its tables, which other stages may use too.
func cost(t target) graph {
	memory := float64(t.stage.Spec.MemoryMB) / 1024
	g := graph{
		title: "cost: GB-seconds and invocations, units of its tables on the right",
		left: []awscloudwatch.IMetric{
			awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
				Expression: jsii.String(fmt.Sprintf("duration / 1000 * %g", memory)), Label: jsii.String("GB-seconds"),
				UsingMetrics: &map[string]awscloudwatch.IMetric{"duration": aliasMetric(t.stage, "Duration", sum)},
			}),
			aliasInvocations(t),
		},
	}
	for _, table := range t.stage.Spec.Tables {
		of := target{d: t.d, table: table}
		if t.d.Tables[table] != nil {
			g.right = append(g.right, units(of)...)
		}
	}
	return g
}

func units(t target) []awscloudwatch.IMetric {
	return []awscloudwatch.IMetric{
		labelled(tableMetric(t, "ConsumedReadCapacityUnits", sum), t.table+" read units"),
		labelled(tableMetric(t, "ConsumedWriteCapacityUnits", sum), t.table+" write units"),
	}
}

func tableGraph(t target) graph {
	return graph{
		title: t.table + ": units, trouble on the right", left: units(t),
		right: []awscloudwatch.IMetric{
			tableMetric(t, "ConditionalCheckFailedRequests", sum),
			tableMetric(t, "ReadThrottleEvents", sum), tableMetric(t, "WriteThrottleEvents", sum),
		},
	}
}

// clusterGraphs returns the graphs of the cluster's traffic and of its brokers. MSK
// Serverless has no metrics of brokers.
func clusterGraphs(t target) []graph {
	graphs := []graph{{title: "bytes/s of all topics", left: []awscloudwatch.IMetric{
		topicBytes(t, "BytesInPerSec", "", "in"), topicBytes(t, "BytesOutPerSec", "", "out"),
	}}}
	if !hasBrokers(t) {
		return graphs
	}
	// Only a search expression finds all brokers.
	perBroker := func(name string) awscloudwatch.IMetric {
		return found(fmt.Sprintf(`SEARCH('{AWS/Kafka,"Broker ID","Cluster Name"} MetricName="%s" "Cluster Name"="%s"', 'Average')`,
			name, *t.d.Cluster.Name), strings.ToLower(name[:1])+name[1:])
	}
	storage := graph{title: "storage: bytes", left: []awscloudwatch.IMetric{storageUsed(t)}}
	if existingCluster(t) {
		storage.title = "storage: bytes, full disks % on the right"
		storage.right = []awscloudwatch.IMetric{perBroker("KafkaDataLogsDiskUsed")}
	}
	return append(graphs,
		graph{title: "idle CPU % by broker", left: []awscloudwatch.IMetric{perBroker("CpuIdle")}},
		graph{title: "produce ms, connections on the right", left: []awscloudwatch.IMetric{perBroker("ProduceTotalTimeMsMean")},
			right: []awscloudwatch.IMetric{perBroker("ConnectionCount")}},
		storage)
}
