package dynamo

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"footfall/events"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

func TestCreateTablesTwice(t *testing.T) {
	client, prefix := tables(t)
	log := NewVisitLog(client, prefix)
	if err := log.Append(t.Context(), "chain", stage.LogItem{Seq: 0}, noon); err != nil {
		t.Fatal(err)
	}
	if err := CreateTables(t.Context(), client, prefix, pipeline.Default().Tables); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := log.Last(t.Context(), "chain", true); err != nil || !ok {
		t.Errorf("got %v, %v of the item stored before, want it", ok, err)
	}
}

func TestCreatedTablesAreOnDemandWithTheirKeys(t *testing.T) {
	client, prefix := tables(t)
	for _, want := range pipeline.Default().Tables {
		out, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(prefix + want.Name)})
		if err != nil {
			t.Fatal(err)
		}
		if b := out.Table.BillingModeSummary; b == nil || b.BillingMode != types.BillingModePayPerRequest {
			t.Errorf("%s: got billing mode %v, want on demand", want.Name, b)
		}
		got := map[string]string{}
		for _, a := range out.Table.AttributeDefinitions {
			got[*a.AttributeName] = string(a.AttributeType)
		}
		for _, a := range []pipeline.Attribute{want.PartitionKey, want.SortKey} {
			if a.Name != "" && got[a.Name] != a.Type {
				t.Errorf("%s: got key %s of type %q, want %q", want.Name, a.Name, got[a.Name], a.Type)
			}
		}
	}
}

func TestCreateTablesFailsOnOtherKeys(t *testing.T) {
	client, prefix := tables(t)
	other := pipeline.Table{Name: pipeline.CountsTable, PartitionKey: pipeline.Attribute{Name: "id", Type: "S"}}
	err := CreateTables(t.Context(), client, prefix, []pipeline.Table{other})
	if err == nil || !strings.Contains(err.Error(), prefix+pipeline.CountsTable) || !strings.Contains(err.Error(), "[pk month]") {
		t.Errorf("got error %v, want one that names the table and its keys", err)
	}
}

