package dynamo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"footfall/events"
	"footfall/shared/business"
	"footfall/shared/stage"
)

const (
	// markerLead is how far ahead of the clock a writer moves the marker. For so long
	// all environments keep reading items again.
	markerLead = 90 * time.Second
	// maxPutTime is how long a put may take after the marker was moved. The rest of
	// markerLead is for differences between clocks.
	maxPutTime = 30 * time.Second
	// writeAttempts bounds how often a write is begun because another writer came
	// first, or because the put took too long.
	writeAttempts = 10
)

// errTooSlow is the error of a put that took longer than maxPutTime, and of rules
// stored too close to the moment at which the rules begin.
var errTooSlow = errors.New("the table is slow: the change is stored, but not every environment may see it in time; set it again")

// SetRules stores settings that hold from the moment from on, but no sooner than
// business.Soonest, and returns the moment from which on the settings hold.
// Revisions that were to begin at that moment or later are replaced.
//
// By then every environment knows the settings, so a batch is decided by the same
// rules now and when the batch is redelivered. If the table is so slow that an
// environment might learn of the settings too late, SetRules stores the settings
// again with a later moment, and drops the revision with the earlier one.
func (b *Businesses) SetRules(ctx context.Context, id events.BusinessID, s business.Settings, from time.Time) (since time.Time, err error) {
	var tooLate []time.Time // the moments of earlier attempts
	for range writeAttempts {
		since = business.Soonest(b.now())
		if from.After(since) {
			since = from.UTC()
		}
		err = b.putRules(ctx, id, business.Revision{Since: since, Settings: s}, tooLate)
		// The rules are stored, but begin too soon for every environment to know.
		if err == nil && since.Sub(b.now()) < business.Lead-maxPutTime {
			err = errTooSlow
		}
		if !errors.Is(err, errTooSlow) {
			return since, err
		}
		tooLate = append(tooLate, since)
	}
	return since, err
}

// PutRules stores settings that hold from exactly r.Since on. With the zero time the
// settings have always held.
//
// If watermarks have passed that moment, the past is rewritten: a replay or an audit
// decides otherwise than the emitted records, and environments decide by the former
// settings for up to half a minute. PutRules is for a business of which nothing was
// decided, and for mistakes that must not be repeated.
func (b *Businesses) PutRules(ctx context.Context, id events.BusinessID, r business.Revision) error {
	var err error
	for range writeAttempts {
		if err = b.putRules(ctx, id, r, nil); !errors.Is(err, errTooSlow) {
			return err
		}
	}
	return err
}

// putRules adds r to the history of a business. It drops the revisions that begin at
// the moments tooLate: earlier attempts of SetRules stored them.
func (b *Businesses) putRules(ctx context.Context, id events.BusinessID, r business.Revision, tooLate []time.Time) error {
	if _, err := r.Rules(); err != nil {
		return b.table.wrap("put", string(id), err)
	}
	return b.change(ctx, id, string(id), func(text string) ([]byte, error) {
		var h business.History
		if text != "" {
			var err error
			if h, err = business.DecodeHistory([]byte(text)); err != nil {
				return nil, err
			}
		}
		// With replaces what begins at r.Since or later. An attempt that was too late
		// began sooner.
		h = slices.DeleteFunc(h, func(o business.Revision) bool { return slices.ContainsFunc(tooLate, o.Since.Equal) })
		return h.With(r, b.now()).Encode()
	})
}

// PutDoor replaces the door of a business. The door holds within half a minute.
func (b *Businesses) PutDoor(ctx context.Context, id events.BusinessID, d business.Door) error {
	if err := d.Validate(); err != nil {
		return b.table.wrap("put", doorPK(id), err)
	}
	data, err := d.Encode()
	if err != nil {
		return b.table.wrap("put", doorPK(id), err)
	}
	for range writeAttempts {
		err = b.change(ctx, id, doorPK(id), func(string) ([]byte, error) { return data, nil })
		if !errors.Is(err, errTooSlow) {
			return err
		}
	}
	return err
}

// PutAll stores documents, with rules that have always held. It is for businesses of
// which nothing was decided yet. After an error some documents may be stored.
func (b *Businesses) PutAll(ctx context.Context, all map[events.BusinessID]business.Document) error {
	for id, d := range all {
		if d.Rules != nil {
			if err := b.PutRules(ctx, id, business.Revision{Settings: *d.Rules}); err != nil {
				return err
			}
		}
		if d.Door != nil {
			if err := b.PutDoor(ctx, id, *d.Door); err != nil {
				return err
			}
		}
	}
	return nil
}

