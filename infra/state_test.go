package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"footfall/events"
	"footfall/shared/kafka"
)

func tables(a *assembly, f *findings) {
	got := map[string]resource{}
	for _, r := range a.all("AWS::DynamoDB::Table") {
		got[strings.TrimPrefix(fmt.Sprint(r.prop("TableName")), a.d.prefix())] = r
	}
	f.want("state", "number of tables", len(got), len(a.d.graph.Tables))
	for _, t := range a.d.graph.Tables {
		r, ok := got[t.Name]
		if !ok {
			f.add("table %s is not there", t.Name)
			continue
		}
		keys := []string{t.PartitionKey.Name + " " + t.PartitionKey.Type + " HASH"}
		if t.SortKey.Name != "" {
			keys = append(keys, t.SortKey.Name+" "+t.SortKey.Type+" RANGE")
		}
		types := map[any]any{}
		for _, d := range list(r.prop("AttributeDefinitions")) {
			types[at(d, "AttributeName")] = at(d, "AttributeType")
		}
		var schema []string
		for _, k := range list(r.prop("KeySchema")) {
			schema = append(schema, fmt.Sprintf("%v %v %v", at(k, "AttributeName"), types[at(k, "AttributeName")], at(k, "KeyType")))
		}
		f.want("table "+t.Name, "key", schema, keys)
		f.want("table "+t.Name, "billing", r.prop("BillingMode"), "PAY_PER_REQUEST")
		f.want("table "+t.Name, "point-in-time recovery", r.prop("PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"), true)
		f.want("table "+t.Name, "deletion protection", r.prop("DeletionProtectionEnabled"), true)
		var ttl any
		if t.TTLAttribute != "" {
			ttl = t.TTLAttribute
		}
		f.want("table "+t.Name, "attribute of expiry", r.prop("TimeToLiveSpecification", "AttributeName"), ttl)
	}
}

// retained checks that data which cannot be created again is retained, with its
// encryption keys, and that resources which would block a second attempt of a first
// deployment are removed when the first attempt fails.
func retained(a *assembly, f *findings) {
	for kind, policy := range map[string]string{
		"AWS::DynamoDB::Table": "Retain", "AWS::S3::Bucket": "Retain", "AWS::SecretsManager::Secret": "Retain", "AWS::KMS::Key": "Retain",
		"AWS::MSK::Topic": "RetainExceptOnCreate", "AWS::Lambda::Version": "RetainExceptOnCreate",
	} {
		for where, r := range a.all(kind) {
			f.want(where, "deletion policy", r.DeletionPolicy, policy)
			f.want(where, "replacement policy", r.UpdateReplacePolicy, "Retain")
		}
	}
}

// encryptedAtRest checks that data is encrypted with a rotated key of the
// deployment, except the access log of the bucket.
func encryptedAtRest(a *assembly, f *findings) {
	own := map[string]bool{}
	for where, r := range a.all("AWS::KMS::Key") {
		own["${"+where+".Arn}"], own["${"+where+"}"] = true, true
		f.want(where, "rotation", r.prop("EnableKeyRotation"), true)
	}
	check := func(kind string, path ...any) {
		for where, r := range a.all(kind) {
			if key := a.text(where, r.prop(path...)); !own[key] {
				f.add("%s: encrypted with %s", where, key)
			}
		}
	}
	check("AWS::DynamoDB::Table", "SSESpecification", "KMSMasterKeyId")
	check("AWS::Logs::LogGroup", "KmsKeyId")
	check("AWS::SecretsManager::Secret", "KmsKeyId")
	check("AWS::SNS::Topic", "KmsMasterKeyId")
	check("AWS::MSK::Cluster", "EncryptionInfo", "EncryptionAtRest", "DataVolumeKMSKeyId")
	for where, r := range a.all("AWS::S3::Bucket") {
		rule := at(r.prop("BucketEncryption", "ServerSideEncryptionConfiguration"), 0)
		key := a.text(where, at(rule, "ServerSideEncryptionByDefault", "KMSMasterKeyID"))
		if !own[key] && !strings.HasPrefix(where, "state/AccessLogs") {
			f.add("%s: encrypted with %s", where, key)
		}
		f.want(where, "versioning", r.prop("VersioningConfiguration", "Status"), "Enabled")
		f.want(where, "public access", r.prop("PublicAccessBlockConfiguration"),
			"map[BlockPublicAcls:true BlockPublicPolicy:true IgnorePublicAcls:true RestrictPublicBuckets:true]")
		for _, rule := range list(r.prop("LifecycleConfiguration", "Rules")) {
			if at(rule, "ExpirationInDays") == nil || at(rule, "Status") != "Enabled" {
				f.add("%s: keeps %v for ever", where, at(rule, "Prefix"))
			}
		}
		if len(list(r.prop("LifecycleConfiguration", "Rules"))) == 0 {
			f.add("%s: keeps everything for ever", where)
		}
	}
}

