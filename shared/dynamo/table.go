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

// wrap says what failed and for which key. A condition that did not hold
// comes out as stage.ErrConflict.
func (t table) wrap(doing, key string, err error) error {
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

// putNew writes a whole item where none has its key, of which keyAttribute is a
// part, and asks for the one that is in the way: see met.
func (t table) putNew(ctx context.Context, i item, keyAttribute string) error {
	_, err := t.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:           &t.name,
		Item:                i,
		ConditionExpression: aws.String("attribute_not_exists(" + keyAttribute + ")"),

		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	return err
}

// conflictItem gives the item that the condition of a write did not hold for. conflict is
// that write's error and key what it wrote to. The write has to ask for the item:
// then DynamoDB tells it at no cost (API reference, "PutItem",
// ReturnValuesOnConditionCheckFailure), as the condition saw it. Servers that do
// not, such as dynalite, are read from.
func (t table) conflictItem(ctx context.Context, conflict error, key item) (item, error) {
	if e, ok := errors.AsType[*types.ConditionalCheckFailedException](conflict); ok && len(e.Item) > 0 {
		return e.Item, nil
	}
	return t.read(ctx, key)
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
