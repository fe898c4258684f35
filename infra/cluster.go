package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsmsk"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"footfall/events"
	"footfall/infra/settings"
	"footfall/infra/watch"
)

// clusterStack is the stack network-and-cluster.
type clusterStack struct {
	stack awscdk.Stack
	network
	cluster
	// topics are the resources that must exist before a function reads or writes.
	topics []constructs.IConstruct
}

// cluster is the MSK cluster, created by the stack or already existing.
type cluster struct {
	arn     *string
	name    string
	watched watch.Cluster
}

func newClusterStack(d *deployment) *clusterStack {
	stack := d.stack("network-and-cluster", "VPC, Kafka and its topics")
	key := newKey(d, stack, "cluster")
	calls := []string{getPrefixLists}
	if d.serverless() {
		calls = append(calls, getBrokers) // for the function topics
	}
	look := newLookups(d, stack, "network-and-cluster", key, calls...)
	n := newNetwork(d, stack, key, look)
	c := &clusterStack{stack: stack, network: n}
	switch {
	case d.set.Existing():
		c.cluster = existingCluster(d)
	case d.serverless():
		c.cluster = serverlessCluster(d, stack, n)
	default:
		c.cluster = expressCluster(d, stack, n, key)
	}
	c.topics = newTopics(d, c, key, look)
	return c
}

// kafkaVersion is the version that Amazon MSK recommends; Express brokers support it
// from 3.6 on (Amazon MSK developer guide, "Supported Apache Kafka versions").
const kafkaVersion = "3.9.x.kraft"

// expressCluster returns a cluster of Express brokers, whose storage MSK manages.
func expressCluster(d *deployment, stack awscdk.Stack, n network, key awskms.IKey) cluster {
	// Express brokers accept few settings (Amazon MSK developer guide, "Custom MSK
	// Express broker configurations"). The replication factor is always three.
	configuration := awsmsk.NewCfnConfiguration(stack, jsii.String("Configuration"), &awsmsk.CfnConfigurationProps{
		Name:              &d.set.Name,
		KafkaVersionsList: jsii.Strings(kafkaVersion),
		ServerProperties:  jsii.String(serverProperties(d.topics)),
	})
	logs := logGroup(d, stack, "BrokerLogs", "/"+d.set.Name+"/brokers", key)
	subnets := n.vpc.SelectSubnets(n.subnets).SubnetIds
	c := awsmsk.NewCfnCluster(stack, jsii.String("Cluster"), &awsmsk.CfnClusterProps{
		ClusterName:         &d.set.Name,
		KafkaVersion:        jsii.String(kafkaVersion),
		NumberOfBrokerNodes: jsii.Number(d.size.Brokers),
		BrokerNodeGroupInfo: &awsmsk.CfnCluster_BrokerNodeGroupInfoProperty{
			InstanceType: &d.size.BrokerType, ClientSubnets: subnets,
			SecurityGroups: &[]*string{n.cluster.SecurityGroupId()},
			ConnectivityInfo: &awsmsk.CfnCluster_ConnectivityInfoProperty{
				PublicAccess: &awsmsk.CfnCluster_PublicAccessProperty{Type: jsii.String("DISABLED")},
			},
		},
		ConfigurationInfo: &awsmsk.CfnCluster_ConfigurationInfoProperty{
			Arn: configuration.AttrArn(), Revision: configuration.AttrLatestRevisionRevision(),
		},
		ClientAuthentication: &awsmsk.CfnCluster_ClientAuthenticationProperty{
			Sasl:            &awsmsk.CfnCluster_SaslProperty{Iam: &awsmsk.CfnCluster_IamProperty{Enabled: true}},
			Unauthenticated: &awsmsk.CfnCluster_UnauthenticatedProperty{Enabled: false},
		},
		EncryptionInfo: &awsmsk.CfnCluster_EncryptionInfoProperty{
			EncryptionAtRest:    &awsmsk.CfnCluster_EncryptionAtRestProperty{DataVolumeKmsKeyId: key.KeyArn()},
			EncryptionInTransit: &awsmsk.CfnCluster_EncryptionInTransitProperty{ClientBroker: jsii.String("TLS"), InCluster: true},
		},
		EnhancedMonitoring: jsii.String("DEFAULT"), // free of charge, and enough for all alarms and the dashboard
		LoggingInfo: &awsmsk.CfnCluster_LoggingInfoProperty{
			BrokerLogs: &awsmsk.CfnCluster_BrokerLogsProperty{
				CloudWatchLogs: &awsmsk.CfnCluster_CloudWatchLogsProperty{Enabled: true, LogGroup: logs.LogGroupName()},
			},
		},
	})
	return cluster{
		arn: c.AttrArn(), name: d.set.Name,
		watched: watch.Cluster{Kind: settings.Express, Name: &d.set.Name, Brokers: d.size.Brokers},
	}
}

// serverProperties returns the configuration of the brokers. Topics are not created
// automatically: a mistyped topic is an error instead of a topic with wrong
// settings. Offsets of groups are kept as long as records: by default Kafka drops
// them a week after the last member of a group left, and with them the notes of
// redriven dead letters.
func serverProperties(topics []events.Topic) string {
	var longest time.Duration
	for _, t := range topics {
		longest = max(longest, t.Retention)
	}
	return fmt.Sprintf("auto.create.topics.enable=false\noffsets.retention.minutes=%.0f\n", longest.Minutes())
}

func serverlessCluster(d *deployment, stack awscdk.Stack, n network) cluster {
	c := awsmsk.NewCfnServerlessCluster(stack, jsii.String("Cluster"), &awsmsk.CfnServerlessClusterProps{
		ClusterName: &d.set.Name,
		ClientAuthentication: &awsmsk.CfnServerlessCluster_ClientAuthenticationProperty{
			Sasl: &awsmsk.CfnServerlessCluster_SaslProperty{Iam: &awsmsk.CfnServerlessCluster_IamProperty{Enabled: true}},
		},
		VpcConfigs: []any{&awsmsk.CfnServerlessCluster_VpcConfigProperty{
			SubnetIds:      n.vpc.SelectSubnets(n.subnets).SubnetIds,
			SecurityGroups: &[]*string{n.cluster.SecurityGroupId()},
		}},
	})
	return cluster{
		arn: c.AttrArn(), name: d.set.Name,
		watched: watch.Cluster{Kind: settings.Serverless, Name: &d.set.Name},
	}
}

// existingCluster returns an existing cluster, with the name from its ARN,
// arn:…:cluster/<name>/<id>.
func existingCluster(d *deployment) cluster {
	name := strings.Split(d.set.ClusterARN, "/")[1]
	return cluster{
		arn: &d.set.ClusterARN, name: name,
		watched: watch.Cluster{Kind: settings.Express, Name: &name},
	}
}

// part returns the ARN of a topic or a group of the cluster. The ARN contains the
// name and the id of the cluster (Amazon MSK developer guide, "IAM authorization
// policy resources").
func (c *cluster) part(stack awscdk.Stack, kind, name string) *string {
	uuid := awscdk.Fn_Select(jsii.Number(2), awscdk.Fn_Split(jsii.String("/"), c.arn, nil))
	return stack.FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("kafka"), Resource: jsii.String(kind),
		ResourceName: jsii.String(c.name + "/" + *uuid + "/" + name),
	})
}
