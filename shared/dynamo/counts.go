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

// Counts is a stage.Counts in the table counts: the facts of a contact and month
// are a set in one item, and adding to a set what it holds changes nothing. So
// an update needs no condition: one that is repeated, whose answer was lost, or
// that lands late does no harm. What cannot be added to a full item goes to a
// further one of the month.
type Counts struct{ table table }

// NewCounts uses the table prefix + pipeline.CountsTable.
func NewCounts(client *dynamodb.Client, prefix string) *Counts {
	return &Counts{table{client, prefix + pipeline.CountsTable}}
}

const (
	// baseMonth is the sort key of the base count.
	baseMonth = "base"
	// maxFacts is how many facts an item holds before a further one is begun, those
	// from before there were facts counted apart, and factsPerUpdate how many are
	// added at once. So no item comes near DynamoDB's 400 KB. Most are of 2,000
	// visits in a month, which a login brings about that many people share.
	maxFacts       = 4000
	factsPerUpdate = 500
)

// monthKey is the sort key of the nth item of a month: "2026-11", "2026-11+1".
func monthKey(month string, n int) string {
	if n == 0 {
		return month
	}
	return month + "+" + strconv.Itoa(n)
}

func countPK(k stage.CountKey) string { return string(events.ContactKey(k.Business, k.Contact)) }

// Add adds facts to those of month. The id of a visit is 32 lower-case hex
// characters.
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
	n := 0 // of the item that is not full
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

// addChunk adds facts where the item is not full. Where an earlier try of ours
// filled it, they are added to the next item too, and count once all the same.
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
	return c.table.wrap("set base of", countPK(key), c.table.put(ctx, row, condition, values))
}

// Get gives the base count, where one was set, and then the months.
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

// monthCounts puts together the items of one contact, in the order of their keys.
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
		case one.Month == "": // sorts after the digits of the months
			parts = slices.Insert(parts, 0, one)
		case last >= 0 && parts[last].Month == one.Month:
			parts[last].Facts = union(parts[last].Facts, one.Facts)
		default:
			parts = append(parts, one)
		}
	}
	stage.SetTotals(parts)
	return parts, nil
}

// countItem reads an item of the table: a base, or the facts of a month.
func countItem(r *reader) stage.MonthCount {
	one := stage.MonthCount{Month: r.str(keyMonth)}
	if n := r.num(attrTotal); one.Month == baseMonth { // that of a month is of before there were facts
		return stage.MonthCount{Total: n, Version: r.num(attrVersion)}
	}
	one.Month, _, _ = strings.Cut(one.Month, "+")
	for _, name := range []string{attrIDs, attrFacts} {
		facts, err := unpackFacts(r.set(name))
		if err != nil {
			r.fail(name, err)
		}
		one.Facts = append(one.Facts, facts...)
	}
	return one
}

// union gives each fact of two items once.
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
