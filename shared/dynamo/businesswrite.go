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
	// markerLead is how long everybody reads again for after the marker was moved.
	markerLead = 90 * time.Second
	// maxPutTime is how long a put may take from then on. What is left of marked is for
	// clocks that differ.
	maxPutTime = 30 * time.Second
	// writeAttempts is how often a write is begun anew that others were ahead of, or
	// that took too long.
	writeAttempts = 10
)

// errTooSlow says that a put took longer than landing.
var errTooSlow = errors.New("the table was too slow")

// SetRules stores settings that hold from a moment on, but no sooner than
// business.Soonest, and gives that moment. By then every environment knows of them,
// so whoever decides, now or again, decides by the same. Where the table is so
// slow that not all might, it begins anew with a later moment. What was to begin at
// that moment or later is replaced.
func (b *Businesses) SetRules(ctx context.Context, id events.BusinessID, s business.Settings, from time.Time) (since time.Time, err error) {
	var former []time.Time // tries that came too late
	for range writeAttempts {
		since = business.Soonest(b.now())
		if from.After(since) {
			since = from.UTC()
		}
		err = b.putRules(ctx, id, business.Revision{Since: since, Settings: s}, former)
		if err == nil && since.Sub(b.now()) < business.Lead-maxPutTime {
			err = errTooSlow
		}
		if !errors.Is(err, errTooSlow) {
			return since, err
		}
		former = append(former, since)
	}
	return since, err
}

// PutRules stores settings that hold from any moment on, the zero time for ever.
// A moment that the clocks have passed rewrites what was decided by: who decides
// again, in a replay or an audit, decides otherwise than was told, and environments
// go on by the former settings for up to half a minute. It is for a business of
// which nothing was decided, and for mistakes that must not be repeated.
func (b *Businesses) PutRules(ctx context.Context, id events.BusinessID, r business.Revision) error {
	var err error
	for range writeAttempts {
		if err = b.putRules(ctx, id, r, nil); !errors.Is(err, errTooSlow) {
			return err
		}
	}
	return err
}

func (b *Businesses) putRules(ctx context.Context, id events.BusinessID, r business.Revision, former []time.Time) error {
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
		h = slices.DeleteFunc(h, func(o business.Revision) bool { return slices.ContainsFunc(former, o.Since.Equal) })
		return h.With(r, b.now()).Encode()
	})
}

// PutDoor stores what ingest goes by for a business. It holds within half a minute.
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

// PutAll stores documents whose rules have always held: for a table of which
// nothing was decided yet.
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

// change replaces the text of an item with what next makes of it. It gives errLate
// where that took so long that some may not see it soon.
func (b *Businesses) change(ctx context.Context, id events.BusinessID, pk string, next func(text string) ([]byte, error)) error {
	if err := business.ValidID(id); err != nil {
		return b.table.wrap("put", pk, err)
	}
	for range writeAttempts {
		began := b.now()
		if err := b.moveMarker(ctx, began.Add(markerLead)); err != nil {
			return err
		}
		err := b.changeOnce(ctx, pk, next)
		if errors.Is(err, stage.ErrConflict) {
			continue
		}
		if err == nil && b.now().Sub(began) > maxPutTime {
			err = errTooSlow
		}
		return b.table.wrap("put", pk, err)
	}
	return b.table.wrap("put", pk, stage.ErrConflict)
}

// changeOnce is one try of change.
func (b *Businesses) changeOnce(ctx context.Context, pk string, next func(text string) ([]byte, error)) error {
	stored, err := b.table.read(ctx, item{keyPK: str(pk)})
	if err != nil {
		return err
	}
	r := reader{item: stored}
	text, version := r.str(attrData), r.num(attrVersion)
	if r.err != nil {
		return r.err
	}
	data, err := next(text)
	if err != nil || bytes.Equal(data, []byte(text)) {
		return err
	}
	condition, values := "v = :v", item{":v": num(version)}
	if stored == nil {
		condition, values = "attribute_not_exists(pk)", nil
	}
	row := item{keyPK: str(pk), attrVersion: num(version + 1), attrData: str(string(data))}
	err = b.table.put(ctx, row, condition, values)
	if isConflict(err) {
		// Somebody else was first, or an earlier try of this one, whose answer was
		// lost: then the next round finds what it was to write.
		err = stage.ErrConflict
	}
	return err
}

// moveMarker moves the marker to until, unless it is there or further already.
func (b *Businesses) moveMarker(ctx context.Context, until time.Time) error {
	_, err := b.table.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &b.table.name,
		Key:                       item{keyPK: str(markerPK)},
		UpdateExpression:          aws.String("SET u = :u"),
		ConditionExpression:       aws.String("attribute_not_exists(u) OR u < :u"),
		ExpressionAttributeValues: item{":u": num(until.UnixMilli())},
	})
	if isConflict(err) {
		return nil
	}
	return b.table.wrap("mark", markerPK, err)
}

// Read gives all that is stored of a business, not from memory; ok is false where
// that is nothing.
func (b *Businesses) Read(ctx context.Context, id events.BusinessID) (s business.Stored, ok bool, err error) {
	items, err := b.table.readAll(ctx, keyPK, []string{string(id), doorPK(id)})
	if err != nil {
		return s, false, err
	}
	for pk, i := range items {
		r := reader{item: i}
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
	return s, len(items) > 0, nil
}

// List gives all businesses of which anything is stored, in order. It reads the
// whole table.
func (b *Businesses) List(ctx context.Context) ([]events.BusinessID, error) {
	var ids []events.BusinessID
	pages := dynamodb.NewScanPaginator(b.table.client, &dynamodb.ScanInput{
		TableName: &b.table.name, ProjectionExpression: aws.String(keyPK), ConsistentRead: aws.Bool(true),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, b.table.wrap("list", "all", err)
		}
		for _, i := range page.Items {
			r := reader{item: i}
			if pk := r.str(keyPK); pk != markerPK {
				ids = append(ids, events.BusinessID(strings.TrimSuffix(pk, doorSuffix)))
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func isDoor(pk string) bool { return strings.HasSuffix(pk, doorSuffix) }

func decodeDoor(text string) (*business.Door, error) {
	d := new(business.Door)
	if err := json.Unmarshal([]byte(text), d); err != nil {
		return nil, fmt.Errorf("door: %w", err)
	}
	return d, nil
}
