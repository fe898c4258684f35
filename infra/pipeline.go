package main

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodedeploy"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/interfaces/interfacesawscloudwatch"
	"github.com/aws/jsii-runtime-go"

	"footfall/infra/watch"
	"footfall/shared/pipeline"
)

// live is the alias that mappings and schedules invoke. A release moves it to the
// new version, a roll-back to an old one.
const live = "live"

// pipelineStack is the stack of all resources without data of their own.
type pipelineStack struct {
	*deployment
	stack    awscdk.Stack
	cluster  *clusterStack
	state    *stateStack
	topic    awssns.ITopic // of alarms
	brokers  *string       // bootstrap addresses, separated by commas
	releases awscodedeploy.LambdaApplication
	releaser awsiam.IRole
}

func newPipelineStack(d *deployment, c *clusterStack, s *stateStack) *pipelineStack {
	stack := d.stack("pipeline", "functions, what starts them, alarms")
	p := &pipelineStack{deployment: d, stack: stack, cluster: c, state: s}
	w := watch.Deployment{
		Settings: d.set, Size: d.size, Tables: map[string]*string{}, Cluster: c.watched,
	}
	for name := range s.tables {
		w.Tables[name] = jsii.String(d.prefix() + name)
	}
	// Resources that all stages share.
	p.topic = watch.NewTopic(stack, w, s.key)
	p.releases = awscodedeploy.NewLambdaApplication(stack, jsii.String("Releases"), &awscodedeploy.LambdaApplicationProps{
		ApplicationName: &d.set.Name,
	})
	p.releaser = p.newReleaser()
	p.brokers = newLookups(d, stack, "pipeline", s.key, getBrokers).brokers(&c.cluster)
	// The stages, then the alarms on them.
	for _, spec := range d.graph.Stages {
		w.Stages = append(w.Stages, p.add(spec))
	}
	order(w.Stages)
	watch.New(stack, w, p.topic)
	return p
}

// add adds a stage: its function, its release, and its trigger.
func (p *pipelineStack) add(spec pipeline.Stage) watch.Stage {
	f := newFunction(p.deployment, p.stack, function{
		name: spec.Name, does: spec.Does, timeoutSeconds: spec.Timeout.Seconds(), memoryMB: spec.MemoryMB,
		concurrency: p.concurrency(spec), network: p.cluster.network, brokers: p.brokers, key: p.state.key,
		permissions: p.permissions(spec), variables: p.ownEnvironment(spec), perPost: spec.HTTP,
	})
	// Triggers invoke the alias, which a release moves.
	alias := awslambda.NewAlias(p.stack, id(spec.Name+"-"+live), &awslambda.AliasProps{
		AliasName: jsii.String(live), Version: f.fn.CurrentVersion(),
	})
	w := watch.Stage{Spec: spec, Function: f.fn, Alias: alias, Logs: f.logs}
	p.release(w, alias)
	// Triggers: topics, a schedule, or the HTTP API.
	for _, m := range spec.Reads {
		w.Mappings = append(w.Mappings, newMapping(p.deployment, p.stack, p.cluster, spec, m, alias, f))
	}
	if spec.Schedule > 0 {
		p.schedule(spec, alias, f)
	}
	if spec.HTTP {
		w.API = p.newHTTPAPI(spec, alias)
	}
	return w
}

// ownEnvironment returns the variables that only this stage has. A variable holds
// the name of a secret, never the secret.
func (p *pipelineStack) ownEnvironment(spec pipeline.Stage) map[string]*string {
	if !spec.HTTP {
		return nil
	}
	return map[string]*string{"FOOTFALL_PSEUDONYM_KEYS": p.state.pseudonymKeys.SecretArn()}
}

// permissions returns all permissions of a stage, except those that every function
// needs to run.
func (p *pipelineStack) permissions(spec pipeline.Stage) []awsiam.PolicyStatement {
	all := mayUseKafka(p.deployment, p.stack, &p.cluster.cluster, spec)
	all = append(all, mayUseTables(p.stack, p.state, spec)...)
	if spec.Schedule > 0 {
		all = append(all, mayKeepFailures(p.stack, p.state)...)
	}
	if spec.HTTP {
		all = append(all, mayMakePseudonyms(p.stack, p.state)...)
	}
	return all
}

