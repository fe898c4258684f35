package main

import (
	"fmt"
	"slices"
	"strings"

	"footfall/events"
	"footfall/shared/pipeline"
)

// statement is a statement of any policy.
type statement struct {
	where, sid, effect string
	actions, resources []string
	principal          string // "" in the policy of a role
	conditions         map[string]any
}

// statements returns the statements of all policies of a kind of resource.
func (a *assembly) statements(kind string, path ...any) (all []statement) {
	for where, r := range a.all(kind) {
		for _, policy := range list(r.prop(path...)) {
			document := policy
			if at(policy, "PolicyDocument") != nil {
				document = at(policy, "PolicyDocument")
			}
			for _, s := range list(at(document, "Statement")) {
				one := statement{where: where, effect: fmt.Sprint(at(s, "Effect"))}
				one.sid, _ = at(s, "Sid").(string)
				one.conditions, _ = at(s, "Condition").(map[string]any)
				if p := at(s, "Principal"); p != nil {
					one.principal = a.text(where, p)
				}
				for _, action := range list(at(s, "Action")) {
					one.actions = append(one.actions, fmt.Sprint(action))
				}
				for _, resource := range list(at(s, "Resource")) {
					one.resources = append(one.resources, a.text(where, resource))
				}
				all = append(all, one)
			}
		}
	}
	return all
}

// forAllResources holds the actions that a role may have on "*": AWS defines none of
// them for single resources, or checks them before a resource exists (service
// authorization reference).
var forAllResources = map[string]string{
	"xray:PutTraceSegments": "a trace is no resource", "xray:PutTelemetryRecords": "a trace is no resource",
	"kafka:GetBootstrapBrokers":      "not defined for a cluster; only reads",
	"ec2:DescribeManagedPrefixLists": "lists; only reads",
	"cloudwatch:DescribeAlarms":      "lists; only reads",
	"ec2:CreateNetworkInterface":     "the interface is not there yet; denied to the function's code",
	"ec2:DeleteNetworkInterface":     "Lambda's interfaces have no names beforehand; denied to the function's code",
	"ec2:DescribeNetworkInterfaces":  "lists; denied to the function's code", "ec2:DescribeSecurityGroups": "lists; denied to the function's code",
	"ec2:DescribeSubnets": "lists; denied to the function's code", "ec2:DescribeVpcs": "lists; denied to the function's code",
	"ec2:AssignPrivateIpAddresses":   "as for the interface itself; denied to the function's code",
	"ec2:UnassignPrivateIpAddresses": "as for the interface itself; denied to the function's code",
}

// inFolders holds the resources that may end in "*".
var inFolders = []string{"/aws/lambda/async/*"}

func wildcards(a *assembly, f *findings) {
	for _, s := range a.statements("AWS::IAM::Role", "Policies") {
		if s.effect != "Allow" {
			continue
		}
		for _, action := range s.actions {
			if strings.Contains(action, "*") {
				f.add("%s, %s: allows %s", s.where, s.sid, action)
			}
			for _, resource := range s.resources {
				folder := slices.ContainsFunc(inFolders, func(end string) bool { return strings.HasSuffix(resource, end) })
				if strings.Contains(resource, "*") && !folder && (resource != "*" || forAllResources[action] == "") {
					f.add("%s, %s: allows %s on %s", s.where, s.sid, action, resource)
				}
			}
		}
	}
	if n := len(a.statements("AWS::IAM::Policy", "PolicyDocument")) + len(a.statements("AWS::IAM::ManagedPolicy", "PolicyDocument")); n > 0 {
		f.add("%d statements of policies beside the roles", n)
	}
	// In the policy of a resource "*" is that resource. Only the account itself,
	// whose own policies decide then, may have all actions on a key (AWS KMS
	// developer guide, "Default key policy"), and no principal may connect without
	// TLS.
	for _, kind := range []string{"AWS::KMS::Key", "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::EC2::VPCEndpoint"} {
		path := "PolicyDocument"
		if kind == "AWS::KMS::Key" {
			path = "KeyPolicy"
		}
		for _, s := range a.statements(kind, path) {
			whole := slices.ContainsFunc(s.actions, func(action string) bool { return strings.Contains(action, "*") })
			if s.effect == "Allow" && whole && !strings.Contains(s.principal, ":root") {
				f.add("%s, %s: allows %v to %s", s.where, s.sid, s.actions, s.principal)
			}
			if s.effect == "Allow" && strings.Contains(s.principal, `"*"`) && (kind != "AWS::EC2::VPCEndpoint" || slices.Contains(s.resources, "*")) {
				f.add("%s, %s: allows %v to anybody", s.where, s.sid, s.actions)
			}
			// A caller of an endpoint is in the network, and needs permissions of
			// its own.
			if s.effect == "Allow" && strings.Contains(s.principal, "amazonaws.com") && s.conditions == nil && kind != "AWS::EC2::VPCEndpoint" {
				f.add("%s, %s: allows %s in anybody's name", s.where, s.sid, s.principal)
			}
		}
	}
}

