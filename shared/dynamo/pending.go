package dynamo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"footfall/events"
	"footfall/shared/pipeline"
	"footfall/shared/stage"
)

var _ stage.Pending = (*Pending)(nil)

// Pending is a stage.Pending in the table pending. The walk-ins of a device are
// the items of one partition key, sorted by start, so that identify finds all
// walk-ins since a moment with one query. TTL drops items within days after they expired;
// until then they are read like any other.
//
// calls.ByTable lists the DynamoDB actions of its methods.
type Pending struct{ table table }

// NewPending returns the store in the table prefix + pipeline.PendingTable.
func NewPending(client *dynamodb.Client, prefix string) *Pending {
	return &Pending{table{client, prefix + pipeline.PendingTable}}
}

// startLayout is a layout of package time. Texts of this layout sort like the
// times themselves, for the years 0 to 9999.
const startLayout = "2006-01-02T15:04:05.000Z"

// startKey returns a start as part of a sort key. The start is rounded down to
// milliseconds, so a query from a moment on includes a walk-in of the same moment.
func startKey(t time.Time) string { return t.UTC().Format(startLayout) }

// walkInKey returns the key of the item of a walk-in.
func walkInKey(w events.WalkIn) item {
	return item{
		keyPK: str(string(events.DeviceKey(w.Business, w.Device))),
		keySK: str(startKey(w.StartedAt) + "#" + string(w.ID)),
	}
}

// walkInName returns how errors name a walk-in.
func walkInName(w events.WalkIn) string {
	return fmt.Sprintf("%s/%s %s", w.Business, w.Device, w.ID)
}

// PutNew stores a if the walk-in is not stored, and returns the attribution stored
// then. If the walk-in was stored before, the attribution may have a contact:
//
//  1. An earlier delivery of the walk-in stored it without a contact.
//  2. A login came, and Resolve set the contact.
//  3. The walk-in is redelivered; the caller gets the contact of step 2.
func (p *Pending) PutNew(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	row := walkInKey(a.WalkIn)
	row.setTime(attrConfirmed, a.WalkIn.ConfirmedAt)
	row.setFlag(attrAnonymous, a.WalkIn.Anonymous)
	row.setTime(attrFrom, a.BoundAt)
	row.setTime(attrLastSeen, a.LastSeen)
	row.setExpiry(expires)
	if a.Contact != "" {
		row[attrContact] = str(string(a.Contact))
	}
	err := p.table.putNew(ctx, row, keyPK)
	if isConflict(err) { // stored before, or by an attempt of ours whose answer was lost
		row, err = p.stored(ctx, a.WalkIn, err)
	}
	return p.attribution(row, "put", a.WalkIn, err)
}

// End sets when the device of a visit was last seen, unless a later moment is
// stored, and returns the attribution stored then. a.LastSeen must not be zero.
//
// If the end of a visit is read before its walk-in, the update creates the item. The
// keys name the walk-in and there is no contact, so the item reads as a pending
// walk-in.
func (p *Pending) End(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	if a.LastSeen.IsZero() {
		return p.attribution(nil, "end", a.WalkIn, errors.New("the moment at which the device was last seen is missing"))
	}
	update, values := "SET l = :l", item{}
	values.setTime(":l", a.LastSeen)
	if !expires.IsZero() {
		update += ", expires = :x"
		values[":x"] = num(expires.Unix())
	}
	return p.update(ctx, "end", a.WalkIn, update, "attribute_not_exists(l) OR l < :l", values)
}

// Resolve sets the contact of a walk-in without contact, and returns the attribution
// stored then. It is an error if the walk-in is not stored, or if a has no contact.
//
// Without the first of the two conditions, the update would create an item with a
// contact and nothing else, for a walk-in that was never put.
func (p *Pending) Resolve(ctx context.Context, a stage.Attribution) (stage.Attribution, error) {
	if a.Contact == "" {
		return p.attribution(nil, "resolve", a.WalkIn, errors.New("the contact is missing"))
	}
	update, values := "SET c = :c", item{":c": str(string(a.Contact))}
	if !a.BoundAt.IsZero() {
		update += ", f = :f"
		values.setTime(":f", a.BoundAt)
	}
	return p.update(ctx, "resolve", a.WalkIn, update, "attribute_exists(pk) AND attribute_not_exists(c)", values)
}

