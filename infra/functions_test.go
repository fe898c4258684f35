package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"footfall/events"
	"footfall/infra/settings"
	"footfall/shared/pipeline"
)

// functionOf finds the function of a stage.
func (a *assembly) functionOf(name string) (where string, r resource, ok bool) {
	for where, r := range a.all("AWS::Lambda::Function") {
		if r.prop("FunctionName") == a.d.functionName(name) {
			return where, r, true
		}
	}
	return "", resource{}, false
}

// ours returns the names of the functions with our own code.
func (a *assembly) ours() (names []string) {
	for _, s := range a.d.graph.Stages {
		names = append(names, s.Name)
	}
	if a.d.serverless() {
		names = append(names, topicsFunction)
	}
	return names
}

func functions(a *assembly, f *findings) {
	roles := map[string]string{}
	for _, name := range a.ours() {
		where, r, ok := a.functionOf(name)
		if !ok {
			f.add("stage %s has no function", name)
			continue
		}
		f.want(name, "architecture", at(r.prop("Architectures"), 0), "arm64")
		f.want(name, "runtime", r.prop("Runtime"), "provided.al2023")
		spec, isStage := a.d.graph.Stage(name)
		a.checkLeftBehind(f, name, spec.HTTP, r)
		f.want(name, "log format", r.prop("LoggingConfig", "LogFormat"), "JSON")
		role := a.text(where, r.prop("Role"))
		if other := roles[role]; other != "" {
			f.add("%s and %s have one role", name, other)
		}
		roles[role] = name
		a.checkLogs(f, name, a.text(where, r.prop("LoggingConfig", "LogGroup")))
		a.checkEnvironment(f, name, where, r)
		if isStage {
			a.checkSize(f, spec, r)
		}
	}
}

// checkLeftBehind checks that an invocation is traced and has Lambda's own log
// lines, and that a post leaves neither.
func (a *assembly) checkLeftBehind(f *findings, name string, perPost bool, r resource) {
	tracing, level := any("Active"), "INFO"
	if perPost {
		tracing, level = nil, "WARN"
	}
	f.want(name, "tracing", r.prop("TracingConfig", "Mode"), tracing)
	f.want(name, "level of Lambda's own lines", r.prop("LoggingConfig", "SystemLogLevel"), level)
}

func (a *assembly) checkLogs(f *findings, name, group string) {
	for where, r := range a.all("AWS::Logs::LogGroup") {
		if group == "${"+where+"}" {
			f.want(name, "log group", r.prop("LogGroupName"), "/aws/lambda/"+a.d.functionName(name))
			f.want(name, "retention of logs", r.prop("RetentionInDays"), a.d.size.LogDays)
			return
		}
	}
	f.add("%s: no log group of its own, but %s", name, group)
}

// checkEnvironment checks that a function has the variables that it needs and no
// others, and no secret among them.
func (a *assembly) checkEnvironment(f *findings, name, where string, r resource) {
	env, _ := r.prop("Environment", "Variables").(map[string]any)
	want := map[string]string{
		"FOOTFALL_KAFKA_AUTH": "iam", "FOOTFALL_TABLE_PREFIX": a.d.set.Name + "-", "FOOTFALL_LOG_LEVEL": "info",
	}
	if a.d.onDemand() {
		want["FOOTFALL_WHOLE_BATCH"] = "true"
	}
	for key, value := range want {
		f.want(name, key, env[key], value)
	}
	if spec, _ := a.d.graph.Stage(name); spec.HTTP {
		want["FOOTFALL_PSEUDONYM_KEYS"] = a.pseudonymKeys()
		f.want(name, "FOOTFALL_PSEUDONYM_KEYS", a.text(where, env["FOOTFALL_PSEUDONYM_KEYS"]), a.pseudonymKeys())
	}
	brokers := a.text(where, env["FOOTFALL_BROKERS"])
	stackName, _, _ := strings.Cut(where, "/") // values of lookups are never imported
	if !strings.HasPrefix(brokers, "${"+stackName+"/Brokers") || !strings.HasSuffix(brokers, ".BootstrapBrokerStringSaslIam}") {
		f.add("%s: FOOTFALL_BROKERS is %s, not the brokers that take IAM", name, brokers)
	}
	if len(env) != len(want)+1 {
		f.add("%s: environment is %v", name, env)
	}
}