// access compares the permissions of each function with the graph, as sets of
// "action on resource". Permissions that every role needs to run are left out of
// both.
func access(a *assembly, f *findings) {
	all := a.statements("AWS::IAM::Role", "Policies")
	for _, s := range a.d.graph.Stages {
		_, fn, ok := a.functionOf(s.Name)
		if !ok {
			continue
		}
		role := a.text("pipeline", at(fn.prop("Role")))
		want, got := a.wanted(s), map[string]bool{}
		for _, st := range all {
			if role != "${"+st.where+".Arn}" || st.effect != "Allow" {
				continue
			}
			for _, action := range st.actions {
				for _, resource := range st.resources {
					if forAllResources[action] == "" && !strings.HasPrefix(action, "kms:") && !strings.HasPrefix(action, "s3:") {
						got[action+" on "+a.short(resource)] = true
					}
				}
			}
		}
		for grant := range want {
			if !got[grant] {
				f.add("%s: may not %s", s.Name, grant)
			}
		}
		for grant := range got {
			if !want[grant] {
				f.add("%s: may %s, which its stage does not", s.Name, grant)
			}
		}
	}
	a.checkKeys(f, all)
}

// short returns the name of a resource within the deployment.
func (a *assembly) short(resource string) string {
	if resource == a.clusterARN() {
		return "cluster"
	}
	for _, kind := range []string{"topic", "group"} {
		clusterName, uuid := a.d.set.Name, "${2 of "+a.clusterARN()+"}"
		if a.d.set.Existing() {
			parts := strings.Split(a.d.set.ClusterARN, "/")
			clusterName, uuid = parts[1], "${2 of "+a.d.set.ClusterARN+"}"
			resource = strings.Replace(resource, "/"+parts[2]+"/", "/"+uuid+"/", 1)
		}
		start := "arn:${AWS::Partition}:kafka:${AWS::Region}:${AWS::AccountId}:" + kind + "/" + clusterName + "/" + uuid + "/"
		if name, ok := strings.CutPrefix(resource, start); ok {
			return kind + " " + name
		}
	}
	for where, r := range a.all("AWS::DynamoDB::Table") {
		if resource == "${"+where+".Arn}" {
			return "table " + strings.TrimPrefix(fmt.Sprint(r.prop("TableName")), a.d.prefix())
		}
	}
	for where, r := range a.all("AWS::Logs::LogGroup") {
		if resource == "${"+where+".Arn}" {
			return "log " + fmt.Sprint(r.prop("LogGroupName"))
		}
	}
	for where, r := range a.all("AWS::SecretsManager::Secret") {
		if resource == "${"+where+"}" {
			return "secret " + fmt.Sprint(r.prop("Name"))
		}
	}
	return resource
}

