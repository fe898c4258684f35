package main

import (
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"footfall/events"
	"footfall/shared/dynamo/calls"
	"footfall/shared/pipeline"
)

// may is a statement that allows actions on resources. sid says what for.
func may(sid string, actions []string, resources ...*string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid: jsii.String(sid), Actions: jsii.Strings(actions...), Resources: &resources,
	})
}

func document(statements ...awsiam.PolicyStatement) awsiam.PolicyDocument {
	return awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &statements})
}

// inline is the one policy of a role, part of it, so that whoever waits for the
// role waits for its permissions.
func inline(statements ...awsiam.PolicyStatement) *map[string]awsiam.PolicyDocument {
	return &map[string]awsiam.PolicyDocument{"own": document(statements...)}
}

// ofThisAccount is an AWS service acting for this account only.
func ofThisAccount(stack awscdk.Stack, service string) awsiam.IPrincipal {
	return awsiam.NewServicePrincipal(jsii.String(service), &awsiam.ServicePrincipalOpts{
		Conditions: &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": stack.Account()}},
	})
}

func mayLog(group awslogs.ILogGroup) awsiam.PolicyStatement {
	return may("Log", []string{"logs:CreateLogStream", "logs:PutLogEvents"}, group.LogGroupArn())
}

// mayTrace is for all resources: a trace is none (service authorization
// reference, AWS X-Ray).
func mayTrace() awsiam.PolicyStatement {
	return may("Trace", []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords"}, jsii.String("*"))
}

// networkActions are what Lambda does to put a function, or the pollers of its
// event source mapping, into a network.
var networkActions = []string{
	"ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces",
	"ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
	"ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
}

// mayJoinNetwork is for all resources, as Lambda checks it before there is an
// interface. It is Lambda that may, with the function's role; the function's own
// code may not (AWS Lambda developer guide, "Giving Lambda functions access to
// resources in an Amazon VPC").
func mayJoinNetwork(stack awscdk.Stack, functionName string) []awsiam.PolicyStatement {
	code := may("NotFromCode", networkActions, jsii.String("*"))
	code.SetEffect(awsiam.Effect_DENY)
	code.AddCondition(jsii.String("ArnEquals"), map[string]any{"lambda:SourceFunctionArn": functionARN(stack, functionName)})
	return []awsiam.PolicyStatement{may("JoinNetwork", networkActions, jsii.String("*")), code}
}

func functionARN(stack awscdk.Stack, name string) *string {
	return stack.FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("lambda"), Resource: jsii.String("function"), ResourceName: jsii.String(name),
		ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
}

// mayUseKafka is what a stage and the event source mappings that feed it do with
// the cluster (Amazon MSK developer guide, "IAM access control"; AWS Lambda
// developer guide, "Configuring Lambda permissions for Amazon MSK event source
// mappings").
func mayUseKafka(d *deployment, stack awscdk.Stack, c *cluster, spec pipeline.Stage) []awsiam.PolicyStatement {
	onCluster := []string{"kafka-cluster:Connect"}
	var read, groups, write []*string
	for _, m := range spec.Reads {
		read = append(read, c.part(stack, "topic", m.Topic))
		groups = append(groups, c.part(stack, "group", d.group(spec.Name, m.Topic)))
	}
	for _, t := range written(spec) {
		write = append(write, c.part(stack, "topic", t))
	}
	var all []awsiam.PolicyStatement
	if len(read) > 0 {
		onCluster = append(onCluster, "kafka-cluster:DescribeClusterDynamicConfiguration")
		all = append(all,
			may("ReadTopics", []string{"kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"}, read...),
			may("KeepOffsets", []string{"kafka-cluster:DescribeGroup", "kafka-cluster:AlterGroup"}, groups...),
			may("DescribeCluster", []string{"kafka:DescribeCluster", "kafka:DescribeClusterV2"}, c.arn),
			// AWS defines it for no single resource. It only reads.
			may("FindBrokers", []string{"kafka:GetBootstrapBrokers"}, jsii.String("*")))
	}
	if len(write) > 0 {
		// Of an idempotent producer.
		onCluster = append(onCluster, "kafka-cluster:WriteDataIdempotently")
		all = append(all, may("WriteTopics", []string{"kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"}, write...))
	}
	return append(all, may("Connect", onCluster, c.arn))
}

// written lists the topics that a stage writes, and the dead letters of those
// that it reads, without repetition.
func written(spec pipeline.Stage) []string {
	all := slices.Clone(spec.Writes)
	for _, m := range spec.Reads {
		t, _ := events.TopicByName(m.Topic)
		all = append(all, t.DeadLetters)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// mayApplyTopics is what applying the topics does.
func mayApplyTopics(d *deployment, c *clusterStack) []awsiam.PolicyStatement {
	var topics []*string
	for _, t := range d.topics {
		topics = append(topics, c.part(c.stack, "topic", t.Name))
	}
	return []awsiam.PolicyStatement{
		may("Connect", []string{"kafka-cluster:Connect"}, c.arn),
		may("ApplyTopics", []string{
			"kafka-cluster:CreateTopic", "kafka-cluster:DescribeTopic", "kafka-cluster:AlterTopic",
			"kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:AlterTopicDynamicConfiguration",
		}, topics...),
	}
}

// uses says which methods of the ports of shared/stage each stage calls, by
// table. A test reads the stages' code to hold it to that.
var uses = map[string]map[string][]string{
	pipeline.Ingest: {pipeline.BusinessesTable: {"Entrance"}},
	pipeline.Detect: {pipeline.VisitLogTable: {"Last", "Read", "Append"}, pipeline.BusinessesTable: {"Rules"}},
	pipeline.Identify: {
		pipeline.IdentitiesTable: {"Devices", "PutDevice", "Contact", "PutContact"},
		pipeline.PendingTable:    {"OfDevice", "Resolve"},
	},
	pipeline.Enrich: {
		// A walk-in notes when its device was last seen.
		pipeline.IdentitiesTable: {"Devices", "PutDevice"},
		pipeline.PendingTable:    {"PutNew", "End", "Resolve"},
	},
	pipeline.Count: {pipeline.CountsTable: {"Add", "Get"}},
}

// actionsOn gives the actions that a stage needs on a table.
func actionsOn(stageName, table string) (actions []string) {
	for _, method := range uses[stageName][table] {
		for _, action := range calls.ByTable[table].Methods[method] {
			actions = append(actions, "dynamodb:"+action)
		}
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}

// tableActions are all actions that any stage needs on any table.
func tableActions() (actions []string) {
	for stageName, tables := range uses {
		for table := range maps.Keys(tables) {
			actions = append(actions, actionsOn(stageName, table)...)
		}
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}

// mayUseTables is a statement for each table of a stage, and what DynamoDB does
// on the stage's behalf with the key of its tables (Amazon DynamoDB developer
// guide, "DynamoDB encryption at rest usage notes").
func mayUseTables(stack awscdk.Stack, s *stateStack, spec pipeline.Stage) (all []awsiam.PolicyStatement) {
	for _, table := range spec.Tables {
		all = append(all, may(*id("use-" + table), actionsOn(spec.Name, table), s.tables[table].TableArn()))
	}
	if len(spec.Tables) > 0 {
		all = append(all, mayUseKey(stack, s.key, "dynamodb",
			"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"))
	}
	return all
}

// mayUseKey is for a key, through one service only.
func mayUseKey(stack awscdk.Stack, key awskms.IKey, service string, actions ...string) awsiam.PolicyStatement {
	s := may("UseKey", actions, key.KeyArn())
	s.AddCondition(jsii.String("StringEquals"), map[string]any{
		"kms:ViaService": awscdk.Fn_Join(jsii.String(""), jsii.Strings(service+".", *stack.Region(), ".amazonaws.com")),
	})
	return s
}

// mayMakePseudonyms is for the one secret of the pseudonyms' keys, and for the
// key that it is encrypted with (AWS Secrets Manager user guide, "Secret
// encryption and decryption in AWS Secrets Manager").
func mayMakePseudonyms(stack awscdk.Stack, s *stateStack) []awsiam.PolicyStatement {
	unlock := mayUseKey(stack, s.key, "secretsmanager", "kms:Decrypt")
	unlock.SetSid(jsii.String("UnlockPseudonymKeys"))
	return []awsiam.PolicyStatement{
		may("ReadPseudonymKeys", []string{"secretsmanager:GetSecretValue"}, s.pseudonymKeys.SecretArn()),
		unlock,
	}
}

// mayKeepFailures is for what Lambda writes with the function's role once it
// gives up an asynchronous invocation.
func mayKeepFailures(stack awscdk.Stack, s *stateStack) []awsiam.PolicyStatement {
	return []awsiam.PolicyStatement{
		may("KeepFailures", []string{"s3:PutObject"}, s.bucket.ArnForObjects(jsii.String(failuresFolder+"*"))),
		may("FindBucket", []string{"s3:ListBucket"}, s.bucket.BucketArn()),
		mayUseKey(stack, s.key, "s3", "kms:Decrypt", "kms:GenerateDataKey"),
	}
}
