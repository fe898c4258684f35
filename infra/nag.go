package main

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"footfall/shared/pipeline"
)

// suppression is a finding of cdk-nag that is accepted, with the reason. The
// construct is given by its path within the stack; if a rule has several findings on
// a resource, about is a pattern for the accepted one.
type suppression struct {
	construct, finding, about, reason string
}

const (
	anyResource = `^Resource::\*$`
	// lookupsFunction is the id that CDK assigns to the one function of all lookups.
	lookupsFunction = "AWS679f53fac002430cb0da5b7982bd2287"
)

// addNag applies two rule packs to all constructs at each synth: a finding is an
// error and stops the deployment. A construct that a suppression names must exist.
func addNag(app awscdk.App, d *deployment, c *clusterStack, s *stateStack, p *pipelineStack) {
	verbose := &cdknag.NagPackProps{Verbose: jsii.Bool(true)}
	awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(verbose), nil)
	awscdk.Aspects_Of(app).Add(cdknag.NewServerlessChecks(verbose), nil)
	suppress(c.stack, clusterSuppressions(d))
	suppress(s.stack, stateSuppressions())
	suppress(p.stack, pipelineSuppressions(d))
}

func suppress(stack awscdk.Stack, all []suppression) {
	for _, s := range all {
		n := &cdknag.NagPackSuppression{Id: jsii.String(s.finding), Reason: jsii.String(s.reason)}
		if s.about != "" {
			n.AppliesTo = &[]any{&cdknag.RegexAppliesTo{Regex: jsii.String("/" + s.about + "/")}}
		}
		var at constructs.IConstruct = stack
		for id := range strings.SplitSeq(s.construct, "/") {
			at = at.Node().FindChild(jsii.String(id))
		}
		cdknag.NagSuppressions_AddResourceSuppressions(at, &[]*cdknag.NagPackSuppression{n}, jsii.Bool(false))
	}
}

// functionSuppressions returns the suppressions for a function of the deployment and
// its role.
func functionSuppressions(name, failures string) []suppression {
	role, fn := *id(name + "-role"), *id(name)
	const reason = "X-Ray's actions, the network interfaces that Lambda makes and kafka:GetBootstrapBrokers are defined for no single " +
		"resource; the function's own code is denied the interfaces"
	return []suppression{
		{role, "AwsSolutions-IAM5", anyResource, reason},
		{role, "Serverless-LambdaStarPermissions", "", reason},
		{fn, "Serverless-LambdaDLQ", "", failures},
	}
}

// lookupsSuppressions returns the suppressions for the function of a stack's
// lookups.
func lookupsSuppressions() []suppression {
	const lookUp = "kafka:GetBootstrapBrokers and ec2:DescribeManagedPrefixLists are defined for no single resource, and only read"
	return []suppression{
		{"LookupsRole", "AwsSolutions-IAM5", anyResource, lookUp},
		{"LookupsRole", "Serverless-LambdaStarPermissions", "", lookUp},
		{lookupsFunction, "Serverless-LambdaDLQ", "", "CloudFormation calls it, waits for its answer and fails the deployment without one"},
		{lookupsFunction, "Serverless-LambdaTracing", "", "of CDK's own, it makes one call per deployment, which its log shows"},
	}
}

func clusterSuppressions(d *deployment) []suppression {
	all := lookupsSuppressions()
	if d.serverless() {
		all = append(all, functionSuppressions(topicsFunction,
			"CloudFormation calls it, waits for its answer and fails the deployment without one")...)
	}
	return all
}

func stateSuppressions() []suppression {
	return []suppression{
		{"PseudonymKeys", "AwsSolutions-SMG4", "", "a key that is replaced makes every device a new one: keys are added beside it, by id"},
	}
}

func pipelineSuppressions(d *deployment) []suppression {
	all := append(lookupsSuppressions(),
		suppression{"Releaser", "AwsSolutions-IAM5", anyResource, "cloudwatch:DescribeAlarms is defined for no single alarm, and only reads"})
	if mail := d.set.AlarmEmail; mail != "" {
		all = append(all, suppression{"Alarms/" + mail, "Serverless-SNSRedrivePolicy", "",
			"a mail that cannot be delivered is of no use afterwards; CloudWatch keeps the alarm and its history"})
	}
	for _, spec := range d.graph.Stages {
		if d.onDemand() {
			for _, m := range spec.Reads {
				// The construct is the resource itself.
				all = append(all, suppression{mappingID(spec, m), "Serverless-LambdaEventSourceMappingDestination", "",
					"pollers on demand give a batch again until it succeeds, and never give it up to anywhere"})
			}
		}
		if spec.HTTP {
			all = append(all, apiSuppressions(spec)...)
			continue
		}
		if len(spec.Reads) > 0 {
			all = append(all, functionSuppressions(spec.Name,
				"an event source mapping calls it and waits; what it gives up goes to the topic's dead letters")...)
			continue
		}
		all = append(all, functionSuppressions(spec.Name,
			"what is given up goes to the bucket, by the destination of its asynchronous invocations")...)
		all = append(all, suppression{*id(spec.Name + "-role"), "AwsSolutions-IAM5", `^Resource::.*aws\/lambda\/async\/\*$`,
			"Lambda names the objects of its failures itself, in a folder of the bucket"})
	}
	return all
}

func apiSuppressions(spec pipeline.Stage) []suppression {
	all := functionSuppressions(spec.Name, "the HTTP API calls it and waits; what fails is answered so, and posted again")
	all = append(all, suppression{*id(spec.Name), "Serverless-LambdaTracing", "",
		"a trace would say of each post how long it took, which metrics and its line in the log say"})
	for name := range routes {
		all = append(all, suppression{name, "AwsSolutions-APIG4", "",
			"routers can sign no request for AWS: ingest checks the secret or signature of each sender itself"})
	}
	return all
}
