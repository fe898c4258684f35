package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"footfall/events"
)

// grants checks the permissions that AWS's services need for their part of a
// deployment. Without one of them the deployment succeeds, and then a tick, a
// release or a mail never happens.
func grants(a *assembly, f *findings) {
	g := a.granted()
	a.checkStages(f, g)
	a.checkSchedules(f, g)
	a.checkReleaser(f, g)
	a.checkLookups(f, g)
	a.checkTopicsFunction(f, g)
	a.checkEndpoints(f)
	a.checkKeyPolicies(f)
}

// granted holds the permissions of each role: "action on resource" by the role's
// ARN, and for keys "action through service".
type granted map[string]map[string]bool

func (a *assembly) granted() granted {
	g := granted{}
	for _, s := range a.statements("AWS::IAM::Role", "Policies") {
		if s.effect != "Allow" {
			continue
		}
		role := "${" + s.where + ".Arn}"
		if g[role] == nil {
			g[role] = map[string]bool{}
		}
		for _, action := range s.actions {
			if via := at(s.conditions, "StringEquals", "kms:ViaService"); via != nil {
				service, _, _ := strings.Cut(a.text(s.where, via), ".")
				g[role][action+" through "+service] = true
			}
			for _, resource := range s.resources {
				g[role][action+" on "+a.short(resource)] = true
			}
		}
	}
	return g
}

func (g granted) need(f *findings, who, role string, all ...string) {
	for _, grant := range all {
		if !g[role][grant] {
			f.add("%s: may not %s", who, grant)
		}
	}
}

// roleOf returns the ARN of the role of a function, given the function's ARN.
func (a *assembly) roleOf(function string) string {
	for where, r := range a.all("AWS::Lambda::Function") {
		if function == "${"+where+".Arn}" || function == "${"+where+"}" {
			return a.text(where, r.prop("Role"))
		}
	}
	return ""
}

// checkStages checks the key of the tables for a stage with tables, the key of the
// secret for the stage that makes pseudonyms, and the bucket for failed invocations
// for a stage that a schedule invokes.
func (a *assembly) checkStages(f *findings, g granted) {
	for _, s := range a.d.graph.Stages {
		_, fn, _ := a.functionOf(s.Name)
		role := a.text("pipeline", at(fn.prop("Role")))
		if len(s.Tables) > 0 {
			g.need(f, s.Name, role, "kms:Decrypt through dynamodb")
		}
		if s.HTTP {
			g.need(f, s.Name, role, "kms:Decrypt through secretsmanager")
		}
	}
	for where, r := range a.all("AWS::Lambda::EventInvokeConfig") {
		bucket := a.text(where, r.prop("DestinationConfig", "OnFailure", "Destination"))
		g.need(f, "failures of "+a.text(where, r.prop("FunctionName")), a.roleOf(a.text(where, r.prop("FunctionName"))),
			"s3:ListBucket on "+bucket, "s3:PutObject on "+bucket+"/aws/lambda/async/*", "kms:GenerateDataKey through s3")
	}
}

func (a *assembly) checkSchedules(f *findings, g granted) {
	for where, r := range a.all("AWS::Scheduler::Schedule") {
		g.need(f, where, a.text(where, r.prop("Target", "RoleArn")), "lambda:InvokeFunction on "+a.text(where, r.prop("Target", "Arn")))
	}
}

func (a *assembly) checkReleaser(f *findings, g granted) {
	for where, r := range a.all("AWS::CodeDeploy::DeploymentGroup") {
		function := "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:" + fmt.Sprint(r.prop("DeploymentGroupName"))
		g.need(f, where, a.text(where, r.prop("ServiceRoleArn")),
			"cloudwatch:DescribeAlarms on *", "lambda:GetAlias on "+function, "lambda:UpdateAlias on "+function)
	}
}

// checkLookups: a call of the SDK, getBootstrapBrokers of Kafka, is allowed as
// kafka:GetBootstrapBrokers.
func (a *assembly) checkLookups(f *findings, g granted) {
	for where, r := range a.all("Custom::AWS") {
		var call struct{ Service, Action string }
		if err := json.Unmarshal([]byte(a.text(where, r.prop("Create"))), &call); err != nil || call.Action == "" {
			f.add("%s: calls nothing: %v", where, err)
			continue
		}
		action := strings.ToLower(call.Service) + ":" + strings.ToUpper(call.Action[:1]) + call.Action[1:]
		g.need(f, where, a.roleOf(a.text(where, r.prop("ServiceToken"))), action+" on *")
	}
}

