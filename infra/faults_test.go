package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// fault is a fault that is planted in a template, with the findings that it must
// cause, and no others.
type fault struct {
	name, deployment string
	plant            func(a *assembly) error
	want             []string
}

// change passes the only resource of a type that match accepts to edit.
func (a *assembly) change(kind string, match func(where string, r resource) bool, edit func(r *resource)) error {
	n := 0
	for where, r := range a.all(kind) {
		if !match(where, r) {
			continue
		}
		n++
		edit(&r)
		stackName, id, _ := strings.Cut(where, "/")
		a.stacks[stackName].Resources[id] = r
	}
	if n != 1 {
		return fmt.Errorf("%d resources of type %s match, not 1", n, kind)
	}
	return nil
}

// named matches the beginning of a resource's name, after the name of its stack.
func named(stackName, id string) func(string, resource) bool {
	return func(where string, _ resource) bool { return strings.HasPrefix(where, stackName+"/"+id) }
}

// drop takes a resource out.
func (a *assembly) drop(kind string, match func(string, resource) bool) error {
	return a.change(kind, match, func(r *resource) { r.Type = "dropped" })
}

// set sets the value at path, or removes it if value is nil.
func set(r *resource, value any, path ...any) {
	last := path[len(path)-1]
	switch in := at(r.Properties, path[:len(path)-1]...).(type) {
	case map[string]any:
		if value == nil {
			delete(in, last.(string))
		} else {
			in[last.(string)] = value
		}
	case []any:
		in[last.(int)] = value
	default:
		panic(fmt.Sprintf("nothing at %v", path))
	}
}

func setting(kind string, match func(string, resource) bool, value any, path ...any) func(a *assembly) error {
	return func(a *assembly) error {
		return a.change(kind, match, func(r *resource) { set(r, value, path...) })
	}
}

// grant edits the statement with a sid in the policy of the role of a stage.
func grant(role, sid string, edit func(s map[string]any)) func(a *assembly) error {
	return func(a *assembly) error {
		found := false
		err := a.change("AWS::IAM::Role", named("pipeline", role), func(r *resource) {
			for _, s := range list(r.prop("Policies", 0, "PolicyDocument", "Statement")) {
				if at(s, "Sid") == sid {
					found = true
					edit(s.(map[string]any))
				}
			}
		})
		if err == nil && !found {
			err = fmt.Errorf("%s has no statement %s", role, sid)
		}
		return err
	}
}

// alarm matches an alarm by the end of its name.
func alarm(end string) func(string, resource) bool {
	return func(_ string, r resource) bool { return strings.HasSuffix(fmt.Sprint(r.prop("AlarmName")), end) }
}

func only(actions ...any) func(map[string]any) {
	return func(s map[string]any) { s["Action"] = actions }
}

const (
	lambdaMapping  = "AWS::Lambda::EventSourceMapping"
	lambdaFunction = "AWS::Lambda::Function"
)