// concurrency returns the reserved concurrency of a stage: one invocation for each
// partition that it reads, since a partition has one batch in flight. So a stage
// neither takes invocations from the rest of the account nor sends DynamoDB more
// concurrent requests than its partitions allow. A schedule needs one invocation at
// a time. Posts have the concurrency of their rate: a flood of posts delays no other
// stage.
func (p *pipelineStack) concurrency(spec pipeline.Stage) int {
	if !p.size.ReserveConcurrency {
		return 0
	}
	if spec.HTTP {
		return p.set.PostsOf(p.size).Concurrency()
	}
	n := 0
	for _, m := range spec.Reads {
		n += int(p.partitions(m.Topic))
	}
	return max(n, 1)
}

// order lets a release move the readers of a topic before its writers: a record of a
// new version is produced only once all its readers can read it.
func order(stages []watch.Stage) {
	for _, writer := range stages {
		for _, reader := range stages {
			if slices.ContainsFunc(reader.Spec.Reads, func(m pipeline.Mapping) bool { return slices.Contains(writer.Spec.Writes, m.Topic) }) {
				writer.Alias.Node().AddDependency(reader.Alias)
			}
		}
	}
}

// release shifts a tenth of the invocations to a new version, and the rest after
// five minutes, unless an alarm goes off; all at once if the settings exclude two
// versions side by side. The alarms are created before the mappings and must not
// depend on them: mappings depend on the alias, and the alias on the alarms that
// guard it.
func (p *pipelineStack) release(w watch.Stage, alias awslambda.Alias) {
	config := awscodedeploy.LambdaDeploymentConfig_CANARY_10PERCENT_5MINUTES()
	if slices.Contains(p.set.AtOnce, w.Spec.Name) {
		config = awscodedeploy.LambdaDeploymentConfig_ALL_AT_ONCE()
	}
	var alarms []interfacesawscloudwatch.IAlarmRef
	for _, a := range watch.ReleaseAlarms(p.stack, w, p.topic) {
		alarms = append(alarms, a)
	}
	group := awscodedeploy.NewLambdaDeploymentGroup(p.stack, id(w.Spec.Name+"-release"), &awscodedeploy.LambdaDeploymentGroupProps{
		Application: p.releases, Alias: alias, Role: p.releaser,
		DeploymentGroupName: jsii.String(p.functionName(w.Spec.Name)),
		DeploymentConfig:    config,
		Alarms:              &alarms,
		AutoRollback: &awscodedeploy.AutoRollbackConfig{
			FailedDeployment: jsii.Bool(true), StoppedDeployment: jsii.Bool(true), DeploymentInAlarm: jsii.Bool(true),
		},
	})
	// The deployment group must exist before the alias moves.
	alias.Node().AddDependency(group)
}

// newReleaser returns the role that moves the aliases. CDK's default role has an
// AWS-managed policy for every function of the account.
func (p *pipelineStack) newReleaser() awsiam.IRole {
	var functions, aliases []*string
	for _, spec := range p.graph.Stages {
		functions = append(functions, functionARN(p.stack, p.functionName(spec.Name)))
		aliases = append(aliases, functionARN(p.stack, p.functionName(spec.Name)+":"+live))
	}
	role := awsiam.NewRole(p.stack, jsii.String("Releaser"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("codedeploy.amazonaws.com"), nil),
		InlinePolicies: inline(
			may("MoveAliases", []string{"lambda:GetAlias", "lambda:UpdateAlias", "lambda:GetProvisionedConcurrencyConfig"}, append(functions, aliases...)...),
			// AWS defines this action for no single alarm. It only reads.
			may("WatchAlarms", []string{"cloudwatch:DescribeAlarms"}, jsii.String("*")),
		),
	})
	return role.WithoutPolicyUpdates(nil)
}
