package dynamo

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"footfall/events"
	"footfall/shared/stage"
	"footfall/shared/storetest"
)

func TestForget(t *testing.T) {
	t.Run("identities", func(t *testing.T) { storetest.ForgetIdentities(t, NewIdentities(tables(t))) })
	t.Run("pending", func(t *testing.T) { storetest.ForgetPending(t, NewPending(tables(t))) })
	t.Run("counts", func(t *testing.T) { storetest.ForgetCounts(t, NewCounts(tables(t))) })
}

// A table of more than one page of 1 MB is read to its end, and an item that cannot
// be read is an error.
func TestEachContactReadsAllPages(t *testing.T) {
	i := NewIdentities(tables(t))
	var devices []events.DeviceID // 65 KB per item
	for n := range 1000 {
		devices = append(devices, events.DeviceID(fmt.Sprintf("%062d", n)))
	}
	const contacts = 40
	for n := range contacts {
		if err := i.PutContact(t.Context(), "shop", events.ContactID(fmt.Sprint(n)), stage.ContactRecord{Devices: devices}, 0); err != nil {
			t.Fatal(err)
		}
	}
	each := func() (got int, err error) {
		err = i.EachContact(t.Context(), "shop", func(_ events.ContactID, r stage.ContactRecord) error {
			got += len(r.Devices)
			return nil
		})
		return got, err
	}
	if got, err := each(); err != nil || got != contacts*len(devices) {
		t.Errorf("got %d devices (%v), want %d", got, err, contacts*len(devices))
	}
	if err := i.table.putNew(t.Context(), item{keyPK: str("c#shop/odd"), attrDevices: str("one")}, keyPK); err != nil {
		t.Fatal(err)
	}
	if got, err := each(); err == nil {
		t.Errorf("got %d devices and no error of an item that cannot be read", got)
	}
}

// A record that only says that a contact was forgotten expires; a record that holds
// anything else of the contact does not.
func TestForgottenContactExpires(t *testing.T) {
	i := NewIdentities(tables(t))
	for version, c := range []struct {
		record  stage.ContactRecord
		expires string
	}{
		{stage.ContactRecord{ForgottenAt: noon}, strconv.FormatInt(noon.AddDate(0, 0, 100).Unix(), 10)},
		{stage.ContactRecord{ForgottenAt: noon, Devices: []events.DeviceID{"back"}}, ""},
		{stage.ContactRecord{ForgottenAt: noon, MergedInto: "other", MergedAt: noon}, ""},
		{stage.ContactRecord{DeletedAt: noon}, ""},
	} {
		if err := i.PutContact(t.Context(), "shop", "anna", c.record, int64(version)); err != nil {
			t.Fatal(err)
		}
		row, err := i.table.read(t.Context(), item{keyPK: str(contactPK("shop", "anna"))})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if n, ok := row[attrExpires].(*types.AttributeValueMemberN); ok {
			got = n.Value
		}
		if got != c.expires {
			t.Errorf("%+v: got expiry %q, want %q", c.record, got, c.expires)
		}
	}
}
