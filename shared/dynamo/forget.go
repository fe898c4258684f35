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

// EachContact calls each with every contact of a business and its record, in no
// order. The whole table is read once, strongly consistent, at a read unit per 4 KB:
// for something done a few times a year, an index of businesses is not worth it.
// Writes during the scan may or may not be seen. The first error of each ends the
// scan and is returned.
func (i *Identities) EachContact(ctx context.Context, b events.BusinessID, each func(events.ContactID, stage.ContactRecord) error) error {
	prefix := contactPK(b, "")
	// The filter saves transfer, not read units: DynamoDB reads all items.
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

// DeleteDevice deletes the history of a device if its stored version is still
// version, and returns stage.ErrConflict if not.
//
// The next history of the device begins with version 1 again. So a late writer
// could do harm: the writer read the deleted history at some version; the new
// history reached the same version; now the write succeeds and brings the old
// history back. Callers therefore empty the item first, and delete the item once
// all writers that may have read the old history are done.
func (i *Identities) DeleteDevice(ctx context.Context, key stage.IdentityKey, version int64) error {
	pk := devicePK(key)
	condition, values := "v = :v", item{":v": num(version)}
	if version == 0 { // no item, as in PutDevice
		condition, values = "attribute_not_exists(pk)", nil
	}
	_, err := i.table.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &i.table.name, Key: item{keyPK: str(pk)},
		ConditionExpression: &condition, ExpressionAttributeValues: values,
	})
	return i.table.wrap("delete", pk, err)
}

// Delete deletes a walk-in. It is no error if the walk-in is not stored.
func (p *Pending) Delete(ctx context.Context, w events.WalkIn) error {
	err := p.table.remove(ctx, walkInKey(w))
	return p.table.wrap("delete walk-in", walkInName(w), err)
}

// Delete deletes the base and every month of a contact, item by item. It is no
// error if nothing is stored. Only keys are read, so items with unreadable
// attributes are deleted too.
func (c *Counts) Delete(ctx context.Context, key stage.CountKey) error {
	// MONTH is a reserved word of DynamoDB, so the attribute has a placeholder.
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

// remove deletes the item of a key if there is one.
func (t table) remove(ctx context.Context, key item) error {
	_, err := t.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &t.name, Key: key})
	return err
}
