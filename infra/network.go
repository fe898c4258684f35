package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/jsii-runtime-go"
)

// zones is the number of availability zones of all resources. Express brokers need
// three.
const zones = 3

// kafkaPort is the port for TLS with IAM (Amazon MSK developer guide, "Port
// information").
const kafkaPort = 9098

// network holds the VPC, the subnets and the security groups of the cluster and the
// functions.
type network struct {
	vpc     awsec2.IVpc
	subnets *awsec2.SubnetSelection
	// cluster is the security group of the brokers and of the pollers: an event
	// source mapping uses the cluster's subnets and group (AWS Lambda developer
	// guide, "Configuring your Amazon MSK cluster and VPC network for Lambda").
	cluster   awsec2.ISecurityGroup
	functions awsec2.SecurityGroup
}

// newNetwork returns a new network, or that of an existing cluster.
func newNetwork(d *deployment, stack awscdk.Stack, key awskms.IKey, look *lookups) network {
	var n network
	if d.set.Existing() {
		n = existingNetwork(d, stack)
	} else {
		n = ownNetwork(d, stack, key)
	}
	n.functions = securityGroup(stack, n.vpc, "FunctionsGroup", "Functions of "+d.set.Name)
	// The rules are resources of this stack, which works for an imported group too.
	allow(n.functions, n.cluster, kafkaPort, "brokers, TLS and IAM")
	n.endpoints(d, stack, look)
	return n
}

// securityGroup returns a group without outgoing traffic. EC2 adds a rule that
// allows all outgoing traffic to a group without rules; a rule to an unused address
// takes its place. CDK would remove its own placeholder as soon as there are rules
// outside the group.
func securityGroup(stack awscdk.Stack, vpc awsec2.IVpc, name, of string) awsec2.SecurityGroup {
	group := awsec2.NewSecurityGroup(stack, jsii.String(name), &awsec2.SecurityGroupProps{
		Vpc: vpc, AllowAllOutbound: jsii.Bool(false), Description: jsii.String(of),
	})
	group.Node().DefaultChild().(awsec2.CfnSecurityGroup).AddPropertyOverride(jsii.String("SecurityGroupEgress"), []any{
		map[string]any{"CidrIp": nowhere, "IpProtocol": "icmp", "FromPort": 252, "ToPort": 86, "Description": "nothing"},
	})
	return group
}

// nowhere is an address that no host has.
const nowhere = "255.255.255.255/32"

// allow adds rules for a port from one group to another, to both groups.
func allow(from, to awsec2.ISecurityGroup, port float64, what string) {
	from.AddEgressRule(to, awsec2.Port_Tcp(jsii.Number(port)), jsii.String(what), nil)
	to.AddIngressRule(from, awsec2.Port_Tcp(jsii.Number(port)), jsii.String(what), nil)
}

// threeZones returns the zones of the settings, or the first three of any region:
// CDK assumes two zones for a stack without a region.
func (d *deployment) threeZones() *[]*string {
	if len(d.set.Zones) > 0 {
		return jsii.Strings(d.set.Zones...)
	}
	var all []*string
	for i := range zones {
		all = append(all, awscdk.Fn_Select(jsii.Number(i), awscdk.Fn_GetAzs(jsii.String(""))))
	}
	return &all
}

// ownNetwork returns a new VPC without outgoing traffic: no internet gateway, no
// NAT.
func ownNetwork(d *deployment, stack awscdk.Stack, key awskms.IKey) network {
	vpc := awsec2.NewVpc(stack, jsii.String("Vpc"), &awsec2.VpcProps{
		VpcName:           &d.set.Name,
		IpAddresses:       awsec2.IpAddresses_Cidr(jsii.String("10.0.0.0/16")),
		AvailabilityZones: d.threeZones(),
		NatGateways:       jsii.Number(0),
		SubnetConfiguration: &[]*awsec2.SubnetConfiguration{{
			Name: jsii.String("Cluster"), SubnetType: awsec2.SubnetType_PRIVATE_ISOLATED, CidrMask: jsii.Number(20),
		}},
		// Emptying the default group would need a function of its own, and no
		// resource uses the group.
		RestrictDefaultSecurityGroup: jsii.Bool(false),
	})
	flowLogs(d, stack, vpc, key)
	group := securityGroup(stack, vpc, "ClusterGroup", "Brokers of "+d.set.Name+" and what polls them")
	allow(group, group, kafkaPort, "event source mappings, which have this group")
	return network{
		vpc: vpc, cluster: group,
		subnets: &awsec2.SubnetSelection{SubnetType: awsec2.SubnetType_PRIVATE_ISOLATED},
	}
}

func existingNetwork(d *deployment, stack awscdk.Stack) network {
	subnets := jsii.Strings(d.set.ClusterSubnets...)
	var where []*string
	for i := range *subnets {
		where = append(where, awscdk.Fn_Select(jsii.Number(i), awscdk.Fn_GetAzs(jsii.String(""))))
	}
	return network{
		vpc: awsec2.Vpc_FromVpcAttributes(stack, jsii.String("Vpc"), &awsec2.VpcAttributes{
			VpcId: &d.set.ClusterVPC, AvailabilityZones: &where, IsolatedSubnetIds: subnets,
		}),
		subnets: &awsec2.SubnetSelection{SubnetType: awsec2.SubnetType_PRIVATE_ISOLATED},
		cluster: awsec2.SecurityGroup_FromSecurityGroupId(stack, jsii.String("ClusterGroup"), &d.set.ClusterSecurityGroup, nil),
	}
}

// flowLogs adds flow logs with the plain resource: the role and log group of the L2
// construct hide findings of cdk-nag elsewhere.
func flowLogs(d *deployment, stack awscdk.Stack, vpc awsec2.IVpc, key awskms.IKey) {
	group := logGroup(d, stack, "FlowLogs", "/"+d.set.Name+"/flow-logs", key)
	role := awsiam.NewRole(stack, jsii.String("FlowLogsRole"), &awsiam.RoleProps{
		AssumedBy: ofThisAccount(stack, "vpc-flow-logs.amazonaws.com"),
		InlinePolicies: inline(
			may("Write", []string{"logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"}, group.LogGroupArn()),
		),
	})
	awsec2.NewCfnFlowLog(stack, jsii.String("FlowLog"), &awsec2.CfnFlowLogProps{
		ResourceId: vpc.VpcId(), ResourceType: jsii.String("VPC"), TrafficType: jsii.String("ALL"),
		LogDestinationType: jsii.String("cloud-watch-logs"),
		LogGroupName:       group.LogGroupName(), DeliverLogsPermissionArn: role.RoleArn(),
		MaxAggregationInterval: jsii.Number(600),
	})
}
