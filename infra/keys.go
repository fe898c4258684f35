package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"
)

// newKey returns a key for the data of a stack, and allows CloudWatch Logs to use it
// for the log groups of the deployment. The key outlives its stack, since the data
// that it encrypts does.
func newKey(d *deployment, stack awscdk.Stack, of string) awskms.Key {
	key := awskms.NewKey(stack, jsii.String("Key"), &awskms.KeyProps{
		Alias: jsii.String(d.prefix() + of), Description: jsii.String("Footfall " + d.set.Name + ": " + of),
		EnableKeyRotation: jsii.Bool(true), RemovalPolicy: awscdk.RemovalPolicy_RETAIN,
	})
	// Amazon CloudWatch Logs user guide, "Encrypt log data using AWS KMS".
	logs := may("Logs", []string{"kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey"}, jsii.String("*"))
	logs.AddServicePrincipal(awscdk.Fn_Join(jsii.String("."), jsii.Strings("logs", *stack.Region(), "amazonaws.com")), nil)
	logs.AddCondition(jsii.String("ArnLike"), map[string]any{
		"kms:EncryptionContext:aws:logs:arn": []*string{
			logGroupARN(stack, "/"+d.set.Name+"/*"), logGroupARN(stack, "/aws/lambda/"+d.prefix()+"*"),
		},
	})
	key.AddToResourcePolicy(logs, nil)
	return key
}

// grantAlarms allows alarms to be sent to an encrypted topic (Amazon SNS developer
// guide, "Encrypt messages published from AWS services").
func grantAlarms(stack awscdk.Stack, key awskms.Key) {
	alarms := may("Alarms", []string{"kms:Decrypt", "kms:GenerateDataKey"}, jsii.String("*"))
	alarms.AddServicePrincipal(jsii.String("cloudwatch.amazonaws.com"), nil)
	alarms.AddCondition(jsii.String("StringEquals"), map[string]any{"aws:SourceAccount": stack.Account()})
	key.AddToResourcePolicy(alarms, nil)
}

func logGroupARN(stack awscdk.Stack, name string) *string {
	return stack.FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("logs"), Resource: jsii.String("log-group"), ResourceName: jsii.String(name),
		ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
}

// logGroup returns a log group, which is deleted with its stack.
func logGroup(d *deployment, stack awscdk.Stack, construct, name string, key awskms.IKey) awslogs.LogGroup {
	return awslogs.NewLogGroup(stack, jsii.String(construct), &awslogs.LogGroupProps{
		LogGroupName: jsii.String(name), EncryptionKey: key,
		Retention: retention(d.size.LogDays), RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
}

// retention returns CDK's constant for a number of days.
func retention(days int) awslogs.RetentionDays {
	switch days {
	case 7:
		return awslogs.RetentionDays_ONE_WEEK
	case 30:
		return awslogs.RetentionDays_ONE_MONTH
	default:
		return awslogs.RetentionDays_THREE_MONTHS
	}
}

// lambdaPrincipal returns Lambda as the principal that runs a function.
func lambdaPrincipal() awsiam.IPrincipal {
	return awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil)
}