func TestErrorsNameTableAndKey(t *testing.T) {
	client, prefix := tables(t)
	log, counts := NewVisitLog(client, prefix), NewCounts(client, prefix)
	if err := log.Append(t.Context(), "chain-7", stage.LogItem{Seq: 41}, noon); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		err  error
		want []string
	}{
		"a conflict": {
			log.Append(t.Context(), "chain-7", stage.LogItem{Seq: 41}, noon),
			[]string{prefix + "visit-log", "chain-7", "sequence number 41", stage.ErrConflict.Error()},
		},
		"no such table": {
			NewVisitLog(client, "none-").Append(t.Context(), "chain-7", stage.LogItem{Seq: 1}, noon),
			[]string{"none-visit-log", "chain-7", "sequence number 1", "ResourceNotFoundException"},
		},
		"an invalid id": {
			counts.Add(t.Context(), anna, "2026-11", began("walk-in")),
			[]string{prefix + "counts", "shop/anna 2026-11", `"walk-in"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.err == nil {
				t.Fatal("no error")
			}
			for _, part := range c.want {
				if !strings.Contains(c.err.Error(), part) {
					t.Errorf("got error %q, want one with %q", c.err, part)
				}
			}
		})
	}
}

func TestInvalidIDsAreErrors(t *testing.T) {
	counts := NewCounts(tables(t))
	good := string(visit.ID)
	for name, id := range map[string]string{
		"empty": "", "short": good[:30], "long": good + "00", "upper case": strings.ToUpper(good), "no hex": "z" + good[1:],
	} {
		if err := counts.Add(t.Context(), anna, "2026-11", began(visit.ID, events.WalkInID(id))); err == nil {
			t.Errorf("%s: got no error for the id", name)
		}
	}
	if got, err := counts.Get(t.Context(), anna); err != nil || len(got) != 0 {
		t.Errorf("got counts %v, %v of calls with a valid and an invalid id, want none", got, err)
	}
}

// An item that no version of this code wrote is an error that names the attribute,
// never a zero value that a stage would decide by.
func TestUnreadableItemsAreErrors(t *testing.T) {
	client, prefix := tables(t)
	identities, pending, counts, log := NewIdentities(client, prefix), NewPending(client, prefix), NewCounts(client, prefix), NewVisitLog(client, prefix)
	put := func(table string, i item) {
		t.Helper()
		if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(prefix + table), Item: i}); err != nil {
			t.Fatal(err)
		}
	}
	list := func(v types.AttributeValue) types.AttributeValue {
		return &types.AttributeValueMemberL{Value: []types.AttributeValue{v}}
	}
	readDevice := func() error {
		_, _, err := identities.Devices(t.Context(), []stage.IdentityKey{phone})
		return err
	}
	readPending := func() error { _, err := pending.OfDevice(t.Context(), phone, noon); return err }
	readCounts := func() error { _, err := counts.Get(t.Context(), anna); return err }
	for _, c := range []struct {
		name, table string
		item        item
		read        func() error
		attribute   string
	}{
		{"version as text", pipeline.IdentitiesTable, item{keyPK: str("d#shop/phone"), attrVersion: str("1")}, readDevice, attrVersion},
		{"version with a fraction", pipeline.IdentitiesTable, item{keyPK: str("d#shop/phone"), attrVersion: &types.AttributeValueMemberN{Value: "1.5"}}, readDevice, attrVersion},
		{"bindings as a text", pipeline.IdentitiesTable, item{keyPK: str("d#shop/phone"), attrBindings: str("x")}, readDevice, attrBindings},
		{"a binding as a text", pipeline.IdentitiesTable, item{keyPK: str("d#shop/phone"), attrBindings: list(str("x"))}, readDevice, attrBindings},
		{"a contact as a number", pipeline.IdentitiesTable, item{keyPK: str("d#shop/phone"), attrBindings: list(&types.AttributeValueMemberM{Value: item{attrContact: num(1)}})}, readDevice, attrContact},
		{"devices as numbers", pipeline.IdentitiesTable, item{keyPK: str("c#shop/anna"), attrDevices: list(num(1))},
			func() error { _, _, err := identities.Contact(t.Context(), "shop", "anna"); return err }, attrDevices},
		{"a start that is no time", pipeline.PendingTable, item{keyPK: str("shop/phone"), keySK: str("9999-no time#id")}, readPending, keySK},
		{"a start in another form", pipeline.PendingTable, item{keyPK: str("shop/phone"), keySK: str("9999-01-01T9:00:00.000Z#id")}, readPending, keySK},
		{"a count as text", pipeline.CountsTable, item{keyPK: str("shop/anna"), keyMonth: str("2026-11"), attrTotal: str("7")}, readCounts, attrTotal},
		{"data as text", pipeline.VisitLogTable, item{keyChain: str("chain"), keySeq: num(0), attrData: str("x")},
			func() error { _, _, err := log.Last(t.Context(), "chain", true); return err }, attrData},
	} {
		t.Run(c.name, func(t *testing.T) {
			put(c.table, c.item)
			err := c.read()
			if err == nil || !strings.Contains(err.Error(), "attribute "+c.attribute+" ") {
				t.Errorf("got error %v, want one that names attribute %s", err, c.attribute)
			}
			if errors.Is(err, stage.ErrConflict) {
				t.Errorf("got conflict %v, want another error", err)
			}
		})
	}
}

// Ids that differ only in their last bits are different facts. In sets of bytes,
// dynalite would take some of them for equal.
func TestSimilarIDsAreDifferent(t *testing.T) {
	counts := NewCounts(tables(t))
	base := strings.Repeat("ff", 15)
	ids := []events.WalkInID{
		events.WalkInID(base + "80"), events.WalkInID(base + "81"), events.WalkInID(base + "ff"), events.WalkInID(base + "7f"),
	}
	for n, id := range ids {
		if err := counts.Add(t.Context(), anna, "2026-11", began(id)); err != nil {
			t.Fatal(err)
		}
		if got, err := counts.Get(t.Context(), anna); err != nil || got[0].Total != int64(n+1) {
			t.Fatalf("after %d ids: got counts %v, %v", n+1, got, err)
		}
	}
}