// encryptedInTransit: brokers take TLS and IAM alone, buckets and topics refuse
// plain HTTP.
func encryptedInTransit(a *assembly, f *findings) {
	for where, r := range a.all("AWS::MSK::Cluster") {
		f.want(where, "TLS from clients", r.prop("EncryptionInfo", "EncryptionInTransit", "ClientBroker"), "TLS")
		f.want(where, "TLS among brokers", r.prop("EncryptionInfo", "EncryptionInTransit", "InCluster"), true)
		f.want(where, "authentication", r.prop("ClientAuthentication"), "map[Sasl:map[Iam:map[Enabled:true]] Unauthenticated:map[Enabled:false]]")
		f.want(where, "public access", r.prop("BrokerNodeGroupInfo", "ConnectivityInfo", "PublicAccess", "Type"), "DISABLED")
	}
	for where, r := range a.all("AWS::MSK::ServerlessCluster") {
		f.want(where, "authentication", r.prop("ClientAuthentication"), "map[Sasl:map[Iam:map[Enabled:true]]]")
	}
	for kind, policy := range map[string]string{"AWS::S3::Bucket": "AWS::S3::BucketPolicy", "AWS::SNS::Topic": "AWS::SNS::TopicPolicy"} {
		for where := range a.all(kind) {
			refuses := slices.ContainsFunc(a.statements(policy, "PolicyDocument"), func(s statement) bool {
				about := slices.ContainsFunc(s.resources, func(r string) bool { return strings.HasPrefix(r, "${"+where) })
				return about && s.effect == "Deny" && at(s.conditions, "Bool", "aws:SecureTransport") == "false"
			})
			if !refuses {
				f.add("%s: takes plain HTTP", where)
			}
		}
	}
}

// topics compares the topics of the template with events.
func topics(a *assembly, f *findings) {
	if a.d.serverless() {
		want, _ := json.Marshal(events.Topics())
		n := 0
		for where, r := range a.all("Custom::Topics") {
			n++
			f.want(where, "topics", r.prop("Topics"), string(want))
			f.want(where, "partitions", r.prop("Partitions"), a.d.size.Partitions)
			function, _, _ := a.functionOf(topicsFunction)
			f.want(where, "function", a.text(where, r.prop("ServiceToken")), "${"+function+".Arn}")
		}
		f.want("network-and-cluster", "number of resources that make topics", n, 1)
		return
	}
	for where, r := range a.all("AWS::MSK::Configuration") {
		f.want(where, "settings of the brokers", r.prop("ServerProperties"), "auto.create.topics.enable=false\noffsets.retention.minutes=129600\n")
	}
	got := map[string]resource{}
	for where, r := range a.all("AWS::MSK::Topic") {
		got[fmt.Sprint(r.prop("TopicName"))] = r
		f.want(where, "cluster", a.text(where, r.prop("ClusterArn")), a.clusterARN())
	}
	for _, t := range events.Topics() {
		r, ok := got[t.Name]
		if !ok {
			f.add("topic %s is not there", t.Name)
			continue
		}
		delete(got, t.Name)
		f.want("topic "+t.Name, "partitions", r.prop("PartitionCount"), a.d.partitions(t.Name))
		f.want("topic "+t.Name, "replicas", r.prop("ReplicationFactor"), 3)
		encoded, _ := r.prop("Configs").(string)
		object, err := base64.StdEncoding.DecodeString(encoded)
		configs := map[string]string{}
		if err != nil || json.Unmarshal(object, &configs) != nil || !maps.Equal(configs, kafka.TopicConfigs(t)) {
			f.add("topic %s: configs are %s", t.Name, object)
		}
	}
	for name := range got {
		f.add("topic %s is not in events", name)
	}
}

// layers checks that resources that are deployed often are separate from retained
// data.
func layers(a *assembly, f *findings) {
	stateful := []string{"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SecretsManager::Secret", "AWS::KMS::Key", "AWS::MSK::Cluster", "AWS::MSK::ServerlessCluster", "AWS::MSK::Topic"}
	for _, kind := range stateful {
		for where := range a.all(kind, "pipeline") {
			f.add("%s: state in the stack of code", where)
		}
	}
	for _, name := range []string{"state", "network-and-cluster"} {
		if slices.Contains(a.stacks[name].dependsOn, "pipeline") {
			f.add("%s needs pipeline", name)
		}
	}
}

// Limits of CloudFormation ("CloudFormation quotas") and of inline policies of a
// role (IAM user guide, "IAM and AWS STS quotas").
const (
	maxResources  = 500
	maxTemplate   = 1 << 20
	maxOutputs    = 200
	maxRolePolicy = 10_240
)

var (
	accountID  = regexp.MustCompile(`[:"]\d{12}[:"]`)
	regionName = regexp.MustCompile(`\b(us|eu|ap|sa|ca|me|af|il|cn|mx)-(gov-)?(north|south|east|west|central|northeast|southeast|northwest)-\d\b`)
)

