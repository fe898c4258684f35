package events

import (
	"flag"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files of testdata")

const (
	cafe    BusinessID = "cafe-1"
	guest   DeviceID   = "k3Jw0fUyZr5nQm8sTq1vXA"
	passer  DeviceID   = "Zb9xLr2TqVt0hYd4pEw7uQ"
	regular ContactID  = "contact-17"
)

// start is the moment at which the guest of all samples walks in.
var start = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return start.Add(d) }

// sample is one record with its topic and key.
type sample struct {
	name  string // of the schema file
	topic string
	key   []byte
	event keyed
}

// samples returns one of each record that has a key: all but the tick.
func samples() []sample {
	id := NewWalkInID(cafe, guest, start)
	device, contact := DeviceKey(cafe, guest), ContactKey(cafe, regular)
	return []sample{
		{"sighting", Sightings, device, &Sighting{
			Business: cafe, Sensor: "cafe-1-door", Device: guest, RSSI: -61, SeenAt: start, Randomised: true, Session: SessionAlive,
		}},
		{"portal-login", CRMEvents, BusinessKey(cafe), &PortalLogin{
			Business: cafe, Device: guest, Contact: regular, At: after(10 * time.Minute), Randomised: true,
		}},
		{"contact-changed", CRMEvents, BusinessKey(cafe), &ContactChanged{
			Business: cafe, Contact: "contact-3", MergedInto: regular, At: after(time.Hour),
		}},
		{"contact-deleted", CRMEventsBackfill, BusinessKey(cafe), &ContactDeleted{
			Business: cafe, Contact: regular, At: after(2 * time.Hour),
		}},
		{"device-contact", DeviceContacts, device, &DeviceContact{
			Business: cafe, Device: guest, Contact: regular, BoundAt: after(10 * time.Minute),
		}},
		{"walk-in", WalkIns, device, &WalkIn{
			ID: id, Business: cafe, Device: guest, StartedAt: start, ConfirmedAt: after(6 * time.Minute), Anonymous: true,
		}},
		{"visit-ended", VisitsEnded, device, &VisitEnded{
			ID: id, Business: cafe, Device: guest, StartedAt: start, LastSeenAt: after(40 * time.Minute),
			DwellMillis: (40 * time.Minute).Milliseconds(), Anonymous: true,
		}},
		{"enriched-walk-in", EnrichedWalkIns, contact, &EnrichedWalkIn{
			ID: id, Business: cafe, Device: guest, Contact: regular, StartedAt: start,
			BoundAt: after(10 * time.Minute), Late: true, Ended: true, DwellMillis: (40 * time.Minute).Milliseconds(),
			Version: 2 + (40 * time.Minute).Milliseconds(),
		}},
		{"walk-in-count", WalkInCounts, contact, &WalkInCount{
			Business: cafe, Contact: regular, WalkIn: id, WalkInAt: start,
			Month: "2026-11", MonthTotal: 3, Total: 41, Base: 30, Version: 44,
		}},
	}
}

// decodeAs decodes a record with the decoder of its topic and returns a pointer
// to the record.
func decodeAs(topic string, key, value []byte) (any, error) {
	switch topic {
	case Sightings:
		var r SightingsRecord
		if err := DecodeSightings(key, value, &r); err != nil || !r.IsTick {
			return &r.Sighting, err
		}
		return &r.Tick, nil
	case CRMEvents, CRMEventsBackfill:
		e, err := DecodeCRM(key, value)
		return theRecord(e), err
	case DeviceContacts:
		r, err := DecodeDeviceContact(key, value)
		return &r, err
	case WalkIns:
		r, err := DecodeWalkIn(key, value)
		return &r, err
	case VisitsEnded:
		r, err := DecodeVisitEnded(key, value)
		return &r, err
	case EnrichedWalkIns:
		r, err := DecodeEnrichedWalkIn(key, value)
		return &r, err
	case WalkInCounts:
		r, err := DecodeWalkInCount(key, value)
		return &r, err
	default:
		panic("no decoder for topic " + topic)
	}
}

// theRecord returns the record of e, or nil unless e holds exactly one.
func theRecord(e CRMEvent) keyed {
	switch {
	case e.Login != nil && e.Changed == nil && e.Deleted == nil:
		return e.Login
	case e.Login == nil && e.Changed != nil && e.Deleted == nil:
		return e.Changed
	case e.Login == nil && e.Changed == nil && e.Deleted != nil:
		return e.Deleted
	default:
		return nil
	}
}

func mustEncode(t testing.TB, event any) []byte {
	t.Helper()
	value, err := Encode(nil, event)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// wantReason fails the test unless err is a *BadRecord with that reason.
func wantReason(t testing.TB, err error, want Reason) {
	t.Helper()
	if got := reasonOf(t, err); got != want {
		t.Errorf("got reason %s, want %s (%v)", got, want, err)
	}
}

// reasonOf returns the reason of err, which must be a *BadRecord.
func reasonOf(t testing.TB, err error) Reason {
	t.Helper()
	bad, ok := err.(*BadRecord) //nolint:errorlint // the error must be a *BadRecord itself, not wrap one
	if !ok {
		t.Fatalf("got error %v (%T), want a *BadRecord", err, err)
	}
	return bad.Reason
}
