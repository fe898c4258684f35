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

// topicsFunction is the function that applies the topics if CloudFormation cannot.
const topicsFunction = "topics"

// replication is the number of replicas of a topic on MSK.
const replication = 3

// newTopics adds the topics of package events.
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
		// A topic that is no longer in events may hold unread records, so it is
		// retained. The topics of a cluster of this stack are deleted with the
		// cluster. A deployment that fails removes the topics that it created;
		// otherwise their names would be taken at the next attempt.
		topic.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE, nil)
		all = append(all, topic)
	}
	return all
}

// topicConfigs returns the settings in the form of MSK's CreateTopic: a JSON object,
// in base64.
func topicConfigs(t events.Topic) string {
	object, err := json.Marshal(kafka.TopicConfigs(t))
	if err != nil {
		panic(err) // of text alone, which always has a form in JSON
	}
	return base64.StdEncoding.EncodeToString(object)
}

// applyTopics lets the function topics create the topics, and change them when their
// definition changes. MSK Serverless has no topics in CloudFormation.
func applyTopics(d *deployment, c *clusterStack, key awskms.IKey, look *lookups) constructs.IConstruct {
	f := newFunction(d, c.stack, function{
		name: topicsFunction, does: "makes the topics of " + d.set.Name, timeoutSeconds: 300, memoryMB: 256,
		network: c.network, brokers: look.brokers(&c.cluster), key: key,
		permissions: mayApplyTopics(d, c),
	})
	list, err := json.Marshal(d.topics)
	if err != nil {
		panic(err) // of text and numbers alone
	}
	r := awscdk.NewCustomResource(c.stack, jsii.String("AppliedTopics"), &awscdk.CustomResourceProps{
		ServiceToken: f.fn.FunctionArn(),
		ResourceType: jsii.String("Custom::Topics"),
		// Time for the invocation and Lambda's two retries; CloudFormation would
		// wait an hour for a missing answer.
		ServiceTimeout: awscdk.Duration_Minutes(jsii.Number(20)),
		Properties: &map[string]any{
			// The function has the topics compiled in; their list is a property so
			// that a changed list changes the resource.
			"Topics": string(list), "Partitions": strconv.Itoa(int(d.size.Partitions)),
		},
	})
	// The function calls brokers and answers through the network, whose rules and
	// endpoints the function alone does not depend on.
	r.Node().AddDependency(c.network.functions, c.network.cluster, c.network.vpc)
	return r
}
