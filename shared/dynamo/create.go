package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"footfall/shared/pipeline"
)

// createTimeout is how long a table may take to become active.
const createTimeout = 5 * time.Minute

// CreateTables makes the tables that do not exist, billed on demand and named
// prefix + name, and returns once all of them are active. It can be called
// again; a table that exists with other keys is an error. Expiry is switched on
// where the server has it, which dynalite has not. On AWS the infra stack makes
// the tables instead.
func CreateTables(ctx context.Context, client *dynamodb.Client, prefix string, tables []pipeline.Table) error {
	for _, t := range tables {
		if err := createTable(ctx, client, prefix+t.Name, t); err != nil {
			return fmt.Errorf("create table %s: %w", prefix+t.Name, err)
		}
	}
	for _, t := range tables {
		if err := awaitTable(ctx, client, prefix+t.Name, t); err != nil {
			return fmt.Errorf("create table %s: %w", prefix+t.Name, err)
		}
		if t.TTLAttribute == "" {
			continue
		}
		if err := expire(ctx, client, prefix+t.Name, t.TTLAttribute); err != nil {
			return fmt.Errorf("create table %s: expiry by %s: %w", prefix+t.Name, t.TTLAttribute, err)
		}
	}
	return nil
}

func createTable(ctx context.Context, client *dynamodb.Client, name string, t pipeline.Table) error {
	in := &dynamodb.CreateTableInput{
		TableName:   &name,
		BillingMode: types.BillingModePayPerRequest,
		KeySchema:   keySchema(t),
	}
	for _, a := range []pipeline.Attribute{t.PartitionKey, t.SortKey} {
		if a.Name != "" {
			in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{
				AttributeName: &a.Name, AttributeType: types.ScalarAttributeType(a.Type),
			})
		}
	}
	_, err := client.CreateTable(ctx, in)
	if _, exists := errors.AsType[*types.ResourceInUseException](err); exists {
		return nil
	}
	return err
}

func keySchema(t pipeline.Table) []types.KeySchemaElement {
	schema := []types.KeySchemaElement{{AttributeName: &t.PartitionKey.Name, KeyType: types.KeyTypeHash}}
	if t.SortKey.Name != "" {
		schema = append(schema, types.KeySchemaElement{AttributeName: &t.SortKey.Name, KeyType: types.KeyTypeRange})
	}
	return schema
}

// awaitTable returns when the table is active, and checks that it is the one
// that was wanted: with other keys every later request would fail.
func awaitTable(ctx context.Context, client *dynamodb.Client, name string, t pipeline.Table) error {
	waiter := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, 2*time.Second
	})
	out, err := waiter.WaitForOutput(ctx, &dynamodb.DescribeTableInput{TableName: &name}, createTimeout)
	if err != nil {
		return err
	}
	want := keyNames(keySchema(t))
	if got := keyNames(out.Table.KeySchema); !slices.Equal(got, want) {
		return fmt.Errorf("it exists with the keys %v, not %v", got, want)
	}
	return nil
}

func keyNames(schema []types.KeySchemaElement) []string {
	var names []string
	for _, k := range schema {
		names = append(names, aws.ToString(k.AttributeName))
	}
	return names
}

// expire switches TTL on. DynamoDB refuses to switch on what is on, so it asks
// first; a server that does not know the operation keeps everything.
func expire(ctx context.Context, client *dynamodb.Client, name, attribute string) error {
	out, err := client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	if err == nil && out.TimeToLiveDescription != nil {
		switch out.TimeToLiveDescription.TimeToLiveStatus {
		case types.TimeToLiveStatusEnabled, types.TimeToLiveStatusEnabling:
			return nil
		default: // it is off
		}
	}
	if err == nil {
		_, err = client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
			TableName: &name,
			TimeToLiveSpecification: &types.TimeToLiveSpecification{
				AttributeName: &attribute, Enabled: aws.Bool(true),
			},
		})
	}
	if unknown, ok := errors.AsType[smithy.APIError](err); ok && unknown.ErrorCode() == "UnknownOperationException" {
		return nil
	}
	return err
}