// wanted returns the permissions that a stage needs by the graph.
func (a *assembly) wanted(s pipeline.Stage) map[string]bool {
	want := map[string]bool{}
	add := func(on string, actions ...string) {
		for _, action := range actions {
			want[action+" on "+on] = true
		}
	}
	add("log /aws/lambda/"+a.d.functionName(s.Name), "logs:CreateLogStream", "logs:PutLogEvents")
	add("cluster", "kafka-cluster:Connect")
	for _, m := range s.Reads {
		t, _ := events.TopicByName(m.Topic)
		add("cluster", "kafka-cluster:DescribeClusterDynamicConfiguration", "kafka:DescribeCluster", "kafka:DescribeClusterV2")
		add("topic "+m.Topic, "kafka-cluster:DescribeTopic", "kafka-cluster:ReadData")
		add("group "+a.d.set.Name+"-"+s.Name+"-"+m.Topic, "kafka-cluster:DescribeGroup", "kafka-cluster:AlterGroup")
		add("topic "+t.DeadLetters, "kafka-cluster:DescribeTopic", "kafka-cluster:WriteData")
	}
	for _, t := range s.Writes {
		add("topic "+t, "kafka-cluster:DescribeTopic", "kafka-cluster:WriteData")
	}
	if len(s.Writes)+len(s.Reads) > 0 {
		add("cluster", "kafka-cluster:WriteDataIdempotently")
	}
	if s.HTTP {
		add("secret "+a.d.set.Name+"/pseudonym-keys", "secretsmanager:GetSecretValue")
	}
	for _, t := range s.Tables {
		for _, action := range tableNeeds[s.Name+" "+t] {
			add("table "+t, "dynamodb:"+action)
		}
	}
	return want
}

// tableNeeds is written independently of access.go, which composes the permissions
// from two tables.
var tableNeeds = map[string][]string{
	"ingest businesses":   {"BatchGetItem", "GetItem"},
	"detect visit-log":    {"Query", "PutItem"},
	"detect businesses":   {"BatchGetItem", "GetItem"},
	"identify identities": {"BatchGetItem", "GetItem", "PutItem"},
	"identify pending":    {"Query", "BatchGetItem", "GetItem", "UpdateItem"},
	"enrich identities":   {"BatchGetItem", "PutItem"},
	"enrich pending":      {"BatchGetItem", "GetItem", "PutItem", "UpdateItem"},
	"count counts":        {"Query", "UpdateItem"},
}

// checkKeys checks that functions use a key only through a service, and only if they
// have a table, failures to keep, or pseudonyms to make.
func (a *assembly) checkKeys(f *findings, all []statement) {
	for _, s := range all {
		if !strings.HasPrefix(s.actions[0], "kms:") {
			continue
		}
		via := a.text(s.where, at(s.conditions, "StringEquals", "kms:ViaService"))
		service := strings.TrimSuffix(via, ".${AWS::Region}.amazonaws.com")
		ofIngest := service == "secretsmanager" && slices.Contains(a.rolesOfHTTP(), "${"+s.where+".Arn}")
		if service != "dynamodb" && service != "s3" && !ofIngest {
			f.add("%s: uses a key through %s", s.where, via)
		}
		if len(s.resources) != 1 || !strings.HasPrefix(s.resources[0], "${state/Key") {
			f.add("%s: uses the keys %v", s.where, s.resources)
		}
	}
}

// rolesOfHTTP returns the roles of the stages that an HTTP API starts.
func (a *assembly) rolesOfHTTP() (all []string) {
	for _, s := range a.d.graph.Stages {
		if _, fn, ok := a.functionOf(s.Name); ok && s.HTTP {
			all = append(all, a.text("pipeline", fn.prop("Role")))
		}
	}
	return all
}

// pseudonymKeys returns the ARN of the secret with the pseudonym keys, in the form
// of text.
func (a *assembly) pseudonymKeys() string {
	for where, r := range a.all("AWS::SecretsManager::Secret") {
		if r.prop("Name") == a.d.set.Name+"/pseudonym-keys" {
			return "${" + where + "}"
		}
	}
	return "no secret of pseudonym keys"
}

func roles(a *assembly, f *findings) {
	for where, r := range a.all("AWS::IAM::Role") {
		if r.prop("ManagedPolicyArns") != nil {
			f.add("%s: has policies of AWS: %s", where, a.text(where, r.prop("ManagedPolicyArns")))
		}
		for _, s := range list(r.prop("AssumeRolePolicyDocument", "Statement")) {
			if service, ok := at(s, "Principal", "Service").(string); !ok || !strings.HasSuffix(service, ".amazonaws.com") {
				f.add("%s: taken on by %s", where, a.text(where, at(s, "Principal")))
			}
		}
	}
}
