package main

import (
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsmsk"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"footfall/events"
	"footfall/shared/kafka"
)

// topicsFunction is the function that applies the topics where CloudFormation
// cannot.
const topicsFunction = "topics"

// replication is how many replicas MSK's brokers keep of a topic.
const replication = 3

// newTopics makes the topics of events.
func newTopics(d *deployment, c *clusterStack, key awskms.IKey, look *lookups) []constructs.IConstruct {
	if d.serverless() {
		return []constructs.IConstruct{applyTopics(d, c, key, look)}
	}
	all := make([]constructs.IConstruct, 0, len(d.topics))
	for _, t := range d.topics {
		topic := awsmsk.NewCfnTopic(c.stack, id("topic-"+t.Name), &awsmsk.CfnTopicProps{
			ClusterArn: c.arn, TopicName: jsii.String(t.Name),
			PartitionCount: jsii.Number(d.partitions(t.Name)), ReplicationFactor: jsii.Number(replication),
			Configs: jsii.String(topicConfigs(t)),
		})
		// A topic that is no longer in events may hold what nobody has read. Those
		// of a cluster of ours go with it. A deployment that fails takes back what it
		// made, or its next try would find the names taken.
		topic.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE, nil)
		all = append(all, topic)
	}
	return all
}

// topicConfigs is what MSK's CreateTopic takes: the settings as a JSON object,
// in base64.
func topicConfigs(t events.Topic) string {
	object, err := json.Marshal(kafka.TopicConfigs(t))
	if err != nil {
		panic(err) // of text alone, which always has a form in JSON
	}
	return base64.StdEncoding.EncodeToString(object)
}

// applyTopics has the function topics make the topics, and change them when
// what it is to make changes. MSK Serverless has no topics in CloudFormation.
func applyTopics(d *deployment, c *clusterStack, key awskms.IKey, look *lookups) constructs.IConstruct {
	f := newFunction(d, c.stack, function{
		name: topicsFunction, does: "makes the topics of " + d.set.Name, timeoutSeconds: 300, memoryMB: 256,
		network: c.network, brokers: look.brokers(&c.cluster), key: key,
		allowed: mayApplyTopics(d, c),
	})
	list, err := json.Marshal(d.topics)
	if err != nil {
		panic(err) // of text and numbers alone
	}
	r := awscdk.NewCustomResource(c.stack, jsii.String("AppliedTopics"), &awscdk.CustomResourceProps{
		ServiceToken: f.fn.FunctionArn(),
		ResourceType: jsii.String("Custom::Topics"),
		// Room for the invocation and Lambda's two retries of it; CloudFormation would
		// wait an hour for an answer that does not come.
		ServiceTimeout: awscdk.Duration_Minutes(jsii.Number(20)),
		Properties: &map[string]any{
			// The function has the topics compiled in; their list is given so that a
			// change of it is a change of this resource.
			"Topics": string(list), "Partitions": strconv.Itoa(int(d.size.Partitions)),
		},
	})
	// It calls brokers and answers through the network, whose rules and endpoints
	// the function alone does not wait for.
	r.Node().AddDependency(c.network.functions, c.network.cluster, c.network.vpc)
	return r
}
