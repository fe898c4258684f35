package dynamo

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"footfall/events"
	"footfall/shared/pipeline"
	"footfall/shared/presence"
	"footfall/shared/stage"
)

var _ stage.Identities = (*Identities)(nil)

// Identities is a stage.Identities in the table identities. A device and a contact
// are items of their own, without a transaction over both. After a crash between
// the two writes one item is behind; the stage's retry writes both again, and
// either write can be repeated. Reads are strongly consistent: identify and enrich
// each write first and then look for the writes of the other, so at least one of
// the two sees the other.
//
// calls.ByTable lists the DynamoDB actions of its methods.
type Identities struct{ table table }

// NewIdentities returns the store in the table prefix + pipeline.IdentitiesTable.
func NewIdentities(client *dynamodb.Client, prefix string) *Identities {
	return &Identities{table{client, prefix + pipeline.IdentitiesTable}}
}

// devicePK returns the partition key of a device. The prefix keeps a device apart
// from a contact of the same name. A business never holds a '/', so the text up to
// the first '/' is the whole business.
func devicePK(k stage.IdentityKey) string {
	return "d#" + string(events.DeviceKey(k.Business, k.Device))
}

// contactPK returns the partition key of a contact.
func contactPK(b events.BusinessID, c events.ContactID) string {
	return "c#" + string(events.ContactKey(b, c))
}

// Devices returns the histories of devices and their versions, in the order of
// keys. A device without an item has a zero history and version 0. Keys may repeat,
// since a batch of walk-ins often has a device twice. One request reads up to
// batchKeys items.
func (i *Identities) Devices(ctx context.Context, keys []stage.IdentityKey) ([]presence.History, []int64, error) {
	ask := make([]item, len(keys))
	for n, key := range keys {
		ask[n] = item{keyPK: str(devicePK(key))}
	}
	items, err := i.table.readAll(ctx, ask)
	if err != nil {
		return nil, nil, err
	}
	// A key without an item reads as nil, which is the zero history.
	histories := make([]presence.History, len(keys))
	versions := make([]int64, len(keys))
	for n := range keys {
		histories[n], versions[n], err = history(items[n])
		if err != nil {
			return nil, nil, i.table.wrap("read", devicePK(keys[n]), err)
		}
	}
	return histories, versions, nil
}

// PutDevice stores the history of a device as version+1 if the stored version is
// still version, and returns stage.ErrConflict if not. A history without bindings
// is stored like any other: without the item and its version, a writer still at
// version 0 could bring the bindings back.
func (i *Identities) PutDevice(ctx context.Context, key stage.IdentityKey, h presence.History, version int64) error {
	row := item{}
	row.setTime(attrLastSeen, h.LastSeen)
	row.setFlag(attrRandom, h.Randomised)
	if len(h.Bindings) > 0 {
		row[attrBindings] = bindingList(h.Bindings)
	}
	return i.putVersion(ctx, devicePK(key), row, version)
}

// Contact returns the record of a contact and its version, a zero record and 0 if
// there is no item.
func (i *Identities) Contact(ctx context.Context, b events.BusinessID, c events.ContactID) (stage.ContactRecord, int64, error) {
	pk := contactPK(b, c)
	row, err := i.table.read(ctx, item{keyPK: str(pk)})
	if err != nil {
		return stage.ContactRecord{}, 0, i.table.wrap("read", pk, err)
	}
	contact, version, err := contactRecord(row)
	return contact, version, i.table.wrap("read", pk, err)
}

// contactRecord decodes the item of a contact; nil is the zero record.
func contactRecord(i item) (stage.ContactRecord, int64, error) {
	r := reader{item: i}
	version := r.num(attrVersion)
	contact := stage.ContactRecord{
		DeletedAt: r.time(attrDeleted), MergedInto: events.ContactID(r.str(attrContact)), MergedAt: r.time(attrFrom),
		ForgottenAt: r.time(attrForgotten),
	}
	// A reader for each element, so that an element of a wrong type is an error.
	for _, v := range r.list(attrDevices) {
		one := reader{item: item{attrDevices: v}}
		contact.Devices = append(contact.Devices, events.DeviceID(one.str(attrDevices)))
		if one.err != nil {
			r.fail(attrDevices, one.err)
		}
	}
	return contact, version, r.err
}

// PutContact stores the record of a contact as version+1 if the stored version is
// still version, and returns stage.ErrConflict if not.
func (i *Identities) PutContact(ctx context.Context, b events.BusinessID, c events.ContactID, r stage.ContactRecord, version int64) error {
	row := item{}
	row.setTime(attrDeleted, r.DeletedAt)
	row.setTime(attrFrom, r.MergedAt)
	row.setTime(attrForgotten, r.ForgottenAt)
	row.setExpiry(r.Expires())
	if r.MergedInto != "" {
		row[attrContact] = str(string(r.MergedInto))
	}
	if len(r.Devices) > 0 {
		list := &types.AttributeValueMemberL{}
		for _, d := range r.Devices {
			list.Value = append(list.Value, str(string(d)))
		}
		row[attrDevices] = list
	}
	return i.putVersion(ctx, contactPK(b, c), row, version)
}

// putVersion writes row as version+1 of the item pk if the stored version is
// version; 0 stands for no item.
func (i *Identities) putVersion(ctx context.Context, pk string, row item, version int64) error {
	row[keyPK], row[attrVersion] = str(pk), num(version+1)
	condition, values := "v = :v", item{":v": num(version)}
	if version == 0 { // the condition fails if any version is stored
		condition, values = "attribute_not_exists(pk)", nil
	}
	err := i.table.put(ctx, row, condition, values)
	return i.table.wrap("put", pk, err)
}

// bindingList returns bindings as an attribute; history decodes them.
func bindingList(bindings []presence.Binding) types.AttributeValue {
	list := &types.AttributeValueMemberL{}
	for _, b := range bindings {
		m := item{attrContact: str(b.Contact)}
		m.setTime(attrFrom, b.From)
		m.setTime(attrUntil, b.Until)
		if b.MergedFrom != "" {
			m[attrMergedFrom] = str(b.MergedFrom)
		}
		list.Value = append(list.Value, &types.AttributeValueMemberM{Value: m})
	}
	return list
}

// history decodes the item of a device; nil is the zero history.
func history(i item) (presence.History, int64, error) {
	r := reader{item: i}
	h := presence.History{Randomised: r.flag(attrRandom), LastSeen: r.time(attrLastSeen)}
	version := r.num(attrVersion)
	list := r.list(attrBindings)
	h.Bindings = slices.Grow(h.Bindings, len(list))
	for _, v := range list {
		// An element of a wrong type ends the loop: the item cannot be read.
		one := reader{item: item{attrBindings: v}}
		m := get[*types.AttributeValueMemberM](&one, attrBindings)
		if m == nil {
			r.fail(attrBindings, one.err)
			break
		}
		b := reader{item: m.Value}
		h.Bindings = append(h.Bindings, presence.Binding{
			Contact: b.str(attrContact), From: b.time(attrFrom), Until: b.time(attrUntil), MergedFrom: b.str(attrMergedFrom),
		})
		if b.err != nil {
			r.fail(attrBindings, b.err)
		}
	}
	return h, version, r.err
}
