package dynamo

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"footfall/events"
	"footfall/shared/stage"
)

// Each gives every item of the table, in no order: the contact, the month (""
// for the base count), the total and the ids it is made of, which a base has
// none of. It reads the whole table once, strongly consistent, page by page,
// which costs a read unit per 4 KB; what is written meanwhile may or may not be
// seen. What each returns ends it.
func (c *Counts) Each(ctx context.Context, each func(key stage.CountKey, month string, total int64, ids []events.WalkInID) error) error {
	pages := dynamodb.NewScanPaginator(c.table.client, &dynamodb.ScanInput{
		TableName:                &c.table.name,
		ProjectionExpression:     aws.String("pk, #m, n, ids"),
		ExpressionAttributeNames: map[string]string{"#m": keyMonth},
		ConsistentRead:           aws.Bool(true),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return c.table.wrapped("scan", "all", err)
		}
		for _, row := range page.Items {
			r := reader{item: row}
			pk, month, total, packed := r.str(keyPK), r.str(keyMonth), r.num(attrTotal), r.set(attrIDs)
			business, contact, ok := events.SplitDeviceKey(pk) // a contact's key has the same form
			if !ok {
				r.fail(keyPK, fmt.Errorf("%q is not a business and a contact", pk))
			}
			ids, err := unpackIDs(packed)
			if err != nil {
				r.fail(attrIDs, err)
			}
			if r.err != nil {
				return c.table.wrapped("scan", pk+" "+month, r.err)
			}
			if month == baseMonth {
				month = ""
			}
			key := stage.CountKey{Business: business, Contact: events.ContactID(contact)}
			if err := each(key, month, total, ids); err != nil {
				return err
			}
		}
	}
	return nil
}

// unpackIDs undoes packID.
func unpackIDs(packed []string) ([]events.WalkInID, error) {
	ids := make([]events.WalkInID, len(packed))
	for i, p := range packed {
		b, err := base64.RawURLEncoding.DecodeString(p)
		if err != nil {
			return nil, fmt.Errorf("id %q: %w", p, err)
		}
		ids[i] = events.WalkInID(hex.EncodeToString(b))
	}
	return ids, nil
}
