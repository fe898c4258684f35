package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"

	"footfall/shared/pipeline"
)

// stateStack is the stack state: all data that a new deployment could not create
// again.
type stateStack struct {
	stack  awscdk.Stack
	key    awskms.Key
	tables map[string]awsdynamodb.Table // by name in the graph
	bucket awss3.Bucket                 // of the archive, and of failed invocations
	// pseudonymKeys is the secret with the keys of ingest's pseudonyms.
	pseudonymKeys awssecretsmanager.Secret
}

func newStateStack(d *deployment) *stateStack {
	stack := d.stack("state", "tables, archive, keys")
	s := &stateStack{stack: stack, key: newKey(d, stack, "state"), tables: map[string]awsdynamodb.Table{}}
	grantAlarms(stack, s.key)
	for _, t := range d.graph.Tables {
		s.tables[t.Name] = newTable(d, stack, t, s.key)
	}
	s.bucket = newBucket(d, stack, s.key)
	s.pseudonymKeys = newPseudonymKeys(d, stack, s.key)
	return s
}

// newTable returns a table that outlives its stack. Its name is fixed, since the
// functions compose it of the prefix and the name in the graph.
func newTable(d *deployment, stack awscdk.Stack, t pipeline.Table, key awskms.IKey) awsdynamodb.Table {
	p := &awsdynamodb.TableProps{
		TableName:    jsii.String(d.prefix() + t.Name),
		PartitionKey: attribute(t.PartitionKey),
		BillingMode:  awsdynamodb.BillingMode_PAY_PER_REQUEST,
		Encryption:   awsdynamodb.TableEncryption_CUSTOMER_MANAGED, EncryptionKey: key,
		DeletionProtection:               jsii.Bool(true),
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: jsii.Bool(true)},
		RemovalPolicy:                    awscdk.RemovalPolicy_RETAIN,
	}
	if t.SortKey.Name != "" {
		p.SortKey = attribute(t.SortKey)
	}
	if t.TTLAttribute != "" {
		p.TimeToLiveAttribute = jsii.String(t.TTLAttribute)
	}
	return awsdynamodb.NewTable(stack, id("table-"+t.Name), p)
}

func attribute(a pipeline.Attribute) *awsdynamodb.Attribute {
	types := map[string]awsdynamodb.AttributeType{
		"S": awsdynamodb.AttributeType_STRING, "N": awsdynamodb.AttributeType_NUMBER, "B": awsdynamodb.AttributeType_BINARY,
	}
	return &awsdynamodb.Attribute{Name: jsii.String(a.Name), Type: types[a.Type]}
}

// Folders of the bucket. Lambda chooses the second one, for asynchronous invocations
// that it gave up (AWS Lambda developer guide, "Adding a destination").
const (
	archiveFolder  = "archive/"
	failuresFolder = "aws/lambda/async/"
)

// Retention of objects, in days.
const (
	// archiveColdDays: within the replay horizon of 90 days the topics have all
	// records.
	archiveColdDays = 30
	archiveDays     = 400 // a year can be compared with the one before
	failureDays     = 90
	accessLogDays   = 90
	noncurrentDays  = 30 // within which an overwritten or deleted object can be restored
)

// newBucket returns the bucket, and adds a bucket for its access log.
func newBucket(d *deployment, stack awscdk.Stack, key awskms.IKey) awss3.Bucket {
	logs := awss3.NewBucket(stack, jsii.String("AccessLogs"), &awss3.BucketProps{
		// Log delivery does not support a customer-managed key (Amazon S3 user
		// guide, "Enabling server access logging").
		Encryption: awss3.BucketEncryption_S3_MANAGED, EnforceSSL: jsii.Bool(true), Versioned: jsii.Bool(true),
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(), RemovalPolicy: awscdk.RemovalPolicy_RETAIN,
		MinimumTLSVersion: jsii.Number(1.2),
		LifecycleRules:    &[]*awss3.LifecycleRule{expire("", accessLogDays)},
	})
	archive := expire(archiveFolder, archiveDays)
	archive.Transitions = &[]*awss3.Transition{{
		StorageClass: awss3.StorageClass_GLACIER_INSTANT_RETRIEVAL(), TransitionAfter: days(archiveColdDays),
	}}
	return awss3.NewBucket(stack, jsii.String("Bucket"), &awss3.BucketProps{
		Encryption: awss3.BucketEncryption_KMS, EncryptionKey: key, BucketKeyEnabled: jsii.Bool(true),
		EnforceSSL: jsii.Bool(true), Versioned: jsii.Bool(true), MinimumTLSVersion: jsii.Number(1.2),
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(), RemovalPolicy: awscdk.RemovalPolicy_RETAIN,
		ServerAccessLogsBucket: logs, ServerAccessLogsPrefix: jsii.String(d.prefix()),
		LifecycleRules: &[]*awss3.LifecycleRule{archive, expire(failuresFolder, failureDays)},
	})
}

// expire returns a rule that expires objects after a number of days, and their old
// versions soon after.
func expire(folder string, after float64) *awss3.LifecycleRule {
	rule := &awss3.LifecycleRule{
		Expiration: days(after), NoncurrentVersionExpiration: days(noncurrentDays),
		AbortIncompleteMultipartUploadAfter: days(1),
	}
	if folder != "" {
		rule.Prefix = jsii.String(folder)
	}
	return rule
}

func days(n float64) awscdk.Duration { return awscdk.Duration_Days(jsii.Number(n)) }

// newPseudonymKeys returns the secret with the keys that turn MAC addresses into
// pseudonyms, by key id: {"1": "..."}. Only ingest reads it; the other stages never
// see a MAC address.
func newPseudonymKeys(d *deployment, stack awscdk.Stack, key awskms.IKey) awssecretsmanager.Secret {
	return awssecretsmanager.NewSecret(stack, jsii.String("PseudonymKeys"), &awssecretsmanager.SecretProps{
		SecretName:    jsii.String(d.pseudonymKeysName()),
		Description:   jsii.String("Keys of the pseudonyms of devices, by id. Add, never replace: a replaced key makes every device a new one."),
		EncryptionKey: key, RemovalPolicy: awscdk.RemovalPolicy_RETAIN,
		GenerateSecretString: &awssecretsmanager.SecretStringGenerator{
			SecretStringTemplate: jsii.String("{}"), GenerateStringKey: jsii.String("1"),
			PasswordLength: jsii.Number(64), ExcludePunctuation: jsii.Bool(true),
		},
	})
}