func fits(a *assembly, f *findings) {
	for name, t := range a.stacks {
		if len(t.Resources) > maxResources || len(t.bytes) > maxTemplate || len(t.Outputs) > maxOutputs {
			f.add("%s: %d resources, %d outputs, %d bytes", name, len(t.Resources), len(t.Outputs), len(t.bytes))
		}
		text := strings.ReplaceAll(string(t.bytes), a.d.set.ClusterARN, "")
		if found := append(accountID.FindAllString(text, -1), regionName.FindAllString(text, -1)...); a.d.set.ClusterARN == "" && len(found) > 0 {
			f.add("%s: names %v", name, found)
		}
	}
	for where, r := range a.all("AWS::IAM::Role") {
		if text, _ := json.Marshal(r.prop("Policies")); len(text) > maxRolePolicy {
			f.add("%s: its policy has %d characters", where, len(text))
		}
	}
}

// acyclic checks for resources that wait for each other, which CloudFormation
// reports only when a template is deployed.
func acyclic(a *assembly, f *findings) {
	for _, name := range slices.Sorted(maps.Keys(a.stacks)) {
		t := a.stacks[name]
		const open, done = 1, 2
		state := map[string]int{}
		var path []string
		var visit func(id string) bool
		visit = func(id string) bool {
			if state[id] == open {
				f.add("%s: these wait for each other: %s", name, strings.Join(slices.Sorted(slices.Values(path[slices.Index(path, id):])), ", "))
				return false
			}
			if state[id] == done {
				return true
			}
			state[id], path = open, append(path, id)
			for _, other := range t.Resources[id].needs() {
				if _, ok := t.Resources[other]; ok && !visit(other) {
					return false
				}
			}
			state[id], path = done, path[:len(path)-1]
			return true
		}
		for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
			if !visit(id) {
				break
			}
		}
	}
}

// needs returns the resources that a resource refers to or depends on.
func (r resource) needs() []string {
	all := slices.Clone(r.DependsOn)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["Ref"].(string); ok {
				all = append(all, ref)
			}
			if id, ok := at(v, "Fn::GetAtt", 0).(string); ok {
				all = append(all, id)
			}
			for _, key := range slices.Sorted(maps.Keys(v)) {
				walk(v[key])
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(r.Properties)
	walk(r.UpdatePolicy)
	return all
}

// runbook is the text of docs/runbook.md.
func runbook() string {
	text, err := os.ReadFile("../docs/runbook.md")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

var anchor = regexp.MustCompile(`docs/runbook\.md#([a-z0-9-]+)`)

func alarms(a *assembly, f *findings) {
	text := runbook()
	for where, r := range a.all("AWS::CloudWatch::Alarm") {
		name := fmt.Sprint(r.prop("AlarmName"))
		actions := list(r.prop("AlarmActions"))
		if len(actions) != 1 || !strings.HasPrefix(a.text(where, actions[0]), "${pipeline/Alarms") {
			f.add("alarm %s: acts on %v", name, actions)
		}
		link := anchor.FindStringSubmatch(fmt.Sprint(r.prop("AlarmDescription")))
		if link == nil {
			f.add("alarm %s: links to no section of the runbook", name)
		} else if !regexp.MustCompile(`(?m)^#+ ` + link[1] + `$`).MatchString(text) {
			f.add("alarm %s: the runbook has no section %s", name, link[1])
		}
	}
}

// watched: an alarm is about each function, mapping and table, and a cluster.
func watched(a *assembly, f *findings) {
	about := map[string]bool{}
	for where, r := range a.all("AWS::CloudWatch::Alarm") {
		dimensions := list(r.prop("Dimensions"))
		for _, m := range list(r.prop("Metrics")) {
			dimensions = append(dimensions, list(at(m, "MetricStat", "Metric", "Dimensions"))...)
		}
		for _, d := range dimensions {
			about[fmt.Sprint(at(d, "Name"))+" "+a.text(where, at(d, "Value"))] = true
		}
	}
	for _, s := range a.d.graph.Stages {
		function, _, _ := a.functionOf(s.Name)
		if !about["FunctionName ${"+function+"}"] {
			f.add("stage %s has no alarm", s.Name)
		}
		for _, m := range s.Reads {
			where, _, _ := a.mappingOf(function, m.Topic)
			// Pollers on demand report less than the cluster does about their group.
			poller, group := about["EventSourceMappingUUID ${"+where+".Id}"], about["Consumer Group "+a.d.group(s.Name, m.Topic)]
			if !group || !poller && !a.d.onDemand() {
				f.add("%s from %s has no alarm", s.Name, m.Topic)
			}
		}
	}
	for _, t := range a.d.graph.Tables {
		if !about["TableName "+a.d.prefix()+t.Name] {
			f.add("table %s has no alarm", t.Name)
		}
	}
}
