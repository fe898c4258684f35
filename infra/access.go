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

// may returns a statement that allows actions on resources. sid names the statement
// and its purpose.
func may(sid string, actions []string, resources ...*string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid: jsii.String(sid), Actions: jsii.Strings(actions...), Resources: &resources,
	})
}

// document returns a policy document of statements.
func document(statements ...awsiam.PolicyStatement) awsiam.PolicyDocument {
	return awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &statements})
}

// inline returns the only policy of a role, as a part of the role: a resource that
// waits for the role then waits for its permissions too.
func inline(statements ...awsiam.PolicyStatement) *map[string]awsiam.PolicyDocument {
	return &map[string]awsiam.PolicyDocument{"own": document(statements...)}
}

// ofThisAccount returns an AWS service as a principal, if the service acts for this
// account.
func ofThisAccount(stack awscdk.Stack, service string) awsiam.IPrincipal {
	return awsiam.NewServicePrincipal(jsii.String(service), &awsiam.ServicePrincipalOpts{
		Conditions: &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": stack.Account()}},
	})
}

// mayLog allows writing to a log group.
func mayLog(group awslogs.ILogGroup) awsiam.PolicyStatement {
	return may("Log", []string{"logs:CreateLogStream", "logs:PutLogEvents"}, group.LogGroupArn())
}

