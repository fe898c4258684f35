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

// createTimeout bounds how long a table may take to become active.
const createTimeout = 5 * time.Minute

// CreateTables creates the tables that do not exist, billed on demand and named
// prefix + name, and returns once all tables are active. A table with other keys
// than t's is an error. Expiry is switched on if the server supports expiry, which
// dynalite does not: package local deletes its expired items. CreateTables can be called again. On AWS the infra stack
// creates the tables instead.
func CreateTables(ctx context.Context, client *dynamodb.Client, prefix string, tables []pipeline.Table) error {
	// Create all tables before waiting for the first: they become active together.
	for _, t := range tables {
		if err := createTable(ctx, client, prefix+t.Name, t); err != nil {
			return fmt.Errorf("create table %s: %w", prefix+t.Name, err)
		}
	}
	for _, t := range tables {
		if err := awaitTable(ctx, client, prefix+t.Name, t); err != nil {
			return fmt.Errorf("create table %s: %w", prefix+t.Name, err)
		}
		if t.TTLAttribute == "" { // its items never expire
			continue
		}
		if err := enableTTL(ctx, client, prefix+t.Name, t.TTLAttribute); err != nil {
			return fmt.Errorf("create table %s: expiry by %s: %w", prefix+t.Name, t.TTLAttribute, err)
		}
	}
	return nil
}

// createTable requests a table. It is no error if the table exists.
func createTable(ctx context.Context, client *dynamodb.Client, name string, t pipeline.Table) error {
	in := &dynamodb.CreateTableInput{
		TableName:   &name,
		BillingMode: types.BillingModePayPerRequest,
		KeySchema:   keySchema(t),
	}
	for _, a := range []pipeline.Attribute{t.PartitionKey, t.SortKey} {
		if a.Name != "" { // "" is the sort key of a table without one
			in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{
				AttributeName: &a.Name, AttributeType: types.ScalarAttributeType(a.Type),
			})
		}
	}
	_, err := client.CreateTable(ctx, in)
	// The table exists, or is being created by another process. awaitTable checks it.
	if _, exists := errors.AsType[*types.ResourceInUseException](err); exists {
		return nil
	}
	return err
}

// keySchema returns the keys of a table as the API takes them.
func keySchema(t pipeline.Table) []types.KeySchemaElement {
	schema := []types.KeySchemaElement{{AttributeName: &t.PartitionKey.Name, KeyType: types.KeyTypeHash}}
	if t.SortKey.Name != "" {
		schema = append(schema, types.KeySchemaElement{AttributeName: &t.SortKey.Name, KeyType: types.KeyTypeRange})
	}
	return schema
}

// awaitTable waits until the table is active, and checks its keys: with other keys
// every later request would fail.
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
		return fmt.Errorf("it exists with the keys %v, want %v: delete it, or use another prefix", got, want)
	}
	return nil
}

// keyNames returns the names of the attributes of a key.
func keyNames(schema []types.KeySchemaElement) []string {
	var names []string
	for _, k := range schema {
		names = append(names, aws.ToString(k.AttributeName))
	}
	return names
}

// enableTTL lets items expire by an attribute. A server without the operation, such
// as dynalite, keeps all items.
func enableTTL(ctx context.Context, client *dynamodb.Client, name, attribute string) error {
	// DynamoDB rejects a request to switch on what is on, so look first.
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
	// Either request may be unknown to the server.
	if unknown, ok := errors.AsType[smithy.APIError](err); ok && unknown.ErrorCode() == "UnknownOperationException" {
		return nil
	}
	return err
}
