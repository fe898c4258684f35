package main

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/jsii-runtime-go"

	"footfall/shared/pipeline"
)

// Retries of a failed tick. Another tick with a later time follows within a minute,
// so a failed one is retried only that long.
const (
	scheduleRetries       = 2
	scheduleMaxAgeSeconds = 60 // the minimum of either service
)

// schedule starts a stage by EventBridge Scheduler, which puts the scheduled time
// into the event. An invocation that Lambda gives up is written to the bucket, with
// its event and its error, where an operator finds it; a queue would be one more
// resource to watch, and an old tick is never sent again.
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
			// shared/lambdarun reads this field.
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

// minutes returns a number of minutes in the form of a rate expression.
func minutes(n float64) string {
	if n == 1 {
		return "1 minute"
	}
	return fmt.Sprintf("%.0f minutes", n)
}