// mayTrace allows writing traces. It is for all resources, since a trace is no
// resource (service authorization reference, AWS X-Ray).
func mayTrace() awsiam.PolicyStatement {
	return may("Trace", []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords"}, jsii.String("*"))
}

// networkActions are the actions that Lambda needs to put a function, or the pollers of
// an event source mapping, into a network.
var networkActions = []string{
	"ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces",
	"ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
	"ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
}

// mayJoinNetwork allows Lambda, with the role of a function, to put the function into a
// network, and denies the same to the function's own code (AWS Lambda developer guide,
// "Giving Lambda functions access to resources in an Amazon VPC"). It is for all
// resources: Lambda checks the permission before an interface exists.
func mayJoinNetwork(stack awscdk.Stack, functionName string) []awsiam.PolicyStatement {
	code := may("NotFromCode", networkActions, jsii.String("*"))
	code.SetEffect(awsiam.Effect_DENY)
	code.AddCondition(jsii.String("ArnEquals"), map[string]any{"lambda:SourceFunctionArn": functionARN(stack, functionName)})
	return []awsiam.PolicyStatement{may("JoinNetwork", networkActions, jsii.String("*")), code}
}

// functionARN returns the ARN of a function, by its name.
func functionARN(stack awscdk.Stack, name string) *string {
	return stack.FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("lambda"), Resource: jsii.String("function"), ResourceName: jsii.String(name),
		ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
}

// mayUseKafka allows a stage, and the event source mappings that feed the stage, to use
// the cluster (Amazon MSK developer guide, "IAM access control"; AWS Lambda developer
// guide, "Configuring Lambda permissions for Amazon MSK event source mappings").
func mayUseKafka(d *deployment, stack awscdk.Stack, c *cluster, spec pipeline.Stage) []awsiam.PolicyStatement {
	// Topics to read, consumer groups, topics to write.
	onCluster := []string{"kafka-cluster:Connect"}
	var read, groups, write []*string
	for _, m := range spec.Reads {
		read = append(read, c.part(stack, "topic", m.Topic))
		groups = append(groups, c.part(stack, "group", d.group(spec.Name, m.Topic)))
	}
	for _, t := range writtenTopics(spec) {
		write = append(write, c.part(stack, "topic", t))
	}
	// Reading is done by the event source mapping, with the function's role.
	var all []awsiam.PolicyStatement
	if len(read) > 0 {
		onCluster = append(onCluster, "kafka-cluster:DescribeClusterDynamicConfiguration")
		all = append(all,
			may("ReadTopics", []string{"kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"}, read...),
			may("KeepOffsets", []string{"kafka-cluster:DescribeGroup", "kafka-cluster:AlterGroup"}, groups...),
			may("DescribeCluster", []string{"kafka:DescribeCluster", "kafka:DescribeClusterV2"}, c.arn),
			// AWS defines this action for no single resource. It only reads.
			may("FindBrokers", []string{"kafka:GetBootstrapBrokers"}, jsii.String("*")))
	}
	if len(write) > 0 {
		// The producer is idempotent, which is a permission on the cluster.
		onCluster = append(onCluster, "kafka-cluster:WriteDataIdempotently")
		all = append(all, may("WriteTopics", []string{"kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"}, write...))
	}
	return append(all, may("Connect", onCluster, c.arn))
}

// writtenTopics returns, each once, the topics that a stage writes and the dead-letter
// topics of its inputs.
func writtenTopics(spec pipeline.Stage) []string {
	all := slices.Clone(spec.Writes)
	for _, m := range spec.Reads {
		t, _ := events.TopicByName(m.Topic)
		all = append(all, t.DeadLetters)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// mayApplyTopics allows creating and changing the topics of the deployment.
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

// uses holds the methods of the ports of shared/stage that each stage calls, by stage
// and table. A test fails if uses and the code of the stages differ.
var uses = map[string]map[string][]string{
	pipeline.Ingest: {pipeline.BusinessesTable: {"Entrance"}},
	pipeline.Detect: {pipeline.VisitLogTable: {"Last", "Read", "Append"}, pipeline.BusinessesTable: {"Rules"}},
	pipeline.Identify: {
		pipeline.IdentitiesTable: {"Devices", "PutDevice", "Contact", "PutContact"},
		pipeline.PendingTable:    {"OfDevice", "Resolve", "Stored"},
	},
	pipeline.Enrich: {
		// A walk-in stores when its device was last seen.
		pipeline.IdentitiesTable: {"Devices", "PutDevice"},
		pipeline.PendingTable:    {"PutNew", "End", "Resolve", "Stored"},
	},
	pipeline.Count: {pipeline.CountsTable: {"Add", "Get"}},
}

// actionsOn returns the actions of all methods of a table that a stage calls, each
// once.
func actionsOn(stageName, table string) (actions []string) {
	for _, method := range uses[stageName][table] {
		for _, action := range calls.ByTable[table].Methods[method] {
			actions = append(actions, "dynamodb:"+action)
		}
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}

// tableActions returns all actions that any stage needs on any table, each once.
func tableActions() (actions []string) {
	for stageName, tables := range uses {
		for table := range maps.Keys(tables) {
			actions = append(actions, actionsOn(stageName, table)...)
		}
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}

// mayUseTables allows a stage to use its tables, with a statement for each table, and
// allows DynamoDB to use the key of the tables on behalf of the stage (Amazon DynamoDB
// developer guide, "DynamoDB encryption at rest usage notes"). A stage without tables
// needs neither.
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

// mayUseKey allows actions on a key, but only through one service.
func mayUseKey(stack awscdk.Stack, key awskms.IKey, service string, actions ...string) awsiam.PolicyStatement {
	s := may("UseKey", actions, key.KeyArn())
	s.AddCondition(jsii.String("StringEquals"), map[string]any{
		"kms:ViaService": awscdk.Fn_Join(jsii.String(""), jsii.Strings(service+".", *stack.Region(), ".amazonaws.com")),
	})
	return s
}

// mayMakePseudonyms allows reading the secret that holds the keys of pseudonyms, and
// using the key that the secret is encrypted with (AWS Secrets Manager user guide,
// "Secret encryption and decryption in AWS Secrets Manager").
func mayMakePseudonyms(stack awscdk.Stack, s *stateStack) []awsiam.PolicyStatement {
	unlock := mayUseKey(stack, s.key, "secretsmanager", "kms:Decrypt")
	unlock.SetSid(jsii.String("UnlockPseudonymKeys"))
	return []awsiam.PolicyStatement{
		may("ReadPseudonymKeys", []string{"secretsmanager:GetSecretValue"}, s.pseudonymKeys.SecretArn()),
		unlock,
	}
}

// mayKeepFailures allows Lambda, with the role of a function, to write the failed
// invocation to the bucket once Lambda gives up an asynchronous invocation.
func mayKeepFailures(stack awscdk.Stack, s *stateStack) []awsiam.PolicyStatement {
	return []awsiam.PolicyStatement{
		may("KeepFailures", []string{"s3:PutObject"}, s.bucket.ArnForObjects(jsii.String(failuresFolder+"*"))),
		may("FindBucket", []string{"s3:ListBucket"}, s.bucket.BucketArn()),
		mayUseKey(stack, s.key, "s3", "kms:Decrypt", "kms:GenerateDataKey"),
	}
}
