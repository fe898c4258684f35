package dynamo

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

var _ stage.VisitLog = (*VisitLog)(nil)

// VisitLog is a stage.VisitLog in the table visit-log: a chain is a partition
// key, so its items lie together in the order of their numbers, and a reader
// pays one unit for each 4 KB (half of that when it need not be consistent).
// TTL drops items within days after they expired; until then they are read like
// any other.
type VisitLog struct{ table table }

// NewVisitLog uses the table prefix + pipeline.VisitLogTable.
func NewVisitLog(client *dynamodb.Client, prefix string) *VisitLog {
	return &VisitLog{table{client, prefix + pipeline.VisitLogTable}}
}

// Last gives the item with the highest Seq of a chain. An answer that is not
// consistent may be an earlier one, or none; Append tells then.
func (l *VisitLog) Last(ctx context.Context, chain string, consistent bool) (stage.LogItem, bool, error) {
	out, err := l.table.client.Query(ctx, &dynamodb.QueryInput{
		TableName:                 &l.table.name,
		KeyConditionExpression:    aws.String("chain = :c"),
		ExpressionAttributeValues: item{":c": str(chain)},
		ScanIndexForward:          aws.Bool(false),
		Limit:                     aws.Int32(1),
		ConsistentRead:            &consistent,
	})
	if err != nil {
		return stage.LogItem{}, false, l.table.wrap("last of chain", chain, err)
	}
	if len(out.Items) == 0 {
		return stage.LogItem{}, false, nil
	}
	last, err := logItem(out.Items[0])
	return last, err == nil, l.table.wrap("last of chain", chain, err)
}

// Read gives the items with from <= Seq <= to in ascending order.
func (l *VisitLog) Read(ctx context.Context, chain string, from, to int64, consistent bool) ([]stage.LogItem, error) {
	if from > to { // which DynamoDB refuses
		return nil, nil
	}
	items, err := l.table.query(ctx, &dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("chain = :c AND seq BETWEEN :from AND :to"),
		ExpressionAttributeValues: item{":c": str(chain), ":from": num(from), ":to": num(to)},
		ConsistentRead:            &consistent,
	})
	if err != nil {
		return nil, l.table.wrap("read chain", chain, err)
	}
	var found []stage.LogItem
	for _, i := range items {
		one, err := logItem(i)
		if err != nil {
			return nil, l.table.wrap("read chain", chain, err)
		}
		found = append(found, one)
	}
	return found, nil
}

// Append stores the item if its Seq is free and answers stage.ErrConflict
// otherwise, also where the item there is our own: the client repeats a request
// whose answer was lost, and cannot tell its own item from another's. The caller
// reads the item and can. Data over stage.MaxLogItemBytes is refused.
func (l *VisitLog) Append(ctx context.Context, chain string, i stage.LogItem, expires time.Time) error {
	key := fmt.Sprintf("%s seq %d", chain, i.Seq)
	if len(i.Data) > stage.MaxLogItemBytes {
		err := fmt.Errorf("%d bytes are more than %d", len(i.Data), stage.MaxLogItemBytes)
		return l.table.wrap("append to chain", key, err)
	}
	row := item{keyChain: str(chain), keySeq: num(i.Seq)}
	if len(i.Data) > 0 {
		row[attrData] = &types.AttributeValueMemberB{Value: i.Data}
	}
	row.setExpiry(expires)
	err := l.table.put(ctx, row, "attribute_not_exists(seq)", nil)
	return l.table.wrap("append to chain", key, err)
}

func logItem(i item) (stage.LogItem, error) {
	r := reader{item: i}
	got := stage.LogItem{Seq: r.num(keySeq), Data: r.bytes(attrData)}
	return got, r.err
}
