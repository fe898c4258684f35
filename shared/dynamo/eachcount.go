package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"footfall/events"
	"footfall/shared/stage"
)

// Each calls each with every contact and the counts that Get returns for it, in no
// order. The whole table is read once, strongly consistent, page by page, at a read
// unit per 4 KB. Writes during the scan may or may not be seen. The first error of
// each ends the scan and is returned.
func (c *Counts) Each(ctx context.Context, each func(key stage.CountKey, parts []stage.MonthCount) error) error {
	pages := dynamodb.NewScanPaginator(c.table.client, &dynamodb.ScanInput{
		TableName: &c.table.name, ConsistentRead: aws.Bool(true),
	})
	// A scan returns all items of a partition key before the next partition key. rows
	// collects the items of a contact until the first item of another contact.
	var rows []item
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return c.table.wrap("scan", "all counts", err)
		}
		for _, row := range page.Items {
			if len(rows) > 0 && partitionKey(rows[0]) != partitionKey(row) {
				if err := c.callEach(rows, each); err != nil {
					return err
				}
				rows = nil
			}
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 { // the table is empty
		return nil
	}
	return c.callEach(rows, each)
}

// partitionKey returns the partition key of an item.
func partitionKey(row item) string {
	r := reader{item: row}
	return r.str(keyPK)
}

// callEach calls each with the contact that rows belong to.
func (c *Counts) callEach(rows []item, each func(key stage.CountKey, parts []stage.MonthCount) error) error {
	pk := partitionKey(rows[0])
	business, contact, ok := events.SplitDeviceKey(pk) // a contact's key has the same form
	parts, err := monthCounts(rows)
	if !ok {
		err = errors.Join(err, fmt.Errorf("attribute %s cannot be read: %q is not a business and a contact", keyPK, pk))
	}
	if err != nil {
		return c.table.wrap("scan", pk, err)
	}
	return each(stage.CountKey{Business: business, Contact: events.ContactID(contact)}, parts)
}
