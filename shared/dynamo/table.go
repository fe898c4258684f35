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

// table sends the requests that the stores have in common to one table.
type table struct {
	client *dynamodb.Client
	name   string // with its prefix
}

// wrap returns err with the table, the action that failed (doing) and its key, or
// nil if err is nil. A failed condition becomes stage.ErrConflict.
func (t table) wrap(doing, key string, err error) error {
	if err == nil {
		return nil
	}
	if isConflict(err) {
		err = stage.ErrConflict
	}
	return fmt.Errorf("table %s: %s %s: %w", t.name, doing, key, err)
}

// isConflict reports whether err is the failed condition of a write.
func isConflict(err error) bool {
	_, failed := errors.AsType[*types.ConditionalCheckFailedException](err)
	return failed
}

// put writes a whole item if the condition holds. values are the values of the
// condition, nil for none.
func (t table) put(ctx context.Context, i item, condition string, values item) error {
	_, err := t.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                 &t.name,
		Item:                      i,
		ConditionExpression:       &condition,
		ExpressionAttributeValues: values,
	})
	return err
}

// putNew writes a whole item if its key is free; keyAttribute is an attribute of the
// key. If not, the error holds the item in the way: see conflictItem.
func (t table) putNew(ctx context.Context, i item, keyAttribute string) error {
	_, err := t.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:           &t.name,
		Item:                i,
		ConditionExpression: aws.String("attribute_not_exists(" + keyAttribute + ")"),

		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	return err
}

// conflictItem returns the item that the condition of a write failed on, nil for
// none. conflict is the error of the write, key the key of the item.
//
// DynamoDB returns the item with the error if the write asked for it, at no cost and
// as the condition saw the item (API reference, "PutItem",
// ReturnValuesOnConditionCheckFailure). If the server leaves the item out, as
// dynalite does, conflictItem reads the item.
func (t table) conflictItem(ctx context.Context, conflict error, key item) (item, error) {
	if e, ok := errors.AsType[*types.ConditionalCheckFailedException](conflict); ok && len(e.Item) > 0 {
		return e.Item, nil
	}
	return t.read(ctx, key)
}

// read returns the item of a key, nil for none. The read is strongly consistent: it
// may follow a failed condition, and an eventually consistent answer could be older
// than the item that the condition saw.
func (t table) read(ctx context.Context, key item) (item, error) {
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &t.name, Key: key, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// query returns the items of all pages of q. A page holds up to 1 MB.
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
