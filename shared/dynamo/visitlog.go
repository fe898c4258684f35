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

// VisitLog is a stage.VisitLog in the table visit-log. The chain of a changelog is
// a partition key, so the items lie together in the order of their sequence
// numbers. A read costs a unit for each 4 KB, and half a unit if it may be
// eventually consistent. TTL drops items within days after they expired; until then
// they are read like any other.
//
// calls.ByTable lists the DynamoDB actions of its methods.
type VisitLog struct{ table table }

// NewVisitLog returns the store in the table prefix + pipeline.VisitLogTable.
func NewVisitLog(client *dynamodb.Client, prefix string) *VisitLog {
	return &VisitLog{table{client, prefix + pipeline.VisitLogTable}}
}

// Last returns the item with the highest sequence number of a changelog, or false
// for an empty one. An eventually consistent read may return an earlier item, or
// none at all: then Append with the next sequence number returns stage.ErrConflict.
func (l *VisitLog) Last(ctx context.Context, chain string, consistent bool) (stage.LogItem, bool, error) {
	// One item, from the end: the last.
	out, err := l.table.client.Query(ctx, &dynamodb.QueryInput{
		TableName:                 &l.table.name,
		KeyConditionExpression:    aws.String("chain = :c"),
		ExpressionAttributeValues: item{":c": str(chain)},
		ScanIndexForward:          aws.Bool(false),
		Limit:                     aws.Int32(1),
		ConsistentRead:            &consistent,
	})
	if err != nil {
		return stage.LogItem{}, false, l.table.wrap("read the last item of changelog", chain, err)
	}
	if len(out.Items) == 0 {
		return stage.LogItem{}, false, nil
	}
	last, err := logItem(out.Items[0])
	return last, err == nil, l.table.wrap("read the last item of changelog", chain, err)
}

// Read returns the items with sequence numbers from to to, both included, in
// ascending order.
func (l *VisitLog) Read(ctx context.Context, chain string, from, to int64, consistent bool) ([]stage.LogItem, error) {
	if from > to { // DynamoDB rejects such a range
		return nil, nil
	}
	items, err := l.table.query(ctx, &dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("chain = :c AND seq BETWEEN :from AND :to"),
		ExpressionAttributeValues: item{":c": str(chain), ":from": num(from), ":to": num(to)},
		ConsistentRead:            &consistent,
	})
	if err != nil {
		return nil, l.table.wrap("read changelog", chain, err)
	}
	var found []stage.LogItem
	for _, i := range items {
		one, err := logItem(i)
		if err != nil {
			return nil, l.table.wrap("read changelog", chain, err)
		}
		found = append(found, one)
	}
	return found, nil
}

// Append stores the item if its sequence number is free, and returns
// stage.ErrConflict if not. The item in the way may be our own: DynamoDB applied
// the write but the answer was lost; the client sends the write again, and the
// condition fails. The caller reads the item and compares. Data over stage.MaxLogItemBytes
// is an error.
func (l *VisitLog) Append(ctx context.Context, chain string, i stage.LogItem, expires time.Time) error {
	key := fmt.Sprintf("%s, sequence number %d", chain, i.Seq)
	if len(i.Data) > stage.MaxLogItemBytes {
		err := fmt.Errorf("data of %d bytes, at most %d fit an item", len(i.Data), stage.MaxLogItemBytes)
		return l.table.wrap("append to changelog", key, err)
	}
	row := item{keyChain: str(chain), keySeq: num(i.Seq)}
	if len(i.Data) > 0 {
		row[attrData] = &types.AttributeValueMemberB{Value: i.Data}
	}
	row.setExpiry(expires)
	err := l.table.put(ctx, row, "attribute_not_exists(seq)", nil)
	return l.table.wrap("append to changelog", key, err)
}

// logItem decodes an item of the table.
func logItem(i item) (stage.LogItem, error) {
	r := reader{item: i}
	got := stage.LogItem{Seq: r.num(keySeq), Data: r.bytes(attrData)}
	return got, r.err
}
