package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/jsii-runtime-go"

	"footfall/events"
	"footfall/infra/settings"
	"footfall/infra/watch"
	"footfall/shared/pipeline"
)

// maxRecordAge of an event source mapping is in seconds, or -1 for no limit. Records
// are up to 90 days old in a replay, so a record is given up after its retries and
// never for its age.
const maxRecordAge = -1

// group returns the consumer group of a stage on a topic.
func (d *deployment) group(stage, topic string) string {
	return pipeline.Group(d.set.Name, stage, topic)
}

// newMapping feeds a function from a topic. Topic, group and starting position
// cannot be changed later; the starting position counts only until the group has
// committed offsets.
//
// It uses the plain resource: the L2 construct for Kafka adds an AWS-managed policy,
// and the general L2 construct accepts a topic as failure destination only from the
// construct for Kafka.
func newMapping(d *deployment, stack awscdk.Stack, c *clusterStack, spec pipeline.Stage, m pipeline.Mapping, target awslambda.Alias, f built) watch.Mapping {
	group := d.group(spec.Name, m.Topic)
	p := &awslambda.CfnEventSourceMappingProps{
		FunctionName: target.FunctionArn(), EventSourceArn: c.arn, Topics: jsii.Strings(m.Topic),
		AmazonManagedKafkaEventSourceConfig: &awslambda.CfnEventSourceMapping_AmazonManagedKafkaEventSourceConfigProperty{
			ConsumerGroupId: &group,
		},
		StartingPosition: jsii.String("TRIM_HORIZON"), // records from before the mapping count too
		BatchSize:        jsii.Number(m.BatchSize), MaximumBatchingWindowInSeconds: jsii.Number(m.Window.Seconds()),
		Enabled: true,
	}
	if !d.onDemand() {
		d.provision(p, m)
	}
	e := awslambda.NewCfnEventSourceMapping(stack, jsii.String(mappingID(spec, m)), p)
	// A mapping that is created before its permissions fails, and a mapping that is
	// created before its topic waits and fails. CloudFormation sees neither
	// dependency by itself.
	e.Node().AddDependency(f.role)
	for _, t := range c.topics {
		e.Node().AddDependency(t)
	}
	return watch.Mapping{Of: m, Group: group, ID: e.AttrId()}
}

// mappingID returns the construct id of a mapping, such as DetectFromSightings.
func mappingID(spec pipeline.Stage, m pipeline.Mapping) string {
	return *id(spec.Name + "-from-" + m.Topic)
}

// provision adds the settings that only provisioned pollers support (AWS Lambda
// developer guide, "Configuring error handling controls for Kafka event sources",
// "Kafka event source mapping logging").
func (d *deployment) provision(p *awslambda.CfnEventSourceMappingProps, m pipeline.Mapping) {
	t, _ := events.TopicByName(m.Topic)
	from, to := d.pollers(m.Topic)
	p.ProvisionedPollerConfig = &awslambda.CfnEventSourceMapping_ProvisionedPollerConfigProperty{
		MinimumPollers: jsii.Number(from), MaximumPollers: jsii.Number(to),
		// A poller unit is billed by the hour and moves 20 MB/s: one group shares
		// it.
		PollerGroupName: &d.set.Name,
	}
	p.FunctionResponseTypes = jsii.Strings("ReportBatchItemFailures")
	p.BisectBatchOnFunctionError = m.Bisect
	p.MaximumRetryAttempts = jsii.Number(m.Retries)
	p.MaximumRecordAgeInSeconds = jsii.Number(maxRecordAge)
	p.DestinationConfig = &awslambda.CfnEventSourceMapping_DestinationConfigProperty{
		OnFailure: &awslambda.CfnEventSourceMapping_OnFailureProperty{Destination: jsii.String("kafka://" + t.DeadLetters)},
	}
	p.MetricsConfig = &awslambda.CfnEventSourceMapping_MetricsConfigProperty{
		Metrics: jsii.Strings("EventCount", "ErrorCount", "KafkaMetrics"),
	}
	p.LoggingConfig = &awslambda.CfnEventSourceMapping_LoggingConfigProperty{SystemLogLevel: jsii.String("INFO")}
}

// pollers returns the minimum and maximum number of pollers of a topic. More pollers
// than partitions would be idle.
func (d *deployment) pollers(topic string) (from, to int) {
	return settings.PollersOf(d.size.Pollers, topic == events.Sightings, d.partitions(topic))
}
