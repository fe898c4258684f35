package main

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"footfall/events"
	"footfall/infra/settings"
	"footfall/shared/pipeline"
)

// deployment holds the data that the three stacks share.
type deployment struct {
	app    awscdk.App
	set    settings.Settings
	size   settings.Size
	graph  pipeline.Graph
	topics []events.Topic
	assets string // folder of the functions as built for Lambda
}

// newDeployment adds the stacks to app. State and cluster do not depend on the
// pipeline, so code is deployed without touching either.
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

// stack returns one of the stacks, for any account and region.
func (d *deployment) stack(name, does string) awscdk.Stack {
	return awscdk.NewStack(d.app, jsii.String(d.set.Name+"-"+name), &awscdk.StackProps{
		Description: jsii.String("Footfall " + d.set.Name + " (" + d.size.Name + "): " + does),
		// The text of the analytics resource would be the only line that changes
		// with every release of CDK.
		AnalyticsReporting: jsii.Bool(false),
	})
}

// partitions returns the number of partitions of a topic in this deployment.
func (d *deployment) partitions(topic string) int32 {
	t, _ := events.TopicByName(topic)
	if d.size.Partitions > 0 {
		return d.size.Partitions
	}
	return t.Partitions
}

// onDemand reports whether pollers on demand poll, instead of provisioned pollers.
func (d *deployment) onDemand() bool { return d.size.Pollers.Max == 0 }

// serverless reports whether the cluster is an MSK Serverless cluster.
func (d *deployment) serverless() bool {
	return !d.set.Existing() && d.size.Cluster == settings.Serverless
}

// prefix returns the prefix of table names.
func (d *deployment) prefix() string { return d.set.Name + "-" }

// pseudonymKeysName returns the name of the secret with the pseudonym keys.
func (d *deployment) pseudonymKeysName() string { return d.set.Name + "/pseudonym-keys" }

// functionName returns the name of a function. The name of its log group is
// /aws/lambda/ and this name.
func (d *deployment) functionName(stage string) string { return d.set.Name + "-" + stage }

// id returns the construct id for a name with dashes, such as WalkIns for walk-ins.
func id(name string) *string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return jsii.String(b.String())
}