func (a *assembly) checkTopicsFunction(f *findings, g granted) {
	for where, r := range a.all("Custom::Topics") {
		role := a.roleOf(a.text(where, r.prop("ServiceToken")))
		g.need(f, where, role, "kafka-cluster:Connect on cluster")
		for _, t := range events.Topics() {
			for _, action := range []string{"CreateTopic", "DescribeTopic", "DescribeTopicDynamicConfiguration", "AlterTopicDynamicConfiguration"} {
				g.need(f, where, role, "kafka-cluster:"+action+" on topic "+t.Name)
			}
		}
	}
}

// checkEndpoints checks that endpoints allow the table actions that roles allow.
func (a *assembly) checkEndpoints(f *findings) {
	passes := map[string]bool{}
	for _, s := range a.statements("AWS::EC2::VPCEndpoint", "PolicyDocument") {
		for _, action := range s.actions {
			for _, resource := range s.resources {
				passes[action+" on "+resource] = true
			}
		}
	}
	tables := "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/" + a.d.prefix() + "*"
	var need []string
	if a.makesTheWayToTables() {
		need = append(need, "dynamodb:Scan on "+tables, "dynamodb:DeleteItem on "+tables) // by people: audit and forget
		for _, actions := range tableNeeds {
			for _, action := range actions {
				need = append(need, "dynamodb:"+action+" on "+tables)
			}
		}
	}
	if a.d.serverless() {
		need = append(need, "s3:PutObject on arn:${AWS::Partition}:s3:::cloudformation-custom-resource-response-*/*")
	}
	if a.d.set.ClusterSecretsGroup == "" {
		need = append(need, "secretsmanager:GetSecretValue on arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:"+
			a.d.set.Name+"/pseudonym-keys-??????")
	}
	for _, grant := range need {
		if !passes[grant] {
			f.add("endpoints: let through no %s", grant)
		}
	}
}

// makesTheWayToTables reports whether the stack creates the endpoint to DynamoDB: an
// existing VPC may have its own.
func (a *assembly) makesTheWayToTables() bool {
	return !a.d.set.Existing() || len(a.d.set.ClusterRouteTables) > 0
}

// checkKeyPolicies checks that CloudWatch may use the keys of logs and alarms in its
// own name.
func (a *assembly) checkKeyPolicies(f *findings) {
	all := a.statements("AWS::KMS::Key", "KeyPolicy")
	// A service is named as in the policy's JSON; CloudWatch Logs is named with its
	// region.
	may := func(key, service string, holds func(statement) bool, actions ...string) bool {
		return slices.ContainsFunc(all, func(s statement) bool {
			return key == "${"+s.where+".Arn}" && strings.Contains(s.principal, service) && holds(s) &&
				!slices.ContainsFunc(actions, func(action string) bool { return !slices.Contains(s.actions, action) })
		})
	}
	for where, r := range a.all("AWS::Logs::LogGroup") {
		arn := fmt.Sprintf("arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:%v", r.prop("LogGroupName"))
		mine := func(s statement) bool {
			return slices.ContainsFunc(list(at(s.conditions, "ArnLike", "kms:EncryptionContext:aws:logs:arn")), func(pattern any) bool {
				return strings.HasPrefix(arn, strings.TrimSuffix(a.text(s.where, pattern), "*"))
			})
		}
		if !may(a.text(where, r.prop("KmsKeyId")), `"logs"`, mine, "kms:Decrypt", "kms:GenerateDataKey") {
			f.add("%s: CloudWatch Logs may not use its key", where)
		}
	}
	for where, r := range a.all("AWS::SNS::Topic") {
		whatever := func(statement) bool { return true }
		if !may(a.text(where, r.prop("KmsMasterKeyId")), `"cloudwatch.amazonaws.com"`, whatever, "kms:Decrypt", "kms:GenerateDataKey") {
			f.add("%s: alarms may not use its key", where)
		}
	}
}
