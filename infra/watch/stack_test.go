package watch_test

import (
	"encoding/json"
	"os"
	"sync"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"footfall/infra/settings"
	"footfall/infra/watch"
	"footfall/infra/watch/watchtest"
	"footfall/shared/pipeline"
)

// prefix is the name of the stack of every deployment in these tests.
const prefix = "shop-pipeline"

// deployment is one way to deploy, with its template.
type deployment struct {
	name     string
	settings settings.Settings
	size     settings.Size
	template []byte
}

// deployments returns all sizes, and one with an existing cluster, built once: each
// build takes seconds.
var deployments = sync.OnceValue(func() []deployment {
	var all []deployment
	for _, size := range settings.Sizes() {
		all = append(all, deployment{name: size.Name, settings: settings.Settings{Name: "shop", Size: size.Name}, size: size})
	}
	small := all[1]
	small.name = "existing cluster, mail and Slack"
	small.settings.ClusterARN = "arn:aws:kafka:eu-central-1:123456789012:cluster/theirs/5f0a3c1e-8d27-4b64-9a51-0c7e2f9b6d38-7"
	small.settings.QuietAllowed = true
	small.settings.AlarmEmail = "ops@example.com"
	small.settings.SlackWorkspace, small.settings.SlackChannel = "T0000000", "C0000000"
	all = append(all, small)
	for i := range all {
		all[i].template = synth(all[i].settings, all[i].size)
	}
	return all
})

// synth returns the template of a stack with empty functions and everything that
// watches them.
func synth(set settings.Settings, size settings.Size) []byte {
	stack := awscdk.NewStack(awscdk.NewApp(nil), jsii.String(prefix), nil)
	d := watch.Deployment{
		Settings: set, Size: size, Tables: map[string]*string{},
		Cluster: watch.Cluster{Kind: size.Cluster, Name: jsii.String("shop"), Brokers: size.Brokers},
	}
	for _, t := range pipeline.Default().Tables {
		d.Tables[t.Name] = jsii.String("shop-" + t.Name)
	}
	topic := watch.NewTopic(stack, d, awskms.NewKey(stack, jsii.String("Key"), nil))
	for _, spec := range pipeline.Default().Stages {
		s := newStage(stack, spec)
		watch.ReleaseAlarms(stack, s, topic)
		for _, m := range spec.Reads {
			group := "shop-" + spec.Name + "-" + m.Topic
			s.Mappings = append(s.Mappings, watch.Mapping{Of: m, Group: group, ID: jsii.String("uuid-of-" + group)})
		}
		d.Stages = append(d.Stages, s)
	}
	watch.New(stack, d, topic)
	text, err := json.Marshal(assertions.Template_FromStack(stack, nil).ToJSON())
	if err != nil {
		panic(err)
	}
	return text
}

func newStage(stack awscdk.Stack, spec pipeline.Stage) watch.Stage {
	logs := awslogs.NewLogGroup(stack, jsii.String(spec.Name+"-logs"), nil)
	fn := awslambda.NewFunction(stack, jsii.String(spec.Name), &awslambda.FunctionProps{
		Code: awslambda.Code_FromInline(jsii.String("exports.handler = async () => {}")), Handler: jsii.String("index.handler"),
		Runtime: awslambda.Runtime_NODEJS_LATEST(), LogGroup: logs,
	})
	alias := awslambda.NewAlias(stack, jsii.String(spec.Name+"-live"), &awslambda.AliasProps{
		AliasName: jsii.String("live"), Version: fn.CurrentVersion(),
	})
	s := watch.Stage{Spec: spec, Function: fn, Alias: alias, Logs: logs}
	if spec.HTTP {
		s.API = &watch.API{ID: jsii.String("api0123456"), Logs: awslogs.NewLogGroup(stack, jsii.String("posts"), nil)}
	}
	return s
}

// parsed returns a template that the caller may change.
func (d deployment) parsed(t *testing.T) watchtest.Template {
	t.Helper()
	template, err := watchtest.Parse(d.template)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// runbook is docs/runbook.md.
func runbook(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
