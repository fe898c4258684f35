package main

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/jsii-runtime-go"

	"footfall/shared/pipeline"
)

// What becomes of a tick that fails. Another comes within a minute and says
// more, so one is tried again for as long as that only.
const (
	scheduleRetries       = 2
	scheduleMaxAgeSeconds = 60 // the least that either service takes
)

// schedule starts a stage by the clock of EventBridge Scheduler, which puts the
// time that it was due at into the event. An invocation that Lambda gives up is
// kept in the bucket, with its event and its error, where a person finds it; a
// queue would be one more thing to watch, and nobody sends an old tick again.
func (p *pipelineStack) schedule(spec pipeline.Stage, alias awslambda.Alias, f built) {
	invoke := awslambda.NewCfnEventInvokeConfig(p.stack, id(spec.Name+"-failures"), &awslambda.CfnEventInvokeConfigProps{
		FunctionName: f.fn.FunctionName(), Qualifier: jsii.String(live),
		MaximumRetryAttempts: jsii.Number(scheduleRetries), MaximumEventAgeInSeconds: jsii.Number(scheduleMaxAgeSeconds),
		DestinationConfig: &awslambda.CfnEventInvokeConfig_DestinationConfigProperty{
			OnFailure: &awslambda.CfnEventInvokeConfig_OnFailureProperty{Destination: p.state.bucket.BucketArn()},
		},
	})
	invoke.Node().AddDependency(alias, f.role)
	role := awsiam.NewRole(p.stack, id(spec.Name+"-schedule-role"), &awsiam.RoleProps{
		AssumedBy:      ofThisAccount(p.stack, "scheduler.amazonaws.com"),
		InlinePolicies: inline(may("Invoke", []string{"lambda:InvokeFunction"}, alias.FunctionArn())),
	})
	s := awsscheduler.NewCfnSchedule(p.stack, id(spec.Name+"-schedule"), &awsscheduler.CfnScheduleProps{
		Name: jsii.String(p.functionName(spec.Name)), Description: jsii.String("Footfall: " + spec.Does),
		ScheduleExpression: jsii.String(fmt.Sprintf("rate(%s)", minutes(spec.Schedule.Minutes()))),
		FlexibleTimeWindow: &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: jsii.String("OFF")},
		Target: &awsscheduler.CfnSchedule_TargetProperty{
			Arn: alias.FunctionArn(), RoleArn: role.RoleArn(),
			// shared/lambdarun reads it.
			Input: jsii.String(`{"time":"<aws.scheduler.scheduled-time>"}`),
			RetryPolicy: &awsscheduler.CfnSchedule_RetryPolicyProperty{
				MaximumRetryAttempts: jsii.Number(scheduleRetries), MaximumEventAgeInSeconds: jsii.Number(scheduleMaxAgeSeconds),
			},
		},
	})
	for _, t := range p.cluster.topics {
		s.Node().AddDependency(t)
	}
}

// minutes is a number of minutes as a rate names it.
func minutes(n float64) string {
	if n == 1 {
		return "1 minute"
	}
	return fmt.Sprintf("%.0f minutes", n)
}
