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

// Each gives what Get gives of every contact, in no order. It reads the whole
// table once, strongly consistent, page by page, which costs a read unit per
// 4 KB; what is written meanwhile may or may not be seen. What each returns ends
// it.
func (c *Counts) Each(ctx context.Context, each func(key stage.CountKey, parts []stage.MonthCount) error) error {
	pages := dynamodb.NewScanPaginator(c.table.client, &dynamodb.ScanInput{
		TableName: &c.table.name, ConsistentRead: aws.Bool(true),
	})
	// A scan gives the items of one partition key one after the other, so that
	// those of a contact are together.
	var rows []item
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return c.table.wrap("scan", "all", err)
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
	if len(rows) == 0 {
		return nil
	}
	return c.callEach(rows, each)
}

func partitionKey(row item) string {
	r := reader{item: row}
	return r.str(keyPK)
}

// callEach gives the items of callEach contact.
func (c *Counts) callEach(rows []item, each func(key stage.CountKey, parts []stage.MonthCount) error) error {
	pk := partitionKey(rows[0])
	business, contact, ok := events.SplitDeviceKey(pk) // a contact's key has the same form
	parts, err := monthCounts(rows)
	if !ok {
		err = errors.Join(err, fmt.Errorf("attribute %s does not fit: %q is not a business and a contact", keyPK, pk))
	}
	if err != nil {
		return c.table.wrap("scan", pk, err)
	}
	return each(stage.CountKey{Business: business, Contact: events.ContactID(contact)}, parts)
}
