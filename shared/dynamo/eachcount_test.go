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

// A table of more than one page of 1 MB is read to its end.
func TestEachCountReadsAllPages(t *testing.T) {
	c := NewCounts(tables(t))
	const contacts = 40
	var ids []string // 32 KB per item
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
			t.Errorf("got a contact of %d parts, want one part of 1400 visits", len(parts))
		}
		got++
		return nil
	})
	if err != nil || got != contacts {
		t.Errorf("got %d contacts (%v), want %d", got, err, contacts)
	}
}

// The error of an item that cannot be read names the item.
func TestEachCountOfAnUnreadableItem(t *testing.T) {
	for name, i := range map[string]item{
		"no contact":      {keyPK: str("shop"), keyMonth: str("2026-11"), attrTotal: num(1)},
		"an invalid id":   {keyPK: str("shop/ann"), keyMonth: str("2026-11"), attrTotal: num(1), attrIDs: strs([]string{"%"})},
		"a total in text": {keyPK: str("shop/ann"), keyMonth: str("2026-11"), attrTotal: str("1")},
	} {
		c := NewCounts(tables(t))
		put(t, c, i)
		err := c.Each(t.Context(), func(stage.CountKey, []stage.MonthCount) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "scan shop") {
			t.Errorf("%s: got error %v, want one with %q", name, err, "scan shop")
		}
	}
}

// put stores an item in the table of c.
func put(t *testing.T, c *Counts, i item) {
	t.Helper()
	if _, err := c.table.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &c.table.name, Item: i}); err != nil {
		t.Fatal(err)
	}
}

func strs(all []string) types.AttributeValue { return &types.AttributeValueMemberSS{Value: all} }

// Visits that an earlier version counted, by ids alone, stay counted. If the facts of
// such a visit are added later, the visit still counts once.
func TestCountsFromBeforeFacts(t *testing.T) {
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
			t.Errorf("got counts %+v, %v, want total %d, version %d", got, err, total, version)
		}
	}
	want(3, 3)
	// The third visit comes again, with its end, and two visits of another device that
	// it covers: the second, which was counted before, and a new one.
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
