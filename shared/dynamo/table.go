package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"footfall/shared/stage"
)

// table is what the stores have in common: requests to one table, in terms of
// items.
type table struct {
	client *dynamodb.Client
	name   string
}

// wrapped says what failed and for which key. A condition that did not hold
// comes out as stage.ErrConflict.
func (t table) wrapped(doing, key string, err error) error {
	if err == nil {
		return nil
	}
	if isConflict(err) {
		err = stage.ErrConflict
	}
	return fmt.Errorf("table %s: %s %s: %w", t.name, doing, key, err)
}

// isConflict tells whether err is a condition that did not hold.
func isConflict(err error) bool {
	_, failed := errors.AsType[*types.ConditionalCheckFailedException](err)
	return failed
}

// put writes a whole item where the condition holds. values are those of the
// condition and may be nil.
func (t table) put(ctx context.Context, i item, condition string, values item) error {
	_, err := t.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                 &t.name,
		Item:                      i,
		ConditionExpression:       &condition,
		ExpressionAttributeValues: values,
	})
	return err
}

// read gives the item of a key, strongly consistent; nil where there is none. It
// follows a condition that did not hold: an eventually consistent answer could
// be older than what the condition has seen.
func (t table) read(ctx context.Context, key item) (item, error) {
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &t.name, Key: key, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// query runs q to its end. DynamoDB answers in pages of 1 MB.
func (t table) query(ctx context.Context, q *dynamodb.QueryInput) ([]item, error) {
	q.TableName = &t.name
	var items []item
	for pages := dynamodb.NewQueryPaginator(t.client, q); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, i := range page.Items {
			items = append(items, i)
		}
	}
	return items, nil
}
