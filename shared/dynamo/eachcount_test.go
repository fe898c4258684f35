package dynamo

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"footfall/events"
	"footfall/shared/presence"
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
	err := c.Each(t.Context(), func(_ stage.CountKey, parts []stage.MonthCount) error {
		if len(parts) != 1 || parts[0].Total != 1400 || parts[0].Version != 1400 {
			t.Errorf("a contact of %d parts, want one of 1400 visits", len(parts))
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
		err := c.Each(t.Context(), func(stage.CountKey, []stage.MonthCount) error { return nil })
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

// What the version from before has counted stays counted, and a visit that it
// counted and that is told again counts once. Both work on one item.
func TestCountsOfBeforeThereWereFacts(t *testing.T) {
	c := NewCounts(tables(t))
	var ids []string
	for i := range 3 {
		id, err := packID(events.WalkInID(fmt.Sprintf("%032x", i)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	put(t, c, item{keyPK: str("shop/anna"), keyMonth: str("2026-11"), attrTotal: num(3), attrIDs: strs(ids)})
	want := func(total, version int64) {
		t.Helper()
		if got, err := c.Get(t.Context(), anna); err != nil || len(got) != 1 || got[0].Total != total || got[0].Version != version {
			t.Errorf("counted %+v, %v, want %d, version %d", got, err, total, version)
		}
	}
	want(3, 3)
	// The third is told again with its end, and so are two that it covers: one was
	// counted before.
	id := func(n int) string { return fmt.Sprintf("%032x", n) }
	facts := []presence.Fact{
		presence.Began(id(2), "phone", noon), presence.LastSeen(id(2), noon.Add(time.Hour)),
		presence.Began(id(1), "tablet", noon.Add(time.Minute)), presence.Began(id(7), "tablet", noon.Add(30*time.Minute)),
	}
	for range 2 {
		if err := c.Add(t.Context(), anna, "2026-11", facts); err != nil {
			t.Fatal(err)
		}
		want(3, 7)
	}
}