func (a *assembly) checkSize(f *findings, spec pipeline.Stage, r resource) {
	f.want(spec.Name, "timeout", r.prop("Timeout"), spec.Timeout.Seconds())
	f.want(spec.Name, "memory", r.prop("MemorySize"), spec.MemoryMB)
	var reserved any
	if a.d.size.ReserveConcurrency {
		n := 0
		for _, m := range spec.Reads {
			n += int(a.d.partitions(m.Topic))
		}
		reserved = max(n, 1)
		if spec.HTTP {
			reserved = a.d.set.PostsOf(a.d.size).Rate / 10
		}
	}
	f.want(spec.Name, "reserved concurrency", r.prop("ReservedConcurrentExecutions"), reserved)
}

// releases checks that alias live points to a version of the function, and that
// CodeDeploy moves it and rolls it back on alarms of this function.
func releases(a *assembly, f *findings) {
	for _, s := range a.d.graph.Stages {
		where, _, _ := a.functionOf(s.Name)
		alias, ok := a.aliasOf(where)
		if !ok {
			f.add("%s has no alias live", s.Name)
			continue
		}
		version := a.text("pipeline", alias.prop("FunctionVersion"))
		if !slices.ContainsFunc(a.versionsOf(where), func(v string) bool { return version == "${"+v+".Version}" }) {
			f.add("%s: live is %s, which is no version of it", s.Name, version)
		}
		group := a.text("pipeline", at(alias.UpdatePolicy, "CodeDeployLambdaAliasUpdate", "DeploymentGroupName"))
		found := false
		for id, r := range a.all("AWS::CodeDeploy::DeploymentGroup") {
			if group != "${"+id+"}" {
				continue
			}
			found = true
			config := "CodeDeployDefault.LambdaCanary10Percent5Minutes"
			if slices.Contains(a.d.set.AtOnce, s.Name) {
				config = "CodeDeployDefault.LambdaAllAtOnce"
			}
			f.want(s.Name, "release", r.prop("DeploymentConfigName"), config)
			f.want(s.Name, "roll-back", r.prop("AutoRollbackConfiguration", "Enabled"), true)
			f.want(s.Name, "roll-back on", r.prop("AutoRollbackConfiguration", "Events"),
				"[DEPLOYMENT_FAILURE DEPLOYMENT_STOP_ON_REQUEST DEPLOYMENT_STOP_ON_ALARM]")
			f.want(s.Name, "alarms of its release", r.prop("AlarmConfiguration", "Enabled"), true)
			a.checkReleaseAlarms(f, s.Name, list(r.prop("AlarmConfiguration", "Alarms")))
		}
		if !found {
			f.add("%s: live is moved at once and not by CodeDeploy", s.Name)
		}
		a.checkOrder(f, s, alias)
	}
}

// checkOrder checks that a stage is released after the readers of its output.
func (a *assembly) checkOrder(f *findings, s pipeline.Stage, alias resource) {
	for _, reader := range a.d.graph.Stages {
		reads := slices.ContainsFunc(reader.Reads, func(m pipeline.Mapping) bool { return slices.Contains(s.Writes, m.Topic) })
		after := slices.ContainsFunc(alias.DependsOn, func(other string) bool { return strings.HasPrefix(other, *id(reader.Name + "-" + live)) })
		if reads != after {
			f.add("%s: moved after %s is %t, and that reads what it writes is %t", s.Name, reader.Name, after, reads)
		}
	}
}

func (a *assembly) checkReleaseAlarms(f *findings, name string, names []any) {
	var of []string
	for _, n := range names {
		for where, r := range a.all("AWS::CloudWatch::Alarm") {
			if a.text("pipeline", at(n, "Name")) == "${"+where+"}" {
				of = append(of, fmt.Sprint(r.prop("AlarmName")))
			}
		}
	}
	if len(of) == 0 || len(of) != len(names) {
		f.add("%s: its release is watched by the alarms %v, of which %d are there", name, names, len(of))
	}
	for _, alarm := range of {
		if !strings.HasSuffix(alarm, "-"+name) {
			f.add("%s: its release is watched by alarm %s", name, alarm)
		}
	}
}

