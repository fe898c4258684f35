package watch

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awschatbot"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssnssubscriptions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// NewTopic returns the topic for all alarms, encrypted with key, over TLS only. The
// topic forwards to the mail address and the Slack channel of the settings, if they
// are set.
//
// The policy of key must allow cloudwatch.amazonaws.com to decrypt and to generate
// data keys: a topic whose key refuses CloudWatch receives no alarm, without any
// error. Names of alarms must begin with the deployment's name.
func NewTopic(scope constructs.Construct, d Deployment, key awskms.IKey) awssns.ITopic {
	topic := awssns.NewTopic(scope, jsii.String("Alarms"), &awssns.TopicProps{
		DisplayName: jsii.String("Footfall " + d.Settings.Name),
		MasterKey:   key,
		EnforceSSL:  jsii.Bool(true),
	})
	grantAlarms(scope, d, topic)
	if mail := d.Settings.AlarmEmail; mail != "" {
		topic.AddSubscription(awssnssubscriptions.NewEmailSubscription(jsii.String(mail), nil))
	}
	if d.Settings.SlackWorkspace != "" && d.Settings.SlackChannel != "" {
		postToSlack(scope, d, topic)
	}
	return topic
}

// grantAlarms allows CloudWatch to publish the alarms of the deployment, and no
// others. The statement is needed: the policy that rejects plain HTTP replaces the
// default policy of a topic, which allows the whole account.
func grantAlarms(scope constructs.Construct, d Deployment, topic awssns.Topic) {
	stack := awscdk.Stack_Of(scope)
	alarms := stack.FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("cloudwatch"), Resource: jsii.String("alarm"),
		ResourceName: jsii.String(d.Settings.Name + "-*"), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
	topic.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("Alarms"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("cloudwatch.amazonaws.com"), nil)},
		Actions:    jsii.Strings("sns:Publish"),
		Resources:  &[]*string{topic.TopicArn()},
		Conditions: &map[string]any{
			"StringEquals": map[string]any{"aws:SourceAccount": stack.Account()},
			"ArnLike":      map[string]any{"aws:SourceArn": alarms},
		},
	}))
}

// postToSlack posts alarms to a channel by Amazon Q Developer in chat applications
// (formerly AWS Chatbot). Posting needs no permissions, and nobody should be able to
// command AWS from the channel: its role has no permissions, and the guardrail
// denies all actions, whereas the default guardrail would allow everything that the
// role may do.
func postToSlack(scope constructs.Construct, d Deployment, topic awssns.ITopic) {
	awschatbot.NewSlackChannelConfiguration(scope, jsii.String("Slack"), &awschatbot.SlackChannelConfigurationProps{
		SlackChannelConfigurationName: jsii.String(d.Settings.Name + "-alarms"),
		SlackWorkspaceId:              jsii.String(d.Settings.SlackWorkspace),
		SlackChannelId:                jsii.String(d.Settings.SlackChannel),
		NotificationTopics:            &[]awssns.ITopic{topic},
		GuardrailPolicies: &[]awsiam.IManagedPolicy{
			awsiam.ManagedPolicy_FromAwsManagedPolicyName(jsii.String("AWSDenyAll")),
		},
	})
}
