package main

import (
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/customresources"
	"github.com/aws/jsii-runtime-go"
)

// lookups queries AWS, during a deployment, for values that CloudFormation has no
// attribute for. One function of CDK's own makes the calls.
type lookups struct {
	stack   awscdk.Stack
	role    awsiam.Role
	logs    awslogs.LogGroup
	timeout awscdk.Duration
}

// The calls that lookups make. AWS defines neither for single resources (service
// authorization reference, Amazon MSK and Amazon EC2). Both only read.
const (
	getBrokers     = "kafka:GetBootstrapBrokers"
	getPrefixLists = "ec2:DescribeManagedPrefixLists"
)

// newLookups returns lookups that may make the given calls, in the stack that needs
// the results; suffix is the name of that stack without the deployment's name. A
// result is not exported from stack to stack, since CloudFormation refuses to change
// a value that another stack has imported.
func newLookups(d *deployment, stack awscdk.Stack, of string, key awskms.IKey, calls ...string) *lookups {
	logs := logGroup(d, stack, "LookupsLogs", "/"+d.set.Name+"/"+of+"-lookups", key)
	role := awsiam.NewRole(stack, jsii.String("LookupsRole"), &awsiam.RoleProps{
		AssumedBy: lambdaPrincipal(),
		InlinePolicies: inline(
			mayLog(logs),
			may("LookUp", calls, jsii.String("*")),
		),
	})
	return &lookups{stack: stack, role: role, logs: logs, timeout: awscdk.Duration_Minutes(jsii.Number(2))}
}

// brokers returns the bootstrap addresses of a cluster, separated by commas. The
// lookup is repeated when the number of brokers changes.
func (l *lookups) brokers(c *cluster) *string {
	return l.call("Brokers", "bootstrap-"+strconv.Itoa(c.watched.Brokers), "Kafka", "getBootstrapBrokers",
		map[string]any{"ClusterArn": c.arn}, "BootstrapBrokerStringSaslIam")
}

// prefixList returns the id of the prefix list of a service in the region.
func (l *lookups) prefixList(name, service string) *string {
	return l.call(name+"Addresses", service, "EC2", "describeManagedPrefixLists", map[string]any{
		"Filters": []any{map[string]any{
			"Name": "prefix-list-name", "Values": []any{*awscdk.Fn_Join(jsii.String(""), jsii.Strings("com.amazonaws.", *l.stack.Region(), "."+service))},
		}},
	}, "PrefixLists.0.PrefixListId")
}

func (l *lookups) call(name, physical, service, action string, parameters map[string]any, field string) *string {
	call := &customresources.AwsSdkCall{
		Service: jsii.String(service), Action: jsii.String(action), Parameters: parameters,
		PhysicalResourceId: customresources.PhysicalResourceId_Of(jsii.String(physical)),
		OutputPaths:        jsii.Strings(field),
	}
	r := customresources.NewAwsCustomResource(l.stack, jsii.String(name), &customresources.AwsCustomResourceProps{
		OnCreate: call, OnUpdate: call, Role: l.role, LogGroup: l.logs, Timeout: l.timeout,
		MemorySize: jsii.Number(256),
		// The SDK of Lambda's runtime has these calls, so no network access is
		// needed to install another.
		InstallLatestAwsSdk: jsii.Bool(false),
	})
	return r.GetResponseField(jsii.String(field))
}