func (a *assembly) aliasOf(function string) (resource, bool) {
	for where, r := range a.all("AWS::Lambda::Alias") {
		if a.text(where, r.prop("FunctionName")) == "${"+function+"}" && r.prop("Name") == live {
			return r, true
		}
	}
	return resource{}, false
}

func (a *assembly) versionsOf(function string) (all []string) {
	for where, r := range a.all("AWS::Lambda::Version") {
		if a.text(where, r.prop("FunctionName")) == "${"+function+"}" {
			all = append(all, where)
		}
	}
	return all
}

// mappings compares each mapping with the graph, setting by setting.
func mappings(a *assembly, f *findings) {
	seen := 0
	for _, s := range a.d.graph.Stages {
		function, _, _ := a.functionOf(s.Name)
		for _, m := range s.Reads {
			name := s.Name + " from " + m.Topic
			where, r, ok := a.mappingOf(function, m.Topic)
			if !ok {
				f.add("%s: no event source mapping", name)
				continue
			}
			seen++
			a.checkMapping(f, name, where, r, s, m)
			if a.d.onDemand() {
				checkOnDemand(f, name, r)
			} else {
				a.checkProvisioned(f, name, r, m)
			}
		}
	}
	n := 0
	for range a.all("AWS::Lambda::EventSourceMapping") {
		n++
	}
	f.want("pipeline", "number of mappings", n, seen)
}

// mappingOf returns the mapping that invokes alias live of a function for a topic.
func (a *assembly) mappingOf(function, topic string) (string, resource, bool) {
	for where, r := range a.all("AWS::Lambda::EventSourceMapping") {
		for alias, l := range a.all("AWS::Lambda::Alias") {
			if a.text(where, r.prop("FunctionName")) == "${"+alias+"}" && l.prop("Name") == live &&
				a.text(alias, l.prop("FunctionName")) == "${"+function+"}" && at(r.prop("Topics"), 0) == topic {
				return where, r, true
			}
		}
	}
	return "", resource{}, false
}

func (a *assembly) checkMapping(f *findings, name, where string, r resource, s pipeline.Stage, m pipeline.Mapping) {
	f.want(name, "consumer group", r.prop("AmazonManagedKafkaEventSourceConfig", "ConsumerGroupId"), a.d.set.Name+"-"+s.Name+"-"+m.Topic)
	f.want(name, "start", r.prop("StartingPosition"), "TRIM_HORIZON")
	f.want(name, "batch", r.prop("BatchSize"), m.BatchSize)
	f.want(name, "window", r.prop("MaximumBatchingWindowInSeconds"), m.Window.Seconds())
	f.want(name, "state", r.prop("Enabled"), true)
	f.want(name, "topics", r.prop("Topics"), []string{m.Topic})
	f.want(name, "cluster", a.text(where, r.prop("EventSourceArn")), a.clusterARN())
	_, fn, _ := a.functionOf(s.Name)
	role, _ := at(fn.prop("Role"), "Fn::GetAtt", 0).(string)
	if !slices.Contains(r.DependsOn, role) {
		f.add("%s: does not wait for its permissions (%s)", name, role)
	}
	// The topics are in a stack of their own, which is deployed first.
	if !slices.Contains(a.stacks["pipeline"].dependsOn, "network-and-cluster") {
		f.add("%s: does not wait for its topics", name)
	}
}

func (a *assembly) checkProvisioned(f *findings, name string, r resource, m pipeline.Mapping) {
	t, _ := events.TopicByName(m.Topic)
	f.want(name, "answers", r.prop("FunctionResponseTypes"), "[ReportBatchItemFailures]")
	f.want(name, "bisect", r.prop("BisectBatchOnFunctionError"), m.Bisect)
	f.want(name, "retries", r.prop("MaximumRetryAttempts"), m.Retries)
	f.want(name, "record age", r.prop("MaximumRecordAgeInSeconds"), -1)
	f.want(name, "failure destination", r.prop("DestinationConfig", "OnFailure", "Destination"), "kafka://"+t.DeadLetters)
	f.want(name, "metrics", r.prop("MetricsConfig", "Metrics"), "[EventCount ErrorCount KafkaMetrics]")
	f.want(name, "log level", r.prop("LoggingConfig", "SystemLogLevel"), "INFO")
	f.want(name, "poller group", r.prop("ProvisionedPollerConfig", "PollerGroupName"), a.d.set.Name)
	from, _ := r.prop("ProvisionedPollerConfig", "MinimumPollers").(float64)
	to, _ := r.prop("ProvisionedPollerConfig", "MaximumPollers").(float64)
	if from < 1 || to < from || to > float64(a.d.partitions(m.Topic)) {
		f.add("%s: %v to %v pollers for %d partitions", name, from, to, a.d.partitions(m.Topic))
	}
}

