package dynamo

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"footfall/events"
	"footfall/shared/stage"
)

// EachContact gives what is known of every contact of a business, in no order.
// It reads the whole table once, strongly consistent, for there is no index of
// businesses: a read unit per 4 KB, for something done a few times a year. What
// is written meanwhile may or may not be seen. What each returns ends it.
func (i *Identities) EachContact(ctx context.Context, b events.BusinessID, each func(events.ContactID, stage.ContactRecord) error) error {
	prefix := contactPK(b, "")
	pages := dynamodb.NewScanPaginator(i.table.client, &dynamodb.ScanInput{
		TableName:                 &i.table.name,
		FilterExpression:          aws.String("begins_with(pk, :b)"),
		ExpressionAttributeValues: item{":b": str(prefix)},
		ConsistentRead:            aws.Bool(true),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return i.table.wrap("scan contacts of", string(b), err)
		}
		for _, row := range page.Items {
			r := reader{item: row}
			pk := r.str(keyPK)
			contact, _, err := contactRecord(row)
			if err != nil {
				return i.table.wrap("scan", pk, err)
			}
			if err := each(events.ContactID(strings.TrimPrefix(pk, prefix)), contact); err != nil {
				return err
			}
		}
	}
	return nil
}

// DeleteDevice deletes a history if its version is still version.
//
// The next history of the device begins with version 1 again, so a writer that
// has been waiting since before, for as many changes as there were, could take
// it for the former one. Whoever deletes empties the item first and waits until
// such writers are done.
func (i *Identities) DeleteDevice(ctx context.Context, key stage.IdentityKey, version int64) error {
	pk := devicePK(key)
	condition, values := "v = :v", item{":v": num(version)}
	if version == 0 { // the same that PutDevice asks for
		condition, values = "attribute_not_exists(pk)", nil
	}
	_, err := i.table.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &i.table.name, Key: item{keyPK: str(pk)},
		ConditionExpression: &condition, ExpressionAttributeValues: values,
	})
	return i.table.wrap("delete", pk, err)
}

// Delete deletes a walk-in, which need not be there.
func (p *Pending) Delete(ctx context.Context, w events.WalkIn) error {
	err := p.table.remove(ctx, walkInKey(w))
	return p.table.wrap("delete walk-in", walkInName(w), err)
}

// Delete deletes the base and every month of a contact, which need not be there,
// item by item. It goes by keys alone, so it also deletes what no version of
// this code has written.
func (c *Counts) Delete(ctx context.Context, key stage.CountKey) error {
	rows, err := c.table.query(ctx, &dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: item{":pk": str(countPK(key))},
		ProjectionExpression:      aws.String("pk, #m"),
		ExpressionAttributeNames:  map[string]string{"#m": keyMonth},
		ConsistentRead:            aws.Bool(true),
	})
	if err != nil {
		return c.table.wrap("delete counts of", countPK(key), err)
	}
	for _, row := range rows {
		if err := c.table.remove(ctx, row); err != nil {
			r := reader{item: row}
			return c.table.wrap("delete", fmt.Sprintf("%s %s", countPK(key), r.str(keyMonth)), err)
		}
	}
	return nil
}

// remove deletes the item of a key, if there is one.
func (t table) remove(ctx context.Context, key item) error {
	_, err := t.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &t.name, Key: key})
	return err
}
