package main

import (
	"fmt"
	"maps"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"
)

// function is what a function is made of.
type function struct {
	name           string // of its folder, and after the deployment's in AWS
	does           string
	timeoutSeconds float64
	memoryMB       int
	concurrency    int // reserved; 0 for none
	network        network
	brokers        *string
	key            awskms.IKey // of its logs
	allowed        []awsiam.PolicyStatement
	told           map[string]*string // beside what every function is
	perPost        bool               // invoked for each post, so that what an invocation leaves behind is dear
}

// built is a function as it stands.
type built struct {
	fn   awslambda.Function
	role awsiam.Role
	logs awslogs.LogGroup
}

// newFunction makes a function with a role and a log group of its own.
func newFunction(d *deployment, stack awscdk.Stack, f function) built {
	name := d.functionName(f.name)
	logs := logGroup(d, stack, *id(f.name + "-logs"), "/aws/lambda/"+name, f.key)
	allowed := append([]awsiam.PolicyStatement{mayLog(logs)}, mayJoinNetwork(stack, name)...)
	// Of a post a trace and Lambda's own lines say how long it took: metrics have
	// that, and ingest's line. At WARN the lines of failed invocations are left.
	tracing, ownLines := awslambda.Tracing_DISABLED, awslambda.SystemLogLevel_WARN
	if !f.perPost {
		allowed = append(allowed, mayTrace())
		tracing, ownLines = awslambda.Tracing_ACTIVE, awslambda.SystemLogLevel_INFO
	}
	role := awsiam.NewRole(stack, id(f.name+"-role"), &awsiam.RoleProps{
		AssumedBy: lambdaPrincipal(), Description: jsii.String("Of the function " + name),
		InlinePolicies: inline(append(allowed, f.allowed...)...),
	})
	p := &awslambda.FunctionProps{
		FunctionName: &name, Description: jsii.String("Footfall: " + f.does),
		Code:         awslambda.Code_FromAsset(jsii.String(filepath.Join(d.assets, f.name)), nil),
		Architecture: awslambda.Architecture_ARM_64(), Runtime: awslambda.Runtime_PROVIDED_AL2023(),
		Handler: jsii.String("bootstrap"), MemorySize: jsii.Number(f.memoryMB),
		Timeout: awscdk.Duration_Seconds(jsii.Number(f.timeoutSeconds)),
		// What the role may is all above; CDK adds nothing to it.
		Role:     role.WithoutPolicyUpdates(nil),
		LogGroup: logs, LoggingFormat: awslambda.LoggingFormat_JSON,
		ApplicationLogLevelV2: awslambda.ApplicationLogLevel_INFO, SystemLogLevelV2: ownLines,
		Tracing:     tracing,
		Environment: d.environment(f),
		Vpc:         f.network.vpc, VpcSubnets: f.network.subnets,
		SecurityGroups: &[]awsec2.ISecurityGroup{f.network.functions},
		// Old versions stay, so that `live` can be pointed back to one at once. One of
		// a release that was rolled back goes: Lambda publishes the same code and
		// settings only once in a row, and CloudFormation refuses a version that is
		// there already, so that this release could not be tried again.
		CurrentVersionOptions: &awslambda.VersionOptions{RemovalPolicy: awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE},
	}
	if f.concurrency > 0 {
		p.ReservedConcurrentExecutions = jsii.Number(f.concurrency)
	}
	fn := awslambda.NewFunction(stack, id(f.name), p)
	// Where the brokers are is known only while the stack is deployed: without this
	// `live` would keep a version that writes to the brokers of another cluster.
	fn.InvalidateVersionBasedOn(jsii.String(d.whichBrokers()))
	return built{fn: fn, role: role, logs: logs}
}

// whichBrokers tells deployments apart whose brokers have other addresses.
func (d *deployment) whichBrokers() string {
	return fmt.Sprintf("%s %d %s", d.size.Cluster, d.size.Brokers, d.set.ClusterARN)
}

// environment is what shared/config reads.
func (d *deployment) environment(f function) *map[string]*string {
	env := map[string]*string{
		"FOOTFALL_BROKERS": f.brokers, "FOOTFALL_KAFKA_AUTH": jsii.String("iam"),
		"FOOTFALL_TABLE_PREFIX": jsii.String(d.prefix()), "FOOTFALL_LOG_LEVEL": jsii.String("info"),
	}
	if d.onDemand() {
		// Pollers on demand take no partial answers: what is answered as undone
		// would count as done.
		env["FOOTFALL_WHOLE_BATCH"] = jsii.String("true")
	}
	maps.Copy(env, f.told)
	return &env
}
