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

// function describes a function to be created.
type function struct {
	name           string // of its folder, and after the deployment's name in AWS
	does           string
	timeoutSeconds float64
	memoryMB       int
	concurrency    int // reserved; 0 for none
	network        network
	brokers        *string
	key            awskms.IKey // of its logs
	permissions    []awsiam.PolicyStatement
	variables      map[string]*string // in addition to the variables of every function
	perPost        bool               // invoked for each post, so logs and traces of an invocation are expensive
}

// built is a function with its role and alias.
type built struct {
	fn   awslambda.Function
	role awsiam.Role
	logs awslogs.LogGroup
}

// newFunction returns a function with a role and a log group of its own.
func newFunction(d *deployment, stack awscdk.Stack, f function) built {
	name := d.functionName(f.name)
	logs := logGroup(d, stack, *id(f.name + "-logs"), "/aws/lambda/"+name, f.key)
	permissions := append([]awsiam.PolicyStatement{mayLog(logs)}, mayJoinNetwork(stack, name)...)
	// For a post, a trace and Lambda's own lines would hold the duration, which
	// metrics and ingest's line hold too. At WARN the lines of failed invocations
	// remain.
	tracing, ownLines := awslambda.Tracing_DISABLED, awslambda.SystemLogLevel_WARN
	if !f.perPost {
		permissions = append(permissions, mayTrace())
		tracing, ownLines = awslambda.Tracing_ACTIVE, awslambda.SystemLogLevel_INFO
	}
	role := awsiam.NewRole(stack, id(f.name+"-role"), &awsiam.RoleProps{
		AssumedBy: lambdaPrincipal(), Description: jsii.String("Of the function " + name),
		InlinePolicies: inline(append(permissions, f.permissions...)...),
	})
	p := &awslambda.FunctionProps{
		FunctionName: &name, Description: jsii.String("Footfall: " + f.does),
		Code:         awslambda.Code_FromAsset(jsii.String(filepath.Join(d.assets, f.name)), nil),
		Architecture: awslambda.Architecture_ARM_64(), Runtime: awslambda.Runtime_PROVIDED_AL2023(),
		Handler: jsii.String("bootstrap"), MemorySize: jsii.Number(f.memoryMB),
		Timeout: awscdk.Duration_Seconds(jsii.Number(f.timeoutSeconds)),
		// All permissions of the role are listed above; CDK adds none.
		Role:     role.WithoutPolicyUpdates(nil),
		LogGroup: logs, LoggingFormat: awslambda.LoggingFormat_JSON,
		ApplicationLogLevelV2: awslambda.ApplicationLogLevel_INFO, SystemLogLevelV2: ownLines,
		Tracing:     tracing,
		Environment: d.environment(f),
		Vpc:         f.network.vpc, VpcSubnets: f.network.subnets,
		SecurityGroups: &[]awsec2.ISecurityGroup{f.network.functions},
		// Old versions stay, so that `live` can be moved back to one at once. A
		// version of a release that was rolled back is removed: Lambda publishes the
		// same code and settings only once in a row, and CloudFormation refuses an
		// existing version, so the release could not be tried again.
		CurrentVersionOptions: &awslambda.VersionOptions{RemovalPolicy: awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE},
	}
	if f.concurrency > 0 {
		p.ReservedConcurrentExecutions = jsii.Number(f.concurrency)
	}
	fn := awslambda.NewFunction(stack, id(f.name), p)
	// The brokers' addresses are known only while the stack is deployed. Without
	// this line `live` would keep a version that writes to the brokers of another
	// cluster.
	fn.InvalidateVersionBasedOn(jsii.String(d.whichBrokers()))
	return built{fn: fn, role: role, logs: logs}
}

// whichBrokers returns a text that differs between deployments whose brokers have
// different addresses.
func (d *deployment) whichBrokers() string {
	return fmt.Sprintf("%s %d %s", d.size.Cluster, d.size.Brokers, d.set.ClusterARN)
}

// environment returns the variables that shared/config reads.
func (d *deployment) environment(f function) *map[string]*string {
	env := map[string]*string{
		"FOOTFALL_BROKERS": f.brokers, "FOOTFALL_KAFKA_AUTH": jsii.String("iam"),
		"FOOTFALL_TABLE_PREFIX": jsii.String(d.prefix()), "FOOTFALL_LOG_LEVEL": jsii.String("info"),
	}
	if d.onDemand() {
		// Pollers on demand know no partial answers: records reported as undone
		// would count as done.
		env["FOOTFALL_WHOLE_BATCH"] = jsii.String("true")
	}
	maps.Copy(env, f.variables)
	return &env
}
