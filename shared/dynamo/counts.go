package dynamo

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"footfall/events"
	"footfall/shared/stage"
)

var _ stage.Counts = (*Counts)(nil)

// Counts is a stage.Counts in the table counts: one item for each contact and
// month, with the total and the ids it is made of. Both change in one update on
// the condition that the ids are new, so no id is ever counted twice and none
// is noted without being counted.
type Counts struct{ table table }

// NewCounts uses the table prefix + stage.CountsTable.
func NewCounts(client *dynamodb.Client, prefix string) *Counts {
	return &Counts{table{client, prefix + stage.CountsTable}}
}

const (
	// baseMonth is the sort key of the base count.
	baseMonth = "base"
	// idsPerUpdate keeps the condition, which names every id, far below the
	// 4 KB and 300 operators that DynamoDB allows an expression.
	idsPerUpdate = 25
)

func countPK(k stage.CountKey) string { return string(events.ContactKey(k.Business, k.Contact)) }

// Add counts ids in month, each of them once for ever. An id is 32 lower-case
// hex characters.
func (c *Counts) Add(ctx context.Context, key stage.CountKey, month string, ids []events.WalkInID) error {
	name := countPK(key) + " " + month
	if _, err := time.Parse("2006-01", month); err != nil {
		return c.table.wrapped("add to", name, fmt.Errorf("month %q is not like 2026-11", month))
	}
	packed := make([]string, len(ids))
	for n, id := range ids {
		var err error
		if packed[n], err = packID(id); err != nil {
			return c.table.wrapped("add to", name, err)
		}
	}
	row := item{keyPK: str(countPK(key)), keyMonth: str(month)}
	for chunk := range slices.Chunk(packed, idsPerUpdate) {
		if err := c.addChunk(ctx, row, chunk); err != nil {
			return c.table.wrapped("add to", name, err)
		}
	}
	return nil
}

// addChunk adds the ids at once or, where some are counted already, those that
// are left. Another writer may add one of them between our reading and our
// next try; each round then leaves fewer, so it ends.
func (c *Counts) addChunk(ctx context.Context, row item, ids []string) error {
	for len(ids) > 0 {
		err := c.addNew(ctx, row, ids)
		if !isConflict(err) {
			return err
		}
		stored, err := c.table.met(ctx, err, row)
		if err != nil {
			return err
		}
		r := reader{item: stored}
		counted := r.set(attrIDs)
		if r.err != nil {
			return r.err
		}
		before := len(ids)
		ids = slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(counted, id) })
		if len(ids) == before { // an id never leaves an item, so nobody but a person removed it
			return fmt.Errorf("%d ids were refused as counted, and none of them is there", before)
		}
	}
	return nil
}

// addNew adds the ids and their number on condition that none of them is there.
// The condition holds for an item that does not exist. DynamoDB carries out the
// updates of one item one after the other, so of two that add the same id the
// second one fails as a whole and counts nothing.
func (c *Counts) addNew(ctx context.Context, key item, ids []string) error {
	values := item{
		":n":   num(int64(len(ids))),
		":ids": &types.AttributeValueMemberSS{Value: ids},
	}
	conditions := make([]string, len(ids))
	for n, id := range ids {
		name := ":i" + strconv.Itoa(n)
		values[name] = str(id)
		conditions[n] = "NOT contains(ids, " + name + ")"
	}
	_, err := c.table.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &c.table.name,
		Key:                       key,
		UpdateExpression:          aws.String("ADD n :n, ids :ids"),
		ConditionExpression:       aws.String(strings.Join(conditions, " AND ")),
		ExpressionAttributeValues: values,

		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	return err
}

// SetBase sets the base count if its version is still version. It is an item of
// its own, which no Add ever touches.
func (c *Counts) SetBase(ctx context.Context, key stage.CountKey, base, version int64) error {
	condition, values := "v = :v", item{":v": num(version)}
	if version == 0 {
		condition, values = "attribute_not_exists(pk)", nil
	}
	row := item{
		keyPK: str(countPK(key)), keyMonth: str(baseMonth),
		attrTotal: num(base), attrVersion: num(version + 1),
	}
	return c.table.wrapped("set base of", countPK(key), c.table.put(ctx, row, condition, values))
}

// Get gives the base count, where one was set, and then the months. It does
// not fetch the ids.
func (c *Counts) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	rows, err := c.table.query(ctx, &dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: item{":pk": str(countPK(key))},
		ProjectionExpression:      aws.String("#m, n, v"),
		ExpressionAttributeNames:  map[string]string{"#m": keyMonth}, // month is a reserved word
		ConsistentRead:            aws.Bool(true),
	})
	if err != nil {
		return nil, c.table.wrapped("read", countPK(key), err)
	}
	var counts []stage.MonthCount
	for _, row := range rows {
		r := reader{item: row}
		one := stage.MonthCount{Month: r.str(keyMonth), Total: r.num(attrTotal)}
		if r.err != nil {
			return nil, c.table.wrapped("read", countPK(key), r.err)
		}
		one.Version = one.Total
		if one.Month == baseMonth { // sorts after the digits of the months
			one.Month, one.Version = "", r.num(attrVersion)
			if r.err != nil {
				return nil, c.table.wrapped("read", countPK(key), r.err)
			}
			counts = slices.Insert(counts, 0, one)
			continue
		}
		counts = append(counts, one)
	}
	return counts, nil
}

// packID gives the 22 characters that an id is stored as: base64 of the 16
// bytes it stands for. A set of bytes would be smaller still, but dynalite
// compares bytes that are no UTF-8 as equal, and takes new ids for known ones.
//
// It refuses what hex decoding alone would let through: a second spelling of an
// id is a second walk-in to its sender and would be the same one here.
func packID(id events.WalkInID) (string, error) {
	b, err := hex.DecodeString(string(id))
	if err != nil || len(b) != 16 || hex.EncodeToString(b) != string(id) {
		return "", fmt.Errorf("walk-in id %q is not 32 lower-case hex characters", id)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}
