package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"footfall/events"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

var _ stage.Counts = (*Counts)(nil)

// Counts is a stage.Counts in the table counts. The facts of a contact and month
// are a set in one item, and adding a fact that the set holds changes nothing.
// Therefore no harm is done if an update is sent twice because the answer was lost,
// or if an update arrives late. If the item of the month is full, facts go to a
// further item of the month.
//
// calls.ByTable lists the DynamoDB actions of its methods.
type Counts struct{ table table }

// NewCounts returns the store in the table prefix + pipeline.CountsTable.
func NewCounts(client *dynamodb.Client, prefix string) *Counts {
	return &Counts{table{client, prefix + pipeline.CountsTable}}
}

const (
	// baseMonth is the sort key of the base count.
	baseMonth = "base"
	// maxFacts is how many facts an item holds before a further item is begun; the
	// ids in an item from before facts were kept have a limit of the same size. A
	// visit has two facts, so 4,000 are 2,000 visits in a month: many people share
	// one login. An update adds up to factsPerUpdate facts. With both limits no item
	// comes near DynamoDB's 400 KB.
	maxFacts       = 4000
	factsPerUpdate = 500
)

// monthKey returns the sort key of item n of a month, counted from 0: "2026-11",
// "2026-11+1".
func monthKey(month string, n int) string {
	if n == 0 {
		return month
	}
	return month + "+" + strconv.Itoa(n)
}

// countPK returns the partition key of a contact.
func countPK(k stage.CountKey) string { return string(events.ContactKey(k.Business, k.Contact)) }

// Add adds facts to those of a month, which is like "2026-11". The id of a visit
// must be 32 lower-case hex characters. If Add fails, some facts may be stored.
func (c *Counts) Add(ctx context.Context, key stage.CountKey, month string, facts []presence.Fact) error {
	name := countPK(key) + " " + month
	if _, err := time.Parse(presence.MonthLayout, month); err != nil {
		return c.table.wrap("add to", name, fmt.Errorf("month %q is not like 2026-11", month))
	}
	packed := make([]string, len(facts))
	for n, f := range facts {
		var err error
		if packed[n], err = packFact(f); err != nil {
			return c.table.wrap("add to", name, err)
		}
	}
	// If the condition fails, item n of the month is full, and the chunk goes to the
	// next item. The next chunk begins with the item that took this one.
	n := 0
	for chunk := range slices.Chunk(packed, factsPerUpdate) {
		err := stage.ErrConflict
		for ; errors.Is(err, stage.ErrConflict); n++ {
			row := item{keyPK: str(countPK(key)), keyMonth: str(monthKey(month, n))}
			err = c.table.wrap("add to", name, c.addChunk(ctx, row, chunk))
		}
		if n--; err != nil {
			return err
		}
	}
	return nil
}

// addChunk adds facts to an item that is not full.
//
// The same facts can end up in two items: DynamoDB applied the update, which filled
// the item, but the answer was lost; the client sends the update again; the
// condition fails, and Add adds the facts to the next item too. The facts count
// once, since monthCounts unites the items of a month.
func (c *Counts) addChunk(ctx context.Context, key item, facts []string) error {
	_, err := c.table.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:           &c.table.name,
		Key:                 key,
		UpdateExpression:    aws.String("ADD fs :fs"),
		ConditionExpression: aws.String("(attribute_not_exists(fs) OR size(fs) < :max) AND (attribute_not_exists(ids) OR size(ids) < :max)"),
		ExpressionAttributeValues: item{
			":fs": &types.AttributeValueMemberSS{Value: facts}, ":max": num(maxFacts),
		},
	})
	return err
}

// SetBase sets the base count if its stored version is still version, 0 for none,
// and returns stage.ErrConflict if not. Add never changes the item of the base.
func (c *Counts) SetBase(ctx context.Context, key stage.CountKey, base, version int64) error {
	condition, values := "v = :v", item{":v": num(version)}
	if version == 0 {
		condition, values = "attribute_not_exists(pk)", nil
	}
	row := item{
		keyPK: str(countPK(key)), keyMonth: str(baseMonth),
		attrTotal: num(base), attrVersion: num(version + 1),
	}
	return c.table.wrap("set base of", countPK(key), c.table.put(ctx, row, condition, values))
}

// Get returns the base count if one was set, and then the months in ascending
// order. The read is strongly consistent.
func (c *Counts) Get(ctx context.Context, key stage.CountKey) ([]stage.MonthCount, error) {
	rows, err := c.table.query(ctx, &dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: item{":pk": str(countPK(key))},
		ConsistentRead:            aws.Bool(true),
	})
	if err != nil {
		return nil, c.table.wrap("read", countPK(key), err)
	}
	parts, err := monthCounts(rows)
	return parts, c.table.wrap("read", countPK(key), err)
}

// monthCounts unites the items of a contact, which are in the order of their sort
// keys: a part for the base, and a part for each month with its further items.
func monthCounts(rows []item) ([]stage.MonthCount, error) {
	var parts []stage.MonthCount
	for _, row := range rows {
		r := reader{item: row}
		one := countItem(&r)
		if r.err != nil {
			return nil, fmt.Errorf("month %s: %w", r.str(keyMonth), r.err)
		}
		last := len(parts) - 1
		switch {
		case one.Month == "": // the base, which sorts after the digits of the months
			parts = slices.Insert(parts, 0, one)
		case last >= 0 && parts[last].Month == one.Month: // a further item of the month
			parts[last].Facts = union(parts[last].Facts, one.Facts)
		default:
			parts = append(parts, one)
		}
	}
	stage.SetTotals(parts)
	return parts, nil
}

// countItem decodes an item of the table: the base, or facts of a month.
func countItem(r *reader) stage.MonthCount {
	one := stage.MonthCount{Month: r.str(keyMonth)}
	// A month from before facts were kept has a total too, which is not read: the ids
	// below come to the same.
	if n := r.num(attrTotal); one.Month == baseMonth {
		return stage.MonthCount{Total: n, Version: r.num(attrVersion)}
	}
	one.Month, _, _ = strings.Cut(one.Month, "+")
	for _, name := range []string{attrIDs, attrFacts} { // an item may have both
		facts, err := unpackFacts(r.set(name))
		if err != nil {
			r.fail(name, err)
		}
		one.Facts = append(one.Facts, facts...)
	}
	return one
}

// union returns the facts of two items, each once.
func union(a, b []presence.Fact) []presence.Fact {
	known := make(map[presence.Fact]bool, len(a))
	for _, f := range a {
		known[f] = true
	}
	for _, f := range b {
		if !known[f] {
			a = append(a, f)
		}
	}
	return a
}
