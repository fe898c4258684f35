package dynamo

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"footfall/events"
	"footfall/shared/stage"
	"footfall/shared/storetest"
)

func TestEachCount(t *testing.T) { storetest.EachCount(t, NewCounts(tables(t))) }

// A table of more than a page of 1 MB is read to its end.
func TestEachCountReadsAllPages(t *testing.T) {
	c := NewCounts(tables(t))
	const contacts = 40
	var ids []string // 32 KB an item
	for i := range 1400 {
		id, err := packID(events.WalkInID(fmt.Sprintf("%032x", i)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	for i := range contacts {
		put(t, c, item{keyPK: str(fmt.Sprint("shop/", i)), keyMonth: str("2026-11"), attrTotal: num(1400), attrIDs: strs(ids)})
	}
	got := 0
	err := c.Each(t.Context(), func(_ stage.CountKey, _ string, total int64, ids []events.WalkInID) error {
		if total != 1400 || len(ids) != 1400 {
			t.Errorf("an item with a total of %d and %d ids", total, len(ids))
		}
		got++
		return nil
	})
	if err != nil || got != contacts {
		t.Errorf("%d items (%v), want %d", got, err, contacts)
	}
}

// An item that is none of ours is an error that names it.
func TestEachCountOfAnItemThatDoesNotFit(t *testing.T) {
	for name, i := range map[string]item{
		"no contact":      {keyPK: str("shop"), keyMonth: str("2026-11"), attrTotal: num(1)},
		"an id of no one": {keyPK: str("shop/ann"), keyMonth: str("2026-11"), attrTotal: num(1), attrIDs: strs([]string{"%"})},
		"a total in text": {keyPK: str("shop/ann"), keyMonth: str("2026-11"), attrTotal: str("1")},
	} {
		c := NewCounts(tables(t))
		put(t, c, i)
		err := c.Each(t.Context(), func(stage.CountKey, string, int64, []events.WalkInID) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "scan shop") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func put(t *testing.T, c *Counts, i item) {
	t.Helper()
	if _, err := c.table.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &c.table.name, Item: i}); err != nil {
		t.Fatal(err)
	}
}

func strs(all []string) types.AttributeValue { return &types.AttributeValueMemberSS{Value: all} }