// checkOnDemand: Lambda refuses these without provisioned pollers.
func checkOnDemand(f *findings, name string, r resource) {
	for _, setting := range []string{
		"FunctionResponseTypes", "BisectBatchOnFunctionError", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds",
		"DestinationConfig", "MetricsConfig", "LoggingConfig", "ProvisionedPollerConfig",
	} {
		if v := r.prop(setting); v != nil {
			f.add("%s: %s is %v, which pollers on demand refuse", name, setting, v)
		}
	}
}

// clusterARN returns the ARN of the cluster, in the form of text.
func (a *assembly) clusterARN() string {
	if a.d.set.Existing() {
		return a.d.set.ClusterARN
	}
	return "${network-and-cluster/Cluster.Arn}"
}

func schedules(a *assembly, f *findings) {
	for _, s := range a.d.graph.Stages {
		if s.Schedule == 0 {
			continue
		}
		function, _, _ := a.functionOf(s.Name)
		found := false
		for where, r := range a.all("AWS::Scheduler::Schedule") {
			target := a.text(where, r.prop("Target", "Arn"))
			for alias, l := range a.all("AWS::Lambda::Alias") {
				found = found || target == "${"+alias+"}" && a.text(alias, l.prop("FunctionName")) == "${"+function+"}"
			}
			f.want(s.Name, "rate", r.prop("ScheduleExpression"), "rate("+minutes(s.Schedule.Minutes())+")")
			f.want(s.Name, "event", r.prop("Target", "Input"), `{"time":"<aws.scheduler.scheduled-time>"}`)
			if r.prop("Target", "RetryPolicy", "MaximumRetryAttempts") == nil {
				f.add("%s: its schedule has no retry policy", s.Name)
			}
		}
		if !found {
			f.add("%s: no schedule calls it", s.Name)
		}
		kept := false
		for where, r := range a.all("AWS::Lambda::EventInvokeConfig") {
			if a.text(where, r.prop("FunctionName")) == "${"+function+"}" && r.prop("Qualifier") == live {
				kept = strings.HasPrefix(a.text(where, r.prop("DestinationConfig", "OnFailure", "Destination")), "${state/Bucket")
			}
		}
		if !kept {
			f.add("%s: failed invocations are not kept", s.Name)
		}
	}
}

// The document states the number of reserved invocations, since the account's quota
// must allow it.
func TestDocumentSaysWhatIsReserved(t *testing.T) {
	text, err := os.ReadFile("../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"small", "large"} {
		size, _ := settings.SizeByName(name)
		p := &pipelineStack{deployment: &deployment{size: size, graph: pipeline.Default()}}
		n := 0
		for _, s := range p.graph.Stages {
			n += p.concurrency(s)
		}
		if want := fmt.Sprintf("%d with `%s`", n, name); !strings.Contains(string(text), want) {
			t.Errorf("docs/deploy.md does not say that the functions reserve %s", want)
		}
	}
}

// The brokers' addresses are not part of a template. Another cluster must still
// result in another version, or `live` keeps the former brokers.
func TestAnotherClusterMakesNewVersions(t *testing.T) {
	context := maps.Clone(deployments["existing"])
	context["clusterArn"] = strings.Replace(context["clusterArn"].(string), "theirs", "other", 1)
	other, err := synth("other", context, fakeAssets("same"))
	if err != nil {
		t.Fatal(err)
	}
	now := maps.Collect(other.all("AWS::Lambda::Version"))
	for version := range of(t, "existing").all("AWS::Lambda::Version") {
		if _, same := now[version]; same {
			t.Errorf("%s stays", version)
		}
	}
}
