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

// maxRecordAge of an event source mapping is in seconds, or -1 for ever: records
// are 90 days old in a replay, so retries give them up, and never their age.
const maxRecordAge = -1

// group is the consumer group of a stage on a topic. CloudWatch wants ASCII
// without a colon for the estimated lag in time.
func (d *deployment) group(stageName, topic string) string {
	return pipeline.Group(d.set.Name, stageName, topic)
}

// newMapping feeds a function from a topic. Topic, group and start cannot be
// changed later; the start counts only until the group has offsets.
//
// It is made of the plain resource: the construct for Kafka adds a policy that
// is AWS's own, and the general one takes a topic as its failure destination
// only from the construct for Kafka.
func newMapping(d *deployment, stack awscdk.Stack, c *clusterStack, spec pipeline.Stage, m pipeline.Mapping, target awslambda.Alias, f built) watch.Mapping {
	group := d.group(spec.Name, m.Topic)
	p := &awslambda.CfnEventSourceMappingProps{
		FunctionName: target.FunctionArn(), EventSourceArn: c.arn, Topics: jsii.Strings(m.Topic),
		AmazonManagedKafkaEventSourceConfig: &awslambda.CfnEventSourceMapping_AmazonManagedKafkaEventSourceConfigProperty{
			ConsumerGroupId: &group,
		},
		StartingPosition: jsii.String("TRIM_HORIZON"), // history before the mapping is history too
		BatchSize:        jsii.Number(m.BatchSize), MaximumBatchingWindowInSeconds: jsii.Number(m.Window.Seconds()),
		Enabled: true,
	}
	if !d.onDemand() {
		d.provision(p, m)
	}
	e := awslambda.NewCfnEventSourceMapping(stack, jsii.String(mappingID(spec, m)), p)
	// A mapping that is made before its permissions fails, and one that is made
	// before its topic waits and fails: CloudFormation sees neither by itself.
	e.Node().AddDependency(f.role)
	for _, t := range c.topics {
		e.Node().AddDependency(t)
	}
	return watch.Mapping{Of: m, Group: group, ID: e.AttrId()}
}

// mappingID is the construct of a mapping, such as DetectFromSightings.
func mappingID(spec pipeline.Stage, m pipeline.Mapping) string {
	return *id(spec.Name + "-from-" + m.Topic)
}

// provision adds what only provisioned pollers can do (AWS Lambda developer
// guide, "Configuring error handling controls for Kafka event sources", "Kafka
// event source mapping logging").
func (d *deployment) provision(p *awslambda.CfnEventSourceMappingProps, m pipeline.Mapping) {
	t, _ := events.TopicByName(m.Topic)
	from, to := d.pollers(m.Topic)
	p.ProvisionedPollerConfig = &awslambda.CfnEventSourceMapping_ProvisionedPollerConfigProperty{
		MinimumPollers: jsii.Number(from), MaximumPollers: jsii.Number(to),
		// A unit of poller costs by the hour and moves 20 MB/s: one group shares it.
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

// pollers is how many poll a topic, at least and at most. More than there are
// partitions would have nothing to do.
func (d *deployment) pollers(topic string) (from, to int) {
	return settings.PollersOf(d.size.Pollers, topic == events.Sightings, d.partitions(topic))
}
