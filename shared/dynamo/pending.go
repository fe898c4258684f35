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
// the items of one partition key, sorted by their start, so that identify finds
// those of a visit with one query. TTL drops items within days after they
// expired; until then they are read like any other.
type Pending struct{ table table }

// NewPending uses the table prefix + pipeline.PendingTable.
func NewPending(client *dynamodb.Client, prefix string) *Pending {
	return &Pending{table{client, prefix + pipeline.PendingTable}}
}

// startLayout sorts as text like the times themselves, for the years 0 to 9999.
const startLayout = "2006-01-02T15:04:05.000Z"

// startKey is the part of a sort key that a start gives. It cuts to
// milliseconds, never up, so a walk-in lies at or after its own start.
func startKey(t time.Time) string { return t.UTC().Format(startLayout) }

func walkInKey(w events.WalkIn) item {
	return item{
		keyPK: str(string(events.DeviceKey(w.Business, w.Device))),
		keySK: str(startKey(w.StartedAt) + "#" + string(w.ID)),
	}
}

func walkInName(w events.WalkIn) string {
	return fmt.Sprintf("%s/%s %s", w.Business, w.Device, w.ID)
}

// PutNew stores a unless its walk-in is there, and gives what is stored then.
// The item that stands in the way may have been resolved since it was put, which
// is what the caller wants to know.
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
	if isConflict(err) {
		row, err = p.stored(ctx, a.WalkIn, err)
	}
	return p.attribution(row, "put", a.WalkIn, err)
}

// End notes when the visit's device was last seen, where nothing later is noted,
// and gives what is stored then. An update makes the item where there is none,
// and what makes it must say that it is one of a walk-in that has no contact
// yet: its keys do.
func (p *Pending) End(ctx context.Context, a stage.Attribution, expires time.Time) (stage.Attribution, error) {
	if a.LastSeen.IsZero() {
		return p.attribution(nil, "end", a.WalkIn, errors.New("no end given"))
	}
	update, values := "SET l = :l", item{}
	values.setTime(":l", a.LastSeen)
	if !expires.IsZero() {
		update += ", expires = :x"
		values[":x"] = num(expires.Unix())
	}
	return p.update(ctx, "end", a.WalkIn, update, "attribute_not_exists(l) OR l < :l", values)
}

// Resolve sets the contact of a walk-in that has none, and gives what is
// stored then. It fails for a walk-in that is not stored, and for an a without
// a contact. Without the first of its two conditions an update would make an
// item of the contact alone, for a walk-in that nobody put.
func (p *Pending) Resolve(ctx context.Context, a stage.Attribution) (stage.Attribution, error) {
	if a.Contact == "" {
		return p.attribution(nil, "resolve", a.WalkIn, errors.New("no contact given"))
	}
	update, values := "SET c = :c", item{":c": str(string(a.Contact))}
	if !a.BoundAt.IsZero() {
		update += ", f = :f"
		values.setTime(":f", a.BoundAt)
	}
	return p.update(ctx, "resolve", a.WalkIn, update, "attribute_exists(pk) AND attribute_not_exists(c)", values)
}

// update changes the item of a walk-in if the condition holds, and gives what is
// stored then, whether it did or not. doing is for the error.
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
	var row item
	if err == nil {
		row = out.Attributes
	} else if isConflict(err) {
		row, err = p.stored(ctx, w, err)
	}
	return p.attribution(row, doing, w, err)
}

// OfDevice gives the walk-ins of a device that started at from or later, in
// the order of their start, those of one start in the order of their ids.
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

// stored gives a walk-in that a condition has just seen, or just missed.
func (p *Pending) stored(ctx context.Context, w events.WalkIn, conflict error) (item, error) {
	row, err := p.table.conflictItem(ctx, conflict, walkInKey(w))
	if err == nil && row == nil {
		err = errors.New("it is not stored")
	}
	return row, err
}

// attribution turns the outcome of a write into that of the method.
func (p *Pending) attribution(row item, doing string, w events.WalkIn, err error) (stage.Attribution, error) {
	var a stage.Attribution
	if err == nil {
		a, err = attribution(row)
	}
	return a, p.table.wrap(doing+" walk-in", walkInName(w), err)
}

// attribution reads an item of the table. What its keys hold is not stored
// twice.
func attribution(row item) (stage.Attribution, error) {
	r := reader{item: row}
	start, id, ok := strings.Cut(r.str(keySK), "#")
	startedAt, err := time.Parse(startLayout, start)
	if !ok || err != nil || startKey(startedAt) != start { // Parse also takes "T9:" and a comma
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
