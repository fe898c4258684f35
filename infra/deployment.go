package main

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"footfall/events"
	"footfall/infra/settings"
	"footfall/shared/pipeline"
)

// deployment is what the three stacks have in common.
type deployment struct {
	app    awscdk.App
	set    settings.Settings
	size   settings.Size
	graph  pipeline.Graph
	topics []events.Topic
	assets string // folder of the functions as built for Lambda
}

// newDeployment adds the stacks to app. State and cluster do not know the
// pipeline, so that code is deployed without touching either.
func newDeployment(app awscdk.App, set settings.Settings, assets string) {
	size, _ := settings.SizeByName(set.Size)
	d := &deployment{
		app: app, set: set, size: size, graph: pipeline.Default(), topics: events.Topics(), assets: assets,
	}
	awscdk.Tags_Of(app).Add(jsii.String("deployment"), &d.set.Name, nil)
	c := newClusterStack(d)
	s := newStateStack(d)
	p := newPipelineStack(d, c, s)
	addNag(app, d, c, s, p)
}

// stack makes one of the stacks, for whatever account and region the command
// is used with.
func (d *deployment) stack(name, does string) awscdk.Stack {
	return awscdk.NewStack(d.app, jsii.String(d.set.Name+"-"+name), &awscdk.StackProps{
		Description: jsii.String("Footfall " + d.set.Name + " (" + d.size.Name + "): " + does),
		// Its text would be the only line to change with every release of CDK.
		AnalyticsReporting: jsii.Bool(false),
	})
}

// partitions is how many partitions a topic has here.
func (d *deployment) partitions(topic string) int32 {
	t, _ := events.TopicByName(topic)
	if d.size.Partitions > 0 {
		return d.size.Partitions
	}
	return t.Partitions
}

// onDemand says whether Lambda's pollers on demand poll, and not provisioned
// ones.
func (d *deployment) onDemand() bool { return d.size.Pollers.Max == 0 }

// serverless says whether the cluster is an MSK Serverless one.
func (d *deployment) serverless() bool {
	return !d.set.Existing() && d.size.Cluster == settings.Serverless
}

// prefix is put before the names of tables.
func (d *deployment) prefix() string { return d.set.Name + "-" }

// pseudonymKeysName is the name of the secret of the pseudonyms' keys.
func (d *deployment) pseudonymKeysName() string { return d.set.Name + "/pseudonym-keys" }

// functionName is the name of a function, and of its log group after
// /aws/lambda/.
func (d *deployment) functionName(stage string) string { return d.set.Name + "-" + stage }

// id makes a construct's id of a name with dashes: walk-ins gives WalkIns.
func id(name string) *string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return jsii.String(b.String())
}