// update changes the item of a walk-in if the condition holds. Whether it holds or
// not, update returns the attribution stored then. doing is for the error.
func (p *Pending) update(ctx context.Context, doing string, w events.WalkIn, update, condition string, values item) (stage.Attribution, error) {
	out, err := p.table.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &p.table.name,
		Key:                       walkInKey(w),
		UpdateExpression:          &update,
		ConditionExpression:       &condition,
		ExpressionAttributeValues: values,
		ReturnValues:              types.ReturnValueAllNew,

		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	// A failed condition is no error. The item holds the change of another writer, or
	// our own: the write was applied, the answer was lost, and the client sent the
	// write again.
	var row item
	if err == nil {
		row = out.Attributes
	} else if isConflict(err) {
		row, err = p.stored(ctx, w, err)
	}
	return p.attribution(row, doing, w, err)
}

// Stored returns the attributions of walk-ins, in the order of walkIns, with a
// zero Attribution for a walk-in that is not stored. The reads are strongly
// consistent. One request reads up to batchKeys items.
func (p *Pending) Stored(ctx context.Context, walkIns []events.WalkIn) ([]stage.Attribution, error) {
	ask := make([]item, len(walkIns))
	for i := range walkIns {
		ask[i] = walkInKey(walkIns[i])
	}
	rows, err := p.table.readAll(ctx, ask)
	if err != nil {
		return nil, err
	}
	all := make([]stage.Attribution, len(walkIns))
	for i, row := range rows {
		if row == nil {
			continue
		}
		if all[i], err = attribution(row); err != nil {
			return nil, p.table.wrap("read walk-in", walkInName(walkIns[i]), err)
		}
	}
	return all, nil
}

// OfDevice returns the walk-ins of a device that started at from or later, in the
// order of start and, for the same start, of id.
// The read is strongly consistent.
func (p *Pending) OfDevice(ctx context.Context, key stage.IdentityKey, from time.Time) ([]stage.Attribution, error) {
	pk := string(events.DeviceKey(key.Business, key.Device))
	rows, err := p.table.query(ctx, &dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk AND sk >= :from"),
		ExpressionAttributeValues: item{":pk": str(pk), ":from": str(startKey(from))},
		ConsistentRead:            aws.Bool(true),
	})
	if err != nil {
		return nil, p.table.wrap("walk-ins of", pk, err)
	}
	var found []stage.Attribution
	for _, row := range rows {
		a, err := attribution(row)
		if err != nil {
			return nil, p.table.wrap("walk-ins of", pk, err)
		}
		found = append(found, a)
	}
	return found, nil
}

// stored returns the item of a walk-in that a condition failed on. conflict is the
// error of the write. It is an error if there is no item, as Resolve needs one.
func (p *Pending) stored(ctx context.Context, w events.WalkIn, conflict error) (item, error) {
	row, err := p.table.conflictItem(ctx, conflict, walkInKey(w))
	if err == nil && row == nil {
		err = errors.New("the walk-in is not stored")
	}
	return row, err
}

// attribution returns the attribution in row, or err with doing and the walk-in.
func (p *Pending) attribution(row item, doing string, w events.WalkIn, err error) (stage.Attribution, error) {
	var a stage.Attribution
	if err == nil {
		a, err = attribution(row)
	}
	return a, p.table.wrap(doing+" walk-in", walkInName(w), err)
}

// attribution decodes an item of the table. Business, device, start and id of the
// walk-in are in the keys alone.
func attribution(row item) (stage.Attribution, error) {
	r := reader{item: row}
	// time.Parse also takes "T9:" and a comma; the key must be as startKey makes it.
	start, id, ok := strings.Cut(r.str(keySK), "#")
	startedAt, err := time.Parse(startLayout, start)
	if !ok || err != nil || startKey(startedAt) != start {
		r.fail(keySK, fmt.Errorf("%q is not a start and an id", r.str(keySK)))
	}
	business, device, ok := events.SplitDeviceKey(r.str(keyPK))
	if !ok {
		r.fail(keyPK, fmt.Errorf("%q is not a business and a device", r.str(keyPK)))
	}
	a := stage.Attribution{
		WalkIn: events.WalkIn{
			ID: events.WalkInID(id), Business: business, Device: device, StartedAt: startedAt,
			ConfirmedAt: r.time(attrConfirmed), Anonymous: r.flag(attrAnonymous),
		},
		Contact:  events.ContactID(r.str(attrContact)),
		BoundAt:  r.time(attrFrom),
		LastSeen: r.time(attrLastSeen),
	}
	return a, r.err
}
