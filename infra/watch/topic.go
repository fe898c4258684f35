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

// NewTopic makes the topic that all alarms go to, encrypted with key, over TLS
// only. It goes on to the mail address and the Slack channel of the settings,
// where there are any.
//
// The policy of key must let cloudwatch.amazonaws.com decrypt and generate data
// keys: a topic whose key refuses them gets no alarm, and nothing tells of that.
// Names of alarms begin with the deployment's.
func NewTopic(scope constructs.Construct, d Deployment, key awskms.IKey) awssns.ITopic {
	topic := awssns.NewTopic(scope, jsii.String("Alarms"), &awssns.TopicProps{
		DisplayName: jsii.String("Footfall " + d.Settings.Name),
		MasterKey:   key,
		EnforceSSL:  jsii.Bool(true),
	})
	letAlarmsIn(scope, d, topic)
	if mail := d.Settings.AlarmEmail; mail != "" {
		topic.AddSubscription(awssnssubscriptions.NewEmailSubscription(jsii.String(mail), nil))
	}
	if d.Settings.SlackWorkspace != "" && d.Settings.SlackChannel != "" {
		postToSlack(scope, d, topic)
	}
	return topic
}

// letAlarmsIn has CloudWatch publish the alarms of the deployment, and no
// others. It has to be said: the policy that refuses plain HTTP replaces the one
// that every topic has, which lets the whole account in.
func letAlarmsIn(scope constructs.Construct, d Deployment, topic awssns.Topic) {
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

// postToSlack posts alarms to a channel by Amazon Q Developer in chat
// applications, which was AWS Chatbot. Posting needs no permissions, and nobody
// is to command AWS from the channel: its role has none, and the guardrail
// denies everything, where the default would allow all that the role may do.
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