// change replaces the text of an item with the result of next for the stored text,
// "" for none. The error wraps errTooSlow if the item is stored, but so late that
// an environment may not see the change; see Businesses.
func (b *Businesses) change(ctx context.Context, id events.BusinessID, pk string, next func(text string) ([]byte, error)) error {
	if err := business.ValidID(id); err != nil {
		return b.table.wrap("put", pk, err)
	}
	for range writeAttempts {
		// The three steps that the comment of Businesses describes.
		began := b.now()
		if err := b.moveMarker(ctx, began.Add(markerLead)); err != nil {
			return err
		}
		err := b.changeOnce(ctx, pk, next)
		if errors.Is(err, stage.ErrConflict) { // read the item again
			continue
		}
		if err == nil && b.now().Sub(began) > maxPutTime {
			err = errTooSlow
		}
		return b.table.wrap("put", pk, err)
	}
	return b.table.wrap("put", pk, stage.ErrConflict)
}

// changeOnce is one attempt of change, and returns stage.ErrConflict if another
// writer changed the item. It writes nothing if next returns the stored text.
func (b *Businesses) changeOnce(ctx context.Context, pk string, next func(text string) ([]byte, error)) error {
	stored, err := b.table.read(ctx, item{keyPK: str(pk)})
	if err != nil {
		return err
	}
	// An absent item has version 0 and the text "".
	r := reader{item: stored}
	text, version := r.str(attrData), r.num(attrVersion)
	if r.err != nil {
		return r.err
	}
	data, err := next(text)
	if err != nil || bytes.Equal(data, []byte(text)) {
		return err
	}
	// Store the next version if the stored one is still the one that was read.
	condition, values := "v = :v", item{":v": num(version)}
	if stored == nil {
		condition, values = "attribute_not_exists(pk)", nil
	}
	row := item{keyPK: str(pk), attrVersion: num(version + 1), attrData: str(string(data))}
	err = b.table.put(ctx, row, condition, values)
	if isConflict(err) {
		// Another writer changed the item. Or DynamoDB applied this put, the answer was
		// lost, and the client sent the put again: then the next attempt finds that
		// the stored text is the one to write.
		err = stage.ErrConflict
	}
	return err
}

// moveMarker moves the marker to until, unless its time is the same or later.
func (b *Businesses) moveMarker(ctx context.Context, until time.Time) error {
	_, err := b.table.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &b.table.name,
		Key:                       item{keyPK: str(markerPK)},
		UpdateExpression:          aws.String("SET u = :u"),
		ConditionExpression:       aws.String("attribute_not_exists(u) OR u < :u"),
		ExpressionAttributeValues: item{":u": num(until.UnixMilli())},
	})
	if isConflict(err) { // it is there already
		return nil
	}
	return b.table.wrap("move marker", markerPK, err)
}

// Read returns everything stored of a business; ok is false if nothing is. Read asks
// the table, never the cache.
func (b *Businesses) Read(ctx context.Context, id events.BusinessID) (s business.Stored, ok bool, err error) {
	pks := []string{string(id), doorPK(id)}
	items, err := b.table.readAll(ctx, []item{{keyPK: str(pks[0])}, {keyPK: str(pks[1])}})
	if err != nil {
		return s, false, err
	}
	for n, i := range items { // rules, door, both or neither
		if i == nil {
			continue
		}
		ok = true
		pk, r := pks[n], reader{item: i}
		text := r.str(attrData)
		switch {
		case r.err != nil:
			err = r.err
		case isDoor(pk):
			s.Door, err = decodeDoor(text)
		default:
			s.Revisions, err = business.DecodeHistory([]byte(text))
		}
		if err != nil {
			return s, false, b.table.wrap("read", pk, err)
		}
	}
	return s, ok, nil
}

// List returns all businesses of which anything is stored, in order. The whole table
// is read.
func (b *Businesses) List(ctx context.Context) ([]events.BusinessID, error) {
	var ids []events.BusinessID
	pages := dynamodb.NewScanPaginator(b.table.client, &dynamodb.ScanInput{
		TableName: &b.table.name, ProjectionExpression: aws.String(keyPK), ConsistentRead: aws.Bool(true),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, b.table.wrap("list", "all businesses", err)
		}
		for _, i := range page.Items {
			r := reader{item: i}
			// The rules and the door of a business both name it, so it comes twice.
			if pk := r.str(keyPK); pk != markerPK {
				ids = append(ids, events.BusinessID(strings.TrimSuffix(pk, doorSuffix)))
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// isDoor reports whether pk is the partition key of a door.
func isDoor(pk string) bool { return strings.HasSuffix(pk, doorSuffix) }

// decodeDoor decodes the text of a door.
func decodeDoor(text string) (*business.Door, error) {
	d := new(business.Door)
	if err := json.Unmarshal([]byte(text), d); err != nil {
		return nil, fmt.Errorf("door: %w", err)
	}
	return d, nil
}