var faults = []fault{
	{"a stage may not write", "small", grant("EnrichRole", "WriteTopics", only("kafka-cluster:DescribeTopic")), []string{
		"enrich: may not kafka-cluster:WriteData on topic enriched-walk-ins", "enrich: may not kafka-cluster:WriteData on topic visits-ended-dead-letters",
		"enrich: may not kafka-cluster:WriteData on topic walk-ins-dead-letters",
	}},
	{"a mapping may not put what failed away", "small", grant("CountRole", "WriteTopics", func(s map[string]any) {
		s["Resource"] = slices.DeleteFunc(list(s["Resource"]), func(r any) bool { return strings.Contains(fmt.Sprint(r), "dead-letters") })
	}), []string{
		"count: may not kafka-cluster:DescribeTopic on topic enriched-walk-ins-dead-letters",
		"count: may not kafka-cluster:WriteData on topic enriched-walk-ins-dead-letters",
	}},
	{"a stage may delete from its table", "small", grant("CountRole", "UseCounts", func(s map[string]any) {
		s["Action"] = append(list(s["Action"]), "dynamodb:DeleteItem")
	}), []string{"count: may dynamodb:DeleteItem on table counts, which its stage does not"}},
	{"a stage may read any table", "small", grant("DetectRole", "UseVisitLog", func(s map[string]any) { s["Resource"] = "*" }), []string{
		"detect: may dynamodb:PutItem on *, which its stage does not", "detect: may dynamodb:Query on *, which its stage does not",
		"detect: may not dynamodb:PutItem on table visit-log", "detect: may not dynamodb:Query on table visit-log",
		"pipeline/DetectRole, UseVisitLog: allows dynamodb:PutItem on *", "pipeline/DetectRole, UseVisitLog: allows dynamodb:Query on *",
	}},
	{"a role may do everything with tables", "dev", grant("TickRole", "Trace", only("xray:PutTraceSegments", "dynamodb:*")), []string{
		"pipeline/TickRole, Trace: allows dynamodb:*", "pipeline/TickRole, Trace: allows dynamodb:* on *",
		"tick: may dynamodb:* on *, which its stage does not",
	}},
	{"a role has a policy of AWS", "small", setting("AWS::IAM::Role", named("pipeline", "EnrichRole"), []any{"arn:aws:iam::aws:policy/AdministratorAccess"}, "ManagedPolicyArns"),
		[]string{"pipeline/EnrichRole: has policies of AWS: [arn:aws:iam::aws:policy/AdministratorAccess]"}},
	{"a stage may not use the key of its tables", "small", grant("DetectRole", "UseKey", only("kms:DescribeKey")),
		[]string{"detect: may not kms:Decrypt through dynamodb"}},
	{"what a tick failed of is kept by nobody", "small", grant("TickRole", "KeepFailures", only("s3:GetObject")),
		[]string{"failures of ${pipeline/Tick}: may not s3:PutObject on ${state/Bucket.Arn}/aws/lambda/async/*"}},
	{"a schedule that may not call", "small", grant("TickScheduleRole", "Invoke", only("lambda:GetFunction")),
		[]string{"pipeline/TickSchedule: may not lambda:InvokeFunction on ${pipeline/TickLive}"}},
	{"a lookup that may not be made", "dev", grant("LookupsRole", "LookUp", only("kafka:ListClusters")), []string{
		"pipeline/Brokers: may not kafka:GetBootstrapBrokers on *", "pipeline/LookupsRole, LookUp: allows kafka:ListClusters on *",
	}},
	{"an endpoint that lets no query through", "small", setting("AWS::EC2::VPCEndpoint", named("network-and-cluster", "VpcDynamoDb"),
		[]any{"dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Scan", "dynamodb:UpdateItem"}, "PolicyDocument", "Statement", 0, "Action"),
		[]string{"endpoints: let through no dynamodb:Query on arn:"}},
	{"alarms that cannot be encrypted", "small", setting("AWS::SNS::Topic", named("pipeline", "Alarms"), map[string]any{"Fn::ImportValue": "footfall-network-and-cluster:None"}, "KmsMasterKeyId"),
		[]string{"pipeline/Alarms: alarms may not use its key", "pipeline/Alarms: encrypted with "}},
	{"brokers that forget how far groups had come", "large", setting("AWS::MSK::Configuration", named("network-and-cluster", "Configuration"), "auto.create.topics.enable=false\n", "ServerProperties"),
		[]string{"network-and-cluster/Configuration: settings of the brokers is auto.create.topics.enable=false"}},

	{"ingest may read every secret", "small", grant("IngestRole", "ReadPseudonymKeys", func(s map[string]any) { s["Resource"] = "*" }), []string{
		"ingest: may not secretsmanager:GetSecretValue on secret footfall/pseudonym-keys",
		"ingest: may secretsmanager:GetSecretValue on *, which its stage does not",
		"pipeline/IngestRole, ReadPseudonymKeys: allows secretsmanager:GetSecretValue on *",
	}},
	{"ingest may write the secret", "small", grant("IngestRole", "ReadPseudonymKeys", only("secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue")),
		[]string{"ingest: may secretsmanager:PutSecretValue on secret footfall/pseudonym-keys, which its stage does not"}},
	{"ingest may not unlock the keys of pseudonyms", "dev", grant("IngestRole", "UnlockPseudonymKeys", only("kms:DescribeKey")),
		[]string{"ingest: may not kms:Decrypt through secretsmanager"}},
	{"a stage that may unlock them", "small", grant("CountRole", "UseKey", func(s map[string]any) {
		s["Condition"] = map[string]any{"StringEquals": map[string]any{
			"kms:ViaService": map[string]any{"Fn::Join": []any{"", []any{"secretsmanager.", map[string]any{"Ref": "AWS::Region"}, ".amazonaws.com"}}},
		}}
	}), []string{
		"count: may not kms:Decrypt through dynamodb", "pipeline/CountRole: uses a key through secretsmanager.${AWS::Region}.amazonaws.com",
	}},
	{"ingest may change the businesses", "small", grant("IngestRole", "UseBusinesses", func(s map[string]any) {
		s["Action"] = append(list(s["Action"]), "dynamodb:PutItem")
	}), []string{"ingest: may dynamodb:PutItem on table businesses, which its stage does not"}},
	{"ingest has the keys themselves", "small", setting(lambdaFunction, named("pipeline", "Ingest"), `{"1": "secret"}`, "Environment", "Variables", "FOOTFALL_PSEUDONYM_KEYS"),
		[]string{`ingest: FOOTFALL_PSEUDONYM_KEYS is {"1": "secret"}, not ${state/PseudonymKeys`}},
	{"another stage knows where the keys are", "small", setting(lambdaFunction, named("pipeline", "Detect"), "arn:aws:secretsmanager", "Environment", "Variables", "FOOTFALL_PSEUDONYM_KEYS"),
		[]string{"detect: environment is map["}},
	{"posts take all of the account", "large", setting(lambdaFunction, named("pipeline", "Ingest"), 400.0, "ReservedConcurrentExecutions"),
		[]string{"ingest: reserved concurrency is 400, not 30"}},

	{"a route for everything", "small", setting("AWS::ApiGatewayV2::Route", named("pipeline", "PostRoute"), "$default", "RouteKey"),
		[]string{"ingest: routes is [$default GET /v1/{business}/{kind}], not [GET"}},
	{"a route to the latest code and not to what is live", "small", setting("AWS::ApiGatewayV2::Integration", named("pipeline", "ApiToIngest"),
		map[string]any{"Ref": "IngestF7E6C0A4"}, "IntegrationUri"), []string{
		"GET /v1/{business}/{kind}: what it calls is ${pipeline/Ingest}, not ${pipeline/IngestLive}",
		"POST /v1/{business}/{kind}: what it calls is ${pipeline/Ingest}, not ${pipeline/IngestLive}",
	}},
	{"an event in another format", "dev", setting("AWS::ApiGatewayV2::Integration", named("pipeline", "ApiToIngest"), "1.0", "PayloadFormatVersion"),
		[]string{"GET /v1/{business}/{kind}: format is 1.0, not 2.0", "POST /v1/{business}/{kind}: format is 1.0, not 2.0"}},
	{"an API that gives up before ingest answers", "small", setting("AWS::ApiGatewayV2::Integration", named("pipeline", "ApiToIngest"), 20000.0, "TimeoutInMillis"),
		[]string{"GET /v1/{business}/{kind}: gives up after 20000 ms", "POST /v1/{business}/{kind}: gives up after 20000 ms"}},
	{"an API that waits for what has ended", "small", setting("AWS::ApiGatewayV2::Integration", named("pipeline", "ApiToIngest"), 30000.0, "TimeoutInMillis"),
		[]string{"GET /v1/{business}/{kind}: gives up after 30000 ms", "POST /v1/{business}/{kind}: gives up after 30000 ms"}},
	{"every API of the account may call", "small", setting("AWS::Lambda::Permission", named("pipeline", "PostRouteMay"), "arn:aws:execute-api:*:*:*", "SourceArn"),
		[]string{"API: routes that may call is [*/GET/v1/*/* arn:aws:execute-api:*:*:*], not"}},
	{"a route that may not call", "small", func(a *assembly) error { return a.drop("AWS::Lambda::Permission", named("pipeline", "AskRouteMay")) },
		[]string{"API: routes that may call is [*/POST/v1/*/*], not"}},
	{"an API without bounds", "small", setting("AWS::ApiGatewayV2::Stage", named("pipeline", "ApiStage"), nil, "DefaultRouteSettings", "ThrottlingRateLimit"),
		[]string{"API: rate is <nil>, not 200"}},
	{"bounds that are not those of the settings", "large", setting("AWS::ApiGatewayV2::Stage", named("pipeline", "ApiStage"), 5000.0, "DefaultRouteSettings", "ThrottlingBurstLimit"),
		[]string{"API: burst is 5000, not 900"}},
	{"a log of who posts", "small", setting("AWS::ApiGatewayV2::Stage", named("pipeline", "ApiStage"),
		`{"ip":"$context.identity.sourceIp","status":"$context.status"}`, "AccessLogSettings", "Format"),
		[]string{"API: what is logged is [$context.identity.sourceIp $context.status], not"}},
	{"an API without a log", "small", setting("AWS::ApiGatewayV2::Stage", named("pipeline", "ApiStage"), "arn:aws:logs:::nowhere", "AccessLogSettings", "DestinationArn"),
		[]string{"API: requests are logged to arn:aws:logs:::nowhere"}},
	{"nobody is told where to post", "small", func(a *assembly) error {
		delete(a.stacks["pipeline"].Outputs, "PostsTo")
		return nil
	}, []string{"API: its address is no output"}},

	{"ingest cannot reach the secret", "small", func(a *assembly) error {
		return a.drop("AWS::EC2::SecurityGroupIngress", func(_ string, r resource) bool {
			return strings.Contains(fmt.Sprint(r.prop("GroupId")), "SecretsGroup")
		})
	}, []string{"ingest to secretsmanager: not let in at ${network-and-cluster/SecretsGroup"}},
	{"ingest is not let into their endpoint", "existing with an endpoint", func(a *assembly) error {
		return a.drop("AWS::EC2::SecurityGroupIngress", func(_ string, r resource) bool { return r.prop("GroupId") == "sg-0a0a0a0a0a0a0a0a0" })
	}, []string{"ingest to secretsmanager: not let in at sg-0a0a0a0a0a0a0a0a0"}},
	{"the keys are read through one zone", "large", setting("AWS::EC2::VPCEndpoint", func(where string, _ resource) bool {
		return strings.Contains(where, "Secrets")
	}, []any{"subnet-0a"}, "SubnetIds"), []string{"secretsmanager: endpoint's number of zones is 1, not 3"}},
	{"an endpoint for every secret", "small", setting("AWS::EC2::VPCEndpoint", func(where string, _ resource) bool {
		return strings.Contains(where, "Secrets")
	}, "*", "PolicyDocument", "Statement", 0, "Resource"), []string{
		"endpoints: let through no secretsmanager:GetSecretValue on arn:",
		"network-and-cluster/VpcSecrets, PseudonymKeys: allows [secretsmanager:GetSecretValue] to anybody",
	}},

	{"a mapping without retries", "small", setting(lambdaMapping, named("pipeline", "EnrichFromWalkIns"), nil, "MaximumRetryAttempts"),
		[]string{"enrich from walk-ins: retries is <nil>, not 100"}},
	{"a mapping that takes no partial answers", "large", setting(lambdaMapping, named("pipeline", "DetectFromSightings"), nil, "FunctionResponseTypes"),
		[]string{"detect from sightings: answers is <nil>, not [ReportBatchItemFailures]"}},
	{"a mapping that gives up to nowhere", "small", setting(lambdaMapping, named("pipeline", "CountFromEnrichedWalkIns"), nil, "DestinationConfig"),
		[]string{"count from enriched-walk-ins: failure destination is <nil>, not kafka://enriched-walk-ins-dead-letters"}},
	{"a mapping without metrics", "small", setting(lambdaMapping, named("pipeline", "CountFromEnrichedWalkIns"), []any{"EventCount"}, "MetricsConfig", "Metrics"),
		[]string{"count from enriched-walk-ins: metrics is [EventCount], not [EventCount ErrorCount KafkaMetrics]"}},
	{"a mapping that starts at the end", "dev", setting(lambdaMapping, named("pipeline", "DetectFromSightings"), "LATEST", "StartingPosition"),
		[]string{"detect from sightings: start is LATEST, not TRIM_HORIZON"}},
	{"a mapping with the group of another", "small", setting(lambdaMapping, named("pipeline", "IdentifyFromCrmEventsBackfill"), "footfall-identify-crm-events", "AmazonManagedKafkaEventSourceConfig", "ConsumerGroupId"),
		[]string{"identify from crm-events-backfill: consumer group is footfall-identify-crm-events, not footfall-identify-crm-events-backfill"}},
	{"more pollers than partitions", "small", setting(lambdaMapping, named("pipeline", "EnrichFromWalkIns"), 17.0, "ProvisionedPollerConfig", "MaximumPollers"),
		[]string{"enrich from walk-ins: 1 to 17 pollers for 16 partitions"}},
	{"a mapping with a group of pollers of its own", "small", setting(lambdaMapping, named("pipeline", "EnrichFromWalkIns"), nil, "ProvisionedPollerConfig", "PollerGroupName"),
		[]string{"enrich from walk-ins: poller group is <nil>, not footfall"}},
	{"a mapping that does not wait for its permissions", "small", func(a *assembly) error {
		return a.change(lambdaMapping, named("pipeline", "EnrichFromWalkIns"), func(r *resource) { r.DependsOn = nil })
	}, []string{"enrich from walk-ins: does not wait for its permissions (EnrichRole)"}},
	{"a setting that pollers on demand refuse", "dev", setting(lambdaMapping, named("pipeline", "EnrichFromWalkIns"), 100.0, "MaximumRetryAttempts"),
		[]string{"enrich from walk-ins: MaximumRetryAttempts is 100, which pollers on demand refuse"}},
	{"partial answers that nobody reads", "dev", setting(lambdaFunction, named("pipeline", "Enrich"), nil, "Environment", "Variables", "FOOTFALL_WHOLE_BATCH"),
		[]string{"enrich: FOOTFALL_WHOLE_BATCH is <nil>, not true", "enrich: environment is map["}},
	{"a mapping too few", "small", func(a *assembly) error { return a.drop(lambdaMapping, named("pipeline", "EnrichFromWalkIns")) },
		[]string{"enrich from walk-ins has no alarm", "enrich from walk-ins: no event source mapping"}},

	{"a function for another processor", "small", setting(lambdaFunction, named("pipeline", "Tick"), []any{"x86_64"}, "Architectures"),
		[]string{"tick: architecture is x86_64, not arm64"}},
	{"a function that takes all of the account", "large", setting(lambdaFunction, named("pipeline", "Count"), nil, "ReservedConcurrentExecutions"),
		[]string{"count: reserved concurrency is <nil>, not 16"}},
	{"a release without roll-back", "small", setting("AWS::CodeDeploy::DeploymentGroup", named("pipeline", "CountRelease"), nil, "AutoRollbackConfiguration", "Enabled"),
		[]string{"count: roll-back is <nil>, not true"}},
	{"a release that nothing watches", "small", setting("AWS::CodeDeploy::DeploymentGroup", named("pipeline", "CountRelease"), []any{}, "AlarmConfiguration", "Alarms"),
		[]string{"count: its release is watched by the alarms [], of which 0 are there"}},
	{"a schedule that does not say when", "small", setting("AWS::Scheduler::Schedule", named("pipeline", "TickSchedule"), "{}", "Target", "Input"),
		[]string{`tick: event is {}, not {"time":"<aws.scheduler.scheduled-time>"}`}},

	{"an alarm that tells nobody", "small", setting("AWS::CloudWatch::Alarm", alarm("-dead-letters-detect"), nil, "AlarmActions"),
		[]string{"alarm footfall-pipeline-dead-letters-detect: acts on []"}},
	{"an alarm that says not what to do", "small", setting("AWS::CloudWatch::Alarm", alarm("-throttles-detect"), "Look at docs/runbook.md#nowhere", "AlarmDescription"),
		[]string{"alarm footfall-pipeline-throttles-detect: the runbook has no section nowhere"}},
	{"no alarm on a table", "small", func(a *assembly) error {
		for where, r := range a.all("AWS::CloudWatch::Alarm") {
			if strings.Contains(fmt.Sprint(r.Properties), "footfall-pending") {
				delete(a.stacks["pipeline"].Resources, strings.TrimPrefix(where, "pipeline/"))
			}
		}
		return nil
	}, []string{"table pending has no alarm"}},

	{"a table without backups", "small", setting("AWS::DynamoDB::Table", named("state", "TableCounts"), nil, "PointInTimeRecoverySpecification"),
		[]string{"table counts: point-in-time recovery is <nil>, not true"}},
	{"a table that goes with its stack", "small", func(a *assembly) error {
		return a.change("AWS::DynamoDB::Table", func(where string, _ resource) bool { return strings.Contains(where, "TableCounts") },
			func(r *resource) { r.DeletionPolicy = "Delete" })
	}, []string{"deletion policy is Delete, not Retain"}},
	{"a table that keeps for ever", "dev", setting("AWS::DynamoDB::Table", named("state", "TablePending"), nil, "TimeToLiveSpecification"),
		[]string{"table pending: attribute of expiry is <nil>, not expires"}},
	{"a table under a key of AWS", "small", setting("AWS::DynamoDB::Table", named("state", "TableCounts"), nil, "SSESpecification", "KMSMasterKeyId"),
		[]string{"encrypted with <nil>"}},
	{"brokers that take plain text", "small", setting("AWS::MSK::Cluster", named("network-and-cluster", "Cluster"), "TLS_PLAINTEXT", "EncryptionInfo", "EncryptionInTransit", "ClientBroker"),
		[]string{"network-and-cluster/Cluster: TLS from clients is TLS_PLAINTEXT, not TLS"}},
	{"a bucket that takes plain HTTP", "small", func(a *assembly) error {
		return a.drop("AWS::S3::BucketPolicy", named("state", "BucketPolicy"))
	}, []string{"takes plain HTTP"}},

	{"pollers that cannot reach the brokers", "small", func(a *assembly) error {
		return a.drop("AWS::EC2::SecurityGroupIngress", func(_ string, r resource) bool {
			return fmt.Sprint(r.prop("SourceSecurityGroupId")) == fmt.Sprint(r.prop("GroupId"))
		})
	}, []string{"event source mappings: not let in at ${network-and-cluster/ClusterGroup"}},
	{"an endpoint that lets pollers call some functions only", "dev", setting("AWS::EC2::VPCEndpoint", named("network-and-cluster", "VpcLambda"), "arn:aws:lambda:::function:footfall-*", "PolicyDocument", "Statement", 0, "Resource"),
		[]string{"lambda: endpoint's resources is arn:aws:lambda:::function:footfall-*, not *"}},
	{"functions that reach the internet", "existing", setting("AWS::EC2::SecurityGroup", named("network-and-cluster", "FunctionsGroup"), "0.0.0.0/0", "SecurityGroupEgress", 0, "CidrIp"),
		[]string{"reaches 0.0.0.0/0"}},
	{"a topic with another number of partitions", "small", setting("AWS::MSK::Topic", func(_ string, r resource) bool { return r.prop("TopicName") == "sightings" }, 33.0, "PartitionCount"),
		[]string{"topic sightings: partitions is 33, not 32"}},
	{"a topic that is missing", "existing", func(a *assembly) error {
		return a.drop("AWS::MSK::Topic", func(_ string, r resource) bool { return r.prop("TopicName") == "walk-ins" })
	}, []string{"topic walk-ins is not there"}},
	{"a table beside the code", "small", func(a *assembly) error {
		for id, r := range a.stacks["state"].Resources {
			if r.prop("TableName") == "footfall-counts" {
				a.stacks["pipeline"].Resources["Table"] = r
				delete(a.stacks["state"].Resources, id)
			}
		}
		return nil
	}, []string{
		"count: may dynamodb:Query on ${state/TableCounts.Arn}, which its stage does not",
		"count: may dynamodb:UpdateItem on ${state/TableCounts.Arn}, which its stage does not",
		"count: may not dynamodb:Query on table counts",
		"count: may not dynamodb:UpdateItem on table counts", "pipeline/Table: encrypted with ${pipeline/Key.Arn}",
		"pipeline/Table: state in the stack of code",
	}},
	{"a template for one region", "small", func(a *assembly) error {
		t := a.stacks["state"]
		t.bytes = append(t.bytes, `"arn:aws:kms:eu-central-1:210987654321:key/1"`...)
		return nil
	}, []string{"state: names [:210987654321: eu-central-1]"}},
	{"posts that are traced", "small", setting(lambdaFunction, named("pipeline", "Ingest"), map[string]any{"Mode": "Active"}, "TracingConfig"),
		[]string{"ingest: tracing is Active, not <nil>"}},
	{"a line of Lambda's about each post", "small", setting(lambdaFunction, named("pipeline", "Ingest"), "INFO", "LoggingConfig", "SystemLogLevel"),
		[]string{"ingest: level of Lambda's own lines is INFO, not WARN"}},
	{"two versions side by side that must not be", "existing", setting("AWS::CodeDeploy::DeploymentGroup", named("pipeline", "DetectRelease"),
		"CodeDeployDefault.LambdaCanary10Percent5Minutes", "DeploymentConfigName"),
		[]string{"detect: release is CodeDeployDefault.LambdaCanary10Percent5Minutes, not CodeDeployDefault.LambdaAllAtOnce"}},
	{"a writer that is moved before its reader", "small", func(a *assembly) error {
		return a.change("AWS::Lambda::Alias", named("pipeline", "EnrichLive"), func(r *resource) { r.DependsOn = nil })
	}, []string{"enrich: moved after count is false, and that reads what it writes is true"}},
	{"a release guarded by what it releases", "small", func(a *assembly) error {
		return a.change("AWS::CloudWatch::Alarm", alarm("-function-errors-count"), func(r *resource) { r.DependsOn = []string{"CountFromEnrichedWalkIns"} })
	}, []string{"pipeline: these wait for each other: Alarmfunctionerrorscount"}},
}

// TestPlantedFaultsAreFound: each is found by name, and nothing else is.
func TestPlantedFaultsAreFound(t *testing.T) {
	for _, tt := range faults {
		t.Run(tt.name, func(t *testing.T) {
			a := of(t, tt.deployment)
			if err := tt.plant(a); err != nil {
				t.Fatal(err)
			}
			got := findAll(a)
			ok := len(got) == len(tt.want)
			for i := range min(len(got), len(tt.want)) {
				ok = ok && strings.Contains(got[i], tt.want[i])
			}
			if !ok {
				t.Errorf("found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
			}
		})
	}
}

// Every property finds at least one of the faults, so no property passes by mistake.
func TestEveryPropertyFindsAFault(t *testing.T) {
	blind := map[string]bool{}
	for _, p := range properties {
		blind[p.name] = true
	}
	for _, tt := range faults {
		a := of(t, tt.deployment)
		if err := tt.plant(a); err != nil {
			t.Fatal(err)
		}
		for _, p := range properties {
			var f findings
			if p.find(a, &f); len(f.all) > 0 {
				delete(blind, p.name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(blind)) {
		t.Errorf("no fault is found by: %s", name)
	}
}
